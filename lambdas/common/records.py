"""Stream records become changes, exactly, or are refused with a reason. No input, no output.

Records are parsed in slices. Within a slice the values of one column are decoded together, which is faster than one
record at a time. A slice with a record that cannot be parsed is cut into pieces until that record is alone. The same
code then gives the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain, islice, repeat
from typing import Any, NamedTuple, TypeVar

from common.changes import Batch, Change, Mark, Parked, Record, Row, Value
from common.expiry import is_ttl_delete
from common.heartbeat import Heartbeat, time_of
from common.key_decoder import KeyDecoder
from common.keys import entity_and_tail, key_texts
from common.mapping import Entity, Mapping, UnmappedAction
from common.matching import image_test, key_tests
from common.paths import ColumnsDecoder
from common.poison import PoisonError
from common.prepare import preparer
from common.raw_items import Item
from common.seeds import MARK, is_echo
from common.source import Source
from common.stream_clock import NO_SOURCE_TIME, source_times
from common.versions import LOWEST_VERSION, version, versions

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
# Names of unmapped attributes that a process remembers, of each entity. An item could bring new ones without end.
_MOST_NAMES = 1_000


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
    return Classifier(mapping, None, _ItemParser)


@cache
def classifier(mapping: Mapping, *, source: Source | None = None) -> Classifier:
    """The classifier of a mapping's records. Records of another table than `source` are poison."""
    return Classifier(mapping, source)


class Classifier:
    """A function from records to the outcome of each, in their order. It asks for records a slice at a time."""

    def __init__(self, mapping: Mapping, source: Source | None, parser: type[_EntityParser] | None = None) -> None:
        make = parser or _EntityParser
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

    def _outcomes(self, records: Sequence[Record]) -> Sequence[Outcome]:
        """The outcome of each record, in their order."""
        try:
            return self._parse(records)
        except _MALFORMED as error:
            poison = _reason(error)
        if len(records) == 1:
            return [self._alone(records[0], poison)]
        size = -(-len(records) // _PIECES)
        pieces = [records[start : start + size] for start in range(0, len(records), size)]
        return list(chain.from_iterable(map(self._outcomes, pieces)))

    def _parse(self, records: Sequence[Record]) -> Sequence[Outcome]:
        """Raises one of `_MALFORMED` if a record cannot be parsed. The first check that fails gives the reason."""
        bodies = [record["dynamodb"] for record in records]
        part = _Part(records, bodies, [body["Keys"] for body in bodies])
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
            part = _Part([record], [body], [body["Keys"]])
            candidates = [entity for entity in self._entities if entity.matches(part.keys)[0]]
        except _MALFORMED:
            candidates = []
        if len(candidates) <= 1:
            return _park(record, poison, candidates[0] if candidates else None)
        singles: list[Single] = []
        for entity in candidates:
            try:
                singles += [one for one in entity.outcomes(part, self._prepare) if one is not None]
            except _MALFORMED as error:
                singles.append(_park(record, _reason(error), entity))
        parked = [one for one in singles if isinstance(one, Parked)]
        if len(parked) == len(singles) and len({one.reason for one in parked}) == 1:
            return parked[0]  # what all entities need is malformed
        return _outcome(singles)


# What is raised for a record that cannot be parsed.
_MALFORMED = (KeyError, TypeError, AttributeError, ValueError, PoisonError)


def _does_not_fit(key: Item, entity: _EntityParser) -> bool:
    try:
        return entity.matches([key])[0] and not entity.can_have_row(key)
    except _MALFORMED:
        return True


def _reason(error: Exception) -> PoisonError:
    if isinstance(error, PoisonError):
        return error
    if isinstance(error, KeyError):
        return PoisonError(f"the record lacks {error.args[0]}")
    return PoisonError("the record is not shaped like a DynamoDB stream record")


def _park(record: Record, error: PoisonError, entity: _EntityParser | None) -> Parked:
    """A parked record, with its key and version where they can be read, so that a person can find it."""
    key = found = None
    try:
        body = record["dynamodb"]
        if entity:
            key = entity.key_text(body["Keys"])
            found = version(record["eventSourceARN"], body["SequenceNumber"], entity.source)
    except _MALFORMED:
        pass  # they only name the record, which is parked whole in any case
    return Parked(key, found, str(error), error.hint, None, record)


def _outcome(singles: list[Single]) -> Outcome:
    if len(singles) == 1:
        return singles[0]
    return singles or UNMAPPED_ITEM


class _Part(NamedTuple):
    """Records of a slice with their bodies and keys, side by side."""

    records: Sequence[Record]
    bodies: Sequence[Any]
    keys: Sequence[Any]

    def take(self, indices: Sequence[int]) -> _Part:
        return _Part(*([values[index] for index in indices] for values in self))


class _EntityParser:
    """Parses records for one entity. Its functions raise one of `_MALFORMED` if a record cannot be parsed."""

    def __init__(self, mapping: Mapping, index: int, source: Source | None) -> None:
        entity = mapping.entities[index]
        self.name, self.source, self._mapping = entity.name, source, mapping.name
        self._index, self._ttl_attribute = index, mapping.ttl_attribute
        self._tests = key_tests(mapping, entity)
        self._attribute_test = image_test(entity.when.attribute) if entity.when.attribute else None
        self._takes_any_image = mapping.prepare is None and self._attribute_test is None
        self._decode_keys = KeyDecoder(mapping, entity)
        self._mapped = _mapped(mapping, entity)
        self._decode_columns = ColumnsDecoder(entity.columns[len(entity.key) :], self._mapped | {MARK})
        self._optional = _optional(mapping, entity, self._mapped)
        self._unmapped = entity.unmapped
        self._seen: set[str] = set()
        self._new: list[str] = []

    def matches(self, keys: Sequence[Any]) -> Sequence[bool]:
        """Whether the key of each record can be one of the entity's."""
        if not self._tests:
            return [True] * len(keys)
        first, *others = [test(keys) for test in self._tests]
        return list(map(all, zip(first, *others, strict=True))) if others else first

    def takes_all(self, keys: Sequence[Any]) -> bool:
        """Whether each of the records is the entity's and no other's, whatever its image."""
        return self._takes_any_image and all(False not in test(keys) for test in self._tests)

    def key_text(self, keys: Any) -> str:
        return self._decode_keys.text(keys)

    def take_unmapped(self) -> list[str]:
        """The names of attributes that no column takes and that are new since the last call."""
        names, self._new = self._new, []
        return names

    def outcomes(self, part: _Part, prepare: Any) -> Sequence[Change | None]:
        """The change of each record whose key matches; None where the item is not the entity's, and was not before."""
        if self._takes_any_image:
            return self.changes(part)
        images = [
            self._image(record["eventName"], body, prepare)
            for record, body in zip(part.records, part.bodies, strict=True)
        ]
        mine = [
            index
            for index, (image, keys) in enumerate(zip(images, part.keys, strict=True))
            if image is not _NOT_MINE and (image is not None or self.can_have_row(keys))
        ]
        if not mine:
            return [None] * len(images)
        changes = dict(zip(mine, self.changes(part.take(mine), [images[index] for index in mine]), strict=True))
        return [changes.get(index) for index in range(len(images))]

    def can_have_row(self, keys: Any) -> bool:
        """Whether the key fits. An item that is gone may have been another entity's, with any key."""
        try:
            self._decode_keys([keys])
        except PoisonError:
            return False
        return True

    def _image(self, event: str, body: Any, prepare: Any) -> Any:
        """The prepared image of an item of the entity; None if the item is no longer one."""
        if event in ("INSERT", "MODIFY"):
            image = body["NewImage"]
            image = prepare(image) if prepare else image
            if image is not None and (self._attribute_test is None or self._attribute_test(image)):
                return image
        elif event != "REMOVE":
            raise PoisonError(_NO_EVENT)
        # A seed inserts items, and replaces its own by items of the same entity.
        is_seeded = event == "MODIFY" and is_echo(body, self._mapping)
        return _NOT_MINE if event == "INSERT" or is_seeded or self._was_not_mine(body, prepare) else None

    def _was_not_mine(self, body: Any, prepare: Any) -> bool:
        """Whether an old image shows that the item was not the entity's. Without one, the delete does no harm."""
        old = body.get("OldImage")
        if not old:
            return False
        try:
            image = prepare(old) if prepare else old
        except PoisonError:
            return False
        return image is None or not (self._attribute_test is None or self._attribute_test(image))

    def changes(self, part: _Part, images: Sequence[Any] | None = None) -> Sequence[Change]:
        """The change of each record; `images` has None for an item that is gone."""
        records, bodies, keys = part
        key_columns = self._decode_keys(keys)
        item_versions, times = self._stamps(records, bodies)
        events = [record["eventName"] for record in records]
        if images is None:
            images, all_live = _images(bodies, events)
        else:
            all_live = None not in images
        marks: Iterable[Mark] = repeat(Mark.LIVE)
        if not all_live:
            marks = [
                Mark.LIVE if image is not None else self._removal(record, event)
                for image, record, event in zip(images, records, events, strict=True)
            ]
        created = [event == "INSERT" for event in events]
        item_keys, key_values = key_texts(self.name, key_columns), zip(*key_columns, strict=True)
        rows, has_unmapped = self._rows(key_columns, images, all_live=all_live)
        if has_unmapped:
            marks = self._with_echoes(marks, images, bodies)
        entity = repeat(self._index)
        changes = zip(item_keys, item_versions, rows, times, records, created, entity, key_values, marks)  # noqa: B905
        return list(map(_change, changes))

    def _stamps(self, records: Sequence[Record], bodies: Sequence[Any]) -> tuple[Sequence[str], Sequence[int]]:
        """The version and the source time of each change."""
        arns = [record["eventSourceARN"] for record in records]
        return (
            versions(arns, [body["SequenceNumber"] for body in bodies], self.source),
            source_times([body["ApproximateCreationDateTime"] for body in bodies]),
        )

    def _with_echoes(self, marks: Iterable[Mark], images: Sequence[Any], bodies: Sequence[Any]) -> list[Mark]:
        """The marks, with those of changes that the seed made. The mark of an item is never mapped."""
        return [
            Mark.SEEDED if image is not None and is_echo(body, self._mapping) else mark
            for mark, image, body in zip(marks, images, bodies, strict=False)  # `marks` may be endless
        ]

    def _removal(self, record: Record, event: str) -> Mark:
        expired = event == "REMOVE" and is_ttl_delete(record, self._ttl_attribute)
        return Mark.EXPIRED if expired else Mark.DELETED

    def _rows(
        self, keys: list[Sequence[Value]], images: Sequence[Any], *, all_live: bool
    ) -> tuple[Iterable[Row | None], bool]:
        """The row of each image, and whether an image has an attribute that is not mapped."""
        if all_live:
            return self._live_rows(keys, images)
        live = [index for index, image in enumerate(images) if image is not None]
        if not live:
            return repeat(None), False
        rows, has_unmapped = self._live_rows(
            [[column[index] for index in live] for column in keys], [images[index] for index in live]
        )
        return [None if image is None else next(rows) for image in images], has_unmapped

    def _live_rows(self, keys: list[Sequence[Value]], images: Sequence[Any]) -> tuple[Iterator[Row], bool]:
        columns = self._decode_columns(images)
        has_unmapped = self._has_unmapped(images)
        if has_unmapped:
            self._note_unmapped(images)
        return zip(*keys, *columns, strict=True), has_unmapped

    def _has_unmapped(self, images: Sequence[Any]) -> bool:
        """Whether an image, whose columns are decoded, has an attribute that is not mapped."""
        if len(self._optional) > len(self._mapped) - len(self._optional):
            return not self._mapped.issuperset(chain.from_iterable(images))
        # The images have all others, so counting is enough, and faster than looking at each name.
        known = (len(self._mapped) - len(self._optional)) * len(images)
        for name in self._optional:
            known += sum([name in image for image in images])
        return sum(map(len, images)) != known

    def _note_unmapped(self, images: Sequence[Any]) -> None:
        names = sorted(set().union(*images) - self._mapped - {MARK})
        if names and self._unmapped.action is UnmappedAction.QUARANTINE:
            raise PoisonError(f"attribute {', '.join(names)} is not mapped", _UNMAPPED_HINT)
        if self._unmapped.action is UnmappedAction.IGNORE:
            new = [name for name in names if name not in self._seen][: _MOST_NAMES - len(self._seen)]
            self._seen.update(new)
            self._new += new


class _ItemParser(_EntityParser):
    """Parses items of a table, which have no version and no time."""

    def _stamps(self, records: Sequence[Record], bodies: Sequence[Any]) -> tuple[Sequence[str], Sequence[int]]:  # noqa: ARG002
        return [LOWEST_VERSION] * len(records), [NO_SOURCE_TIME] * len(records)


_NO_EVENT = "eventName is not INSERT, MODIFY or REMOVE"
_NOT_MINE = object()  # in place of the image of an item that is not the entity's, and was not before
_UNMAPPED_HINT = "map the attribute, or correct the item; its next version supersedes this one"

_change = partial(tuple.__new__, Change)  # Change(*fields), in half the time


def _images(bodies: Sequence[Any], events: list[Any]) -> tuple[Sequence[Any], bool]:
    """The new image of each record, None for a removal; and whether there is no removal."""
    removals = events.count("REMOVE")
    if removals + events.count("INSERT") + events.count("MODIFY") < len(events):
        raise PoisonError(_NO_EVENT)
    if not removals:
        return [body["NewImage"] for body in bodies], True
    images = [None if event == "REMOVE" else body["NewImage"] for event, body in zip(events, bodies, strict=True)]
    return images, False


def _mapped(mapping: Mapping, entity: Entity) -> frozenset[str]:
    """The top-level attributes that are mapped."""
    paths = [column.path for column in entity.columns if column.path]
    paths += [entity.when.attribute.path] if entity.when.attribute else []
    names = {str(path[0]) for path in paths} | {mapping.partition_key.attribute}
    names |= {mapping.sort_key.attribute} if mapping.sort_key else set()
    return frozenset(names | ({mapping.ttl_attribute} if mapping.ttl_attribute else set()))


def _optional(mapping: Mapping, entity: Entity, mapped: frozenset[str]) -> list[str]:
    """The attributes of `mapped` that an item may lack. Every image has the key."""
    required = {str(column.path[0]) for column in entity.columns if column.path and column.absent is None}
    key = {one.attribute for one in (mapping.partition_key, mapping.sort_key) if one}
    return sorted(mapped - required - key)
