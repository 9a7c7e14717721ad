"""How far the consumer is behind the stream, by what Lambda reports to CloudWatch.

IteratorAge says how old the last record of a batch is: when Lambda sends the batch to the function by one of AWS's
pages, when the function has finished it by another one. So a consumer that fails may report an age, which proves
nothing of what waits behind the batch. One that Lambda does not call reports none, and a stream without changes has
none. The time of a point is that at which its call began, so a call of ten minutes is seen ten minutes in the past.
Sources: https://docs.aws.amazon.com/lambda/latest/dg/events-dynamodb-metrics.html
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

# Beside its calls, a consumer that works or fails is seen within this time: a failing batch is tried again within a
# minute, and a metric is a minute or two late.
_SEEN_WITHIN = timedelta(minutes=5)


@dataclass(frozen=True)
class ConsumerMetrics:
    """The metrics of the consumer.

    `cloudwatch` is a boto3 client, `function` the name of the consumer. `longest_call` is its timeout.
    """

    cloudwatch: Any
    function: str
    longest_call: timedelta

    @property
    def recent(self) -> timedelta:
        """What is true of these last minutes is taken for what is true now.

        They have the begin of the last call that has ended, also while the one after it is still at work.
        """
        return _SEEN_WITHIN + 2 * self.longest_call

    def points(
        self, metric: str, statistic: Literal["Maximum", "Sum"], start: datetime, end: datetime, period: int = 60
    ) -> Sequence[Mapping[str, Any]]:
        """One for each `period`, in seconds, that has data; in no order. Raises ClientError or BotoCoreError."""
        found: Sequence[Mapping[str, Any]] = self.cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": "FunctionName", "Value": self.function}],
            StartTime=start,
            EndTime=end,
            Period=period,
            Statistics=[statistic],
        )["Datapoints"]
        return found

    def has_stopped(self, now: datetime) -> bool:
        """Whether a call of the last minutes failed or was throttled. Raises as `points` does."""
        stops = [self.points(name, "Sum", now - self.recent, now) for name in ("Errors", "Throttles")]
        return any(point["Sum"] for points in stops for point in points)

    def highest_age(self, now: datetime) -> float:
        """The highest IteratorAge of the last minutes, in seconds; 0 without any. Raises as `points` does."""
        return max(map(age_of, self.points("IteratorAge", "Maximum", now - self.recent, now)), default=0.0)


def age_of(point: Mapping[str, Any]) -> float:
    """The IteratorAge of a point, in seconds."""
    return float(point["Maximum"]) / 1000


def has_problem(mapping: Mapping[str, Any]) -> bool:
    """Whether Lambda does not read the stream, or its last call of the consumer failed.

    `mapping` is the answer of GetEventSourceMapping.
    """
    return mapping["State"] != "Enabled" or last_call_failed(mapping)


def last_call_failed(mapping: Mapping[str, Any]) -> bool:
    """Whether the last result is a problem. It has no time, and stays until the next call."""
    return str(mapping.get("LastProcessingResult")).startswith("PROBLEM")
