"""Times, ages and counts as people say them."""

from __future__ import annotations

from datetime import datetime, tzinfo

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_TENTHS = 10  # seconds; less is said with a tenth


def duration(seconds: float) -> str:
    """Such as `0.4 s`, `4 min 12 s`, `23 h 40 min` or `3 d 4 h`: its two largest units, not rounded up."""
    if 0 < seconds < _TENTHS:
        return f"{int(seconds * 10) / 10:g} s"
    whole = max(0, int(seconds))
    for size, unit, smaller, name in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{whole} s"


def clock(moment: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """The time of day in `zone`, by default the user's, with the date where that is another day."""
    there, today = moment.astimezone(zone), now.astimezone(zone)
    return f"{there:%H:%M:%S}" if there.date() == today.date() else f"{there:%Y-%m-%d %H:%M}"


def ago(moment: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """Such as `4 min 12 s ago (20:41:03)`, and `now` within a second."""
    seconds = int((now - moment).total_seconds())
    return (
        f"{duration(seconds)} ago ({clock(moment, now, zone)})" if seconds > 0 else f"now ({clock(moment, now, zone)})"
    )


def counted(count: float, singular: str, plural: str = "", *, more: bool = False) -> str:
    """Such as `1 failed batch` or `at least 1,000 failed batches`."""
    noun = singular if count == 1 and not more else plural or f"{singular}s"
    return f"{'at least ' if more else ''}{count:,.0f} {noun}"
