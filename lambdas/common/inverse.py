"""Items from rows: a mapping read backwards. Pure.

An item is right if the mapping makes the row of it again, exactly. This is checked for every row, by the parser of the
consumer. Another row has no item, and the reason is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from common.changes import Change, Parked, Row, Value
from common.item_builder import ABSENT, ItemBuilder, Leaf, path_problems
from common.item_keys import constant, content, key_makers
from common.item_limits import refusal
from common.keys import key_text
from common.mapping import Action, AttributePath, Column, Entity, Instead, KeyAttribute, MappingError
from common.mapping import Mapping as Declared
from common.mapping_parts.key_attributes import ROLES
from common.paths import path_text
from common.poison import PoisonError
from common.records import Classifier

AttributeValue = Mapping[str, Any]
Item = dict[str, AttributeValue]

_NULL: AttributeValue = {"NULL": True}


class Unseedable(NamedTuple):
    """A row that has no item. `key` is its text, see `common.keys`; `reason` holds no value of the row.

    `removed`: the row is flagged, because its item was removed. Any other row needs a person.
    """

    key: str
    reason: str
    removed: bool = False


class Inverse:
    """Makes items of the rows of a mapping's entities.

    Raises MappingError with everything that keeps the mapping, or those of `entities`, from being read backwards.
    """

    def __init__(self, mapping: Declared, entities: Sequence[int] | None = None) -> None:
        chosen = range(len(mapping.entities)) if entities is None else entities
        if problems := list(_problems(mapping, chosen)):
            raise MappingError(problems)
        self._mapping = mapping
        self._keys = (mapping.partition_key, mapping.sort_key)
        self._encoders = {index: _EntityEncoder(mapping, mapping.entities[index]) for index in chosen}
        self._classify = Classifier(mapping, None)

    def items(self, entity: int, rows: Sequence[Row]) -> list[Item | Unseedable]:
        """The item of each row, without the mark of a seed, or why it has none.

        Rows have the values of all columns in mapping order, in the form that decoding gives.
        """
        encoder = self._encoders[entity]
        made = [encoder.item(row) for row in rows]
        records = [(index, _record(item, self._keys)) for index, item in enumerate(made) if isinstance(item, dict)]
        outcomes = self._classify([record for _, record in records])
        for (index, _), outcome in zip(records, outcomes, strict=True):
            if reason := self._mismatch(entity, rows[index], made[index], outcome):
                made[index] = encoder.unseedable(rows[index], reason)
        return made

    def _mismatch(self, entity: int, row: Row, item: Any, outcome: Any) -> str:
        """Why the item is not that of the row; empty if it is."""
        declared = self._mapping.entities[entity]
        if isinstance(outcome, Parked):
            return outcome.reason
        if not isinstance(outcome, Change) or outcome.entity != entity or outcome.row is None:
            return f"its item would not be of entity {declared.name}: see `when` and the templates"
        if outcome.row != row:
            pairs = zip(declared.columns, row, outcome.row, strict=True)
            names = ", ".join(column.name for column, value, again in pairs if value != again)
            return f"its item would give another value of {names}"
        return refusal(item, self._keys)


def _record(item: Item, keys: tuple[KeyAttribute | None, ...]) -> dict[str, Any]:
    """The record of a stream that has the item."""
    body = {
        "ApproximateCreationDateTime": 0,
        "Keys": {key.attribute: item[key.attribute] for key in keys if key},
        "NewImage": item,
        "SequenceNumber": "1",
    }
    return {"eventName": "INSERT", "eventSourceARN": _ARN, "dynamodb": body}


_ARN = "arn:aws:dynamodb:::table/none/stream/2000-01-01T00:00:00.000"


# One entity


class _EntityEncoder:
    def __init__(self, mapping: Declared, entity: Entity) -> None:
        self._entity = entity
        self._width = len(entity.key)
        self._key_makers = key_makers(mapping, entity)
        self._columns = [(place, column) for place, column in enumerate(entity.columns) if column.path]
        self._condition = _condition(entity)
        self._build = ItemBuilder([path for path, _ in _sources(mapping, entity)])
        self._flags = [place for place, column in enumerate(entity.columns) if column.name in _flags(entity)]
        unmapped = [place for place, column in enumerate(entity.columns) if column.name == entity.unmapped.column]
        self._unmapped = unmapped[0] if unmapped else None

    def item(self, row: Row) -> Item | Unseedable:
        """The item, which is still to be checked."""
        if any(row[place] == 1 for place in self._flags):
            return self.unseedable(row, "the row is flagged as removed", removed=True)
        try:
            leaves = [Leaf(make(row)) for make in self._key_makers]
            leaves += self._condition
            leaves += [_leaf(column, row[place]) for place, column in self._columns]
            item = self._build(leaves)
            return self._with_unmapped(item, row)
        except PoisonError as error:
            return self.unseedable(row, str(error))

    def _with_unmapped(self, item: Item, row: Row) -> Item:
        if self._unmapped is None:
            return item
        column, value = self._entity.columns[self._unmapped], row[self._unmapped]
        others = {} if value is None else content(column, value).get("M", {})
        return {**others, **item}

    def unseedable(self, row: Row, reason: str, *, removed: bool = False) -> Unseedable:
        return Unseedable(key_text(self._entity.name, row[: self._width]), reason, removed)


def _sources(mapping: Declared, entity: Entity) -> Iterator[tuple[AttributePath, Column | None]]:
    """Every path that an item gets a value at, in the order of the leaves, and its column, if it has one."""
    for role in ROLES:
        if key := getattr(mapping, role):
            yield (key.attribute,), None
    if entity.when.attribute:
        yield entity.when.attribute.path, None
    for column in entity.columns:
        if column.path:
            yield column.path, column


def _condition(entity: Entity) -> list[Leaf]:
    return [Leaf(constant(entity.when.attribute.equals))] if entity.when.attribute else []


def _flags(entity: Entity) -> set[str | None]:
    return {removal.flag for removal in (entity.deletes, entity.ttl) if removal.action is Action.FLAG}


# One column


def _leaf(column: Column, value: Value) -> Leaf:
    """Raises PoisonError."""
    if value is not None:
        kind, held = column.type.kind, content(column, value)
        return Leaf({kind: held} if kind else held)
    as_null = _NULL if column.null == _GIVES_NULL else None
    if column.absent == _GIVES_NULL:
        return ABSENT if as_null is None else Leaf(None, as_null)
    if as_null:
        return Leaf(as_null)
    raise PoisonError(f"column {column.name} is NULL, and neither `absent` nor `null` gives NULL")


_GIVES_NULL = Instead(None)


def _problems(mapping: Declared, entities: Sequence[int]) -> Iterator[str]:
    file = f"{mapping.name}.json"
    if mapping.prepare is not None:
        yield f"{file}: prepare: a Python function cannot be read backwards; map its attributes without it"
    for index in entities:
        entity = mapping.entities[index]
        for place, what in _entity_problems(mapping, entity):
            yield f"{file}: entity {entity.name}, {place}: {what}"


def _entity_problems(mapping: Declared, entity: Entity) -> Iterator[tuple[str, str]]:
    for column in entity.columns:
        if column.path and column.type.lossy:
            yield f"column {column.name}", f"{column.type.lossy}; leave the option out, or do not seed the entity"
    sources = list(_sources(mapping, entity))
    for path, what in path_problems([path for path, _ in sources]):
        yield f"attribute {path_text(path)}", f"{what}, or do not seed the entity"
    yield from _unequal_columns(sources)
    yield from _unlike_keys(mapping, sources)


def _unequal_columns(sources: Sequence[tuple[AttributePath, Column | None]]) -> Iterator[tuple[str, str]]:
    """Columns of one path that are not declared alike: one attribute gives both, and no row says which to take."""
    first: dict[AttributePath, Column] = {}
    for path, column in sources:
        if column is None:
            continue
        other = first.setdefault(path, column)
        if _declared(other) != _declared(column):
            what = f"is made of {path_text(path)}, as {other.name} is, and differs in type, absent or null"
            yield f"column {column.name}", f"{what}; declare both alike, or do not seed the entity"


def _declared(column: Column) -> Any:
    return column.type, column.absent, column.null


def _unlike_keys(
    mapping: Declared, sources: Sequence[tuple[AttributePath, Column | None]]
) -> Iterator[tuple[str, str]]:
    """Columns that are made of a key attribute, of another type than this has."""
    types: dict[Any, str] = {key.attribute: key.type for key in (mapping.partition_key, mapping.sort_key) if key}
    for path, column in sources:
        kind = column.type.kind if column else ""
        if column and len(path) == 1 and kind and types.get(path[0], kind) != kind:
            what = f"is made of the key attribute {path_text(path)}, which has another type: no item has such a row"
            yield f"column {column.name}", f"{what}; correct the column"
