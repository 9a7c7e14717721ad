"""How fast a lane reads or writes the table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.lag import share_of_rate
from reconciler.token_bucket import TokenBucket

# A page takes about so much of the rate.
_PAGE_SECONDS = 1.0
# When DynamoDB throttles, the lane waits, and goes on more slowly.
_THROTTLED_SECONDS = 2.0
_SLOWER, _FASTER, _LEAST_SHARE = 0.5, 1.05, 0.02
_SHORTEST_SLEEP, _LONGEST_SLEEP = 0.001, 1.0


@dataclass(frozen=True)
class Surroundings:
    """What an invocation has. `lag` gives the seconds that the consumer is behind, None where that is unknown."""

    lag: Callable[[], float | None]
    out_of_time: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Pace:
    """How fast one call goes: the lane's share of the rate, less while the consumer lags or DynamoDB throttles."""

    def __init__(self, surroundings: Surroundings, rate: float) -> None:
        self._invocation, self._rate, self._share = surroundings, rate, 1.0
        self._tokens = TokenBucket(rate, surroundings.clock)
        self._units_of_item = 1.0

    def page(self, most: int) -> int:
        """How many items to take at a time."""
        return max(1, min(most, int(self._tokens.rate * _PAGE_SECONDS / self._units_of_item)))

    def wait(self, items: int) -> bool:
        """Wait until so many items may be taken. Returns False when time runs out before."""
        self._tokens.set_rate(self._rate * self._share * share_of_rate(self._invocation.lag()))
        while delay := self._tokens.delay(items * self._units_of_item):
            if self._invocation.out_of_time():
                return False
            self._invocation.sleep(min(max(delay, _SHORTEST_SLEEP), _LONGEST_SLEEP))
        return not self._invocation.out_of_time()

    def note(self, items: int, units: float) -> None:
        """Count what was consumed."""
        self._tokens.consume(units)
        self._share = min(1.0, self._share * _FASTER)
        if items:
            self._units_of_item = max(units / items, 0.01)

    def throttled(self) -> None:
        self._share = max(_LEAST_SHARE, self._share * _SLOWER)
        self._invocation.sleep(_THROTTLED_SECONDS)
