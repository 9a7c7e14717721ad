"""The picture as text and as JSON, whole."""

from __future__ import annotations

import io
from collections import Counter
from datetime import UTC
from typing import Any

import pytest
from rich.console import Console

from backstream.status import document as documents
from backstream.status.finding import Commands
from backstream.status.picture import Picture, draw
from backstream.status.snapshot import Bin, Counted, EndedJob, EventSource, Flow, Job, RunningJob, Unknown
from backstream.status.text import plain_text, rich_text, sparkline
from backstream.status.verdict import judge
from tests.support.status import NOW, before, bins, failing, flow, snapshot


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings have times of the user's zone."""
    monkeypatch.setenv("TZ", "UTC")
    import time  # noqa: PLC0415

    time.tzset()


def picture(**changed: Any) -> Picture:
    taken = snapshot(**changed)
    return draw(taken, judge(taken, Commands("--env prod")), "backstream-prod", UTC)


OUTAGE = {
    "flow": failing(
        252,
        totals={"received": 210.0, "upserted": 200.0, "stale": 10.0, "held": 9.0, "parked": 2.0, "deferred": 1.0},
        pointer_seconds_left=85_200.0,
    ),
    "event_source": EventSource("Enabled", "PROBLEM: Function call failed", 3_600),
    "failed": Counted(1_000, more=True, oldest=before(minutes=12)),
    "queue": 2,
    "quarantined": Counted(2, oldest=before(hours=5)),
    "deferred": Unknown("AccessDenied: no"),
    "replay": Job(ended=EndedJob("FAILED", before(minutes=3), "database_down", "DatabaseDown")),
    "load": Job(RunningJob(before(seconds=90), "1,000 items, 500 read units")),
    "verify": Job(ended=EndedJob("SUCCEEDED", before(hours=26), "complete", counts={"items": 9})),
    "verified": before(hours=26),
}
OUTAGE_TEXT = """\
MySQL does not take changes: changes wait in the stream, in order, and in at least 1,002 failed batches. Nothing is \
lost. 23 h 40 min until the first change is lost.
  do                      Bring MySQL back. The stream then continues by itself. Then run `backstream replay --env \
prod` for the failed batches.
  run                     backstream replay --env prod
  read                    docs/runbook.md#an-outage
  cause                   applying 3 changes: MySQL error 2003: the database is down
  failing                 for 4 min 12 s, since 20:41:03
  last attempt            2 s ago (20:45:13)
  later                   in 55 min 48 s the first batch leaves the stream, and needs a replay

Also: The last replay failed, and at least 1,002 failed batches wait.
  do                      Correct its cause, then replay again. Nothing is lost.
  run                     backstream replay --env prod
  read                    docs/runbook.md#how-a-replay-ends
  cause                   DatabaseDown
  ended                   3 min ago (20:42:15)

Also: MySQL refuses 2 records as they are. All other changes go on.
  do                      Read the reasons, correct the items, then retry or discard the records.
  run                     backstream replay list --env prod
  read                    docs/runbook.md#quarantine
  oldest                  5 h ago (15:45:15)

Also: Unknown: the deferred records. Nobody can tell whether all is well.
  do                      Check the credentials, their rights, the Region and the network.
  the deferred records    AccessDenied: no

Also: A load is under way: 1,000 items, 500 read units.
  started                 1 min 30 s ago (20:43:45)

Keeping up
  last commit             4 min 17 s ago (20:40:58)
  lag                     p50 0.2 s, p99 0.4 s, most 0.8 s in the last 4 min
  changes                 210 in the last 4 min: 200 upserted, 10 stale
  event source mapping    Enabled, PROBLEM: Function call failed

Changes per second (most 2.0, in the last 4 min)
  ▁▅█▃

Lag (last 0.8 s)
     █

Database, as the consumer sees it
  last failure            2 s ago (20:45:13)
  attempts held           9 in the last 4 min
  refused rows            2 parked, 1 deferred in the last 4 min

Waiting
  failed batches          at least 1,000, oldest 12 min ago (20:33:15)
  pointers in the queue   2
  first change is lost in 23 h 40 min
  quarantined             2, oldest 5 h ago (15:45:15)
  deferred                unknown: AccessDenied: no
  expired ranges          0

Jobs
  replay                  failed 3 min ago (20:42:15): DatabaseDown
  load                    running, started 1 min 30 s ago (20:43:45): 1,000 items, 500 read units
  verification            succeeded 1 d 2 h ago (2026-03-13 18:45): 9 items
  seed                    never run
  both sides equal        1 d 2 h ago (2026-03-13 18:45)"""
HEALTHY_TEXT = """\
Keeping up: the last change reached MySQL 3 s ago (20:45:12), 0.4 s after it was made. Nothing waits.

Keeping up
  last commit             3 s ago (20:45:12)
  lag                     p50 0.2 s, p99 0.4 s, most 0.8 s in the last 4 min
  changes                 210 in the last 4 min: 200 upserted
  event source mapping    Enabled, OK

Changes per second (most 2.0, in the last 4 min)
  ▁▅█▃

Lag (last 0.8 s)
     █

Database, as the consumer sees it
  last failure            none in the last 4 min

Waiting
  failed batches          0
  quarantined             0
  deferred                0
  expired ranges          0

Jobs
  replay                  never run
  load                    never run
  verification            never run
  seed                    never run
  both sides equal        never verified"""


@pytest.mark.parametrize(("changed", "text"), [({}, HEALTHY_TEXT), (OUTAGE, OUTAGE_TEXT)])
def test_the_text_begins_with_the_verdict(changed: dict[str, Any], text: str) -> None:
    assert plain_text(picture(**changed)) == text


def test_an_older_failure_still_has_its_cause() -> None:
    """A cause that the verdict has told is not repeated."""
    rows = picture(flow=flow(held=before(minutes=3), reason="MySQL error 1205")).groups[1].rows
    assert [(row.label, row.text, row.tone) for row in rows] == [
        ("last failure", "3 min ago (20:42:15)", "dim"),
        ("its cause", "MySQL error 1205", "dim"),
    ]


def test_the_lag_is_that_of_the_newest_commits() -> None:
    older, newer = bins(1, lag=4.0)[0], bins(1, lag=1.0)[0]
    row = picture(flow=flow(bins=(older, newer, Bin(NOW)))).groups[0].rows[1]
    assert (row.label, row.text) == ("lag", "p50 0.5 s, p99 1 s, most 8 s in the last 3 min")


def test_silent_sources_are_unknown_and_never_empty() -> None:
    silent = Unknown("no answer")
    names = ["event_source", "flow", "failed", "queue", "quarantined", "deferred", "expired", "verified"]
    drawn = picture(**dict.fromkeys([*names, "replay", "load", "verify", "seed"], silent))
    assert {row.text for group in drawn.groups for row in group.rows} == {"unknown: no answer"}
    assert drawn.charts == ()


@pytest.mark.parametrize(
    ("changed", "failing_step"),
    [
        ({}, None),
        ({"flow": failing(119)}, 2),
        ({"flow": failing(120)}, 2),
        ({"flow": failing(121)}, 1),
        ({"flow": failing(9_000)}, 0),
        ({"flow": failing(119, held=before(minutes=4))}, None),
    ],
)
def test_a_chart_marks_the_time_of_the_failure(changed: dict[str, Any], failing_step: int | None) -> None:
    """A failure that is over is not marked."""
    assert {chart.failing for chart in picture(**changed).charts} == {failing_step}


def test_what_was_not_measured_is_said() -> None:
    drawn = picture(flow=flow(applied=None, totals={}, bins=bins(0, 0), iterator_age_seconds=3.0))
    assert [(row.label, row.text) for row in drawn.groups[0].rows] == [
        ("last commit", "none in the last 2 min"),
        ("lag", "not measured"),
        ("changes", "0 in the last 2 min"),
        ("behind the table", "3 s"),
        ("event source mapping", "Enabled, OK"),
    ]
    assert [chart.title for chart in drawn.charts] == ["Changes per second"]


def shown(drawn: Picture, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(rich_text(drawn, width))
    return out.getvalue()


def test_a_terminal_shows_the_same() -> None:
    """In order, but for the charts' spaces."""
    lines = [line.split() for line in shown(picture(**OUTAGE), 200).splitlines()]
    assert lines == [line.split() for line in OUTAGE_TEXT.splitlines()]


@pytest.mark.parametrize("width", [100, 60, 40])
def test_a_narrow_terminal_cuts_nothing_off(width: int) -> None:
    """Texts are folded. Each character of the plain text is there as often."""
    expected = Counter("".join(OUTAGE_TEXT.split()))
    assert Counter("".join(shown(picture(**OUTAGE), width).split())) == expected


def test_a_narrow_chart_shows_the_newest_steps() -> None:
    """A line that is folded would tell wrong times."""
    values = bins(*range(100))
    lines = shown(picture(flow=flow(bins=values)), 44).splitlines()
    wanted = sparkline([one.received / 60 for one in values])[-40:]
    assert [line.rstrip() for line in lines if "█" in line] == [f"  {wanted}"]


def test_a_terminal_gets_no_control_characters() -> None:
    """A reason is of another program."""
    text = shown(picture(flow=failing(9, reason="\x1b[31m[bold]2003")), 200)
    assert "\x1b" not in text
    assert "\\x1b[31m[bold]2003" in text


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((), ""),
        ((None, None), "  "),
        ((0, 0.0), "▁▁"),
        ((None, 0, 0.001, 4, 8), " ▁▂▅█"),
    ],
)
def test_only_nothing_has_the_lowest_block(values: tuple[float | None, ...], line: str) -> None:
    assert sparkline(values) == line


def test_a_script_gets_values_and_the_page_texts() -> None:
    """Times are in ISO format, durations in seconds, a silent source has its reason."""
    taken = snapshot(
        flow=Flow(60, (Bin(NOW, 60.0, lag_max=0.5),), applied=before(seconds=3)),
        queue=Unknown("no answer"),
        failed=Counted(1, oldest=before(minutes=1)),
        load=Job(RunningJob(NOW, "5 items")),
    )
    drawn = draw(taken, judge(taken, Commands()), "backstream-prod", UTC)
    made = documents.document(drawn, taken)
    assert list(made) == ["at", "name", "exit_code", "verdict", "also", "groups", "charts", "figures"]
    assert (made["at"], made["name"], made["exit_code"]) == ("2026-03-14T20:45:15+00:00", "backstream-prod", 4)
    assert made["verdict"] == {
        "code": "failed_batches",
        "level": "act",
        "headline": "1 failed batch waits: run `backstream replay`.",
        "next": "Replay them. Newer changes stay as they are: older ones are not written over them.",
        "command": "backstream replay",
        "link": "docs/runbook.md#replay",
        "details": [{"label": "oldest", "text": "1 min ago (20:44:15)"}],
    }
    assert [one["code"] for one in made["also"]] == ["unknown", "load_running"]
    assert made["groups"][2]["rows"][:2] == [
        {"label": "failed batches", "text": "1, oldest 1 min ago (20:44:15)", "tone": "warn"},
        {"label": "pointers in the queue", "text": "unknown: no answer", "tone": "warn"},
    ]
    assert made["charts"][0] == {
        "title": "Changes per second",
        "unit": "a second",
        "summary": "most 1.0, in the last 1 min",
        "start": "2026-03-14T20:45:15+00:00",
        "step_seconds": 60,
        "values": [1.0],
        "failing": None,
    }
    figures = made["figures"]
    assert figures["failed"] == {"count": 1, "more": False, "oldest": "2026-03-14T20:44:15+00:00"}
    assert (figures["queue"], figures["verified"]) == ({"unknown": "no answer"}, None)
    assert figures["flow"]["applied"] == "2026-03-14T20:45:12+00:00"
    assert "bins" not in figures["flow"]
    assert figures["jobs"]["load"]["running"]["progress"] == "5 items"
