"""Measures from log lines, as emulators store them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from backstream.status.log_measures import BINS, STEP, LogMeasures
from backstream.status.snapshot import Bin, Flow
from tests.support.status import NOW, before


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def event(moment: datetime, message: str) -> dict[str, Any]:
    return {"logStreamName": "one", "timestamp": milliseconds(moment), "message": message}


def metrics(moment: datetime, stored: datetime | None = None, **values: Any) -> dict[str, Any]:
    """A line in the embedded metric format, which may be stored later."""
    names = [{"Name": name, "Unit": "Count"} for name in values]
    aws = {"Timestamp": milliseconds(moment), "CloudWatchMetrics": [{"Namespace": "Backstream", "Metrics": names}]}
    return event(stored or moment, json.dumps({"_aws": aws, "service": "consumer", **values}))


def message(moment: datetime, text: str, **more: Any) -> dict[str, Any]:
    return event(moment, json.dumps({"level": "ERROR", "message": text, "service": "consumer", **more}))


class Logs:
    """Answers with at most `most` events, and with a token for the rest if it has `tokens`."""

    def __init__(self, groups: dict[str, list[dict[str, Any]]], most: int = 10_000, *, tokens: bool = False) -> None:
        self.groups, self.most, self.tokens = groups, most, tokens
        self.asked: list[int] = []

    def filter_log_events(
        self,
        logGroupName: str,  # noqa: N803 - AWS's names
        filterPattern: str,  # noqa: N803
        startTime: int,  # noqa: N803
        nextToken: str = "0",  # noqa: N803
    ) -> dict[str, Any]:
        assert filterPattern == '"service"'
        self.asked.append(startTime)
        later = [one for one in self.groups[logGroupName] if one["timestamp"] >= startTime]
        first = int(nextToken)
        answer: dict[str, Any] = {"events": later[first : first + self.most]}
        if self.tokens and first + self.most < len(later):
            answer["nextToken"] = str(first + self.most)
        return answer


CONSUMER, REPLAYER = "/aws/lambda/consumer", "/aws/lambda/replayer"


def read(*events: dict[str, Any], replayer: tuple[dict[str, Any], ...] = ()) -> Flow:
    logs = Logs({CONSUMER: list(events), REPLAYER: list(replayer)})
    return LogMeasures(logs, "consumer", ["replayer"]).read(NOW)


def test_no_line_is_no_measure() -> None:
    first = NOW - STEP * BINS
    assert read() == Flow(15, tuple(Bin(first + STEP * number) for number in range(BINS)))


def test_an_outage_is_read_from_the_lines() -> None:
    """Totals, the times of the last commit and of the failures since, the last reason and the classes of errors."""
    found = read(
        metrics(before(seconds=100), received=[5.0], upserted=[3.0, 1.0], held=0),
        metrics(before(seconds=45), held=[0.0]),
        metrics(before(seconds=70), held=[1.0], database_busy=[1.0]),
        metrics(before(seconds=60), received=[4.0], stale=4),
        message(before(seconds=59), "batch applied"),
        metrics(before(seconds=40), held=[1.0], database_unreachable=[1.0]),
        message(before(seconds=40), "batch not applied", reason="first"),
        metrics(before(seconds=10), stopped=[1.0], login_refused=[1.0]),
        message(before(seconds=10), "batch not applied", reason="second"),
        message(before(seconds=9), "something else", reason="third"),
        metrics(before(seconds=8), received=0, held=[0.0], stopped=[0.0], database_busy=[0.0]),
    )
    assert (found.applied, found.held, found.stopped) == (before(seconds=60), before(seconds=40), before(seconds=10))
    assert (found.failing_since, found.reason) == (before(seconds=40), "second")
    assert found.totals == {"received": 9, "upserted": 4, "stale": 4, "held": 2, "stopped": 1}
    assert found.causes == {
        "database_busy": before(seconds=70),
        "database_unreachable": before(seconds=40),
        "login_refused": before(seconds=10),
    }
    assert (found.errors, found.iterator_age_seconds, found.undelivered) == (None, None, 0)


def test_a_bin_has_the_records_and_the_lag_of_its_time() -> None:
    """The times are those of the metrics, not those at which their lines were stored."""
    found = read(
        metrics(before(seconds=31), before(seconds=1), received=[5.0], lag_seconds=[9.0]),
        metrics(before(seconds=14), received=[1.0], lag_seconds=[float(number) for number in range(1, 101)]),
        metrics(before(seconds=1), received=2, lag_seconds=0.5),
        metrics(before(seconds=-1), received=4),
    )
    assert [(one.received, one.lag_p50, one.lag_p99, one.lag_max) for one in found.bins[-3:]] == [
        (5.0, 9.0, 9.0, 9.0),
        (0.0, None, None, None),
        (7.0, 50.0, 99.0, 100.0),
    ]


def test_what_is_left_of_a_pointer_becomes_less() -> None:
    """The newest line counts, with its smallest value."""
    old, new = metrics(before(seconds=30), pointer_seconds_left=[7.0]), before(seconds=10)
    found = read(replayer=(metrics(new, pointer_seconds_left=[500.0, 400.0]), old, metrics(NOW, received=[1])))
    assert found.pointer_seconds_left == 390.0


def test_lines_of_others_are_passed_over() -> None:
    """Lambda's own lines, text that is cut off, JSON of another form, values that are no numbers."""
    strange = ["START RequestId", '{"service"', '["service"]', '{"service": 1, "_aws": 2}']
    found = read(*(event(before(seconds=5), text) for text in strange), metrics(before(seconds=4), received=["x"]))
    assert (found.totals, found.applied, found.reason) == ({}, None, "")


def test_later_reads_ask_for_new_lines_only() -> None:
    """A line that is stored late is still found, and none counts twice. What is too old is forgotten."""
    lines = [metrics(before(seconds=60), received=[1.0])]
    logs = Logs({CONSUMER: lines})
    measures = LogMeasures(logs, "consumer", [])
    assert measures.read(NOW).totals == {"received": 1}
    lines += [metrics(before(seconds=20), received=[2.0]), metrics(NOW, received=[4.0])]
    assert measures.read(NOW + timedelta(seconds=10)).totals == {"received": 7}
    assert measures.read(NOW + STEP * BINS).totals == {"received": 4}
    spans = [round((at - milliseconds(NOW)) / 1000) for at in logs.asked]
    assert spans == [-900, -30, 0]


def test_a_long_log_is_read_to_its_end() -> None:
    """One emulator gives a token for the rest, the other one only cuts the answer short."""
    lines = [metrics(before(seconds=400 - number), received=[1.0]) for number in range(7)]
    for tokens in (True, False):
        logs = Logs({CONSUMER: lines}, most=3, tokens=tokens)
        measures = LogMeasures(logs, "consumer", [], most=3)
        assert measures.read(NOW).totals == {"received": 7}


def test_a_moment_with_many_lines_does_not_hold_it_up() -> None:
    """There is no later time to ask from in an answer of one moment."""
    lines = [metrics(before(seconds=9), received=[float(number)]) for number in range(5)]
    measures = LogMeasures(Logs({CONSUMER: lines}, most=3), "consumer", [], most=3)
    assert measures.read(NOW).totals == {"received": 3}
