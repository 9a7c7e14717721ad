"""One row of the table: what was measured, the figure, the goal, and whether it was met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`met` is None for a row that only informs."""

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
    """Counts as missed: a goal that nobody looked at is not a goal met."""
    return Row(what, f"not measured: {why}", "to be measured", met=False)


def _figure(value: float, unit: str, note: str) -> str:
    return f"{value:.{0 if abs(value) >= 100 else 2}f}{unit}{f' ({note})' if note else ''}"  # noqa: PLR2004


def missed(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.met is False]
