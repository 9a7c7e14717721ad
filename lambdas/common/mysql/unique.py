"""In which order rows that take each other's unique values can be written. Pure.

The server checks a unique key after each row. A row that wants the value of another one must be written after it; rows
that want each other's values in a circle cannot be written one by one, unless one of them lets go of its value first.
This only plans: what a collation takes for equal may differ from what is taken for it here, and then the server
refuses the row.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

Values = tuple[Any, ...]


class Move(NamedTuple):
    """A row that is there, what it holds of each unique key, and what it is to hold. None holds nothing."""

    key: str
    held: tuple[Values | None, ...]
    wanted: tuple[Values | None, ...]


@dataclass
class Knot:
    """Rows that wait for each other: `vacate` has to let go of its values first, then `order` goes through."""

    vacate: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """`free` goes through in its order; then each knot, independent of the others."""

    free: list[str]
    knots: list[Knot]


def plan(moves: Sequence[Move]) -> Plan:
    """Takes time in proportion to the number of rows."""
    waits = _waits(moves)
    waiters: dict[str, list[str]] = {key: [] for key in waits}
    for key, others in waits.items():
        for other in others:
            waiters[other].append(key)
    free = _go(deque(key for key in waits if not waits[key]), waits, waiters)
    for key in free:
        del waits[key]
    return Plan(free, [_untie(part, waits, waiters) for part in _parts(waits, waiters)])


def comparable(values: Iterable[Any], lengths: Iterable[int | None]) -> Values | None:
    """Values of a unique key in a form that is equal where most collations take them for equal; None holds nothing."""
    folded = tuple(map(_fold, values, lengths))
    return None if any(value is None for value in folded) else folded


def _fold(value: Any, length: int | None) -> Any:
    if isinstance(value, str):
        cut = value if length is None else value[:length]
        return "".join(
            c for c in unicodedata.normalize("NFKD", cut.casefold()) if not unicodedata.combining(c)
        ).rstrip()
    return value.normalize() if isinstance(value, Decimal) else value


def _waits(moves: Sequence[Move]) -> dict[str, set[str]]:
    """For each row the others whose values it wants."""
    holders: list[dict[Values, str]] = [{} for _ in moves[0].held] if moves else []
    for move in moves:
        for holder, held in zip(holders, move.held, strict=True):
            if held is not None:
                holder[held] = move.key
    waits: dict[str, set[str]] = {}
    for move in moves:
        wanted = (holder.get(want) for holder, want in zip(holders, move.wanted, strict=True) if want is not None)
        waits[move.key] = {key for key in wanted if key not in (None, move.key)}
    return waits


def _go(ready: deque[str], waits: dict[str, set[str]], waiters: dict[str, list[str]]) -> list[str]:
    """The rows that are ready, and those that become so."""
    order = []
    while ready:
        key = ready.popleft()
        order.append(key)
        ready += _let_go(key, waits, waiters)
    return order


def _let_go(key: str, waits: dict[str, set[str]], waiters: dict[str, list[str]]) -> list[str]:
    """Those that wait for nothing, now that `key` has left its value."""
    ready = []
    for waiter in waiters[key]:
        if key in waits.get(waiter, ()):
            waits[waiter].remove(key)
            if not waits[waiter]:
                ready.append(waiter)
    return ready


def _parts(waits: dict[str, set[str]], waiters: dict[str, list[str]]) -> list[list[str]]:
    """The rows that still wait, those together that have to do with each other."""
    parts, seen = [], set()
    for start in waits:
        if start in seen:
            continue
        part, reach = [], deque([start])
        seen.add(start)
        while reach:
            key = reach.popleft()
            part.append(key)
            near = [other for other in (*waits[key], *waiters[key]) if other in waits and other not in seen]
            seen.update(near)
            reach += near
        parts.append(part)
    return parts


def _untie(part: list[str], waits: dict[str, set[str]], waiters: dict[str, list[str]]) -> Knot:
    knot, left = Knot(), deque(part)
    done: set[str] = set()
    while left:
        if left[0] in done:
            left.popleft()
            continue
        vacated = _on_a_circle(left[0], waits)
        knot.vacate.append(vacated)
        ordered = _go(deque(_let_go(vacated, waits, waiters)), waits, waiters)
        knot.order += ordered
        done.update(ordered)
    return knot


def _on_a_circle(start: str, waits: dict[str, set[str]]) -> str:
    """Everything that still waits does so, in the end, for a circle."""
    seen: set[str] = set()
    key = start
    while key not in seen:
        seen.add(key)
        key = min(waits[key])
    return key
