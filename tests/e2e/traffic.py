"""Traffic of changes whose order can be seen in the rows."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

from scripts.local_stack.simulation import Operation, Pace, Simulation, run
from tests.e2e.deployed import Deployed


class CountedTraffic:
    """Changes of a few orders. Their amounts grow, so that a row that goes back is visible."""

    def __init__(self, stack: Deployed) -> None:
        self._orders = stack.order_client()
        self._operations = iter(Simulation(seed=uuid.uuid4().int, keys=12))
        self._going_on = threading.Event()

    def send(self, count: int, rate: float | None = None) -> None:
        summary = run((self._counted(number) for number in range(count)), self._orders, Pace(rate=rate))
        assert summary.failures == ()

    def __enter__(self) -> None:
        """In the background, three a second."""
        self._going_on.set()
        self._thread = ThreadPoolExecutor(1)
        self._sending = self._thread.submit(self._send_on)

    def __exit__(self, *_: object) -> None:
        self._going_on.clear()
        self._thread.shutdown()
        self._sending.result()

    def _send_on(self) -> None:
        while self._going_on.is_set():
            self.send(3, rate=3)

    def _counted(self, number: int) -> Operation:
        """Numbered from 0 in each call: the pace depends on the number."""
        operation = next(self._operations)
        return replace(operation, number=number, amount=Decimal(operation.number + 1))
