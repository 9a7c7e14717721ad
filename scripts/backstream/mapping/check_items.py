"""Holds a mapping against items: how many become rows, which do not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from backstream.mapping.findings import Finding, error, ok, warning
from backstream.mapping.items import Item
from backstream.mapping.outcomes import entity_of, outcomes
from backstream.mapping.unmapped import unmapped_attributes
from common.changes import Change, Parked, Row
from common.mapping import Mapping
from common.mysql.inspection import Inspector

_CORRECT = "correct the items, or the mapping"


def check_items(mapping: Mapping, items: Sequence[Item], inspector: Inspector | None = None) -> list[Finding]:
    """With an `inspector`, also the rows that the existing tables would refuse or change."""
    rows: dict[int, list[Row]] = {index: [] for index in range(len(mapping.entities))}
    quarantined: Counter[tuple[str, str]] = Counter()
    unmapped: Counter[tuple[str, str]] = Counter()
    no_entity = 0
    for item, found in zip(items, outcomes(mapping, items), strict=True):
        changes = [one for one in found if isinstance(one, Change)]
        parked = [one for one in found if isinstance(one, Parked)]
        for change in changes:
            if change.row is not None:
                rows[change.entity].append(change.row)
                unmapped.update(
                    (entity_of(mapping, change), name)
                    for name in unmapped_attributes(mapping, mapping.entities[change.entity], item)
                )
        quarantined.update((one.reason, one.hint) for one in parked)
        no_entity += not changes and not parked
    return [
        *_rows(mapping, rows, len(items)),
        *(
            error("items", f"{count} would be quarantined: {reason}", hint)
            for (reason, hint), count in quarantined.most_common()
        ),
        *_no_entity(no_entity, len(items)),
        *_unmapped(unmapped),
        *_refused(mapping, rows, inspector),
    ]


def _rows(mapping: Mapping, rows: dict[int, list[Row]], total: int) -> list[Finding]:
    return [
        ok(entity.name, f"{len(rows[index])} of {total} items become rows of {entity.table}")
        if rows[index]
        else warning(entity.name, "no sampled item is of this entity", "check its when, or take a larger sample")
        for index, entity in enumerate(mapping.entities)
    ]


def _no_entity(count: int, total: int) -> list[Finding]:
    if not count:
        return []
    return [
        warning(
            "items",
            f"{count} of {total} are of no entity, and are only counted (unmapped_item)",
            "add an entity for them",
        )
    ]


def _unmapped(found: Counter[tuple[str, str]]) -> list[Finding]:
    return [
        warning(entity, f"attribute {name} of {count} items is in no column", "map it, or set unmapped")
        for (entity, name), count in sorted(found.items())
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
