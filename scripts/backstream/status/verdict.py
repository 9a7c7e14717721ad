"""Decides from a snapshot what is wrong and what to do about it. Pure: it asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeGuard

from backstream.status.backlog import waiting
from backstream.status.failure import failure_of, lasts
from backstream.status.finding import Commands, Finding, Level
from backstream.status.outage import outage
from backstream.status.risk import BEHIND_SECONDS, seconds_until_loss
from backstream.status.snapshot import JOBS, Counted, EndedJob, EventSource, Flow, Job, Snapshot, Unknown, known
from backstream.status.words import ago, counted, duration

# A replay has to read the pointers before the stream forgets their records.
POINTERS_AT_RISK = timedelta(hours=6)
LOSS_NEAR = timedelta(hours=6)  # as the alarm on `hours_until_loss`
# A metric of a call is a minute or two late.
_COUNTED_WITHIN = timedelta(minutes=5)
# A replay after this time moves a record that still does not fit to quarantine.
DEFERRED_TOO_LONG = timedelta(days=1)
# A share of the record age. Without one, of the stream's retention.
_BEHIND = 4
# More sources that do not answer are not named one by one.
_MOST_NAMED = 4
# The counts of a verification's report that a person has to see to, and what they count.
_DIFFERENT = {
    "drift": "keys that differ",
    "pending": "keys with changes that wait elsewhere",
    "refused": "rows that MySQL refuses",
    "item_refused": "items that become no row",
    "unsettled": "keys that changed at each reading",
    "cut_keys": "keys that are too long",
}


def judge(snapshot: Snapshot, commands: Commands) -> list[Finding]:
    """What there is to say, worst first; of one level, what to do first. The first one is the verdict."""
    found = [finding for rule in _RULES for finding in rule(snapshot, commands)]
    if not any(finding.level < Level.GOOD for finding in found):
        found.append(_good(snapshot))
    return sorted(found, key=lambda finding: finding.level)


def _undelivered(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    flow = known(snapshot.flow, Flow(0))
    verified = known(snapshot.verified, None)
    if not (flow.undelivered or flow.dropped) or (verified and flow.lost_at and verified > flow.lost_at):
        return
    counts = (
        f"could not deliver {counted(flow.undelivered, 'failed batch', 'failed batches')}" if flow.undelivered else "",
        f"dropped {counted(flow.dropped, 'change')}" if flow.dropped else "",
    )
    when = f", the last one {ago(flow.lost_at, snapshot.now)}" if flow.lost_at else ""
    yield Finding(
        "lost",
        Level.LOST,
        f"Changes did not reach MySQL and are not stored: Lambda {' and '.join(filter(None, counts))}{when}.",
        "Correct the policy of the bucket or the queue, or the consumer's role. Then repair the time of the loss."
        " A verification of the whole table that proves a later time ends this.",
        commands.run("verify"),
        "a-batch-that-lambda-could-not-deliver",
    )


def _pointer_seconds(snapshot: Snapshot) -> float | None:
    """What is left of the oldest pointer in the queue, where that is too little."""
    left = known(snapshot.flow, Flow(0)).pointer_seconds_left
    at_risk = known(snapshot.queue, 0) and left is not None and left < POINTERS_AT_RISK.total_seconds()
    return left if at_risk else None


def _pointers(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    left = _pointer_seconds(snapshot)
    if left is None:
        return
    text = f"{duration(left)} until the oldest pointer in the queue expires" if left > 0 else "A pointer has expired"
    yield Finding(
        "pointers_expire",
        Level.ACT,
        f"{text}: its changes leave the stream after 24 hours. Run `{commands.replay()}` now.",
        "Replay now, also while MySQL is down: the first step saves the records.",
        commands.replay(),
        "a-pointer-that-expires",
    )


def _disabled(snapshot: Snapshot, _: Commands) -> Iterator[Finding]:
    source = snapshot.event_source
    if not isinstance(source, EventSource) or source.enabled:
        return
    left = seconds_until_loss(snapshot)
    lost = left is not None and left <= 0
    yield Finding(
        "disabled",
        Level.LOST if lost else Level.ACT,
        f"The consumer is switched off: changes wait in the stream, in order. {_remains(left)}",
        "Enable the event source mapping, unless a person has switched it off for a reason."
        if source.state != "missing"
        else "The event source mapping does not exist: apply the Terraform configuration.",
        section="a-disabled-mapping",
        details=(("state", source.state),),
    )


def _remains(left: float | None) -> str:
    if left is None:
        return "It keeps each for 24 hours."
    return f"{duration(left)} until the first change is lost." if left > 0 else "The first changes may be lost."


def _failing(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    failure = failure_of(snapshot)
    if failure:
        yield outage(snapshot, failure, commands)


def _loss_near(snapshot: Snapshot, _: Commands) -> Iterator[Finding]:
    """What the monitor sees and no failure explains, such as one shard of several whose calls fail.

    An outage, a disabled mapping, a pointer at risk and a result that may be old say themselves how much time is left.
    """
    left = _seconds_until_near_loss(snapshot)
    is_off = not known(snapshot.event_source, EventSource("Enabled")).enabled
    if left is None or is_off or failure_of(snapshot):
        return
    if _pointer_seconds(snapshot) is not None or _result_may_be_old(snapshot):
        return
    lost = left <= 0
    yield Finding(
        "loss_near",
        Level.LOST if lost else Level.ACT,
        "Changes may be lost: by what the monitor can tell, some have waited in the stream for 24 hours."
        if lost
        else f"{duration(left)} until the first change is lost, by what the monitor can tell.",
        "Find out what waits: look for calls of the consumer that fail, and for pointers in the queue.",
        section="the-time-that-is-left",
    )


def _seconds_until_near_loss(snapshot: Snapshot) -> float | None:
    """By what the monitor can tell; None where no loss is near."""
    left = known(snapshot.flow, Flow(0)).loss_seconds_left
    return None if left is None or left >= LOSS_NEAR.total_seconds() else left


def _result_may_be_old(snapshot: Snapshot) -> bool:
    """Whether Lambda's last result is a problem, and the consumer has counted nothing since the bins begin.

    The result of an outage stays on a quiet table after a replay, and the monitor takes the stream for unread.
    """
    flow = known(snapshot.flow, Flow(0))
    was_called = any((flow.applied, flow.held, flow.stopped, flow.errors, flow.throttled))
    return _reports_problem(snapshot.event_source) and not was_called


def _reports_problem(source: EventSource | Unknown) -> TypeGuard[EventSource]:
    return isinstance(source, EventSource) and source.enabled and source.last_result.startswith("PROBLEM")


def _silent_errors(snapshot: Snapshot, _: Commands) -> Iterator[Finding]:
    """The function raises before it can count why: it does not start, or it is killed."""
    flow = snapshot.flow
    if not isinstance(flow, Flow) or not flow.errors or failure_of(snapshot):
        return
    if lasts(snapshot, flow, flow.errors):
        yield Finding(
            "consumer_fails",
            Level.ACT,
            "The consumer fails and gives no reason: changes wait in the stream, in order.",
            "Read the last lines of its log.",
            section="a-stop",
            details=(("last error", ago(flow.errors, snapshot.now)),),
        )


def _throttled(snapshot: Snapshot, _: Commands) -> Iterator[Finding]:
    """Throttling of some calls is usual. It is a failure while no call goes through."""
    flow = snapshot.flow
    if not isinstance(flow, Flow) or not flow.throttled or flow.throttled == flow.applied:
        return
    if lasts(snapshot, flow, flow.throttled):
        yield Finding(
            "throttled",
            Level.ACT,
            "Lambda refuses to run the consumer: changes wait in the stream, in order.",
            "Raise the concurrency that is reserved for the consumer, or the limit of the account.",
            section="throttling",
            details=(("last refusal", ago(flow.throttled, snapshot.now)),),
        )


def _not_called(snapshot: Snapshot, _: Commands) -> Iterator[Finding]:
    """Lambda cannot read the stream or call the consumer, so the consumer counts nothing.

    The last result says nothing of its time, and stays until the next call. An error or a refused call that was
    counted after the last commit explains it, and has rules of its own.
    """
    source, flow = snapshot.event_source, known(snapshot.flow, Flow(0))
    if not _reports_problem(source):
        return
    counted_last = max(filter(None, (flow.held, flow.stopped, flow.errors, flow.throttled)), default=None)
    explained = counted_last is not None and (flow.applied is None or counted_last >= flow.applied)
    committed_now = flow.applied is not None and snapshot.now - flow.applied < _COUNTED_WITHIN
    if explained or committed_now or failure_of(snapshot):
        return
    yield Finding(
        "not_called",
        Level.ACT,
        "Lambda reports a problem, and no call of the consumer that explains it: changes may wait in the stream.",
        "Check that Lambda can read the stream and call the consumer: its role, the KMS key, the function."
        " After an outage that is over, the result stays until the next change.",
        section="lambda-cannot-call-the-consumer",
        details=(("last result", source.last_result), *_at_worst(snapshot)),
    )


def _at_worst(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    left = _seconds_until_near_loss(snapshot)
    if left is not None and _result_may_be_old(snapshot):
        yield (
            "at worst",
            f"{duration(left)} until the first change is lost" if left > 0 else "the first changes are lost",
        )


def _replay_failed(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    ended = snapshot.replay.ended
    if ended and ended.failed and not snapshot.replay.running and waiting(snapshot).count:
        yield Finding(
            "replay_failed",
            Level.ACT,
            f"The last replay failed, and {_waiting_batches(snapshot)}.",
            "Correct its cause, then replay again. Nothing is lost.",
            commands.replay(),
            "how-a-replay-ends",
            details=_how_it_ended(ended, snapshot),
        )


def _how_it_ended(ended: EndedJob, snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    cause = ": ".join(filter(None, (ended.error, ended.cause))) or ended.status
    return ("cause", cause), ("ended", ago(ended.ended, snapshot.now))


def _expired(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    expired = known(snapshot.expired, Counted(0))
    if expired.count and not known(snapshot.jobs.get("verify"), Job()).running:
        text = counted(expired.count, "range", more=expired.more)
        yield Finding(
            "expired",
            Level.ACT,
            f"The stream has forgotten {text} of changes before a replay read them. Verify and repair MySQL.",
            "A verification with repair brings MySQL to the table's state.",
            commands.run("verify", "--repair"),
            "expired-ranges",
        )


def _batches(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    """A failed replay and an outage name these batches themselves."""
    ended, running = snapshot.replay.ended, snapshot.replay.running
    if not waiting(snapshot).count or running or (ended and ended.failed) or failure_of(snapshot):
        return
    wait = waiting(snapshot)
    yield Finding(
        "failed_batches",
        Level.ACT,
        f"{_waiting_batches(snapshot).capitalize()}: run `{commands.replay()}`.",
        "Replay them. Newer changes stay as they are: older ones are not written over them.",
        commands.replay(),
        "replay",
        details=(("oldest", ago(wait.oldest, snapshot.now)),) if wait.oldest else (),
    )


def _waiting_batches(snapshot: Snapshot) -> str:
    wait = waiting(snapshot)
    text = counted(wait.count, "failed batch", "failed batches", more=wait.more)
    return f"{text} {'waits' if wait.count == 1 and not wait.more else 'wait'}"


def _quarantined(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    quarantined = known(snapshot.quarantined, Counted(0))
    if quarantined.count:
        one = quarantined.count == 1 and not quarantined.more
        text = counted(quarantined.count, "record", more=quarantined.more)
        yield Finding(
            "quarantined",
            Level.ACT,
            f"MySQL refuses {text} as {'it is' if one else 'they are'}. All other changes go on.",
            "Read the reasons, correct the items, then retry or discard the records.",
            commands.replay("list"),
            "quarantine",
            details=(("oldest", ago(quarantined.oldest, snapshot.now)),) if quarantined.oldest else (),
        )


def _differences(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    job = known(snapshot.jobs.get("verify"), Job())
    ended = [one for one in (job.ended, *job.earlier) if one and one.status == "SUCCEEDED"]
    counts = {name: count for name in _DIFFERENT if (count := sum(one.counts.get(name, 0) for one in ended))}
    if counts and not job.running:
        found = ", ".join(f"{count:,} {_DIFFERENT[name]}" for name, count in counts.items())
        last = "verification" if len(ended) == 1 else f"{len(ended)} verifications of parts of the table"
        yield Finding(
            "differs",
            Level.ACT,
            f"The last {last} found that MySQL differs: {found}.",
            "Read its report, then repair.",
            commands.run("verify", "--repair"),
            "differences-between-the-sides",
            details=(("ended", ago(ended[0].ended, snapshot.now)),),
        )


def _failed_jobs(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    """Replays have rules of their own."""
    for name, noun in JOBS.items():
        job = known(snapshot.jobs.get(name), Job())
        if name != "replay" and job.ended and job.ended.failed and not job.running:
            yield Finding(
                f"{name}_failed",
                Level.ACT,
                f"The last {noun} failed.",
                "Correct its cause, then start it again: it goes on where it was.",
                commands.run(name),
                "a-load-verification-seed-or-prune-that-failed",
                details=_how_it_ended(job.ended, snapshot),
            )


def _behind(snapshot: Snapshot, _: Commands) -> Iterator[Finding]:
    flow = snapshot.flow
    age = flow.iterator_age_seconds if isinstance(flow, Flow) else None
    source = known(snapshot.event_source, EventSource("Enabled"))
    if age is None or age < BEHIND_SECONDS or failure_of(snapshot) or not source.enabled:
        return
    longest = source.record_age_seconds or 86_400
    late = age * _BEHIND > longest
    yield Finding(
        "behind" if late else "catching_up",
        Level.ACT if late else Level.WORKING,
        f"MySQL is {duration(age)} behind the table: " + ("the consumer is too slow." if late else "it catches up."),
        "Find out what slows it down: the database, or more changes than one batch at a time can take." if late else "",
        section="an-outage" if late else "",
    )


def _unknown(snapshot: Snapshot, _: Commands) -> Iterator[Finding]:
    unknown = snapshot.unknown
    if unknown:
        names = list(unknown)
        silent = "AWS did not answer" if len(unknown) > _MOST_NAMED else f"Unknown: {', '.join(names)}"
        yield Finding(
            "unknown",
            Level.UNKNOWN,
            f"{silent}. Nobody can tell whether all is well.",
            "Check the credentials, their rights, the Region and the network.",
            details=tuple((name, source.reason) for name, source in unknown.items()),
        )


def _running(snapshot: Snapshot, _: Commands) -> Iterator[Finding]:
    for name, noun in JOBS.items():
        running = known(snapshot.jobs.get(name), Job()).running
        if running and not running.waiting:
            progress = f": {running.progress}" if running.progress else ""
            yield Finding(
                f"{name}_running",
                Level.WORKING,
                f"A {noun} is under way{progress}.",
                details=(("started", ago(running.started, snapshot.now)),),
            )


def _deferred(snapshot: Snapshot, commands: Commands) -> Iterator[Finding]:
    """Only a replay tries these records again, and without `auto_replay` only a person starts one."""
    deferred = known(snapshot.deferred, Counted(0))
    if not deferred.count:
        return
    one = deferred.count == 1 and not deferred.more
    text = f"{counted(deferred.count, 'record', more=deferred.more)} {'waits' if one else 'wait'} for another row"
    too_long = deferred.oldest is not None and snapshot.now - deferred.oldest > DEFERRED_TOO_LONG
    if deferred.oldest and too_long and not snapshot.replay.running:
        since = " for more than a day" if one else ", one for more than a day"
        yield Finding(
            "deferred_long",
            Level.ACT,
            f"{text}{since}: run `{commands.replay()}`.",
            "Replay: it writes what fits now and moves the rest to quarantine."
            " An error that Backstream does not know keeps a record here: fix its cause first.",
            commands.replay(),
            "deferred",
            details=(("oldest", ago(deferred.oldest, snapshot.now)),),
        )
        return
    yield Finding(
        "deferred",
        Level.NOTE,
        f"{text}. Every replay tries again; after a day a record is quarantined.",
        section="deferred",
    )


def _good(snapshot: Snapshot) -> Finding:
    flow = known(snapshot.flow, Flow(0))
    waits = "Only deferred records wait." if known(snapshot.deferred, Counted(0)).count else "Nothing waits."
    if flow.applied is None:
        span = duration(flow.step_seconds * len(flow.bins))
        return Finding("idle", Level.GOOD, f"{waits} No change came in the last {span}.")
    lag = next((one.lag_p99 for one in reversed(flow.bins) if one.lag_p99 is not None), None)
    took = f", {duration(lag)} after it was made" if lag is not None else ""
    return Finding(
        "keeping_up",
        Level.GOOD,
        f"Keeping up: the last change reached MySQL {ago(flow.applied, snapshot.now)}{took}. {waits}",
    )


# Of one level, the first is the more urgent one.
_RULES: tuple[Callable[[Snapshot, Commands], Iterator[Finding]], ...] = (
    _undelivered,
    _pointers,
    _disabled,
    _failing,
    _loss_near,
    _silent_errors,
    _throttled,
    _not_called,
    _replay_failed,
    _expired,
    _batches,
    _behind,
    _quarantined,
    _differences,
    _failed_jobs,
    _unknown,
    _running,
    _deferred,
)
