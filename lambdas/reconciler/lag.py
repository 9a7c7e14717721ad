"""How far the consumer is behind the stream, and how fast the table may be read meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from common.consumer_lag import ConsumerMetrics, age_of, has_problem
from common.telemetry import logger

_ASK_EVERY_SECONDS = 30.0
# Above this lag, the rate falls in proportion.
_USUAL_SECONDS = 30.0
_LEAST_SHARE = 0.02


@dataclass
class ConsumerLag:
    """How far the consumer is behind. `mapping` gives the description of the event source mapping."""

    metrics: ConsumerMetrics
    mapping: Callable[[], Mapping[str, Any]]
    clock: Callable[[], float]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _asked_at: float | None = field(default=None, init=False)
    _seconds: float | None = field(default=None, init=False)

    def seconds(self) -> float | None:
        """The latest IteratorAge, asked for every half a minute; None where CloudWatch does not answer.

        A stream without changes has no age.
        """
        if self._asked_at is None or self.clock() - self._asked_at >= _ASK_EVERY_SECONDS:
            self._seconds, self._asked_at = self._answered(self._latest), self.clock()
        return self._seconds

    def proven(self) -> float | None:
        """The highest IteratorAge of the last minutes; None where the consumer may have stopped, or nothing is known.

        A consumer that fails, is throttled or is switched off may report no age, or that of another shard.
        """
        return None if has_problem(self.mapping()) else self._answered(self._proven)

    def _latest(self) -> float:
        now = self.now()
        points = self.metrics.points("IteratorAge", "Maximum", now - self.metrics.recent, now)
        return age_of(max(points, key=itemgetter("Timestamp"), default={"Maximum": 0.0}))

    def _proven(self) -> float | None:
        now = self.now()
        return None if self.metrics.has_stopped(now) else self.metrics.highest_age(now)

    @staticmethod
    def _answered(ask: Callable[[], float | None]) -> float | None:
        try:
            return ask()
        except (ClientError, BotoCoreError) as error:
            logger.warning("the consumer's lag is unknown", reason=str(error))
            return None


def share_of_rate(lag: float | None) -> float:
    """The share of the rate at which the table may be read while the consumer is `lag` seconds behind."""
    if lag is None or lag <= _USUAL_SECONDS:
        return 1.0
    return max(_LEAST_SHARE, _USUAL_SECONDS / lag)
