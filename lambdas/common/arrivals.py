"""When the records of a failed batch or of an expired range arrived, as Lambda states it in text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_YEARS = (2012, 2200)  # from the first year of DynamoDB


def parse_time(text: Any) -> datetime | None:
    """None for an invalid or implausible time, and for what is not text: a failed batch may state any."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not _YEARS[0] <= time.year <= _YEARS[1]:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
