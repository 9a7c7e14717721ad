"""The records of one entity become its changes.

The values of one column are decoded together, for all records of a slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

from common.changes import Change, Mark, Record, Row, Value
from common.expiry import is_ttl_delete
from common.key_decoder import KeyDecoder
from common.keys import key_texts
from common.mapping import Entity, Mapping, UnmappedAction
from common.matching import image_test, key_tests
from common.paths import ColumnsDecoder
from common.poison import PoisonError
from common.seeds import MARK, is_echo
from common.source import Source
from common.stream_clock import NO_SOURCE_TIME, source_times
from common.versions import LOWEST_VERSION, versions

# What is raised for a record that cannot be parsed.
MALFORMED = (KeyError, TypeError, AttributeError, ValueError, PoisonError)

# Names of unmapped attributes that a process remembers, of each entity. An item could bring new ones without end.
_MOST_NAMES = 1_000

_NO_EVENT = "eventName is not INSERT, MODIFY or REMOVE"
_NOT_MINE = object()  # in place of the image of an item that is not the entity's, and was not before
_UNMAPPED_HINT = "map the attribute, or correct the item; its next version supersedes this one"


class Part(NamedTuple):
    """Records of a slice with their bodies and keys, side by side."""

    records: Sequence[Record]
    bodies: Sequence[Any]
    keys: Sequence[Any]

    def take(self, indices: Sequence[int]) -> Part:
        return Part(*([values[index] for index in indices] for values in self))


class EntityParser:
    """Parses records for one entity. Its functions raise one of `MALFORMED` if a record cannot be parsed."""

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

    def outcomes(self, part: Part, prepare: Any) -> Sequence[Change | None]:
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
        is_seeded = event == "MODIFY" and is_echo(body, self._mapping, created=False)
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

    def changes(self, part: Part, images: Sequence[Any] | None = None) -> Sequence[Change]:
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
            marks = self._with_echoes(marks, images, bodies, created)
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

    def _with_echoes(
        self, marks: Iterable[Mark], images: Sequence[Any], bodies: Sequence[Any], created: Sequence[bool]
    ) -> list[Mark]:
        """The marks, with those of changes that the seed made. The mark of an item is never mapped."""
        return [
            Mark.SEEDED if image is not None and is_echo(body, self._mapping, created=is_new) else mark
            for mark, image, body, is_new in zip(marks, images, bodies, created, strict=False)  # `marks` may be endless
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


class ItemParser(EntityParser):
    """Parses items of a table, which have no version and no time."""

    def _stamps(self, records: Sequence[Record], bodies: Sequence[Any]) -> tuple[Sequence[str], Sequence[int]]:  # noqa: ARG002
        return [LOWEST_VERSION] * len(records), [NO_SOURCE_TIME] * len(records)


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
