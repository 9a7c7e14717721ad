"""What the monitor measures in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from common.bucket import Bucket
from common.layout import DEFERRED, FAILED, QUARANTINE, VERIFIED
from common.verified import verified_through
from monitor.backlog import failed_batches, waiting
from monitor.loss import hours_until_loss, pointer_left
from monitor.pointers import Pointers, Queue
from monitor.replays import Replays
from monitor.stream import UnreadChanges, is_on

T = TypeVar("T")


@dataclass
class Measured:
    """Values by the name of their metric. `failed` has the error of each source that did not answer.

    `partial` names what was counted or seen in part, because there is too much of it.
    """

    values: dict[str, float] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)
    partial: list[str] = field(default_factory=list)

    def ask(self, source: str, work: Callable[[], T]) -> T | None:
        """None where the source does not answer. The other sources are asked all the same."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the call raises it after all that is known was emitted
            self.failed[source] = error
            return None

    def add(self, metric: str, value: float, *, is_partial: bool = False) -> None:
        self.values[metric] = value
        self.partial += [metric] if is_partial else []


class SourcesError(Exception):
    """Sources did not answer, so their metrics are missing. Names each with its error."""

    def __init__(self, failed: Mapping[str, Exception]) -> None:
        reasons = "; ".join(f"{source}: {type(error).__name__}: {error}" for source, error in failed.items())
        super().__init__(
            f"the monitor could not read {reasons}. The metrics made of it are missing; what else is known was emitted."
            " See whether the role may read it, and whether the service answers"
        )


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """What a call asks.

    `queue` is None where failed batches go to the bucket. `describe` gives the event source mapping, with the state
    `Deleted` where it is gone. `mapping` is the digest of the mapping; `verifies` says that a schedule verifies. `beat`
    puts the heartbeat with a time in epoch seconds, None without one.
    """

    bucket: Bucket
    queue: Queue | None
    describe: Callable[[], Mapping[str, Any]]
    unread: UnreadChanges
    replays: Replays
    mapping: str
    verifies: bool
    beat: Callable[[float], object] | None
    now: Callable[[], datetime]

    def measure(self) -> Measured:
        """Ask every source. One that does not answer is named in `failed`, and has no value: no value is a guess."""
        made, now = Measured(), self.now()
        if self.beat:
            made.ask("the heartbeat", partial(self.beat, now.timestamp()))
        pointers = made.ask("the failures queue", self.queue.look) if self.queue else Pointers()
        self._measure_batches(made, pointers, now)
        self._measure_stream(made, pointers, now)
        self._measure_parked(made, now)
        has_failed = made.ask("the replays", self.replays.has_failed)
        if has_failed is not None:
            made.add("replay_failed", int(has_failed))
        self._measure_proof(made, now)
        return made

    def _measure_batches(self, made: Measured, pointers: Pointers | None, now: datetime) -> None:
        batches = made.ask(FAILED, partial(failed_batches, self.bucket))
        if batches and pointers:
            oldest = min(filter(None, (batches.oldest, pointers.failed)), default=None)
            made.add("batches_waiting", batches.number + pointers.number, is_partial=batches.more)
            made.add("oldest_batch_seconds", _age(oldest, now), is_partial=batches.more)

    def _measure_parked(self, made: Measured, now: datetime) -> None:
        if quarantined := made.ask(QUARANTINE, partial(waiting, self.bucket, QUARANTINE)):
            made.add("quarantined_waiting", quarantined.number, is_partial=quarantined.more)
        if deferred := made.ask(DEFERRED, partial(waiting, self.bucket, DEFERRED)):
            made.add("deferred_waiting", deferred.number, is_partial=deferred.more)
            made.add("oldest_deferred_seconds", _age(deferred.oldest, now), is_partial=deferred.more)

    def _measure_stream(self, made: Measured, pointers: Pointers | None, now: datetime) -> None:
        left = None
        if pointers and pointers.arrived:
            left = pointer_left(pointers.arrived, now)
            made.add("pointer_seconds_left", left.total_seconds(), is_partial=pointers.unseen)
        mapping = made.ask("the event source mapping", self.describe)
        if mapping is None:
            return
        made.add("mapping_enabled", int(is_on(mapping)))
        unread = made.ask("the consumer's metrics", partial(self.unread.age, mapping, now))
        # Pointers of which none was seen may be about to expire: 24 hours would be a guess.
        if unread is not None and pointers and (pointers.arrived or not pointers.unseen):
            made.add("hours_until_loss", hours_until_loss(unread, left), is_partial=pointers.unseen)

    def _measure_proof(self, made: Measured, now: datetime) -> None:
        """Without a proof, a schedule that verifies has proven nothing since the stream was enabled."""
        through = made.ask(VERIFIED, partial(verified_through, self.bucket, self.mapping))
        since = through or (self.unread.created if self.verifies and VERIFIED not in made.failed else None)
        if since:
            made.add("unverified_seconds", (now - since).total_seconds())


def _age(oldest: datetime | None, now: datetime) -> float:
    """In seconds; 0 where nothing waits. S3 and SQS have clocks of their own, which may be ahead."""
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
