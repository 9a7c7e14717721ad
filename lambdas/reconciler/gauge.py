"""Emits how far a run is, while its lanes walk.

Each lane tells of its own share, which it knows without a read. The lanes have equal shares, so the average of what
they emit is the progress of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from common.meter import Meter

_EVERY_SECONDS = 60.0
# A run is done when its report says so, and not when its estimate is used up.
MOST = 99.0


@dataclass
class ProgressGauge:
    """That of one call of a lane. `percent` is that of the run, if all lanes are as far; `clock` gives seconds."""

    meter: Meter
    metric: str
    percent: Callable[[], float]
    clock: Callable[[], float]
    _told_at: float = field(default=float("-inf"), init=False)

    def tell(self) -> None:
        """Emit the percentage, at once and then every minute."""
        now = self.clock()
        if now - self._told_at >= _EVERY_SECONDS:
            self.meter.progress(self.metric, round(min(MOST, self.percent()), 1))
            self._told_at = now


def percent_of(part: float, whole: float) -> float:
    """0 where the whole is not known."""
    return min(100.0, 100 * part / whole) if whole else 0.0
