"""An application that writes orders into MySQL by itself, as before a cutover, and what each order must be now."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from scripts.local_stack.database import DatabaseAccess
from scripts.local_stack.simulation import CENT, CURRENCIES, STATUSES

_COLUMNS = "order_id, merchant_id, amount, currency, status, created_at, updated_at"
# One of so many writes is a new order.
_NEW_EVERY = 5


class Facts(NamedTuple):
    """What a writer decides of an order."""

    merchant_id: str
    amount: Decimal
    currency: str
    status: str


class Ledger:
    """What each order must be by its last accepted write, whoever made it; None where it was deleted."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a write and its entry are one step
        self._facts: dict[str, Facts | None] = {}
        self.writes = 0

    def note(self, order_id: str, facts: Facts | None) -> None:
        self._facts[order_id] = facts
        self.writes += 1

    def facts(self, order_id: str) -> Facts:
        """Of an order that is not deleted. Raises KeyError."""
        found = self._facts[order_id]
        if found is None:
            raise KeyError(order_id)
        return found

    @property
    def orders(self) -> list[str]:
        """Every order that was ever written, oldest first."""
        return list(self._facts)

    @property
    def living(self) -> list[str]:
        return [order_id for order_id, facts in self._facts.items() if facts]

    def differing(self, access: DatabaseAccess) -> list[str]:
        """The orders whose rows in MySQL are not what the last write made of them."""
        with self.lock, access.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT order_id, merchant_id, amount, currency, status FROM tbl_orders")
            rows = {order_id: Facts(*facts) for order_id, *facts in cursor.fetchall()}
            return [order_id for order_id, facts in self._facts.items() if rows.get(order_id) != facts]


@dataclass
class LegacyApplication:
    """It inserts and updates rows, and knows nothing of Backstream."""

    access: DatabaseAccess
    ledger: Ledger

    def create(self, count: int = 1) -> None:
        for _ in range(count):
            facts = Facts(f"merchant-{random.randrange(20)}", _amount(), random.choice(CURRENCIES), "NEW")  # noqa: S311
            now = int(time.time())
            self._write(
                f"INSERT INTO tbl_orders ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (order_id := str(uuid.uuid4()), *facts, now, now),
                order_id,
                facts,
            )

    def change(self, order_id: str) -> None:
        facts = self.ledger.facts(order_id)._replace(amount=_amount(), status=random.choice(STATUSES))  # noqa: S311
        self._write(
            "UPDATE tbl_orders SET amount = %s, status = %s, updated_at = %s WHERE order_id = %s",
            (facts.amount, facts.status, int(time.time()), order_id),
            order_id,
            facts,
        )

    @contextmanager
    def at_work(self, rate: float) -> Iterator[None]:
        """It makes so many writes a second, in another thread, until the block ends."""
        stop = threading.Event()
        failures: list[Exception] = []

        def work() -> None:
            try:
                while not stop.wait(1 / rate):
                    self._work()
            except Exception as error:  # noqa: BLE001 - raised below, in the thread that waits
                failures.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if failures:
            raise failures[0]

    def _work(self) -> None:
        if self.ledger.writes % _NEW_EVERY == 0:
            self.create()
        else:
            self.change(random.choice(self.ledger.living))  # noqa: S311

    def _write(self, statement: str, values: tuple[object, ...], order_id: str, facts: Facts) -> None:
        with self.ledger.lock, self.access.connect(autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            self.ledger.note(order_id, facts)


def _amount() -> Decimal:
    return Decimal(random.randrange(100, 1_000_000)) * CENT  # noqa: S311
