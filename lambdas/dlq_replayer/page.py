"""The report as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from common.arrivals import parse_time
from common.report_page import ReportPage, table, tone_of
from dlq_replayer.documents import CollectedBatch, Report, SplitResult

_RANGE = (
    "shard", "start_sequence_number", "end_sequence_number", "first_arrival", "last_arrival", "records",
    "records_saved", "object",
)  # fmt: skip
_LEGEND = """<div class="panel">
    <span class="key" style="--c: var(--failed)">failed changes, by arrival</span> &nbsp;
    <span class="key" style="--c: var(--drained)">drained changes</span>
    {}
  </div>"""
_BINS = 60
_HEIGHT = 90
_NO_TIMELINE = {"database_down": "Nothing was read: the database did not answer."}
# First what failed, then what became of it.
_CARDS = (
    "batches", "records", "applied", "superseded", "stale", "redelivered", "skipped", "quarantined", "deferred",
    "unknown", "expired", "problems", "left",
)  # fmt: skip
_SKIPPED = ("seeded", "ttl_delete", "ignored_delete", "unmapped_item")


def render(
    report: Report,
    batches: Iterable[CollectedBatch],
    results: Sequence[SplitResult],
    parked: Sequence[Mapping[str, Any]],
) -> str:
    counts = report["counts"]
    carded = counts | {"skipped": sum(counts[name] for name in _SKIPPED)}
    asked = ", ".join(f"{name}: {value}" for name, value in report["input"].items()) or "everything"
    timeline = _timeline(_failed(batches), _drained(results))
    return ReportPage(
        title="Replay",
        name=report["execution_arn"],
        times=f"{report['started']} to {report['ended']}; input: {asked}",
        outcome=report["outcome"],
        tone=tone_of(report["outcome"], needs_a_person=bool(report["next"])),
        reason=report.get("reason", ""),
        cards={name: carded[name] for name in _CARDS},
        next=report["next"],
        sections={
            "Failed and drained": _LEGEND.format(timeline or f"<p>{_NO_TIMELINE.get(report['outcome'], 'None.')}</p>"),
            "Parked records": table(parked, ("key", "kind", "reason", "hint", "object"), counts["parked"]),
            "Expired ranges": table(report["expired"], _RANGE, counts["expired"]),
            "Problems: batches and messages left in place": table(
                report["problems"], ("source", "problem"), len(report["problems"])
            ),
        },
        counts=counts,
    ).render()


Events = list[tuple[float, int]]  # (epoch seconds, changes)


def _failed(batches: Iterable[CollectedBatch]) -> Events:
    return [
        (seconds, batch["records"])
        for batch in batches
        if (seconds := _epoch(batch["first_arrival"] or batch["failed_at"])) and batch["records"]
    ]


def _drained(results: Iterable[SplitResult]) -> Events:
    drained = ((_epoch(result["drained_at"]), result["counts"].get("changes", 0)) for result in results)
    return [(seconds, changes) for seconds, changes in drained if seconds and changes]


def _epoch(text: str) -> float | None:
    """None for an invalid or implausible time, which the axis would have to span."""
    time = parse_time(text)
    return time.timestamp() if time else None


def _timeline(failed: Events, drained: Events) -> str:
    """Bars over one axis of time: failed changes above it, drained ones below. Empty without any."""
    times = [seconds for seconds, _ in failed + drained]
    if not times:
        return ""
    start, end = min(times), max(times)
    step = max(end - start, 1) / _BINS
    up, down = _bins(failed, start, step), _bins(drained, start, step)
    tallest = max(up + down) or 1
    bars = []
    for i in range(_BINS):
        for count, kind in ((up[i], "failed"), (down[i], "drained")):
            height = max(2, _HEIGHT * count / tallest) if count else 0
            y = _HEIGHT - height if kind == "failed" else _HEIGHT + 2
            title = f"<title>{_clock(start + i * step)}: {count:,} changes {kind}</title>"
            bars.append(f'<rect class="{kind}" x="{i * 10}" y="{y:.1f}" width="8" height="{height:.1f}">{title}</rect>')
    return (
        f'<svg viewBox="0 -4 600 {2 * _HEIGHT + 26}" role="img" aria-label="failed and drained changes over time">'
        f"{''.join(bars)}"
        f'<line x1="0" x2="600" y1="{_HEIGHT + 1}" y2="{_HEIGHT + 1}"/>'
        f'<text x="0" y="{2 * _HEIGHT + 18}">{_clock(start)}</text>'
        f'<text x="600" y="{2 * _HEIGHT + 18}" text-anchor="end">{_clock(end)}</text></svg>'
    )


def _bins(events: Events, start: float, step: float) -> list[int]:
    bins = [0] * _BINS
    for seconds, count in events:
        bins[min(int((seconds - start) / step), _BINS - 1)] += count
    return bins


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
