"""How long the first change can wait until it leaves the stream, and until it is lost."""

from __future__ import annotations

from backstream.status.failure import failure_of
from backstream.status.snapshot import STREAM_RETENTION, EventSource, Flow, Snapshot, known

# A batch may take as long as this without being late.
BEHIND_SECONDS = 60


def oldest_age(snapshot: Snapshot) -> float | None:
    """How many seconds ago the oldest change was made that waits in the stream, as far as it is known."""
    flow = known(snapshot.flow, Flow(0))
    since = flow.failing_since if failure_of(snapshot) else None
    behind = flow.iterator_age_seconds
    ages = [
        behind if behind is not None and behind >= BEHIND_SECONDS else None,
        max(0.0, (snapshot.now - since).total_seconds()) if since else None,
    ]
    return max((age for age in ages if age is not None), default=None)


def seconds_until_batches_leave(snapshot: Snapshot) -> float | None:
    """Until the first waiting batch leaves the stream for the failure destination; None where that is unknown."""
    source, age = snapshot.event_source, oldest_age(snapshot)
    if not isinstance(source, EventSource) or not source.record_age_seconds or age is None:
        return None
    return max(0.0, source.record_age_seconds - age)


def seconds_until_loss(snapshot: Snapshot) -> float | None:
    """None where nothing can be lost, or where nothing is known.

    The bucket keeps a failed batch whole, for ever. A pointer in the queue is worth as much as its records in the
    stream, which forgets them after 24 hours. So is a change that nothing takes out of the stream.
    """
    flow, source = known(snapshot.flow, Flow(0)), known(snapshot.event_source, EventSource("Enabled"))
    left = [flow.pointer_seconds_left] if known(snapshot.queue, 0) else []
    retention, record_age = STREAM_RETENTION.total_seconds(), source.record_age_seconds
    keeps_whole = snapshot.queue is None and source.enabled and record_age is not None and record_age < retention
    age = oldest_age(snapshot)
    if not keeps_whole and age is not None:
        left.append(retention - age)
    if not keeps_whole and (age is not None or not source.enabled):
        left.append(flow.loss_seconds_left)  # the measures of the consumer go back an hour, those of the monitor a day
    return min((max(0.0, one) for one in left if one is not None), default=None)
