"""How many units may be consumed: a token bucket."""

from __future__ import annotations

from collections.abc import Callable

# What an idle bucket may hold, in seconds of its rate.
_BURST_SECONDS = 2.0


class TokenBucket:
    """Fills with `rate` units a second, and is empty at first. `clock` gives seconds."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._units, self._filled_at = 0.0, clock()
        self._largest = 0.0

    @property
    def rate(self) -> float:
        return self._rate

    def set_rate(self, rate: float) -> None:
        self._fill()
        self._rate = rate

    def delay(self, units: float) -> float:
        """The seconds until `units` may be consumed."""
        self._largest = max(self._largest, units)
        self._fill()
        return max(0.0, (units - self._units) / self._rate)

    def consume(self, units: float) -> None:
        """Take what was consumed. It may be more than was foreseen: then the next delay is longer."""
        self._fill()
        self._units -= units

    def _fill(self) -> None:
        now = self._clock()
        room = max(self._rate * _BURST_SECONDS, self._largest)
        self._units = min(self._units + (now - self._filled_at) * self._rate, room)
        self._filled_at = now
