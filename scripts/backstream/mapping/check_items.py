"""Checks a mapping against items: how many become rows, which do not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from backstream.mapping.findings import Finding, error, ok, warning
from backstream.mapping.items import Item
from backstream.mapping.outcomes import outcomes
from common.changes import Change, Parked, Row
from common.mapping import Mapping
from common.mysql.inspection import Inspector

_CORRECT = "correct the items, or the mapping"


def check_items(mapping: Mapping, items: Sequence[Item], inspector: Inspector | None = None) -> list[Finding]:
    """With an `inspector`, also the rows that the existing tables would refuse or change."""
    by_item, unmapped = outcomes(mapping, items)
    together = [one for found in by_item for one in found]
    parked = Counter((one.reason, one.hint) for one in together if isinstance(one, Parked))
    rows: dict[int, list[Row]] = {index: [] for index in range(len(mapping.entities))}
    for one in together:
        if isinstance(one, Change) and one.row is not None:
            rows[one.entity].append(one.row)
    no_entity = sum(all(isinstance(one, str) for one in found) for found in by_item)
    return [
        *_rows(mapping, rows, len(items)),
        *(
            error("items", f"{count} would be quarantined: {reason}", hint)
            for (reason, hint), count in parked.most_common()
        ),
        *_no_entity(no_entity, len(items)),
        *(warning(name, "is an attribute that is not mapped", "map it, or set unmapped") for name in unmapped),
        *_refused(mapping, rows, inspector),
    ]


def _rows(mapping: Mapping, rows: dict[int, list[Row]], total: int) -> list[Finding]:
    return [
        ok(entity.name, f"{len(rows[index])} of {total} items become rows of {entity.table}")
        if rows[index]
        else warning(entity.name, "no sampled item matches this entity", "check its when, or take a larger sample")
        for index, entity in enumerate(mapping.entities)
    ]


def _no_entity(count: int, total: int) -> list[Finding]:
    if not count:
        return []
    return [
        warning(
            "items",
            f"{count} of {total} match no entity, and are only counted (unmapped_item)",
            "add an entity for them",
        )
    ]


def _refused(mapping: Mapping, rows: dict[int, list[Row]], inspector: Inspector | None) -> list[Finding]:
    if inspector is None:
        return []
    return [
        error(entity.name, f"{count} rows would be quarantined: {reason}", _CORRECT)
        for index, entity in enumerate(mapping.entities)
        if rows[index] and (table := inspector.table(entity.table))
        for reason, count in table.refusals(entity, rows[index]).most_common()
    ]
