"""The consumer cannot write to MySQL: since when, what becomes of the changes, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from backstream.status.backlog import waiting
from backstream.status.failure import Failure
from backstream.status.finding import Commands, Finding, Level
from backstream.status.risk import seconds_until_batches_leave, seconds_until_loss
from backstream.status.snapshot import Flow, Snapshot, known
from backstream.status.words import ago, clock, counted, duration


def outage(snapshot: Snapshot, failure: Failure, commands: Commands) -> Finding:
    wait, left = waiting(snapshot), seconds_until_loss(snapshot)
    batches = counted(wait.count, "failed batch", "failed batches", more=wait.more)
    places = f"in the stream, in order, and in {batches}" if wait.count else "in the stream, in order"
    lost = left is not None and left <= 0
    nothing = "The first changes are lost." if lost else "Nothing is lost."
    remains = f" {duration(left)} until the first change is lost." if left is not None and not lost else ""
    return Finding(
        "stopped" if failure.stopped else "outage",
        Level.LOST if lost else Level.ACT,
        f"{failure.headline}: changes wait {places}. {nothing}{remains}",
        _next(snapshot, failure, commands),
        _command(commands, failure, failed=wait.count > 0),
        "a-stop" if failure.stopped else "an-outage",
        tuple(_details(snapshot, failure)),
    )


def _next(snapshot: Snapshot, failure: Failure, commands: Commands) -> str:
    first = "Correct what the cause names" if failure.stopped else "Bring MySQL back"
    if snapshot.replay.running:
        return f"{first}. The stream and the running replay then continue by themselves."
    if waiting(snapshot).count:
        return f"{first}. The stream then continues by itself. Then run `{commands.replay()}` for the failed batches."
    return f"{first}. The stream then continues by itself."


def _command(commands: Commands, failure: Failure, *, failed: bool) -> str:
    if commands.local and not failure.stopped:
        return "make db-start"
    return commands.replay() if failed else ""


def _details(snapshot: Snapshot, failure: Failure) -> Iterator[tuple[str, str]]:
    flow = known(snapshot.flow, Flow(0))
    if failure.reason:
        yield "cause", failure.reason
    if flow.failing_since:
        since = flow.failing_since
        lasted = duration(int((snapshot.now - since).total_seconds()))
        least = "at least " if flow.applied is None else ""
        yield "failing", f"for {least}{lasted}, since {clock(since, snapshot.now)}{' or earlier' if least else ''}"
    yield "last attempt", ago(failure.at, snapshot.now)
    leaves = seconds_until_batches_leave(snapshot)
    if leaves:
        yield "later", f"in {duration(leaves)} the first batch leaves the stream, and needs a replay"
