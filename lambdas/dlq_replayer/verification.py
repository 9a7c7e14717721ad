"""The verification with repair that a replay starts for expired ranges: its name and its input."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from common.arrivals import parse_time
from dlq_replayer.documents import ExpiredRange
from dlq_replayer.replay import Replay

# Point-in-time recovery reaches no further back.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
_LONGEST_AGO = timedelta(days=35)
_SECOND = timedelta(seconds=1)


def name_of(replay: Replay, expired: Sequence[ExpiredRange], now: datetime) -> str:
    """One for each set of ranges and replay, so that a report which is made twice starts one verification.

    Automatic replays come every few minutes: they share the name of a day.
    """
    objects = sorted(one["object"] for one in expired)
    starter = now.astimezone(UTC).date().isoformat() if "id" in replay.input else replay.name
    return f"expired-{hashlib.sha256(repr((objects, starter)).encode()).hexdigest()[:32]}"


def input_of(expired: Sequence[ExpiredRange], now: datetime) -> dict[str, Any]:
    """Repair what has changed in the time of the ranges, or the whole table where that time is not known."""
    firsts = [parse_time(one.get("first_arrival")) for one in expired]
    lasts = [parse_time(one.get("last_arrival")) for one in expired]
    known = [time for time in (*firsts, *lasts) if time is not None]
    if len(known) < len(firsts) + len(lasts):
        return {"repair": True}
    start, end = min(known), max(known) + _SECOND
    if start < now - _LONGEST_AGO or end > now:
        return {"repair": True}
    return {"repair": True, "changed_from": _text(start), "changed_until": _text(end)}


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
