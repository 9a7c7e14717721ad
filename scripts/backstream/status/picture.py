"""What terminal, page and JSON show alike: the verdict, groups of figures and two charts, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from backstream.status.failure import failure_of
from backstream.status.finding import Finding, Level
from backstream.status.risk import seconds_until_loss
from backstream.status.snapshot import JOBS, Bin, Counted, EndedJob, EventSource, Flow, Job, Snapshot, Unknown, known
from backstream.status.words import ago, counted, duration

_CALM, _WARN, _BAD, _DIM = "calm", "warn", "bad", "dim"
# Totals that are shown with the rate, and those that are a reason to look closer.
_WRITTEN = ("upserted", "deleted", "stale", "redelivered", "superseded")
_UNUSUAL = ("parked", "deferred", "unknown", "clock_tripped")


@dataclass(frozen=True)
class Row:
    """`tone` is calm, warn, bad or dim; it only repeats what `text` says."""

    label: str
    text: str
    tone: str = _CALM


@dataclass(frozen=True)
class Group:
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Chart:
    """A value for each step of time, oldest first; None where nothing was measured.

    From the step `failing` on, the consumer has failed; None where it works.
    """

    title: str
    unit: str
    summary: str
    start: datetime
    step_seconds: int
    values: tuple[float | None, ...]
    failing: int | None = None


@dataclass(frozen=True)
class Picture:
    """`verdict` is the first of the findings, `also` the others."""

    now: datetime
    name: str
    verdict: Finding
    also: tuple[Finding, ...]
    groups: tuple[Group, ...]
    charts: tuple[Chart, ...]

    @property
    def levels(self) -> list[Level]:
        return [finding.level for finding in (self.verdict, *self.also)]


def draw(snapshot: Snapshot, findings: Sequence[Finding], name: str, zone: tzinfo | None = None) -> Picture:
    """`name` is that of the deployment. Times are shown in `zone`, by default the user's."""
    first, *others = findings
    told = [text for finding in findings for _, text in finding.details]
    groups = (
        Group("Keeping up", tuple(_keeping_up(snapshot, zone))),
        Group("Database, as the consumer sees it", tuple(_database(snapshot, zone, told))),
        Group("Waiting", tuple(_waiting(snapshot, zone))),
        Group("Jobs", tuple(_jobs(snapshot, zone))),
    )
    return Picture(snapshot.now, name, first, tuple(others), groups, _charts(snapshot))


def _keeping_up(snapshot: Snapshot, zone: tzinfo | None) -> Iterator[Row]:
    flow = snapshot.flow
    if isinstance(flow, Unknown):
        yield _unknown("last commit", flow)
    else:
        yield (
            Row("last commit", ago(flow.applied, snapshot.now, zone))
            if flow.applied
            else Row("last commit", f"none in the last {_span(flow)}", _DIM)
        )
        yield Row("lag", *_lag(flow))
        yield Row("changes", _written(flow), _CALM if flow.totals.get("received") else _DIM)
        if flow.iterator_age_seconds is not None:
            yield Row("behind the table", duration(flow.iterator_age_seconds))
    yield _event_source(snapshot.event_source)


def _lag(flow: Flow) -> tuple[str, str]:
    """Of the newest bin with changes, and the most of all bins."""
    measured = [one for one in flow.bins if one.lag_max is not None]
    if not measured:
        return "not measured", _DIM
    last, most = measured[-1], max(one.lag_max or 0 for one in measured)
    shares = (("p50", last.lag_p50), ("p99", last.lag_p99))
    texts = [f"{name} {duration(value)}" for name, value in shares if value is not None]
    return ", ".join((*texts, f"most {duration(most)} in the last {_span(flow)}")), _CALM


def _written(flow: Flow) -> str:
    received = flow.totals.get("received", 0)
    parts = ", ".join(f"{flow.totals[name]:,.0f} {name}" for name in _WRITTEN if flow.totals.get(name))
    return f"{received:,.0f} in the last {_span(flow)}" + (f": {parts}" if parts else "")


def _event_source(source: EventSource | Unknown) -> Row:
    label = "event source mapping"
    if isinstance(source, Unknown):
        return _unknown(label, source)
    return Row(label, ", ".join(filter(None, (source.state, source.last_result))), _CALM if source.enabled else _BAD)


def _database(snapshot: Snapshot, zone: tzinfo | None, told: Sequence[str]) -> Iterator[Row]:
    """A cause that the findings have told is not repeated: it is long."""
    flow = snapshot.flow
    if isinstance(flow, Unknown):
        yield _unknown("last failure", flow)
        return
    failed = max(filter(None, (flow.held, flow.stopped, flow.errors)), default=None)
    if failed is None:
        yield Row("last failure", f"none in the last {_span(flow)}")
    else:
        over = flow.applied is not None and flow.applied > failed
        yield Row("last failure", ago(failed, snapshot.now, zone), _DIM if over else _BAD)
        if flow.reason and flow.reason not in told:
            yield Row("its cause", flow.reason, _DIM if over else _BAD)
    for name in ("held", "stopped"):
        if flow.totals.get(name):
            yield Row(f"attempts {name}", f"{flow.totals[name]:,.0f} in the last {_span(flow)}", _WARN)
    unusual = ", ".join(f"{flow.totals[name]:,.0f} {name}" for name in _UNUSUAL if flow.totals.get(name))
    if unusual:
        yield Row("refused rows", f"{unusual} in the last {_span(flow)}", _WARN)


def _waiting(snapshot: Snapshot, zone: tzinfo | None) -> Iterator[Row]:
    def row(label: str, found: Counted | Unknown, tone: str) -> Row:
        if isinstance(found, Unknown):
            return _unknown(label, found)
        oldest = f", oldest {ago(found.oldest, snapshot.now, zone)}" if found.oldest else ""
        text = f"{'at least ' if found.more else ''}{found.count:,}{oldest}"
        return Row(label, text, tone if found.count else _CALM)

    yield row("failed batches", snapshot.failed, _WARN)
    if isinstance(snapshot.queue, Unknown):
        yield _unknown("pointers in the queue", snapshot.queue)
    elif snapshot.queue is not None:
        yield Row("pointers in the queue", f"{snapshot.queue:,}", _WARN if snapshot.queue else _CALM)
    left = seconds_until_loss(snapshot)
    if left is not None:
        yield Row("first change is lost in", duration(left), _WARN)
    yield row("quarantined", snapshot.quarantined, _WARN)
    yield row("deferred", snapshot.deferred, _CALM)
    yield row("expired ranges", snapshot.expired, _BAD)


def _jobs(snapshot: Snapshot, zone: tzinfo | None) -> Iterator[Row]:
    for name, job in snapshot.jobs.items():
        yield _unknown(JOBS[name], job) if isinstance(job, Unknown) else _job(JOBS[name], job, snapshot.now, zone)
    if isinstance(snapshot.verified, Unknown):
        yield _unknown("both sides equal", snapshot.verified)
    else:
        verified = known(snapshot.verified, None)
        yield Row("both sides equal", ago(verified, snapshot.now, zone) if verified else "never verified", _DIM)


def _job(noun: str, job: Job, now: datetime, zone: tzinfo | None) -> Row:
    if job.running:
        running = job.running
        progress = f": {running.progress}" if running.progress else ""
        return Row(noun, f"running, started {ago(running.started, now, zone)}{progress}")
    if job.ended is None:
        return Row(noun, "never run", _DIM)
    ended = f"{job.ended.status.lower().replace('_', ' ')} {ago(job.ended.ended, now, zone)}"
    return Row(noun, f"{ended}{_outcome(job.ended)}", _BAD if job.ended.failed else _CALM)


def _outcome(ended: EndedJob) -> str:
    if ended.error:
        return f": {ended.error}"
    applied, items = ended.counts.get("applied"), ended.counts.get("items")
    if applied is not None:
        return f": {counted(applied, 'change')} applied"
    return f": {counted(items, 'item')}" if items is not None else ""


def _charts(snapshot: Snapshot) -> tuple[Chart, ...]:
    flow = snapshot.flow
    if isinstance(flow, Unknown) or not flow.bins:
        return ()

    def chart(title: str, unit: str, summary: str, value: Callable[[Bin], float | None]) -> Chart:
        values = tuple(map(value, flow.bins))
        return Chart(title, unit, summary, flow.bins[0].start, flow.step_seconds, values, _failing_step(snapshot, flow))

    rates = [one.received / flow.step_seconds for one in flow.bins]
    last_lag = next((one.lag_max for one in reversed(flow.bins) if one.lag_max is not None), None)
    rate = chart(
        "Changes per second",
        "a second",
        f"most {max(rates):,.1f}, in the last {_span(flow)}",
        lambda one: one.received / flow.step_seconds,
    )
    if last_lag is None:
        return (rate,)
    return rate, chart("Lag", "s", f"last {duration(last_lag)}", lambda one: one.lag_max)


def _failing_step(snapshot: Snapshot, flow: Flow) -> int | None:
    since = flow.failing_since if failure_of(snapshot) else None
    if since is None:
        return None
    return max(0, int((since - flow.bins[0].start).total_seconds() // flow.step_seconds))


def _span(flow: Flow) -> str:
    return duration(flow.step_seconds * len(flow.bins))


def _unknown(label: str, source: Unknown) -> Row:
    return Row(label, f"unknown: {source.reason}", _WARN)
