"""Decoding with validation, version and key against boto3's TypeDeserializer on the new image alone: CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from common.mapping import Mapping
from common.records import parse_records
from scripts.bench.mappings import BOOKING, booking, declared, prepared
from scripts.bench.orders import event, new_keys, stream_record, to_event
from scripts.bench.results import Row, at_most, information
from scripts.bench.server import MAPPING, Bench
from scripts.bench.timing import Variant, interleaved

COUNT = 1000
REPETITIONS = 41

Records = list[dict[str, Any]]
_deserialize = TypeDeserializer().deserialize


def rows(_: Bench) -> Iterator[Row]:
    ratio, note = _compare(MAPPING, _orders)
    yield at_most("decoding and validating, of TypeDeserializer's time", ratio, 0.85, note=note)
    ratio, note = _compare(declared("booking", BOOKING), _bookings)
    yield at_most("the same with 30 columns, nested, dates, JSON", ratio, 1.0, note=note)
    yield _prepare()


def _compare(mapping: Mapping, records: Callable[[], Records]) -> tuple[float, str]:
    """The ratio of our time to boto3's, and the times in words."""
    variants: dict[str, Variant] = {
        "ours": lambda: partial(parse_records, records(), mapping),
        "boto3": lambda: partial(_deserialize_images, records()),
    }
    parsed = parse_records(records(), mapping)
    if len(parsed.changes) != COUNT:
        raise RuntimeError(f"not every record is a change: {[one.reason for one in parsed.parked[:1]]}")
    seconds = interleaved(variants, REPETITIONS, time.process_time)
    note = f"{1e6 * seconds['ours'] / COUNT:.1f} us against {1e6 * seconds['boto3'] / COUNT:.1f} us per record"
    return seconds["ours"] / seconds["boto3"], note


def _prepare() -> Row:
    """The time added by a prepare function that reads two attributes and writes one."""
    with prepared() as mapping:
        variants: dict[str, Variant] = {
            "without": lambda: partial(parse_records, _orders(), MAPPING),
            "with": lambda: partial(parse_records, _orders(), mapping),
        }
        seconds = interleaved(variants, REPETITIONS, time.process_time)
    added = 1e6 * (seconds["with"] - seconds["without"]) / COUNT
    note = f"{1e6 * seconds['with'] / COUNT:.1f} us against {1e6 * seconds['without'] / COUNT:.1f} us"
    return information("  what a prepare function of one line adds to an order", f"{added:.1f} us ({note})")


def _orders() -> Records:
    records: Records = event(new_keys(COUNT))["Records"]
    return records


def _bookings() -> Records:
    made = [stream_record(booking(key), booking(key), ("pk", "sk")) for key in new_keys(COUNT)]
    records: Records = to_event(made)["Records"]
    return records


def _deserialize_images(records: Records) -> list[dict[str, Any]]:
    images = (record["dynamodb"]["NewImage"] for record in records)
    return [{name: _deserialize(value) for name, value in image.items()} for image in images]
