"""The window of time to which a verification is limited, and the spans in which DynamoDB exports it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from reconciler.run import InputError

FROM, UNTIL = "changed_from", "changed_until"
_FIRST_YEAR = 2012  # of DynamoDB
# The clocks of the stream, of the exports and of the operator differ.
MARGIN = timedelta(minutes=5)
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.HowItWorks.html
_SHORTEST, _LONGEST = timedelta(minutes=15), timedelta(hours=24)
_SECOND = timedelta(seconds=1)


class Window(NamedTuple):
    """The times from `start`, and before `end`."""

    start: datetime
    end: datetime

    def covers(self, first: datetime, last: datetime) -> bool:
        return self.start <= first <= last < self.end

    def covers_seconds(self, time: int) -> bool:
        """Whether a time in epoch seconds is in the window."""
        return self.start.timestamp() <= time < self.end.timestamp()


def window_of(options: Mapping[str, Any]) -> Window | None:
    """The window of a run. None where it is of the whole table or of a slice."""
    if FROM not in options:
        return None
    return Window(datetime.fromisoformat(options[FROM]), datetime.fromisoformat(options[UNTIL]))


def require_window(given: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """The window of an input in one notation: runs of the same window have the same options. Empty without one.

    Raises InputError.
    """
    names = [name for name in (FROM, UNTIL) if name in given]
    if not names:
        return {}
    if len(names) == 1:
        (missing,) = {FROM, UNTIL} - set(names)
        raise _invalid(names[0], f"has no meaning without {missing}")
    if "slice" in given:
        raise _invalid("slice", f"has no meaning with {FROM}")
    start, end = (_parsed(name, given[name]) for name in names)
    if start >= end:
        raise _invalid(FROM, f"is not before {UNTIL}")
    if end > now + MARGIN:
        raise _invalid(UNTIL, f"is in the future: it is {now.astimezone(UTC).isoformat(timespec='seconds')} now")
    return {FROM: start.isoformat(), UNTIL: end.isoformat()}


def _parsed(name: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo and time.year >= _FIRST_YEAR:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _invalid(name, "is not a time with an offset since 2012, such as 2026-01-31T12:00:00Z")


def _invalid(name: str, problem: str) -> InputError:
    return InputError(f"invalid input, nothing was changed: {name}: {problem}")


def widened(window: Window) -> Window:
    """The window with a margin on both sides, in whole seconds, and long enough for an export."""
    start = datetime.fromtimestamp(math.floor((window.start - MARGIN).timestamp()), UTC)
    end = datetime.fromtimestamp(math.ceil((window.end + MARGIN).timestamp()), UTC)
    return Window(min(start, end - _SHORTEST), end)


def spans(window: Window) -> list[Window]:
    """A window in equal parts, which an incremental export can span: each begins where the one before ends."""
    seconds = (window.end - window.start) // _SECOND
    count = math.ceil(seconds * _SECOND / _LONGEST)
    cuts = [window.start + seconds * part // count * _SECOND for part in range(count + 1)]
    return [Window(*pair) for pair in pairwise(cuts)]
