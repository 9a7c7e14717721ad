"""What one item becomes, column by column, or why it gets no row. Shows values to the operator only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from backstream.mapping.items import Item
from backstream.mapping.outcomes import outcomes
from common.changes import Change, Parked, Value
from common.mapping import Action, Entity, KeyCondition, Mapping, Removal

Explanation = dict[str, Any]


def explain(mapping: Mapping, item: Item) -> list[Explanation]:
    """An explanation for each entity that the item matches; if there is none, one that says why."""
    (found,), unmapped = outcomes(mapping, [item])
    explained = [_row(mapping, one, unmapped) for one in found if isinstance(one, Change) and one.row is not None]
    explained += [_refusal(one) for one in found if isinstance(one, Parked)]
    return explained or [{"reason": "no entity matches it, so it is only counted", "hint": _why_not(mapping, item)}]


def is_row(explanation: Explanation) -> bool:
    return "row" in explanation


def text_of(explanation: Explanation) -> str:
    """For a terminal."""
    if not is_row(explanation):
        key = f" of key {explanation['key']}" if explanation.get("key") else ""
        return f"no row{key}: {explanation['reason']}\n  {explanation['hint']}"
    width = max(map(len, explanation["row"]))
    lines = [
        f"entity    {explanation['entity']}",
        f"key       {explanation['key']}",
        f"table     {explanation['table']}",
        *(f"  {name:<{width}}  {_shown(value)}" for name, value in explanation["row"].items()),
        f"delete    {explanation['delete']}",
        f"expiry    {explanation['expiry']}",
    ]
    if explanation["unmapped"]:
        lines.append(f"unmapped  {', '.join(explanation['unmapped'])}")
    return "\n".join(lines)


def _row(mapping: Mapping, change: Change, unmapped: Sequence[str]) -> Explanation:
    entity = mapping.entities[change.entity]
    names = [column.name for column in entity.columns]
    return {
        "entity": entity.name,
        "key": change.key,
        "table": entity.table,
        "row": dict(zip(names, change.row or (), strict=True)),
        "delete": _removal(entity, entity.deletes),
        "expiry": _removal(entity, entity.ttl) if mapping.ttl_attribute else "items of this mapping do not expire",
        "unmapped": [name.partition(".")[2] for name in unmapped if name.startswith(f"{entity.name}.")],
    }


def _refusal(parked: Parked) -> Explanation:
    return {"key": parked.key, "reason": parked.reason, "hint": parked.hint}


def _removal(entity: Entity, removal: Removal) -> str:
    if removal.action is Action.DELETE:
        return f"deletes the row of {entity.table}"
    if removal.action is Action.IGNORE:
        return f"leaves the row of {entity.table} as it is"
    time = f", {removal.time} to its time" if removal.time else ""
    return f"sets {removal.flag} to 1{time}"


def exact_text(value: Value) -> str:
    """The text of a value that JSON cannot hold: a decimal in all its digits, bytes in hexadecimal."""
    return (
        f"0x{value.hex()}" if isinstance(value, bytes) else f"{value:f}" if isinstance(value, Decimal) else str(value)
    )


def _shown(value: Value) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return "NULL" if value is None else exact_text(value)


def _why_not(mapping: Mapping, item: Item) -> str:
    """The first condition of each entity that the item does not meet."""
    return "; ".join(
        f"{entity.name}: {next(_unmet(mapping, entity, item), 'its conditions')}" for entity in mapping.entities
    )


def _unmet(mapping: Mapping, entity: Entity, item: Item) -> Iterator[str]:
    when = entity.when
    for key, condition in ((mapping.partition_key, when.partition_key), (mapping.sort_key, when.sort_key)):
        if key and key.attribute not in item:
            yield f"{key.attribute} is missing"
        elif key and (problem := _unmet_by(condition, item[key.attribute].get(key.type))):
            yield f"{key.attribute} {problem}"
    if when.attribute:
        path = ".".join(map(str, when.attribute.path))
        yield f"{path} is not {when.attribute.equals}"


def _unmet_by(condition: KeyCondition, text: Any) -> str:
    if condition.equals is not None:
        same = (
            isinstance(text, str)
            and (Decimal(text) if isinstance(condition.equals, Decimal) else text) == condition.equals
        )
        return "" if same else f"does not equal {condition.equals}"
    if condition.starts_with is None or str(text).startswith(condition.starts_with):
        return ""
    return f"does not start with {condition.starts_with}"
