"""Stream records become changes, exactly, or are refused with a reason. No input, no output.

Records are parsed in slices. Within a slice the values of one column are decoded together, which is faster than one
record at a time. A slice with a record that cannot be parsed is cut into pieces until that record is alone. The same
code then gives the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain, islice
from typing import Any

from common.changes import Batch, Change, Parked, Record, Row, Value
from common.expiry import is_ttl_delete
from common.mapping import Column, Table
from common.poison import PoisonError
from common.source import Source
from common.stream_clock import source_times
from common.versions import version, versions

Outcome = Change | Parked | str  # a change, poison to park, or the reason why the record is skipped
Classifier = Callable[[Iterable[Record]], Iterator[Outcome]]

TTL_DELETE = "ttl_delete"
OTHER_ITEM = "other_item"

# A slice stays in the processor's cache between one column and the next. Smaller slices cost more calls.
_SLICE = 64
# A slice with poison is cut into so many pieces, and these again. Measured: halves take twice as long.
_PIECES = 8


def parse_records(
    records: Iterable[Record], table: Table, *, mirror_ttl_deletes: bool = False, source: Source | None = None
) -> Batch:
    """Sort the records of a stream event into changes, poison and skips. Every record becomes exactly one of them."""
    outcomes = list(classifier(table, mirror_ttl_deletes=mirror_ttl_deletes, source=source)(records))
    batch = Batch([outcome for outcome in outcomes if isinstance(outcome, Change)])
    if len(batch.changes) < len(outcomes):
        batch.parked = [outcome for outcome in outcomes if isinstance(outcome, Parked)]
        batch.skipped = Counter(outcome for outcome in outcomes if isinstance(outcome, str))
    return batch


@cache
def classifier(table: Table, *, mirror_ttl_deletes: bool = False, source: Source | None = None) -> Classifier:
    """A function from records to the outcome of each, in their order. It asks for records a slice at a time.

    Records of another table than `source` are poison.
    """
    parser = _Parser(table, source, mirror_ttl_deletes=mirror_ttl_deletes)

    def classify(records: Iterable[Record]) -> Iterator[Outcome]:
        remaining = iter(records)
        return chain.from_iterable(map(parser.outcomes, iter(lambda: list(islice(remaining, _SLICE)), [])))

    return classify


class _Parser:
    def __init__(self, table: Table, source: Source | None, *, mirror_ttl_deletes: bool) -> None:
        self._table, self._source, self._mirror_ttl_deletes = table, source, mirror_ttl_deletes
        self._sort_key = {"S": table.sort_key}
        self._key = table.key.attribute
        self._decode_keys = table.key.type.decoder(self._key)
        self._columns = [_column_decoder(column) for column in table.columns]

    def outcomes(self, records: Sequence[Record]) -> Sequence[Outcome]:
        """The outcome of each record, in their order."""
        try:
            return self._parse(records)
        except KeyError as error:
            poison = PoisonError(f"the record lacks {error.args[0]}")
        except (TypeError, AttributeError):
            poison = PoisonError("the record is not shaped like a DynamoDB stream record")
        except PoisonError as error:
            poison = error
        if len(records) == 1:
            return [self._park(records[0], poison)]
        size = -(-len(records) // _PIECES)
        pieces = [records[start : start + size] for start in range(0, len(records), size)]
        return list(chain.from_iterable(map(self.outcomes, pieces)))

    # Each of these raises PoisonError, KeyError, TypeError or AttributeError if a record cannot be parsed.
    # The first check that fails gives the reason, so the order of the checks matters.

    def _parse(self, records: Sequence[Record]) -> Sequence[Outcome]:
        if self._mirror_ttl_deletes or "REMOVE" not in [record.get("eventName") for record in records]:
            return self._parse_items(records)
        expired = [is_ttl_delete(record, self._table.ttl_attribute) for record in records]
        return _skip(records, expired, TTL_DELETE, self._parse_items)

    def _parse_items(self, records: Sequence[Record]) -> Sequence[Outcome]:
        bodies = [record["dynamodb"] for record in records]
        keys = [body["Keys"] for body in bodies]
        sort_key = self._sort_key
        sort_keys = [key.get("s_key", sort_key) for key in keys]
        if sort_keys.count(sort_key) < len(records):
            return _skip(records, [other != sort_key for other in sort_keys], OTHER_ITEM, self._parse_items)
        item_keys = self._decode_keys([key[self._key] for key in keys])
        arns = [record["eventSourceARN"] for record in records]
        item_versions = versions(arns, [body["SequenceNumber"] for body in bodies], self._source)
        times = source_times([body["ApproximateCreationDateTime"] for body in bodies])
        events = [record["eventName"] for record in records]
        rows = self._rows(bodies, events)
        created = [event == "INSERT" for event in events]
        return list(map(_change, zip(item_keys, item_versions, rows, times, records, created, strict=True)))

    def _rows(self, bodies: list[Any], events: list[Any]) -> Iterable[Row | None]:
        removals = events.count("REMOVE")
        if removals + events.count("INSERT") + events.count("MODIFY") < len(events):
            raise PoisonError("eventName is not INSERT, MODIFY or REMOVE")
        if not removals:
            return self._decode_rows([body["NewImage"] for body in bodies])
        if removals == len(events):
            return [None] * removals
        written = [body["NewImage"] for body, event in zip(bodies, events, strict=True) if event != "REMOVE"]
        rows = self._decode_rows(written)
        return [None if event == "REMOVE" else next(rows) for event in events]

    def _decode_rows(self, images: list[Any]) -> Iterator[Row]:
        return zip(*[decode(images) for decode in self._columns], strict=True)

    def _park(self, record: Record, error: PoisonError) -> Parked:
        """A parked record, with its key and version where they can be read, so that a person can find it."""
        key = found = None
        try:
            body = record["dynamodb"]
            key = str(body["Keys"][self._key]["S"])
            found = version(record["eventSourceARN"], body["SequenceNumber"], self._source)
        except (KeyError, TypeError, AttributeError, PoisonError):
            pass  # they only name the record, which is parked whole in any case
        return Parked(key, found, str(error), error.hint, None, record)


def _skip(
    records: Sequence[Record], skipped: list[bool], reason: str, parse: Callable[[Sequence[Record]], Sequence[Outcome]]
) -> Sequence[Outcome]:
    """`reason` for the records that are `skipped`, what `parse` gives for the others."""
    others = [record for record, skip in zip(records, skipped, strict=True) if not skip]
    outcomes = iter(parse(others) if others else ())
    return [reason if skip else next(outcomes) for skip in skipped]


_change = partial(tuple.__new__, Change)  # Change(*fields), in half the time

_NULL = {"NULL": True}


def _column_decoder(column: Column) -> Callable[[list[Any]], Sequence[Value]]:
    """A function from images of items to their values of `column`."""
    attribute, decode = column.attribute, column.type.decoder(column.attribute)

    def decode_present(images: list[Any]) -> Sequence[Value]:
        try:
            return decode([image[attribute] for image in images])
        except KeyError:
            missing = any(attribute not in image for image in images)
            problem = "is missing" if missing else "has the wrong type"
            raise PoisonError(f"attribute {attribute} {problem}") from None

    def decode_nullable(images: list[Any]) -> Sequence[Value]:
        present = [image for image in images if image.get(attribute, _NULL) != _NULL]
        values = iter(decode_present(present) if present else ())
        return [next(values) if image.get(attribute, _NULL) != _NULL else None for image in images]

    return decode_nullable if column.nullable else decode_present
