"""The report as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from dlq_replayer.batches import parse_time
from dlq_replayer.documents import CollectedBatch, Report, SplitResult

SHOWN = 200  # rows of a table; the others are counted
_BINS = 60
_HEIGHT = 90
_NO_TIMELINE = {"database_down": "Nothing was read: the database did not answer."}
# First what failed, then what became of it.
_CARDS = (
    "batches", "records", "applied", "superseded", "stale", "redelivered", "skipped", "quarantined", "deferred",
    "unknown", "expired", "problems", "left",
)  # fmt: skip


def render(
    report: Report,
    batches: Iterable[CollectedBatch],
    results: Sequence[SplitResult],
    parked: Sequence[Mapping[str, Any]],
) -> str:
    template = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))
    counts = report["counts"]
    carded = counts | {"skipped": sum(counts[name] for name in ("ttl_delete", "ignored_delete", "unmapped_item"))}
    return template.substitute(
        execution=escape(report["execution_arn"]),
        input=escape(", ".join(f"{name}: {value}" for name, value in report["input"].items()) or "everything"),
        outcome=escape(report["outcome"].replace("_", " ")),
        tone=_tone(report),
        reason=escape(report.get("reason", "")),
        started=escape(report["started"]),
        ended=escape(report["ended"]),
        cards="".join(f"<div><b>{carded[name]:,}</b><span>{name}</span></div>" for name in _CARDS),
        next="".join(f"<li>{escape(advice)}</li>" for advice in report["next"]) or "<li>Nothing to do.</li>",
        timeline=_timeline(_failed(batches), _drained(results))
        or f"<p>{_NO_TIMELINE.get(report['outcome'], 'None.')}</p>",
        parked=_table(parked, ("key", "kind", "reason", "hint", "object"), counts["parked"]),
        expired=_table(
            report["expired"],
            (
                "shard",
                "start_sequence_number",
                "end_sequence_number",
                "first_arrival",
                "last_arrival",
                "records",
                "records_saved",
                "object",
            ),
            counts["expired"],
        ),
        problems=_table(report["problems"], ("source", "problem"), len(report["problems"])),
        counts="".join(
            f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{n:,}</td></tr>" for name, n in counts.items()
        ),
    )


def _tone(report: Report) -> str:
    if report["outcome"] in ("complete", "nothing_to_do"):
        return "warn" if report["next"] else "good"
    return "plain" if report["outcome"] == "planned" else "bad"


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


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], total: int) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(row.get(column, '')))}</td>" for column in columns) + "</tr>"
        for row in rows[:SHOWN]
    )
    more = f"<p>and {total - SHOWN:,} more</p>" if total > SHOWN else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}'
