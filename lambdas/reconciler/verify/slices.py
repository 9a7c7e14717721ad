"""When each slice of a table was last tried, and last found equal: what proves a time, and which slice is next.

A slice that is never equal must not keep the others from their turn, so both times are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.bucket import Bucket
from common.layout import verified_key
from common.verified import Tried, all_equal, read_slices
from reconciler.states import RunDescription

# In place of a part: the one that was tried longest ago.
NEXT = "next"
WHOLE = "1/1"


def part_and_parts(options: Mapping[str, Any]) -> tuple[str, int]:
    """Of a run or an input: the part, a number or `NEXT`, and the number of parts."""
    part, _, parts = options.get("slice", WHOLE).partition("/")
    return part, int(parts)


def tried_longest_ago(bucket: Bucket, parts: int, mapping: str) -> str:
    """A slice that was never tried under the mapping, which is given by its digest, comes first."""
    found = read_slices(bucket, verified_key(parts, mapping))
    never: Tried = {"tried": "", "equal": ""}
    return min(map(str, range(1, parts + 1)), key=lambda part: found.get(part, never)["tried"])


def note(bucket: Bucket, run: RunDescription, tried: str, equal: str) -> datetime | None:
    """Note that the slice of a run was tried and, unless `equal` is empty, found equal.

    Returns the earliest time at which a slice was last found equal; None until each of them was. What was found with
    another stream may be of another table, and does not count any more.
    """
    part, parts = part_and_parts(run["options"])
    key = verified_key(parts, run["mapping"])
    stream = run["stream"]
    found = {name: one for name, one in read_slices(bucket, key).items() if one.get("stream") == stream}
    before = found.get(part)
    found[part] = {"tried": tried, "equal": equal or (before["equal"] if before else ""), "stream": stream}
    bucket.write_json(key, found)
    return all_equal(found, parts)
