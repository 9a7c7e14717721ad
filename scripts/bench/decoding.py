"""Decoding with validation, versions and keys against boto3's TypeDeserializer on the new image alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from common.records import parse_records
from scripts.bench.orders import event, new_keys
from scripts.bench.rows import Row, at_most
from scripts.bench.server import TABLE
from scripts.bench.timing import interleaved

COUNT = 1000
REPETITIONS = 41

_deserialize = TypeDeserializer().deserialize


def rows() -> Iterator[Row]:
    seconds = interleaved(
        {
            "ours": lambda: partial(parse_records, _records(), TABLE),
            "boto3": lambda: partial(_boto3, _records()),
        },
        REPETITIONS,
        time.process_time,
    )
    note = f"{1e6 * seconds['ours'] / COUNT:.1f} us against {1e6 * seconds['boto3'] / COUNT:.1f} us per record"
    yield at_most(
        "decoding and validating, of TypeDeserializer's time", seconds["ours"] / seconds["boto3"], 0.85, note=note
    )


def _records() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = event(new_keys(COUNT))["Records"]
    return made


def _boto3(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    images = (record["dynamodb"]["NewImage"] for record in records)
    return [{name: _deserialize(value) for name, value in image.items()} for image in images]
