"""How old the oldest change of the stream may be that is not in MySQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.consumer_lag import ConsumerMetrics, age_of, last_call_failed

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
RETENTION = timedelta(hours=24)
_PERIOD_SECONDS = 300
# Lambda tries a failing batch again within this time.
_RETRY = timedelta(minutes=1)
# States of an event source mapping that is on, or will be in a moment.
_ON = ("Enabled", "Enabling", "Creating", "Updating")
# Those that follow a time in which it read the stream. One that is enabled again was off before.
_WAS_ON = ("Enabled", "Updating")


def is_on(mapping: Mapping[str, Any]) -> bool:
    """Whether the event source mapping reads the stream; `mapping` is its description."""
    return mapping["State"] in _ON


@dataclass(frozen=True)
class UnreadChanges:
    """`created` is when the stream was enabled. `record_age` is the age at which Lambda gives a change up."""

    consumer: ConsumerMetrics
    created: datetime
    record_age: timedelta

    def age(self, mapping: Mapping[str, Any], now: datetime) -> timedelta:
        """The greatest age that the oldest change can have that is in the stream and not in MySQL.

        A consumer that works is as far behind as the highest IteratorAge of the last minutes says.

        The age of one that fails is that of the batches that it was sent, and one that is throttled, disabled or
        deleted may report none. Then nothing says how old the oldest waiting change is, and the greatest age that it
        can have counts: the time since the consumer last finished batches without any error. Without such a time in
        the last 24 hours, everything in the stream may wait. A table without traffic is taken for one that waits, too.

        Lambda gives a change up at the record age, while it calls the consumer: no waiting change is older then.

        Raises ClientError or BotoCoreError where CloudWatch does not answer.
        """
        stopped = self.consumer.has_stopped(now)
        if mapping["State"] in _WAS_ON and not last_call_failed(mapping) and not stopped:
            return timedelta(seconds=self.consumer.highest_age(now))
        longest = min(RETENTION, max(now - self.created, timedelta()))
        proven = self._proven_until(now)
        age = min(now - proven, longest) if proven else longest
        return min(age, self.record_age) if stopped and is_on(mapping) else age

    def _proven_until(self, now: datetime) -> datetime | None:
        """The latest time before which all changes have left the stream, as far as CloudWatch proves one."""
        start = now - RETENTION
        ages = self.consumer.points("IteratorAge", "Maximum", start, now, _PERIOD_SECONDS)
        failed = {
            point["Timestamp"]
            for name in ("Errors", "Throttles")
            for point in self.consumer.points(name, "Sum", start, now, _PERIOD_SECONDS)
            if point["Sum"]
        }
        period = timedelta(seconds=_PERIOD_SECONDS)
        # A shard that fails begins a call at least this often: in no period, if its calls take longer than one.
        before = max(period, self.consumer.longest_call + _RETRY) - period
        proven: list[datetime] = [
            point["Timestamp"] - timedelta(seconds=age_of(point))
            for point in ages
            if not any(point["Timestamp"] - before - period < time <= point["Timestamp"] for time in failed)
        ]
        return max(proven, default=None)
