"""Stream records become changes, exactly, or are refused with a reason. No input, no output.

Records are parsed in slices. Within a slice the values of one column are decoded together, which is faster than one
record at a time. A slice with a record that cannot be parsed is cut into pieces until that record is alone. The same
code then gives the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain, islice, repeat
from typing import Any

from common.changes import Batch, Change, Mark, Parked, Record, Row, Value
from common.expiry import is_ttl_delete
from common.keys import key_text, key_texts
from common.mapping import Column, Mapping
from common.poison import PoisonError
from common.source import Source
from common.stream_clock import source_times
from common.versions import version, versions

# A change, poison to park, or the reason why the record is skipped.
Single = Change | Parked | str
# A record that concerns several entities has an outcome of each: a delete of one row and an upsert of another.
Outcome = Single | list[Single]
Classifier = Callable[[Iterable[Record]], Iterator[Outcome]]

UNMAPPED_ITEM = "unmapped_item"

# A slice stays in the processor's cache between one column and the next. Smaller slices cost more calls.
_SLICE = 64
# A slice with poison is cut into so many pieces, and these again. Measured: halves take twice as long.
_PIECES = 8


def parse_records(records: Iterable[Record], mapping: Mapping, *, source: Source | None = None) -> Batch:
    """Sort the records of a stream event into changes, poison and skips. Every record becomes one or more of them."""
    batch = Batch()
    for outcome in classifier(mapping, source=source)(records):
        for one in outcome if type(outcome) is list else (outcome,):
            if isinstance(one, Change):
                batch.changes.append(one)
            elif isinstance(one, Parked):
                batch.parked.append(one)
            else:
                batch.skipped[one] += 1
    return batch


@cache
def classifier(mapping: Mapping, *, source: Source | None = None) -> Classifier:
    """A function from records to the outcome of each, in their order. It asks for records a slice at a time.

    Records of another table than `source` are poison.
    """
    parser = _Parser(mapping, source)

    def classify(records: Iterable[Record]) -> Iterator[Outcome]:
        remaining = iter(records)
        return chain.from_iterable(map(parser.outcomes, iter(lambda: list(islice(remaining, _SLICE)), [])))

    return classify


class _Parser:
    def __init__(self, mapping: Mapping, source: Source | None) -> None:
        entity = mapping.entities[0]
        self._mapping, self._entity, self._source = mapping, entity, source
        self._sort_key = {"S": entity.when["sort_key"]["equals"]}
        self._key = mapping.partition_key.attribute
        self._decode_keys = entity.key[0].type.decoder(self._key)
        self._columns = [_column_decoder(column) for column in entity.columns[1:]]

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
        bodies = [record["dynamodb"] for record in records]
        keys = [body["Keys"] for body in bodies]
        sort_key = self._sort_key
        sort_keys = [key.get("s_key", sort_key) for key in keys]
        if sort_keys.count(sort_key) < len(records):
            return _skip(records, [other != sort_key for other in sort_keys], UNMAPPED_ITEM, self._parse)
        values = self._decode_keys([key[self._key] for key in keys])
        arns = [record["eventSourceARN"] for record in records]
        item_versions = versions(arns, [body["SequenceNumber"] for body in bodies], self._source)
        times = source_times([body["ApproximateCreationDateTime"] for body in bodies])
        events = [record["eventName"] for record in records]
        rows = self._rows(bodies, events, values)
        created = [event == "INSERT" for event in events]
        item_keys = key_texts(self._entity.name, [values])
        entity, key_values = repeat(0), zip(values, strict=True)
        marks = self._marks(records, events)
        changes = zip(item_keys, item_versions, rows, times, records, created, entity, key_values, marks)  # noqa: B905
        return list(map(_change, changes))

    def _marks(self, records: Sequence[Record], events: list[Any]) -> Iterable[Mark]:
        if "REMOVE" not in events:
            return repeat(Mark.LIVE)
        return [self._mark(record, event) for record, event in zip(records, events, strict=True)]

    def _mark(self, record: Record, event: Any) -> Mark:
        if event != "REMOVE":
            return Mark.LIVE
        return Mark.EXPIRED if is_ttl_delete(record, self._mapping.ttl_attribute) else Mark.DELETED

    def _rows(self, bodies: list[Any], events: list[Any], keys: Sequence[Value]) -> Iterable[Row | None]:
        removals = events.count("REMOVE")
        if removals + events.count("INSERT") + events.count("MODIFY") < len(events):
            raise PoisonError("eventName is not INSERT, MODIFY or REMOVE")
        if not removals:
            return self._decode_rows([body["NewImage"] for body in bodies], keys)
        if removals == len(events):
            return [None] * removals
        written = [i for i, event in enumerate(events) if event != "REMOVE"]
        rows = self._decode_rows([bodies[i]["NewImage"] for i in written], [keys[i] for i in written])
        return [None if event == "REMOVE" else next(rows) for event in events]

    def _decode_rows(self, images: list[Any], keys: Sequence[Value]) -> Iterator[Row]:
        return zip(keys, *[decode(images) for decode in self._columns], strict=True)

    def _park(self, record: Record, error: PoisonError) -> Parked:
        """A parked record, with its key and version where they can be read, so that a person can find it."""
        key = found = None
        try:
            body = record["dynamodb"]
            key = key_text(self._entity.name, self._decode_keys([body["Keys"][self._key]]))
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
    attribute = str(column.path[0])
    decode = column.type.decoder(attribute)

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
