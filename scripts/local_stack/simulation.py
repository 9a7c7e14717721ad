"""Simulated changes of orders: the same operations for the same seed, sent at a given rate."""

from __future__ import annotations

import itertools
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from threading import BoundedSemaphore
from typing import Any, Protocol

import urllib3

from scripts.local_stack.emulator import client

KINDS = ("create", "update", "delete")
CURRENCIES = ("INR", "USD", "EUR")  # two decimals each
STATUSES = ("PAID", "SHIPPED", "DELIVERED", "CANCELLED")
DEFAULT_MIX = {"create": 60, "update": 30, "delete": 10}
CENT = Decimal("0.01")
ORDER_LIFE = 3 * 24 * 3600  # seconds
WAITING_PER_WORKER = 8  # keeps a worker busy; bounds the memory when no rate is given


@dataclass(frozen=True)
class Operation:
    """One change. `slot` is the number of the order in the simulation; the API chooses an id of its own."""

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
    """Endless, and the same for the same arguments. With `keys` all changes are of that many orders."""

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
        # An order that does not exist is created; a create of an existing one becomes an update.
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


class OrderClient(Protocol):
    """Where operations are sent. `send` raises when a write is not accepted."""

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
    """The number of operations, the seconds, and the operations per second; None is unlimited."""

    count: int | None = None
    duration: float | None = None
    rate: float | None = None


def run(operations: Iterable[Operation], orders: OrderClient, pace: Pace, workers: int = 1) -> Summary:
    """Sends the operations with `workers` threads; changes of one order stay in sequence."""
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
        running.append(pools[operation.slot % workers].submit(orders.send, operation))
        running[-1].add_done_callback(lambda _: waiting.release())
    failures = tuple(str(error) for error in (each.exception() for each in running) if error)
    for pool in pools:
        pool.shutdown()
    return Summary(sent, failures, time.monotonic() - started)


def _in_time(started: float, number: int, pace: Pace) -> bool:
    """Waits until the operation is due; false when it is due after the end of `duration`."""
    elapsed = time.monotonic() - started
    due = number / pace.rate if pace.rate else elapsed
    if pace.duration is not None and max(due, elapsed) >= pace.duration:
        return False
    time.sleep(max(0.0, due - elapsed))
    return True


class WriteError(Exception):
    """The API did not accept an operation."""


class ApiOrderClient:
    """Through the API, which chooses the ids of new orders."""

    def __init__(self, api_url: str, username: str, password: str) -> None:
        self._orders = f"{api_url}/v1/orders"
        self._http = urllib3.PoolManager(maxsize=32, block=True)
        self._headers = urllib3.make_headers(basic_auth=f"{username}:{password}")
        self._ids: dict[int, str] = {}

    def send(self, operation: Operation) -> None:
        if operation.kind != "create" and operation.slot not in self._ids:
            raise WriteError(f"{operation.kind}: the order was not created")
        getattr(self, operation.kind)(operation)

    def adopt(self, slot: int, order_id: str) -> None:
        """The order `slot` is one that somebody else has created."""
        self._ids[slot] = order_id

    def order_id(self, slot: int) -> str:
        """The id that the API chose."""
        return self._ids[slot]

    def create(self, operation: Operation) -> None:
        body = {
            "merchant_id": operation.merchant_id,
            "amount": operation.amount,
            "currency": operation.currency,
        }
        self._ids[operation.slot] = self._request("POST", "", body)["order_id"]

    def update(self, operation: Operation) -> None:
        body = {"amount": operation.amount, "status": operation.status}
        self._request("PATCH", f"/{self._ids[operation.slot]}", body)

    def delete(self, operation: Operation) -> None:
        self._request("DELETE", f"/{self._ids.pop(operation.slot)}")

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = self._http.request(
            method,
            self._orders + path,
            body=_exact_json(body) if body else None,
            headers={**self._headers, "Content-Type": "application/json"},
            timeout=30,
            retries=False,
        )
        if answer.status >= 300:  # noqa: PLR2004
            raise WriteError(f"{method} {path}: {answer.status} {answer.data.decode(errors='replace')[:300]}")
        return answer.json() if answer.data else None


class TableOrderClient:
    """Directly into DynamoDB, as another service of the company would."""

    def __init__(self, table_name: str, endpoint: str) -> None:
        self._table = table_name
        self._dynamodb = client("dynamodb", endpoint)

    def send(self, operation: Operation) -> None:
        getattr(self, operation.kind)(operation)

    def create(self, operation: Operation) -> None:
        now = int(time.time())
        item = {
            **_key(operation),
            "merchant_id": {"S": operation.merchant_id},
            "amount": {"N": str(operation.amount)},
            "currency": {"S": operation.currency},
            "status": {"S": operation.status},
            "created_at": {"N": str(now)},
            "updated_at": {"N": str(now)},
            "record_ttl": {"N": str(now + ORDER_LIFE)},
        }
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def update(self, operation: Operation) -> None:
        self._dynamodb.update_item(
            TableName=self._table,
            Key=_key(operation),
            UpdateExpression="SET amount = :amount, #status = :status, updated_at = :now",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":amount": {"N": str(operation.amount)},
                ":status": {"S": operation.status},
                ":now": {"N": str(int(time.time()))},
            },
        )

    def delete(self, operation: Operation) -> None:
        self._dynamodb.delete_item(TableName=self._table, Key=_key(operation))


def _key(operation: Operation) -> dict[str, Any]:
    return {"p_key": {"S": operation.order_id}, "s_key": {"S": "ORDER"}}


def _exact_json(body: Mapping[str, Any]) -> bytes:
    """JSON in which an amount keeps its digits (200.00): json.dumps has no Decimal."""
    fields = (f"{json.dumps(name)}: {_json_value(value)}" for name, value in body.items())
    return f"{{{', '.join(fields)}}}".encode()


def _json_value(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
