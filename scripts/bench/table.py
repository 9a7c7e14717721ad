"""The table that a run prints, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.bench.rows import Row

HEAD = ("what", "figure", "goal", "")
VERDICTS = {True: "met", False: "MISSED", None: ""}


def table(rows: Iterable[Row]) -> str:
    cells = [HEAD, *((row.what, row.figure, row.goal, VERDICTS[row.met]) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(line, widths) for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "|" + "|".join(f" {cell:<{width}} " for cell, width in zip(cells, widths, strict=True)) + "|"
