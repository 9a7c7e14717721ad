"""What of a report fits into the output of an execution."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

# Step Functions limits an output to 256 KiB, and escapes it where it is passed on as text.
_MOST_BYTES = 60_000
_MOST_ENTRIES = 50


def first_within(entries: Sequence[T]) -> list[T]:
    """The first entries; report.json has more of them."""
    found: list[T] = []
    left = _MOST_BYTES
    for entry in entries[:_MOST_ENTRIES]:
        left -= len(json.dumps(entry))
        if left < 0:
            break
        found.append(entry)
    return found
