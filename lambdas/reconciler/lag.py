"""How far the consumer is behind the stream, and how fast the table may be read meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
    """How far the consumer is behind. `mapping` gives the description of the event source mapping.

    A mapping that was changed invokes the function within `settle`, and CloudWatch has the metrics of its call.
    """

    metrics: ConsumerMetrics
    mapping: Callable[[], Mapping[str, Any]]
    clock: Callable[[], float]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    settle: timedelta = timedelta(minutes=5)
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
        """As `reported`; None also until the first batch after the mapping was changed can be seen.

        A mapping that was just enabled may be hours behind. It reports no age before its first batch has ended.
        """
        mapping = self.mapping()
        return None if self._was_changed(mapping) else self._reported(mapping)

    def reported(self) -> float | None:
        """The highest IteratorAge of the last minutes; None where the consumer may have stopped, or nothing is known.

        A consumer that fails, is throttled or is switched off may report no age, or that of another shard.
        """
        return self._reported(self.mapping())

    def _reported(self, mapping: Mapping[str, Any]) -> float | None:
        return None if has_problem(mapping) else self._answered(self._highest)

    def _was_changed(self, mapping: Mapping[str, Any]) -> bool:
        """Whether so recently that its first batch may not be seen. `LastModified` is also that of a new state.

        https://docs.aws.amazon.com/lambda/latest/api/API_GetEventSourceMapping.html
        """
        changed = mapping.get("LastModified")
        if not isinstance(changed, datetime) or changed.tzinfo is None:  # an emulator may leave it out
            return False
        return self.now() - changed < self.settle + self.metrics.longest_call

    def _latest(self) -> float:
        now = self.now()
        points = self.metrics.points("IteratorAge", "Maximum", now - self.metrics.recent, now)
        return age_of(max(points, key=itemgetter("Timestamp"), default={"Maximum": 0.0}))

    def _highest(self) -> float | None:
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
