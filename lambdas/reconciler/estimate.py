"""What a job will take, before it begins."""

from __future__ import annotations

import math

from reconciler.states import Estimate
from reconciler.table import TableFacts

# A consistent read unit: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
_UNIT_BYTES = 4096
# A write unit: the same page.
WRITE_UNIT_BYTES = 1024
_SHARE_OF_PROVISIONED = 0.25
# In us-east-1; other Regions differ a little. https://aws.amazon.com/dynamodb/pricing/on-demand/
_DOLLARS_PER_UNIT = 0.125 / 1_000_000
_DOLLARS_PER_WRITE_UNIT = 0.625 / 1_000_000
# Bytes of a segment, and how many segments a worker has at least and at most.
_SEGMENT_BYTES = 64 * 1024 * 1024
_SEGMENTS = (8, 250)


def rate_of(facts: TableFacts, asked: float | None, on_demand: float) -> float:
    """Read units a second: what was asked for, else a quarter of what is provisioned, else `on_demand`."""
    return asked or _share(facts.read_units) or on_demand


def write_rate_of(facts: TableFacts, asked: float | None, on_demand: float) -> float:
    """The same for write units."""
    return asked or _share(facts.write_units) or on_demand


def _share(provisioned: int) -> float:
    """Of the capacity; 0 on demand."""
    return max(1.0, provisioned * _SHARE_OF_PROVISIONED) if provisioned else 0.0


def estimate(facts: TableFacts, rate: float, scans: int, share: float = 1.0) -> Estimate:
    """Of scans of the whole table. `share` is that of the units of a consistent one."""
    units = math.ceil(scans * share * facts.bytes / _UNIT_BYTES)
    return {
        "items": facts.items,
        "bytes": facts.bytes,
        "scans": scans,
        "read_units": units,
        "rate": rate,
        "minutes": round(units / rate / 60, 1),
        "dollars": 0.0 if facts.read_units else round(units * _DOLLARS_PER_UNIT, 2),
    }


def with_units(made: Estimate, more: int, *, on_demand: bool) -> Estimate:
    """An estimate with more read units than those of its scans."""
    units = made["read_units"] + more
    dollars = round(units * _DOLLARS_PER_UNIT, 2) if on_demand else 0.0
    return {**made, "read_units": units, "minutes": round(units / made["rate"] / 60, 1), "dollars": dollars}


def estimate_of_writes(facts: TableFacts, rate: float, rows: int, size: int, units_of_item: float) -> Estimate:
    """Of rows that become items. `size` is theirs in bytes; an index may be written with each item."""
    units = math.ceil(rows * units_of_item * (1 + facts.indexes))
    return {
        "items": rows,
        "bytes": size,
        "scans": 1,
        "read_units": 0,
        "write_units": units,
        "rate": rate,
        "minutes": round(units / rate / 60, 1),
        "dollars": 0.0 if facts.write_units else round(units * _DOLLARS_PER_WRITE_UNIT, 2),
    }


def segments_of(facts: TableFacts, lanes: int) -> int:
    fewest, most = _SEGMENTS
    of_a_lane = facts.bytes // (_SEGMENT_BYTES * lanes)
    return lanes * min(max(of_a_lane, fewest), most)
