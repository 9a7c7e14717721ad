"""Decoding with validation, version and key against boto3's TypeDeserializer on the new image alone: CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from common.records import parse_records
from scripts.bench.orders import event, new_keys
from scripts.bench.results import Row, at_most
from scripts.bench.server import TABLE, Bench
from scripts.bench.timing import interleaved

COUNT = 1000
REPETITIONS = 41

_deserialize = TypeDeserializer().deserialize


def rows(_: Bench) -> Iterator[Row]:
    seconds = interleaved({"ours": _ours, "boto3": _boto3}, REPETITIONS, time.process_time)
    ratio = seconds["ours"] / seconds["boto3"]
    note = f"{1e6 * seconds['ours'] / COUNT:.1f} us against {1e6 * seconds['boto3'] / COUNT:.1f} us per record"
    yield at_most("decoding and validating, of TypeDeserializer's time", ratio, 0.85, note=note)


def _ours() -> Callable[[], object]:
    return partial(parse_records, event(new_keys(COUNT))["Records"], TABLE)


def _boto3() -> Callable[[], object]:
    return partial(_deserialize_images, event(new_keys(COUNT))["Records"])


def _deserialize_images(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    images = (record["dynamodb"]["NewImage"] for record in records)
    return [{name: _deserialize(value) for name, value in image.items()} for image in images]
