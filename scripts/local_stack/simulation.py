"""Orders changing as customers change them: the same operations for the same seed, sent at a given rate."""

from __future__ import annotations

import itertools
import random
import time
import uuid
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KINDS = ("create", "update", "delete")
CURRENCIES = ("INR", "USD", "EUR")  # two decimals each
STATUSES = ("PAID", "SHIPPED", "DELIVERED", "CANCELLED")
DEFAULT_MIX = {"create": 60, "update": 30, "delete": 10}
CENT = Decimal("0.01")
WAITING_PER_WORKER = 8  # enough to keep a worker busy, too few to fill the memory when no rate is given


@dataclass(frozen=True)
class Operation:
    """`slot` names the order inside the simulation; what the table calls it is known when it has been created."""

    number: int
    kind: str
    slot: int
    order_id: str
    merchant_id: str
    amount: Decimal
    currency: str
    status: str


@dataclass(frozen=True)
class Simulation:
    """Endless, and the same for the same arguments. With `keys` all changes fall on that many orders."""

    seed: int = 1
    mix: Mapping[str, int] = field(default_factory=lambda: DEFAULT_MIX)
    merchants: int = 20
    keys: int | None = None

    def __iter__(self) -> Iterator[Operation]:
        chance = random.Random(self.seed)  # noqa: S311 - repeatable, not secret
        living: list[int] = []
        for number in itertools.count():
            kind, slot = self._next(chance, living, number)
            if kind == "create":
                living.append(slot)
            elif kind == "delete":
                living.remove(slot)
            yield self._operation(chance, number, kind, slot)

    def _next(self, chance: random.Random, living: list[int], number: int) -> tuple[str, int]:
        kind = chance.choices(KINDS, [self.mix.get(kind, 0) for kind in KINDS])[0]
        if self.keys is None:
            return ("create", number) if kind == "create" or not living else (kind, chance.choice(living))
        # A hot key takes whatever comes: what does not exist is created, what exists cannot be created again.
        slot = chance.randrange(self.keys)
        if slot not in living:
            return "create", slot
        return ("update" if kind == "create" else kind), slot

    def _operation(self, chance: random.Random, number: int, kind: str, slot: int) -> Operation:
        return Operation(
            number=number,
            kind=kind,
            slot=slot,
            order_id=str(uuid.UUID(int=random.Random(f"{self.seed}/{slot}").getrandbits(128), version=4)),  # noqa: S311
            merchant_id=f"merchant-{chance.randrange(self.merchants)}",
            amount=Decimal(chance.randrange(100, 1_000_000)) * CENT,
            currency=chance.choice(CURRENCIES),
            status="NEW" if kind == "create" else chance.choice(STATUSES),
        )


class Target(Protocol):
    """Where operations go. A write that was not accepted raises."""

    def send(self, operation: Operation) -> None: ...


@dataclass(frozen=True)
class Summary:
    sent: Mapping[str, int]
    failures: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        total = sum(self.sent.values())
        kinds = ", ".join(f"{self.sent.get(kind, 0)} {kind}s" for kind in KINDS)
        rate = total / self.seconds if self.seconds else 0
        return f"{total} changes ({kinds}) in {self.seconds:.1f} s: {rate:.1f}/s, {len(self.failures)} failed"


@dataclass(frozen=True)
class Pace:
    """How many operations, for how long, how many a second; None is no bound."""

    count: int | None = None
    duration: float | None = None
    rate: float | None = None


def run(operations: Iterable[Operation], target: Target, pace: Pace, workers: int = 1) -> Summary:
    """Changes of one order always in sequence, however many workers."""
    started = time.monotonic()
    pools = [ThreadPoolExecutor(1) for _ in range(workers)]
    waiting = BoundedSemaphore(workers * WAITING_PER_WORKER)
    sent: Counter[str] = Counter()
    running: list[Future[None]] = []
    for operation in itertools.islice(operations, pace.count):
        if not _in_time(started, operation.number, pace):
            break
        waiting.acquire()
        sent[operation.kind] += 1
        running.append(pools[operation.slot % workers].submit(target.send, operation))
        running[-1].add_done_callback(lambda _: waiting.release())
    failures = tuple(str(error) for error in (each.exception() for each in running) if error)
    for pool in pools:
        pool.shutdown()
    return Summary(sent, failures, time.monotonic() - started)


def _in_time(started: float, number: int, pace: Pace) -> bool:
    """Waits for the operation's turn; false where its turn would come too late."""
    elapsed = time.monotonic() - started
    due = number / pace.rate if pace.rate else elapsed
    if pace.duration is not None and max(due, elapsed) >= pace.duration:
        return False
    time.sleep(max(0.0, due - elapsed))
    return True
