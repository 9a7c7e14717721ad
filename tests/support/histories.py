"""Strategies: what a stream may hold and how it may be delivered."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.support.legacy import TAKEN
from tests.support.records import ARN, START, record, remove
from tests.support.tables import Rows, order

KEYS = ("order-1", "ORDER-1", "k", "z'\\")
UPSERT, DELETE, POISON = "upsert", "delete", "poison"
# What only the hostile table refuses: no parent, no such status, a unique value that an outsider holds.
ORPHAN, STATUS, CLASH = "orphan", "status", "clash"
_REFUSED: dict[str, dict[str, Any]] = {
    POISON: {"amount": "-1"},
    ORPHAN: {"merchant_id": "nobody"},
    STATUS: {"status": "paid"},
    CLASH: {"created_at": TAKEN},
}
SECOND_STREAM = 1_000  # from this change on, a re-created stream: its numbers begin again


@dataclass(frozen=True)
class Step:
    """The `n`th change of a key. The row holds `n` as updated_at, so that a log shows the order of writes."""

    key: str
    n: int
    kind: str
    clock: int

    @property
    def good(self) -> bool:
        return self.kind in (UPSERT, DELETE)

    @property
    def created_at(self) -> int:
        """No two steps of a plan have the same one, so that it may be unique."""
        return START + 10_000 * (zlib.crc32(self.key.encode()) % 100_000) + self.n

    def record(self) -> dict[str, Any]:
        arn = ARN if self.n < SECOND_STREAM else ARN.replace("2026-01-31", "2026-02-01")
        options: dict[str, Any] = {"arn": arn, "time": START + self.clock, "updated_at": START + self.n}
        number = self.n % SECOND_STREAM
        if self.kind == DELETE:
            return remove(self.key, number, **options)
        values = {"amount": str(self.n), "created_at": self.created_at} | _REFUSED.get(self.kind, {})
        return record(self.key, number, **values, **options)

    def row(self) -> tuple[Any, ...]:
        return order(self.key, amount=str(self.n), created_at=self.created_at, updated_at=START + self.n)


@dataclass(frozen=True)
class Delivery:
    writer: int
    steps: tuple[Step, ...]
    statement_bytes: int
    every_change: bool


@dataclass(frozen=True)
class DeliveryPlan:
    """Every step is delivered at least once, in any order and in any batches, to two writers at once."""

    histories: tuple[tuple[Step, ...], ...]
    deliveries: tuple[Delivery, ...]
    isolation: tuple[str, str]

    def last(self) -> list[Step]:
        """The last good step of each key."""
        good = [[step for step in history if step.good] for history in self.histories]
        return sorted((steps[-1] for steps in good if steps), key=lambda step: step.key)

    def rows(self) -> Rows:
        return [step.row() for step in self.last() if step.kind == UPSERT]

    def sidecar(self) -> Rows:
        return [(step.key, step.n % SECOND_STREAM, int(step.kind == DELETE)) for step in self.last()]


def histories(key: str, kinds: Sequence[str], clock: Callable[[int], st.SearchStrategy[int]]) -> Any:
    """One to seven changes of `key`, some of them in the stream after."""

    @st.composite
    def build(draw: st.DrawFn) -> tuple[Step, ...]:
        changes = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=7))
        old = draw(st.integers(0, len(changes)))
        numbers = [i + 1 if i < old else SECOND_STREAM + i - old + 1 for i in range(len(changes))]
        return tuple(Step(key, n, kind, draw(clock(n))) for n, kind in zip(numbers, changes, strict=True))

    return build()


@st.composite
def plans(
    draw: st.DrawFn, *, kinds: Sequence[str] = (UPSERT, DELETE), any_clock: bool = False, keys: Sequence[str] = KEYS
) -> DeliveryPlan:
    """With `any_clock`, times contradict versions."""
    clock = (lambda _: st.integers(0, 9)) if any_clock else st.just
    chosen = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=len(keys), unique=True))
    changes = tuple(draw(histories(key, kinds, clock)) for key in chosen)
    steps = [step for history in changes for step in history]
    again = draw(st.lists(st.sampled_from(steps), max_size=12))
    queue = draw(st.permutations(steps + again))
    deliveries = []
    while queue:
        size = draw(st.integers(1, len(queue)))
        deliveries.append(
            Delivery(
                writer=draw(st.integers(0, 1)),
                steps=tuple(queue[:size]),
                statement_bytes=draw(st.sampled_from([15_000, 1, 400, 1_000])),
                every_change=draw(st.booleans()),
            )
        )
        queue = queue[size:]
    isolation = draw(st.tuples(*[st.sampled_from(["READ COMMITTED", "REPEATABLE READ"])] * 2))
    return DeliveryPlan(changes, tuple(deliveries), isolation)
