"""The order in which rows that take each other's unique values can be written. Pure.

The server checks a unique key after each row. So a row that wants the value of another row is written after it. Rows
that want each other's values form a cycle, and one of them must give up its value first. This is only a plan: a
collation may treat more values as equal than this module does, and then the server refuses the row.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

Values = tuple[Any, ...]


class RowMove(NamedTuple):
    """An existing row: the values that it holds of each unique key, and those that it wants. None holds nothing."""

    key: str
    held: tuple[Values | None, ...]
    wanted: tuple[Values | None, ...]


@dataclass
class Cycle:
    """Rows that wait for each other. Those in `vacate` give up their values first, then `order` can be written."""

    vacate: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """`free` is written in its order, then each of the cycles, which are independent."""

    free: list[str]
    cycles: list[Cycle]


def plan(moves: Sequence[RowMove]) -> Plan:
    """The plan for `moves`, in time proportional to their number."""
    waits = _waits(moves)
    waiters: dict[str, list[str]] = {key: [] for key in waits}
    for key, others in waits.items():
        for other in others:
            waiters[other].append(key)
    free = _release(deque(key for key in waits if not waits[key]), waits, waiters)
    for key in free:
        del waits[key]
    return Plan(free, [_break(part, waits, waiters) for part in _parts(waits, waiters)])


def comparable(values: Iterable[Any], lengths: Iterable[int | None]) -> Values | None:
    """Values of a unique key, folded so that they are equal where most collations say so. None holds nothing."""
    folded = tuple(map(_fold, values, lengths))
    return None if any(value is None for value in folded) else folded


def _fold(value: Any, length: int | None) -> Any:
    if isinstance(value, str):
        cut = value if length is None else value[:length]
        return "".join(
            c for c in unicodedata.normalize("NFKD", cut.casefold()) if not unicodedata.combining(c)
        ).rstrip()
    return value.normalize() if isinstance(value, Decimal) else value


def _waits(moves: Sequence[RowMove]) -> dict[str, set[str]]:
    """For each row, the other rows whose values it wants."""
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


def _release(ready: deque[str], waits: dict[str, set[str]], waiters: dict[str, list[str]]) -> list[str]:
    """The ready rows, and those that become ready, in order."""
    order = []
    while ready:
        key = ready.popleft()
        order.append(key)
        ready += _give_up(key, waits, waiters)
    return order


def _give_up(key: str, waits: dict[str, set[str]], waiters: dict[str, list[str]]) -> list[str]:
    """The rows that wait for nothing any more, now that `key` has given up its value."""
    ready = []
    for waiter in waiters[key]:
        if key in waits.get(waiter, ()):
            waits[waiter].remove(key)
            if not waits[waiter]:
                ready.append(waiter)
    return ready


def _parts(waits: dict[str, set[str]], waiters: dict[str, list[str]]) -> list[list[str]]:
    """The rows that still wait, grouped by connected component."""
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


def _break(part: list[str], waits: dict[str, set[str]], waiters: dict[str, list[str]]) -> Cycle:
    cycle, left = Cycle(), deque(part)
    done: set[str] = set()
    while left:
        if left[0] in done:
            left.popleft()
            continue
        vacated = _on_a_cycle(left[0], waits)
        cycle.vacate.append(vacated)
        ordered = _release(deque(_give_up(vacated, waits, waiters)), waits, waiters)
        cycle.order += ordered
        done.update(ordered)
    return cycle


def _on_a_cycle(start: str, waits: dict[str, set[str]]) -> str:
    """A row of the cycle that `start` waits for, directly or through others."""
    seen: set[str] = set()
    key = start
    while key not in seen:
        seen.add(key)
        key = min(waits[key])
    return key
