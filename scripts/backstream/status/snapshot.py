"""What is known of a deployment at one moment. A source that did not answer is Unknown, never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
STREAM_RETENTION = timedelta(hours=24)
# The jobs that a deployment may have, and what one execution is called.
JOBS = {"replay": "replay", "load": "load", "verify": "verification", "seed": "seed", "prune": "prune"}


@dataclass(frozen=True)
class Unknown:
    """A source that did not answer, and why."""

    reason: str


@dataclass(frozen=True)
class EventSource:
    """The event source mapping. `record_age_seconds` is None where records stay until the stream forgets them."""

    state: str
    last_result: str = ""
    record_age_seconds: int | None = None

    @property
    def enabled(self) -> bool:
        """A change of the mapping, such as `Updating`, ends by itself."""
        return self.state not in ("Disabled", "Disabling", "Deleting", "missing")


@dataclass(frozen=True)
class Counted:
    """Objects under a prefix. With `more`, there are more than `count`, and `oldest` is that of the counted ones."""

    count: int
    more: bool = False
    oldest: datetime | None = None


@dataclass(frozen=True)
class RunningJob:
    """`waiting` says since when and why a replay waits for the database; empty where it does not.

    `database_answered` where it has asked the database and goes on.
    """

    started: datetime
    progress: str = ""
    waiting: str = ""
    database_answered: bool = False


@dataclass(frozen=True)
class EndedJob:
    """`outcome` and `counts` are those of its report.

    `part` is the slice or the window that a verification compared; empty for the whole table.
    """

    status: str
    ended: datetime
    outcome: str = ""
    error: str = ""
    cause: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    part: str = ""

    @property
    def failed(self) -> bool:
        """Not where a person stopped it, or where the job refused to begin."""
        return self.status in ("FAILED", "TIMED_OUT") and self.error not in ("WrongInput", "NotReady")


@dataclass(frozen=True)
class Job:
    """The newest executions of a state machine.

    `earlier` are verifications of parts, the newest first, that no later one has compared again.
    """

    running: RunningJob | None = None
    ended: EndedJob | None = None
    earlier: tuple[EndedJob, ...] = ()


@dataclass(frozen=True)
class Bin:
    """A short time of the consumer: records of the batches that were committed, and their lag in seconds."""

    start: datetime
    received: float = 0.0
    lag_p50: float | None = None
    lag_p99: float | None = None
    lag_max: float | None = None


@dataclass(frozen=True)
class Flow:
    """What the consumer measured of itself in the last bins, oldest first.

    `applied`, `held`, `stopped`, `errors` and `throttled` are the times of the last batch that was committed, of the
    last ones that were not, of the last error of the function, and of the last call that Lambda refused; None where
    there is none in the bins. `failing_since` is the first failure after the last commit, as far as the bins go back.
    `reason` is that of the last failure. `causes` are the times of the last errors of each class, by metric.
    `loss_seconds_left` is what the monitor's `hours_until_loss` leaves. `undelivered` counts the batches that
    Lambda could not store, and `dropped` the changes that it dropped, in the last 15 days. `lost_at` is the end of the
    five minutes of the last of them.
    """

    step_seconds: int
    bins: tuple[Bin, ...] = ()
    totals: Mapping[str, float] = field(default_factory=dict)
    applied: datetime | None = None
    held: datetime | None = None
    stopped: datetime | None = None
    errors: datetime | None = None
    throttled: datetime | None = None
    failing_since: datetime | None = None
    reason: str = ""
    causes: Mapping[str, datetime] = field(default_factory=dict)
    iterator_age_seconds: float | None = None
    pointer_seconds_left: float | None = None
    loss_seconds_left: float | None = None
    undelivered: int = 0
    dropped: int = 0
    lost_at: datetime | None = None


@dataclass(frozen=True)
class Snapshot:
    """`queue` counts the pointers in the queue; None where failed batches go to the bucket.

    `verified` is when the whole table was last found equal. `jobs` are by the names in JOBS.
    """

    now: datetime
    event_source: EventSource | Unknown
    flow: Flow | Unknown
    failed: Counted | Unknown
    queue: int | Unknown | None
    quarantined: Counted | Unknown
    deferred: Counted | Unknown
    expired: Counted | Unknown
    jobs: Mapping[str, Job | Unknown]
    verified: datetime | Unknown | None

    @property
    def unknown(self) -> dict[str, Unknown]:
        """The sources that did not answer, by what they would tell."""
        sources = {
            "the event source mapping": self.event_source,
            "the consumer's measures": self.flow,
            "the failed batches": self.failed,
            "the queue": self.queue,
            "the quarantined records": self.quarantined,
            "the deferred records": self.deferred,
            "the expired ranges": self.expired,
            **{f"the {name} executions": job for name, job in self.jobs.items()},
            "the verified times": self.verified,
        }
        return {name: source for name, source in sources.items() if isinstance(source, Unknown)}

    @property
    def replay(self) -> Job:
        """One that is not known counts as none: `unknown` names it."""
        return known(self.jobs.get("replay"), Job())


def known(source: T | Unknown | None, otherwise: T) -> T:
    return otherwise if source is None or isinstance(source, Unknown) else source
