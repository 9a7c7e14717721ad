"""Whether the consumer fails, and why: the database is seen through the consumer and through replays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from backstream.status.snapshot import Flow, Snapshot

# In the minute of a commit, nothing tells which of them came first. An attempt that fails is repeated within a minute,
# and a metric is a minute or two late.
_RECENT = timedelta(minutes=3)
# Outcomes of a replay whose check of the database succeeded.
_ASKED_MYSQL = ("complete", "planned")
_HELD = "MySQL does not take changes"
_STOPPED = "The consumer cannot work as it is configured"
# What the consumer counts beside `held` or `stopped`: what it says of MySQL.
_CAUSES = {
    "database_unreachable": "MySQL does not answer",
    "connection_lost": "MySQL loses connections or does not answer in time",
    "database_busy": "MySQL is overloaded",
    "rows_locked": "Another transaction of MySQL holds the rows",
    "database_read_only": "MySQL is read-only",
    "storage_full": "MySQL has no storage left",
    "login_refused": "MySQL refuses the login",
    "tls_refused": "MySQL and the consumer agree on no TLS connection",
}


@dataclass(frozen=True)
class Failure:
    """`at` is the last attempt. `stopped` where a person has to change the configuration."""

    at: datetime
    headline: str
    reason: str
    stopped: bool


def failure_of(snapshot: Snapshot) -> Failure | None:
    """The failure that lasts, of the consumer or of a replay that waits for MySQL."""
    flow, replay = snapshot.flow, snapshot.replay
    if isinstance(flow, Flow) and (found := _failure(flow)) and lasts(snapshot, flow, found.at):
        return found
    if replay.running and replay.running.waiting:
        return Failure(snapshot.now, "The replay waits for MySQL", replay.running.waiting, stopped=False)
    return None


def _failure(flow: Flow) -> Failure | None:
    at = max(filter(None, (flow.held, flow.stopped)), default=None)
    if at is None:
        return None
    stopped = at != flow.held
    known_causes = [(time, name) for name, time in flow.causes.items() if name in _CAUSES and time >= at]
    headline = _CAUSES[max(known_causes)[1]] if known_causes else _STOPPED if stopped else _HELD
    return Failure(at, headline, flow.reason, stopped)


def lasts(snapshot: Snapshot, flow: Flow, failed: datetime) -> bool:
    """Until the consumer commits a batch, or MySQL answers a replay.

    An attempt that hangs until it is killed takes up to 15 minutes, so the time since the last one proves nothing.
    """
    if _answered_a_replay(snapshot, failed):
        return False
    if flow.applied is None or failed > flow.applied:
        return True
    return failed == flow.applied and snapshot.now - failed < _RECENT


def _answered_a_replay(snapshot: Snapshot, since: datetime) -> bool:
    """Whether MySQL has answered a replay since the failure."""
    ended, running = snapshot.replay.ended, snapshot.replay.running
    if running and running.database_answered and running.started > since:
        return True
    return ended is not None and ended.outcome in _ASKED_MYSQL and ended.ended > since
