"""What the status says, and what it says to do: the worst thing first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstream.errors import ExitCode
from backstream.status.finding import Commands, Level
from backstream.status.risk import seconds_until_batches_leave, seconds_until_loss
from backstream.status.snapshot import Bin, Counted, EndedJob, EventSource, Job, RunningJob, Unknown
from backstream.status.verdict import judge
from tests.support.status import HEALTHY, NOW, SIX_HOURS, before, bins, failing, flow, snapshot
from tests.wiring.test_docs import heading_anchors

ROOT = Path(__file__).parents[3]
COMMANDS = Commands("--env prod")
QUEUE = {"queue": 2, "event_source": EventSource("Enabled", "OK", 3_600)}
CANNOT_CALL = EventSource("Enabled", "PROBLEM: Lambda cannot assume the role", SIX_HOURS)
COMPLETE = EndedJob("SUCCEEDED", before(seconds=1), "complete")
DOWN = EndedJob("FAILED", before(minutes=3), "database_down", "DatabaseDown", "MySQL did not answer")
DRAINS = RunningJob(before(seconds=20), "Drain: 2/5 splits, 12 changes", database_answered=True)

CASES: dict[str, tuple[dict[str, Any], str, Level, str, str]] = {
    "keeping up": (
        {},
        "keeping_up",
        Level.GOOD,
        "Keeping up: the last change reached MySQL 3 s ago (TIME), 0.4 s after it was made. Nothing waits.",
        "",
    ),
    "keeping up, lag unknown": (
        {"flow": flow(bins=bins(1))},
        "keeping_up",
        Level.GOOD,
        "Keeping up: the last change reached MySQL 3 s ago (TIME). Nothing waits.",
        "",
    ),
    "idle": (
        {"flow": flow(applied=None, bins=bins(0, 0), totals={})},
        "idle",
        Level.GOOD,
        "Nothing waits. No change came in the last 2 min.",
        "",
    ),
    "outage, to the bucket": (
        {"flow": failing(1_200)},
        "outage",
        Level.ACT,
        "MySQL does not take changes: changes wait in the stream, in order. Nothing is lost.",
        "",
    ),
    "outage, to the queue": (
        {"flow": failing(1_200, causes={"database_unreachable": before(seconds=2)}), **QUEUE, "queue": 0},
        "outage",
        Level.ACT,
        ("MySQL does not answer: changes wait in the stream, in order. Nothing is lost."
        " 23 h 40 min until the first change is lost."),
        "",
    ),
    "outage, batches have left": (
        {"flow": failing(1_200, pointer_seconds_left=80_000.0), **QUEUE},
        "outage",
        Level.ACT,
        ("MySQL does not take changes: changes wait in the stream, in order, and in 2 failed batches. Nothing is lost."
        " 22 h 13 min until the first change is lost."),
        "backstream replay --env prod",
    ),
    "outage of a day": (
        {"flow": failing(90_000), "event_source": EventSource("Enabled", "", None)},
        "outage",
        Level.LOST,
        "MySQL does not take changes: changes wait in the stream, in order. The first changes are lost.",
        "",
    ),
    "outage of the iterator's age": (
        {"flow": failing(60, iterator_age_seconds=7_200.0), "event_source": EventSource("Enabled", "", 604_800)},
        "outage",
        Level.ACT,
        ("MySQL does not take changes: changes wait in the stream, in order. Nothing is lost."
        " 22 h until the first change is lost."),
        "",
    ),
    "wrong password": (
        {"flow": failing(60, held=None, stopped=before(seconds=2), causes={"login_refused": before(seconds=2)})},
        "stopped",
        Level.ACT,
        "MySQL refuses the login: changes wait in the stream, in order. Nothing is lost.",
        "",
    ),
    "wrong schema": (
        {"flow": failing(60, stopped=before(seconds=1), causes={"database_unreachable": before(seconds=40)})},
        "stopped",
        Level.ACT,
        "The consumer cannot work as it is configured: changes wait in the stream, in order. Nothing is lost.",
        "",
    ),
    "an outage that no attempt confirms": (
        {"flow": failing(1_500, held=before(minutes=20)), "failed": Counted(1)},
        "outage",
        Level.ACT,
        "MySQL does not take changes: changes wait in the stream, in order, and in 1 failed batch. Nothing is lost.",
        "backstream replay --env prod",
    ),
    "an outage whose attempts hang": (
        {"flow": failing(1_500, held=before(minutes=20))},
        "outage",
        Level.ACT,
        "MySQL does not take changes: changes wait in the stream, in order. Nothing is lost.",
        "",
    ),
    "an outage that began before the last hour": (
        {"flow": failing(3_500, applied=None, loss_seconds_left=14_400.0), "event_source": EventSource("Enabled")},
        "outage",
        Level.ACT,
        ("MySQL does not take changes: changes wait in the stream, in order. Nothing is lost."
        " 4 h until the first change is lost."),
        "",
    ),
    "an outage that is over": (
        {"flow": flow(held=before(seconds=4)), "failed": Counted(1)},
        "failed_batches",
        Level.ACT,
        "1 failed batch waits: run `backstream replay --env prod`.",
        "backstream replay --env prod",
    ),
    "an outage that a replay found over": (
        {"flow": failing(600), "replay": Job(ended=COMPLETE)},
        "keeping_up",
        Level.GOOD,
        "Keeping up: the last change reached MySQL 10 min 5 s ago (TIME), 0.4 s after it was made. Nothing waits.",
        "",
    ),
    "a replay that asked nothing": (
        {"flow": failing(600), "replay": Job(ended=EndedJob("SUCCEEDED", before(seconds=1), "nothing_to_do"))},
        "outage",
        Level.ACT,
        "MySQL does not take changes: changes wait in the stream, in order. Nothing is lost.",
        "",
    ),
    "a replay of before": (
        {"flow": failing(600), "replay": Job(ended=EndedJob("SUCCEEDED", before(seconds=3), "complete"))},
        "outage",
        Level.ACT,
        "MySQL does not take changes: changes wait in the stream, in order. Nothing is lost.",
        "",
    ),
    "a replay that waits": (
        {"replay": Job(RunningJob(before(minutes=1), "Check", "since 20:44:00 UTC: error 2003")), "failed": Counted(3)},
        "outage",
        Level.ACT,
        "The replay waits for MySQL: changes wait in the stream, in order, and in 3 failed batches. Nothing is lost.",
        "backstream replay --env prod",
    ),
    "a replay that runs": (
        {"replay": Job(DRAINS), "failed": Counted(3), "flow": failing(90, held=before(seconds=30))},
        "replay_running",
        Level.WORKING,
        "A replay is under way: Drain: 2/5 splits, 12 changes.",
        "",
    ),
    "a replay that MySQL left": (
        {"replay": Job(DRAINS), "failed": Counted(3), "flow": failing(90)},
        "outage",
        Level.ACT,
        "MySQL does not take changes: changes wait in the stream, in order, and in 3 failed batches. Nothing is lost.",
        "backstream replay --env prod",
    ),
    "a replay that failed": (
        {"replay": Job(ended=DOWN), "failed": Counted(1_000, more=True)},
        "replay_failed",
        Level.ACT,
        "The last replay failed, and at least 1,000 failed batches wait.",
        "backstream replay --env prod",
    ),
    "a replay that failed, with nothing left": (
        {"replay": Job(ended=DOWN)},
        "keeping_up",
        Level.GOOD,
        "Keeping up: the last change reached MySQL 3 s ago (TIME), 0.4 s after it was made. Nothing waits.",
        "",
    ),
    "a replay that a person stopped": (
        {"replay": Job(ended=EndedJob("ABORTED", before(minutes=3))), "failed": Counted(3)},
        "failed_batches",
        Level.ACT,
        "3 failed batches wait: run `backstream replay --env prod`.",
        "backstream replay --env prod",
    ),
    "pointers in time": (
        {**QUEUE, "flow": flow(pointer_seconds_left=21_600.0)},
        "failed_batches",
        Level.ACT,
        "2 failed batches wait: run `backstream replay --env prod`.",
        "backstream replay --env prod",
    ),
    "pointers at risk": (
        {**QUEUE, "flow": failing(60, pointer_seconds_left=21_599.0)},
        "pointers_expire",
        Level.ACT,
        ("5 h 59 min until the oldest pointer in the queue expires: its changes leave the stream after 24 hours."
        " Run `backstream replay --env prod` now."),
        "backstream replay --env prod",
    ),
    "an expired pointer": (
        {**QUEUE, "flow": flow(pointer_seconds_left=-1.0)},
        "pointers_expire",
        Level.ACT,
        "A pointer has expired: its changes leave the stream after 24 hours. Run `backstream replay --env prod` now.",
        "backstream replay --env prod",
    ),
    "undelivered": (
        {"flow": failing(60, undelivered=2, lost_at=before(minutes=2))},
        "lost",
        Level.LOST,
        ("Changes did not reach MySQL and are not stored: Lambda could not deliver 2 failed batches, the last one"
        " 2 min ago (TIME)."),
        "backstream verify --env prod",
    ),
    "dropped": (
        {"flow": flow(undelivered=1, dropped=1_200, lost_at=before(days=9))},
        "lost",
        Level.LOST,
        ("Changes did not reach MySQL and are not stored: Lambda could not deliver 1 failed batch and dropped 1,200"
        " changes, the last one 9 d ago (TIME)."),
        "backstream verify --env prod",
    ),
    "dropped alone": (
        {"flow": flow(dropped=1, lost_at=before(minutes=2)), "verified": before(minutes=2)},
        "lost",
        Level.LOST,
        "Changes did not reach MySQL and are not stored: Lambda dropped 1 change, the last one 2 min ago (TIME).",
        "backstream verify --env prod",
    ),
    "dropped and verified since": (
        {"flow": flow(dropped=1, lost_at=before(minutes=2)), "verified": before(minutes=1)},
        "keeping_up",
        Level.GOOD,
        "Keeping up: the last change reached MySQL 3 s ago (TIME), 0.4 s after it was made. Nothing waits.",
        "",
    ),
    "undelivered and verified since": (
        {"flow": flow(undelivered=2, lost_at=before(minutes=2)), "verified": before(minutes=1)},
        "keeping_up",
        Level.GOOD,
        "Keeping up: the last change reached MySQL 3 s ago (TIME), 0.4 s after it was made. Nothing waits.",
        "",
    ),
    "undelivered and verified before": (
        {"flow": flow(undelivered=1, lost_at=before(minutes=2)), "verified": before(minutes=3)},
        "lost",
        Level.LOST,
        ("Changes did not reach MySQL and are not stored: Lambda could not deliver 1 failed batch, the last one"
        " 2 min ago (TIME)."),
        "backstream verify --env prod",
    ),
    "disabled": (
        {"event_source": EventSource("Disabled", "", SIX_HOURS)},
        "disabled",
        Level.ACT,
        "The consumer is switched off: changes wait in the stream, in order. It keeps each for 24 hours.",
        "",
    ),
    "disabled for a while": (
        {"event_source": EventSource("Disabled", "", SIX_HOURS), "flow": flow(iterator_age_seconds=3_600.0)},
        "disabled",
        Level.ACT,
        "The consumer is switched off: changes wait in the stream, in order. 23 h until the first change is lost.",
        "",
    ),
    "disabled for a day": (
        {"event_source": EventSource("Disabled", "", SIX_HOURS), "flow": flow(applied=None, loss_seconds_left=-60.0)},
        "disabled",
        Level.LOST,
        "The consumer is switched off: changes wait in the stream, in order. The first changes may be lost.",
        "",
    ),
    "an error without a reason": (
        {"flow": flow(errors=before(seconds=1))},
        "consumer_fails",
        Level.ACT,
        "The consumer fails and gives no reason: changes wait in the stream, in order.",
        "",
    ),
    "an old error": (
        {"flow": flow(errors=before(minutes=4), applied=None)},
        "consumer_fails",
        Level.ACT,
        "The consumer fails and gives no reason: changes wait in the stream, in order.",
        "",
    ),
    "a consumer that is killed after it gave a reason": (
        {"flow": flow(errors=before(seconds=1), held=before(minutes=9))},
        "consumer_fails",
        Level.ACT,
        "The consumer fails and gives no reason: changes wait in the stream, in order.",
        "",
    ),
    "throttled": (
        {"flow": flow(throttled=before(minutes=9), applied=None)},
        "throttled",
        Level.ACT,
        "Lambda refuses to run the consumer: changes wait in the stream, in order.",
        "",
    ),
    "throttled now and then": (
        {"flow": flow(throttled=before(seconds=3))},
        "keeping_up",
        Level.GOOD,
        "Keeping up: the last change reached MySQL 3 s ago (TIME), 0.4 s after it was made. Nothing waits.",
        "",
    ),
    "a mapping that cannot call the consumer": (
        {"event_source": CANNOT_CALL, "flow": flow(applied=before(minutes=5))},
        "not_called",
        Level.ACT,
        "Lambda reports a problem, and no call of the consumer that explains it: changes may wait in the stream.",
        "",
    ),
    "a mapping that cannot call the consumer, for long": (
        {"event_source": CANNOT_CALL, "flow": flow(applied=None)},
        "not_called",
        Level.ACT,
        "Lambda reports a problem, and no call of the consumer that explains it: changes may wait in the stream.",
        "",
    ),
    "a change that is soon lost": (
        {"flow": flow(loss_seconds_left=21_599.0)},
        "loss_near",
        Level.ACT,
        "5 h 59 min until the first change is lost, by what the monitor can tell.",
        "",
    ),
    "a change that may be lost": (
        {"flow": flow(loss_seconds_left=-1.0)},
        "loss_near",
        Level.LOST,
        "Changes may be lost: by what the monitor can tell, some have waited in the stream for 24 hours.",
        "",
    ),
    "disabled, and idle since": (
        {
            "event_source": EventSource("Disabled", "", SIX_HOURS),
            "flow": flow(applied=None, loss_seconds_left=14_400.0),
        },
        "disabled",
        Level.ACT,
        "The consumer is switched off: changes wait in the stream, in order. 4 h until the first change is lost.",
        "",
    ),
    "expired ranges": (
        {"expired": Counted(1), "failed": Counted(1)},
        "expired",
        Level.ACT,
        "The stream has forgotten 1 range of changes before a replay read them. Verify and repair MySQL.",
        "backstream verify --repair --env prod",
    ),
    "expired ranges under repair": (
        {"expired": Counted(1), "verify": Job(RunningJob(before(minutes=1), "5 items"))},
        "verify_running",
        Level.WORKING,
        "A verification is under way: 5 items.",
        "",
    ),
    "quarantined": (
        {"quarantined": Counted(1, oldest=before(hours=1)), "deferred": Counted(2)},
        "quarantined",
        Level.ACT,
        "MySQL refuses 1 record as it is. All other changes go on.",
        "backstream replay list --env prod",
    ),
    "differences": (
        {"verify": Job(ended=EndedJob("SUCCEEDED", before(hours=1), counts={"drift": 4, "pending": 0, "items": 9}))},
        "differs",
        Level.ACT,
        "The last verification found that MySQL differs: 4 keys that differ.",
        "backstream verify --repair --env prod",
    ),
    "differences in parts": (
        {
            "verify": Job(
                ended=EndedJob("SUCCEEDED", before(hours=1), counts={"drift": 0}, part="2/3"),
                earlier=(EndedJob("SUCCEEDED", before(hours=2), counts={"drift": 4}, part="1/3"),),
            )
        },
        "differs",
        Level.ACT,
        "The last 2 verifications of parts of the table found that MySQL differs: 4 keys that differ.",
        "backstream verify --repair --env prod",
    ),
    "equal": (
        {"verify": Job(ended=EndedJob("SUCCEEDED", before(hours=1), "complete", counts={"drift": 0, "items": 9}))},
        "keeping_up",
        Level.GOOD,
        "Keeping up: the last change reached MySQL 3 s ago (TIME), 0.4 s after it was made. Nothing waits.",
        "",
    ),
    "a load that failed": (
        {"load": Job(ended=EndedJob("TIMED_OUT", before(hours=1)))},
        "load_failed",
        Level.ACT,
        "The last load failed.",
        "backstream load --env prod",
    ),
    "a load that refused to begin": (
        {"load": Job(ended=EndedJob("FAILED", before(hours=1), "", "NotReady"))},
        "keeping_up",
        Level.GOOD,
        "Keeping up: the last change reached MySQL 3 s ago (TIME), 0.4 s after it was made. Nothing waits.",
        "",
    ),
    "too slow": (
        {"flow": flow(iterator_age_seconds=5_401.0)},
        "behind",
        Level.ACT,
        "MySQL is 1 h 30 min behind the table: the consumer is too slow.",
        "",
    ),
    "too slow, without a record age": (
        {"flow": flow(iterator_age_seconds=21_601.0), "event_source": EventSource("Enabled", "", None)},
        "behind",
        Level.ACT,
        "MySQL is 6 h behind the table: the consumer is too slow.",
        "",
    ),
    "catching up": (
        {"flow": flow(iterator_age_seconds=5_400.0)},
        "catching_up",
        Level.WORKING,
        "MySQL is 1 h 30 min behind the table: it catches up.",
        "",
    ),
    "deferred alone": (
        {"deferred": Counted(1)},
        "keeping_up",
        Level.GOOD,
        ("Keeping up: the last change reached MySQL 3 s ago (TIME), 0.4 s after it was made."
        " Only deferred records wait."),
        "",
    ),
    "idle, with a deferred record": (
        {"deferred": Counted(1, oldest=before(hours=24)), "flow": flow(applied=None, bins=bins(0, 0), totals={})},
        "idle",
        Level.GOOD,
        "Only deferred records wait. No change came in the last 2 min.",
        "",
    ),
    "deferred for more than a day": (
        {"deferred": Counted(2, oldest=before(hours=24, seconds=1))},
        "deferred_long",
        Level.ACT,
        "2 records wait for another row, one for more than a day: run `backstream replay --env prod`.",
        "backstream replay --env prod",
    ),
    "deferred for more than a day, retried now": (
        {"deferred": Counted(2, oldest=before(hours=25)), "replay": Job(DRAINS)},
        "replay_running",
        Level.WORKING,
        "A replay is under way: Drain: 2/5 splits, 12 changes.",
        "",
    ),
    "a source that does not answer": (
        {"failed": Unknown("AccessDenied: no"), "replay": Job(DRAINS)},
        "unknown",
        Level.UNKNOWN,
        "Unknown: the failed batches. Nobody can tell whether all is well.",
        "",
    ),
}  # fmt: skip


def without_times(text: str) -> str:
    """The time of day depends on the zone."""
    head, ago, rest = text.partition(" ago (")
    return f"{head}{ago}TIME{rest[rest.index(')') :]}" if ago else text


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_the_worst_of_what_there_is(case: str) -> None:
    changed, *expected = CASES[case]
    verdict = judge(snapshot(**changed), COMMANDS)[0]
    assert [verdict.code, verdict.level, without_times(verdict.headline), verdict.command] == expected


def test_findings_are_in_the_order_of_their_urgency() -> None:
    """What is lost, what a person must do, what is unknown, what goes on, what is only noted."""
    found = judge(
        snapshot(
            flow=failing(60, undelivered=1, pointer_seconds_left=60.0, iterator_age_seconds=90.0),
            event_source=EventSource("Disabled"),
            queue=1,
            failed=Unknown("no answer"),
            expired=Counted(1),
            quarantined=Counted(1),
            deferred=Counted(1),
            replay=Job(ended=DOWN),
            load=Job(RunningJob(before(minutes=1))),
            seed=Job(ended=EndedJob("FAILED", before(hours=1))),
        ),
        COMMANDS,
    )
    assert [one.code for one in found] == [
        "lost",
        "pointers_expire",
        "disabled",
        "outage",
        "replay_failed",
        "expired",
        "quarantined",
        "seed_failed",
        "unknown",
        "load_running",
        "deferred",
    ]


def outage_of(**changed: Any) -> bool:
    return judge(snapshot(**changed), COMMANDS)[0].code == "outage"


@pytest.mark.parametrize("seconds", [1, 180, 3_000])
def test_an_outage_lasts_until_a_batch_is_committed(seconds: int) -> None:
    """An attempt may hang for minutes, so that the last one that has ended is old."""
    assert outage_of(flow=failing(3_100, held=before(seconds=seconds)))


@pytest.mark.parametrize(("seconds", "lasts"), [(179, True), (180, False)])
def test_a_failure_in_a_commits_minute_lasts_three_minutes(seconds: int, lasts: bool) -> None:
    """CloudWatch does not say which of them was the later one. Another attempt follows within a minute."""
    assert outage_of(flow=flow(held=before(seconds=seconds), applied=before(seconds=seconds))) is lasts


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"errors": before(seconds=2)}, "consumer_fails"), ({"throttled": before(seconds=2)}, "throttled")],
)
def test_a_replay_that_mysql_answered_ends_other_failures(changed: dict[str, Any], code: str) -> None:
    """The batch that failed has left the stream. A failure after the replay counts again."""
    old = EndedJob("SUCCEEDED", before(seconds=3), "complete")
    failed = flow(applied=None, **changed)
    assert judge(snapshot(flow=failed, replay=Job(ended=COMPLETE)), COMMANDS)[0].code == "idle"
    assert judge(snapshot(flow=failed, replay=Job(ended=old)), COMMANDS)[0].code == code


def test_an_old_failure_lasts_where_nothing_was_ever_committed() -> None:
    assert outage_of(flow=failing(900, held=before(minutes=10), applied=None), failed=Counted(1))


def test_held_comes_before_stopped() -> None:
    """The database's return comes first."""
    assert outage_of(flow=failing(60, stopped=before(seconds=2)))


@pytest.mark.parametrize(
    ("replay", "lasts"),
    [
        (Job(RunningJob(before(seconds=1), "Hydrate")), True),
        (Job(RunningJob(before(seconds=1), "Collect", database_answered=True)), False),
        (Job(RunningJob(before(seconds=3), "Collect", database_answered=True)), True),
        (Job(ended=EndedJob("SUCCEEDED", before(seconds=1), "planned")), False),
        (Job(ended=EndedJob("SUCCEEDED", before(seconds=1), "already_running")), True),
        (Job(ended=EndedJob("FAILED", before(seconds=1), "incomplete")), True),
    ],
)
def test_only_a_replay_that_mysql_answered_ends_an_outage(replay: Job, lasts: bool) -> None:
    """The last attempt of the consumer was two seconds ago."""
    assert outage_of(flow=failing(60), replay=replay) is lasts


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({**QUEUE, "queue": 0, "flow": flow(iterator_age_seconds=59.0)}, None),
        ({**QUEUE, "queue": 0, "flow": flow(iterator_age_seconds=60.0)}, 86_340.0),
        ({**QUEUE, "queue": 0, "flow": flow(held=before(minutes=9), failing_since=before(minutes=9))}, None),
        ({**QUEUE, "queue": 0, "flow": flow(pointer_seconds_left=5.0)}, None),
        ({**QUEUE, "flow": flow(pointer_seconds_left=5.0)}, 5.0),
        ({**QUEUE, "flow": failing(60, pointer_seconds_left=90_000.0)}, 86_340.0),
        ({**QUEUE, "flow": failing(90_000, pointer_seconds_left=-5.0)}, 0.0),
        ({"flow": failing(60), "event_source": EventSource("Enabled", "", 86_399)}, None),
        ({"flow": failing(60, loss_seconds_left=5.0), "event_source": EventSource("Enabled", "", 86_399)}, None),
        ({**QUEUE, "queue": 0, "flow": failing(60, loss_seconds_left=5.0)}, 5.0),
        ({**QUEUE, "queue": 0, "flow": flow(loss_seconds_left=5.0)}, None),
        ({"flow": failing(60), "event_source": EventSource("Enabled", "", 86_400)}, 86_340.0),
        ({"flow": failing(60), "event_source": EventSource("Disabled", "", 60)}, 86_340.0),
        ({"flow": Unknown("no answer"), "queue": Unknown("no answer")}, None),
    ],
)
def test_a_change_is_lost_after_a_day_in_the_stream(changed: dict[str, Any], left: float | None) -> None:
    """A pointer is worth as much as its records. A batch in the bucket is never lost, if it gets there in time."""
    assert seconds_until_loss(snapshot(**changed)) == left


@pytest.mark.parametrize(("seconds", "left"), [(60, 21_540.0), (30_000, 0.0)])
def test_a_batch_leaves_the_stream_at_the_record_age(seconds: float, left: float) -> None:
    assert seconds_until_batches_leave(snapshot(flow=failing(seconds))) == left


def test_the_lag_is_that_of_the_last_commits() -> None:
    old, new = bins(1, lag=9.0)[0], bins(1, lag=0.2)[0]
    (verdict,) = judge(snapshot(flow=flow(bins=(old, new, Bin(NOW)))), COMMANDS)
    assert ", 0.2 s after it was made." in verdict.headline


LOAD_FAILED = EndedJob("FAILED", before(hours=1), "incomplete", "Incomplete")


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({**QUEUE, "queue": 0, "flow": flow(pointer_seconds_left=60.0)}, ["keeping_up"]),
        ({"flow": flow(errors=before(seconds=4), stopped=before(seconds=4))}, ["keeping_up"]),
        ({"flow": flow(errors=before(seconds=4), held=before(seconds=4))}, ["keeping_up"]),
        ({"flow": flow(throttled=before(seconds=4))}, ["keeping_up"]),
        ({"flow": flow(loss_seconds_left=21_600.0)}, ["keeping_up"]),
        ({"flow": failing(60, loss_seconds_left=60.0), "event_source": EventSource("Enabled")}, ["outage"]),
        ({"event_source": EventSource("Disabled"), "flow": flow(loss_seconds_left=60.0)}, ["disabled"]),
        (
            {**QUEUE, "flow": flow(pointer_seconds_left=60.0, loss_seconds_left=60.0)},
            ["pointers_expire", "failed_batches"],
        ),
        ({"event_source": CANNOT_CALL, "flow": flow(applied=before(seconds=299))}, ["keeping_up"]),
        ({"event_source": CANNOT_CALL, "flow": flow(applied=None, loss_seconds_left=0.0)}, ["not_called"]),
        (
            {"event_source": CANNOT_CALL, "flow": flow(applied=before(minutes=9), loss_seconds_left=0.0)},
            ["loss_near", "not_called"],
        ),
        (
            {
                "event_source": CANNOT_CALL,
                "flow": flow(applied=None, errors=before(minutes=9), loss_seconds_left=0.0),
            },
            ["loss_near", "consumer_fails"],
        ),
        ({"event_source": CANNOT_CALL, "flow": failing(900)}, ["outage"]),
        ({"event_source": CANNOT_CALL, "flow": flow(applied=None, errors=before(minutes=9))}, ["consumer_fails"]),
        ({"event_source": CANNOT_CALL, "flow": flow(applied=None, throttled=before(minutes=9))}, ["throttled"]),
        (
            {
                "event_source": CANNOT_CALL,
                "flow": flow(applied=None, held=before(minutes=9)),
                "replay": Job(ended=COMPLETE),
            },
            ["idle"],
        ),
        ({"event_source": EventSource("Disabled", CANNOT_CALL.last_result), "flow": flow(applied=None)}, ["disabled"]),
        ({"flow": failing(60, errors=before(seconds=1)), "failed": Counted(3)}, ["outage"]),
        ({"flow": failing(9, iterator_age_seconds=99.0)}, ["outage"]),
        ({"event_source": EventSource("Disabled"), "flow": flow(iterator_age_seconds=99.0)}, ["disabled"]),
        ({"flow": flow(iterator_age_seconds=60.0)}, ["catching_up"]),
        ({"flow": flow(iterator_age_seconds=21_600.0), "event_source": EventSource("Enabled")}, ["catching_up"]),
        ({"flow": flow(iterator_age_seconds=59.9)}, ["keeping_up"]),
        ({"replay": Job(RunningJob(NOW, "Check", "since 20:44:00 UTC")), "failed": Counted(3)}, ["outage"]),
        ({"replay": Job(DRAINS, DOWN), "failed": Counted(3)}, ["replay_running"]),
        ({"verify": Job(RunningJob(NOW), EndedJob("SUCCEEDED", NOW, counts={"drift": 1}))}, ["verify_running"]),
        ({"verify": Job(ended=EndedJob("ABORTED", NOW, counts={"drift": 1}))}, ["keeping_up"]),
        ({"load": Job(RunningJob(NOW), LOAD_FAILED)}, ["load_running"]),
        ({"load": Job(ended=LOAD_FAILED), "replay": Job(ended=DOWN)}, ["load_failed"]),
        ({"deferred": Counted(1), "replay": Job(DRAINS)}, ["replay_running", "deferred"]),
        ({"deferred": Counted(1)}, ["keeping_up", "deferred"]),
    ],
)
def test_nothing_is_said_twice_or_of_what_is_over(changed: dict[str, Any], codes: list[str]) -> None:
    """An outage names its batches, a running job replaces the one that failed."""
    assert [one.code for one in judge(snapshot(**changed), COMMANDS)] == codes


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, ExitCode.DONE),
        ({"deferred": Counted(1)}, ExitCode.DONE),
        ({"replay": Job(DRAINS)}, ExitCode.DONE),
        ({"flow": Unknown("no answer")}, ExitCode.FAILED),
        ({"flow": Unknown("no answer"), "failed": Counted(1)}, ExitCode.NEEDS_ATTENTION),
        ({"flow": failing(60)}, ExitCode.NEEDS_ATTENTION),
        ({"flow": flow(undelivered=1)}, ExitCode.NEEDS_ATTENTION),
    ],
)
def test_the_exit_code_is_that_of_the_verdict(changed: dict[str, Any], code: ExitCode) -> None:
    """What waits for a person comes before what is unknown."""
    assert judge(snapshot(**changed), COMMANDS)[0].level.exit_code == code


SOURCES = ["event_source", "flow", "failed", "queue", "quarantined", "deferred", "expired", "verified"]


@pytest.mark.parametrize("source", [*SOURCES, "replay", "load", "verify", "seed"])
def test_no_deployment_with_a_silent_source_is_healthy(source: str) -> None:
    (verdict,) = judge(snapshot(**{source: Unknown("EndpointConnectionError")}), COMMANDS)
    assert (verdict.code, verdict.level) == ("unknown", Level.UNKNOWN)
    assert [text for _, text in verdict.details] == ["EndpointConnectionError"]


def test_some_silent_sources_are_named() -> None:
    silent = Unknown("no answer")
    (verdict,) = judge(snapshot(**dict.fromkeys(["flow", "queue", "expired", "load"], silent)), COMMANDS)
    assert verdict.headline == (
        "Unknown: the consumer's measures, the queue, the expired ranges, the load executions."
        " Nobody can tell whether all is well."
    )


def test_silence_of_aws_is_one_sentence() -> None:
    silent = Unknown("Unable to locate credentials")
    jobs = dict.fromkeys(HEALTHY.jobs, silent)
    (verdict,) = judge(snapshot(**dict.fromkeys(SOURCES, silent), **jobs), COMMANDS)
    assert verdict.headline == "AWS did not answer. Nobody can tell whether all is well."


def test_an_outage_tells_its_cause_and_what_comes_next() -> None:
    finding = judge(snapshot(flow=failing(1_200)), COMMANDS)[0]
    assert [label for label, _ in finding.details] == ["cause", "failing", "last attempt", "later"]
    told = dict(finding.details)
    assert told["cause"] == "applying 3 changes: MySQL error 2003: the database is down"
    assert told["failing"].startswith("for 20 min, since ")
    assert told["later"] == "in 5 h 40 min the first batch leaves the stream, and needs a replay"
    assert finding.next == "Bring MySQL back. The stream then continues by itself."


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (3_600.0, "1 h until the first change is lost"),
        (0.0, "the first changes are lost"),
        (21_600.0, None),
        (None, None),
    ],
)
def test_an_old_result_of_lambda_is_no_loss(seconds: float | None, told: str | None) -> None:
    """After an outage that was replayed, it stays on a quiet table. The time that is left is told as the worst case."""
    uncalled = snapshot(event_source=CANNOT_CALL, flow=flow(applied=None, loss_seconds_left=seconds))
    (finding,) = judge(uncalled, COMMANDS)
    assert (finding.code, finding.level) == ("not_called", Level.ACT)
    assert dict(finding.details).get("at worst") == told


def test_a_loss_says_what_ends_its_verdict() -> None:
    """A verification of a window proves no time, so the verdict outlasts the repair of the window."""
    finding = judge(snapshot(flow=flow(undelivered=1, lost_at=before(minutes=2))), COMMANDS)[0]
    assert finding.next.endswith(
        "Then repair the time of the loss. A verification of the whole table that proves a later time ends this."
    )
    assert finding.command == "backstream verify --env prod"


def test_batches_that_have_left_are_not_announced() -> None:
    finding = judge(snapshot(flow=failing(21_600)), COMMANDS)[0]
    assert [label for label, _ in finding.details] == ["cause", "failing", "last attempt"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"failed": Counted(1)},
            (
                "Bring MySQL back. The stream then continues by itself. Then run `backstream replay --env prod` for the"
                " failed batches."
            ),
        ),
        (
            {"failed": Counted(1), "replay": Job(RunningJob(before(minutes=1), "Check", "since 20:44"))},
            "Bring MySQL back. The stream and the running replay then continue by themselves.",
        ),
        (
            {"flow": failing(60, held=None, stopped=before(seconds=2))},
            "Correct what the cause names. The stream then continues by itself.",
        ),
    ],
)
def test_what_to_do_in_an_outage_depends_on_what_waits(changed: dict[str, Any], text: str) -> None:
    assert judge(snapshot(**{"flow": failing(60), **changed}), COMMANDS)[0].next == text


def test_the_local_stack_has_make_targets() -> None:
    """They need no installed command and no option."""
    local = Commands(local=True)
    commands = [
        judge(snapshot(**changed), local)[0].command
        for changed in (
            {"flow": failing(60)},
            {"failed": Counted(1)},
            {"quarantined": Counted(1)},
            {"expired": Counted(1)},
            {"flow": failing(60, held=None, stopped=before(seconds=2))},
        )
    ]
    assert commands == ["make db-start", "make replay", "make replay ARGS=list", "backstream verify --repair", ""]


def test_every_finding_leads_to_a_section_of_the_runbook() -> None:
    """What waits for a person has one."""
    findings = [judge(snapshot(**changed), COMMANDS)[0] for changed, *_ in CASES.values()]
    runbook = heading_anchors((ROOT / "docs" / "runbook.md").read_text(encoding="utf-8"))
    assert {one.section for one in findings if one.section} <= runbook
    assert [one.code for one in findings if one.level <= Level.ACT and not one.section] == []
