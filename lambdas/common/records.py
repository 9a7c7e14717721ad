"""Stream records become changes, exactly, or are refused with a reason. No input, no output.

Records are parsed in slices. Within a slice the values of one column are decoded together, which is faster than one
record at a time. A slice with a record that cannot be parsed is cut into pieces until that record is alone. The same
code then gives the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain, islice
from typing import Any, TypeVar

from common.changes import Batch, Change, Parked, Record
from common.entity_parser import MALFORMED, EntityParser, ItemParser, Part
from common.heartbeat import Heartbeat, time_of
from common.keys import entity_and_tail
from common.mapping import Mapping
from common.poison import PoisonError
from common.prepare import preparer
from common.raw_items import Item
from common.source import Source
from common.versions import version

# A change, poison to park, or the reason why the record is skipped.
Single = Change | Parked | str
# A record that concerns several entities has an outcome of each: a delete of one row and an upsert of another. A
# heartbeat has none.
Outcome = Single | list[Single]

UNMAPPED_ITEM = "unmapped_item"

T = TypeVar("T")

# A slice stays in the processor's cache between one column and the next. Smaller slices cost more calls.
_SLICE = 64
# A slice with poison is cut into so many pieces, and these again. Measured: halves take twice as long.
_PIECES = 8


def parse_records(records: Iterable[Record], mapping: Mapping, *, source: Source | None = None) -> Batch:
    """Sort the records of a stream event into changes, poison and skips.

    Every record becomes one or more of them, but for heartbeats.
    """
    classify = classifier(mapping, source=source)
    outcomes = list(classify(records))
    batch = _sorted_out(outcomes)
    batch.unmapped_attributes = classify.take_unmapped_attributes()
    batch.heartbeat = classify.take_heartbeat()
    return batch


def _sorted_out(outcomes: Sequence[Outcome]) -> Batch:
    batch = Batch([outcome for outcome in outcomes if type(outcome) is Change])
    if len(batch.changes) == len(outcomes):  # nearly every batch
        return batch
    batch = Batch()
    for outcome in outcomes:
        for one in outcome if isinstance(outcome, list) else (outcome,):
            if isinstance(one, Change):
                batch.changes.append(one)
            elif isinstance(one, Parked):
                batch.parked.append(one)
            else:
                batch.skipped[one] += 1
    return batch


def parse_items(items: Iterable[Item], mapping: Mapping) -> Batch:
    """Sort the items of a table into changes that load them, poison and skips.

    An item that is as a seed wrote it is SEEDED: its row is written only where there is none.

    Each change has the lowest version, so that it wins only where nothing live was written. It has no source time, so
    that the clock never contradicts it. The record of a change or of poison is `{"dynamodb": {"Keys": ...}, ...}`. It
    is without the item, so that the items need not all be in memory.
    """
    classify = item_classifier(mapping)
    key = [one.attribute for one in (mapping.partition_key, mapping.sort_key) if one]
    outcomes: list[Outcome] = []
    for part in _slices(items):
        bodies = [{"Keys": {name: item[name] for name in key}, "NewImage": item} for item in part]
        outcomes += classify({"eventName": "INSERT", "dynamodb": body} for body in bodies)
        for body in bodies:
            del body["NewImage"]
    batch = _sorted_out(outcomes)
    batch.unmapped_attributes = classify.take_unmapped_attributes()
    return batch


def parse_states(states: Iterable[tuple[Item, Item | None]], mapping: Mapping) -> Batch:
    """The changes that bring each row of an item to the item's state: keys, each with its item, or None if it is gone.

    The entities that an item does not match, and may have matched before, have a change without a row. Version, time
    and record are as in `parse_items`.
    """
    outcomes = item_classifier(mapping)(
        {"eventName": "REMOVE", "dynamodb": {"Keys": key}}
        if item is None
        else {"eventName": "MODIFY", "dynamodb": {"Keys": key, "NewImage": item}}
        for key, item in states
    )
    return _sorted_out(list(outcomes))


def _slices(values: Iterable[T]) -> Iterator[list[T]]:
    remaining = iter(values)
    return iter(lambda: list(islice(remaining, _SLICE)), [])


@cache
def item_classifier(mapping: Mapping) -> Classifier:
    """The classifier of the items of a mapping's table: of records without a version and a time."""
    return Classifier(mapping, None, ItemParser)


@cache
def classifier(mapping: Mapping, *, source: Source | None = None) -> Classifier:
    """The classifier of a mapping's records. Records of another table than `source` are poison."""
    return Classifier(mapping, source)


class Classifier:
    """A function from records to the outcome of each, in their order. It asks for records a slice at a time."""

    def __init__(self, mapping: Mapping, source: Source | None, parser: type[EntityParser] | None = None) -> None:
        make = parser or EntityParser
        self._entities = [make(mapping, index, source) for index in range(len(mapping.entities))]
        self._latest = self._entities[0]
        key = (mapping.partition_key, mapping.sort_key)
        self._prepare = mapping.prepare and preparer(mapping.prepare, tuple(one.attribute for one in key if one))
        self._heartbeat, self._oldest_beat = Heartbeat(mapping), math.inf

    def __call__(self, records: Iterable[Record]) -> Iterator[Outcome]:
        return chain.from_iterable(map(self._outcomes, _slices(records)))

    def take_unmapped_attributes(self) -> list[str]:
        """`<entity>.<attribute>` of each attribute that no column takes, if it was not taken before."""
        return [f"{entity.name}.{name}" for entity in self._entities for name in entity.take_unmapped()]

    def take_heartbeat(self) -> float | None:
        """When the oldest heartbeat was written that was not taken before, in epoch seconds; None without one."""
        oldest, self._oldest_beat = self._oldest_beat, math.inf
        return oldest if oldest < math.inf else None

    def can_have_row(self, parked: Parked) -> bool:
        """Whether the item of a parked record can have a row. The text of a key that does not fit may be another's."""
        name = entity_and_tail(parked.key or "")[0]
        record: Any = parked.record
        return any(one.name == name and one.can_have_row(record["dynamodb"]["Keys"]) for one in self._entities)

    def unfit(self, keys: Sequence[Item]) -> list[Item]:
        """Those of some keys of items that an entity may have by `when`, and whose values do not fit its row.

        Whether such an item is the entity's, and is refused, depends on its attributes.
        """
        return [
            key for key in keys if key != self._heartbeat.key and any(map(partial(_does_not_fit, key), self._entities))
        ]

    def texts(self, key: Item) -> list[str]:
        """The text of the key of an item for each entity that may have it by `when`.

        A record that no entity can take is parked under one of them.
        """
        return [entity.key_text(key) for entity in self._entities if entity.matches([key])[0]]

    def _outcomes(self, records: Sequence[Record]) -> Sequence[Outcome]:
        """The outcome of each record, in their order."""
        try:
            return self._parse(records)
        except MALFORMED as error:
            poison = _reason(error)
        if len(records) == 1:
            return [self._alone(records[0], poison)]
        size = -(-len(records) // _PIECES)
        pieces = [records[start : start + size] for start in range(0, len(records), size)]
        return list(chain.from_iterable(map(self._outcomes, pieces)))

    def _parse(self, records: Sequence[Record]) -> Sequence[Outcome]:
        """Raises one of `MALFORMED` if a record cannot be parsed. The first check that fails gives the reason."""
        bodies = [record["dynamodb"] for record in records]
        part = Part(records, bodies, [body["Keys"] for body in bodies])
        if self._heartbeat.key in part.keys and (beats := [self._heartbeat.is_in(body) for body in bodies]).count(True):
            return self._parse_with_heartbeats(records, beats)
        if self._latest.takes_all(part.keys):
            return self._latest.changes(part)
        found: list[list[Single]] = [[] for _ in records]
        for entity in self._entities:
            hits = [index for index, is_hit in enumerate(entity.matches(part.keys)) if is_hit]
            if hits:
                self._latest = entity
                mine = part if len(hits) == len(records) else part.take(hits)
                for index, outcome in zip(hits, entity.outcomes(mine, self._prepare), strict=True):
                    if outcome is not None:
                        found[index].append(outcome)
        return [_outcome(singles) for singles in found]

    def _parse_with_heartbeats(self, records: Sequence[Record], beats: Sequence[bool]) -> Sequence[Outcome]:
        """`beats` says which of the records are heartbeats."""
        others = [record for record, is_beat in zip(records, beats, strict=True) if not is_beat]
        outcomes = iter(self._parse(others) if others else ())
        found: list[Outcome] = []
        for record, is_beat in zip(records, beats, strict=True):
            time = time_of(record["dynamodb"].get("NewImage", {})) if is_beat else None
            self._oldest_beat = min(self._oldest_beat, time or math.inf)
            found.append([] if is_beat else next(outcomes))
        return found

    def _alone(self, record: Record, poison: PoisonError) -> Outcome:
        """The outcome of a record that cannot be parsed for one of its entities."""
        try:
            body = record["dynamodb"]
            part = Part([record], [body], [body["Keys"]])
            candidates = [entity for entity in self._entities if entity.matches(part.keys)[0]]
        except MALFORMED:
            candidates = []
        if len(candidates) <= 1:
            return _park(record, poison, candidates[0] if candidates else None)
        singles: list[Single] = []
        for entity in candidates:
            try:
                singles += [one for one in entity.outcomes(part, self._prepare) if one is not None]
            except MALFORMED as error:
                singles.append(_park(record, _reason(error), entity))
        parked = [one for one in singles if isinstance(one, Parked)]
        if len(parked) == len(singles) and len({one.reason for one in parked}) == 1:
            return parked[0]  # what all entities need is malformed
        return _outcome(singles)


def _does_not_fit(key: Item, entity: EntityParser) -> bool:
    try:
        return entity.matches([key])[0] and not entity.can_have_row(key)
    except MALFORMED:
        return True


def _reason(error: Exception) -> PoisonError:
    if isinstance(error, PoisonError):
        return error
    if isinstance(error, KeyError):
        return PoisonError(f"the record lacks {error.args[0]}")
    return PoisonError("the record is not shaped like a DynamoDB stream record")


def _park(record: Record, error: PoisonError, entity: EntityParser | None) -> Parked:
    """A parked record, with its key and version where they can be read, so that a person can find it."""
    key = found = None
    try:
        body = record["dynamodb"]
        if entity:
            key = entity.key_text(body["Keys"])
            found = version(record["eventSourceARN"], body["SequenceNumber"], entity.source)
    except MALFORMED:
        pass  # they only name the record, which is parked whole in any case
    return Parked(key, found, str(error), error.hint, None, record)


def _outcome(singles: list[Single]) -> Outcome:
    if len(singles) == 1:
        return singles[0]
    return singles or UNMAPPED_ITEM
