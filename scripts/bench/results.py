"""The rows that a run prints: what was measured, the figure, the goal, and whether it was met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HEAD = ("what", "figure", "goal", "")
VERDICTS = {True: "met", False: "MISSED", None: ""}


@dataclass(frozen=True)
class Row:
    """`met` is None for a row that has no goal."""

    what: str
    figure: str
    goal: str = ""
    met: bool | None = None


def at_least(what: str, value: float, bound: float, unit: str = "", note: str = "") -> Row:
    return Row(what, _figure(value, unit, note), f"at least {bound:g}{unit}", value >= bound)


def at_most(what: str, value: float, bound: float, unit: str = "", note: str = "") -> Row:
    return Row(what, _figure(value, unit, note), f"at most {bound:g}{unit}", value <= bound)


def exactly(what: str, value: object, wanted: object) -> Row:
    return Row(what, str(value), str(wanted), value == wanted)


def information(what: str, figure: str) -> Row:
    return Row(what, figure)


def not_measured(what: str, why: str) -> Row:
    """Counts as missed: a goal that was not measured is not met."""
    return Row(what, f"not measured: {why}", "to be measured", met=False)


def missed(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.met is False]


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    cells = [HEAD, *((row.what, row.figure, row.goal, VERDICTS[row.met]) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(line, widths) for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "|" + "|".join(f" {cell:<{width}} " for cell, width in zip(cells, widths, strict=True)) + "|"


def _figure(value: float, unit: str, note: str) -> str:
    return f"{value:.{0 if abs(value) >= 100 else 2}f}{unit}{f' ({note})' if note else ''}"  # noqa: PLR2004
