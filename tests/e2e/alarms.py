"""The conditions of a deployment's alarms, computed from what its functions and Lambda emitted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.local_stack.process import poll
from tests.e2e.deployed import ARRIVAL, Deployed
from tests.support.alarm_conditions import DataPoint, emitted, is_true, watched
from tests.support.alarm_rules import METRIC_ALARM

# What an outage of the local stack reaches, whose record age is a minute. A pointer is 60 s old when it arrives, and
# these 23.98 hours are left when it is 72 s old.
THRESHOLDS = {"oldest_batch_seconds": 5, "hours_until_loss": 23.98, "pointer_hours_left": 23.98}
FUNCTIONS = ("consumer", "replayer", "monitor")
# The only metric of AWS that LocalStack publishes and an alarm watches.
ERRORS = ("AWS/Lambda", "Errors")
# An emulator gives a sum for each second of the past, so it is clear what was after the beginning of a phase.
SECOND = 1


class Alarms:
    """The metric alarms of the stack with THRESHOLDS, by their names without the deployment.

    Terraform plans them, because MiniStack keeps nothing of an alarm but its name.
    """

    def __init__(self, stack: Deployed) -> None:
        self._stack = stack
        self._prefix = stack.outputs["consumer_function_name"].removesuffix("stream-consumer")
        planned = stack.stack.planned(METRIC_ALARM, create_alarms=True, alarms=THRESHOLDS)
        self.planned = {values["alarm_name"].removeprefix(self._prefix): values for values in planned}

    def deployed(self) -> set[str]:
        """The names of those that the emulator has."""
        pages = self._stack.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=self._prefix)
        return {one["AlarmName"].removeprefix(self._prefix) for page in pages for one in page["MetricAlarms"]}

    def become(self, expected: set[str], since: float) -> bool:
        """Whether these and no others have a condition that is true for what is emitted after `since`.

        It calls the monitor again and again, as its schedule does each minute.
        """

        def ringing() -> set[str]:
            self.call_monitor()
            return self.ringing(since)

        return poll(lambda: ringing() == expected, ARRIVAL, interval=1)

    def call_monitor(self) -> None:
        name = self._stack.outputs["monitor_function_name"]
        answer = self._stack.client("lambda").invoke(FunctionName=name, Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()

    def ringing(self, since: float) -> set[str]:
        """Those whose condition is true for one period that ends now, with the values after `since` alone."""
        points, now = self.emitted(since), time.time()
        return {name for name, alarm in self.planned.items() if is_true(_of_one_period(alarm), points, now)}

    def emitted(self, since: float) -> list[DataPoint]:
        """What the functions wrote to their logs, and the calls that failed."""
        found = [*self._of_lambda(since)]
        for function in FUNCTIONS:
            group = f"/aws/lambda/{self._stack.outputs[f'{function}_function_name']}"
            pages = self._stack.client("logs").get_paginator("filter_log_events")
            for page in pages.paginate(logGroupName=group, startTime=int(since * 1000)):
                found += [point for event in page["events"] for point in emitted(event["message"])]
        return [point for point in found if point.time >= since]

    def _of_lambda(self, since: float) -> Iterator[DataPoint]:
        metrics = [metric for alarm in self.planned.values() for metric in watched(alarm).values()]
        for function in {one.dimensions["FunctionName"] for one in metrics if (one.namespace, one.name) == ERRORS}:
            yield from self._failed_calls(function, since)

    def _failed_calls(self, function: str, since: float) -> Iterator[DataPoint]:
        answer = self._stack.client("cloudwatch").get_metric_statistics(
            Namespace=ERRORS[0],
            MetricName=ERRORS[1],
            Dimensions=[{"Name": "FunctionName", "Value": function}],
            StartTime=datetime.fromtimestamp(since, UTC),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=SECOND,
            Statistics=["Sum"],
        )
        for point in answer["Datapoints"]:
            yield DataPoint(*ERRORS, {"FunctionName": function}, point["Timestamp"].timestamp(), point["Sum"])


def _of_one_period(alarm: Mapping[str, Any]) -> dict[str, Any]:
    return {**alarm, "evaluation_periods": 1, "datapoints_to_alarm": 1}
