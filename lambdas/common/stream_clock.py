"""ApproximateCreationDateTime, the stream's clock, in whole epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from common.poison import PoisonError

# The time of a change that is not from the stream: earlier than any, so that the clock never contradicts it.
NO_SOURCE_TIME = 0
_LATEST = 253_402_300_799  # the end of the year 9999


def source_time(record: Mapping[str, Any]) -> int | None:
    """The time of `record` in whole epoch seconds; None where it has none that can be read."""
    try:
        return source_times([record["dynamodb"]["ApproximateCreationDateTime"]])[0]
    except (KeyError, TypeError, PoisonError):
        return None


def source_times(values: Sequence[Any]) -> list[int]:
    """Each time in whole epoch seconds. Lambda gives JSON numbers; its guide prints strings in places.

    Raises PoisonError for what is not a time, TypeError for what is not a number or a string.
    """
    if set(map(type, values)) == {int} and min(values) >= 0 and max(values) <= _LATEST:
        return list(values)
    return [_seconds(value) for value in values]


def _seconds(value: Any) -> int:
    try:
        exact = Decimal(value)
        if 0 <= exact <= _LATEST:  # before it becomes an int, which may have as many digits as its exponent says
            return int(exact)
    except (InvalidOperation, ValueError):
        pass
    raise PoisonError("ApproximateCreationDateTime is not a time") from None
