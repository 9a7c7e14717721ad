"""The picture in a terminal. Without colours it says the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from backstream.status.finding import Finding, Level
from backstream.status.picture import Chart, Group, Picture
from backstream.terminal import safe_text

_BLOCKS = "▁▂▃▄▅▆▇█"
_LABEL = 24
_COLOURS = {
    Level.LOST: "bold red",
    Level.ACT: "bold yellow",
    Level.UNKNOWN: "bold magenta",
    Level.WORKING: "bold cyan",
    Level.GOOD: "bold green",
    Level.NOTE: "",
}
_TONES = {"calm": "", "warn": "yellow", "bad": "red", "dim": "dim"}


def plain_text(picture: Picture) -> str:
    """Lines for a pipe."""
    lines = [picture.verdict.headline, *(f"  {label:<{_LABEL}}{text}" for label, text in _advice(picture.verdict))]
    for finding in picture.also:
        lines += ["", f"Also: {finding.headline}"]
        lines += [f"  {label:<{_LABEL}}{text}" for label, text in _advice(finding)]
    for part in _parts(picture):
        if isinstance(part, Group):
            lines += ["", part.title, *(f"  {row.label:<{_LABEL}}{row.text}" for row in part.rows)]
        else:
            lines += ["", f"{part.title} ({part.summary})", f"  {sparkline(part.values)}"]
    return "\n".join(lines)


def rich_text(picture: Picture, width: int) -> RenderableType:
    """The same for a terminal of `width` columns."""
    parts: list[RenderableType] = [safe_text(picture.verdict.headline, _COLOURS[picture.verdict.level])]
    parts.append(_table([(label, safe_text(text)) for label, text in _advice(picture.verdict)], width))
    for finding in picture.also:
        parts += [Text(), safe_text(f"Also: {finding.headline}", _COLOURS[finding.level])]
        parts.append(_table([(label, safe_text(text)) for label, text in _advice(finding)], width))
    for one in _parts(picture):
        parts += _group(one, width) if isinstance(one, Group) else _chart(one, width)
    return Lines(*parts)


def _parts(picture: Picture) -> tuple[Group | Chart, ...]:
    """A low terminal cuts off the last ones: the charts come early."""
    first, *others = picture.groups
    return (first, *picture.charts, *others)


def sparkline(values: Sequence[float | None]) -> str:
    """A block for each value, and a space where there is none. The highest block is the highest value."""
    most = max((value for value in values if value), default=0)
    return "".join(" " if value is None else _BLOCKS[_height(value, most)] for value in values)


def _height(value: float, most: float) -> int:
    """Only 0 has the lowest block."""
    return 0 if not value or not most else max(1, round(value / most * (len(_BLOCKS) - 1)))


def _advice(finding: Finding) -> Iterator[tuple[str, str]]:
    if finding.next:
        yield "do", finding.next
    if finding.command:
        yield "run", finding.command
    if finding.link:
        yield "read", finding.link
    yield from finding.details


def _group(group: Group, width: int) -> Iterator[RenderableType]:
    yield Text()
    yield Text(group.title, style="bold")
    yield _table([(row.label, safe_text(row.text, _TONES[row.tone])) for row in group.rows], width)


def _table(rows: Sequence[tuple[str, Text]], width: int) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=min(_LABEL - 2, width // 3))
    table.add_column()
    for label, text in rows:
        table.add_row(label, text)
    return Padding(table, (0, 0, 0, 2))


def _chart(chart: Chart, width: int) -> Iterator[RenderableType]:
    yield Text()
    yield Text.assemble((chart.title, "bold"), f" ({chart.summary})")
    yield Text(f"  {sparkline(chart.values[-max(1, width - 4) :])}", style="cyan", no_wrap=True)
