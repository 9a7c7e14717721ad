"""An outage of MySQL on the running stack, shown step by step. It takes about two minutes.

Exit codes: 0 MySQL ended equal to the table; 1 it differs, or a step did not complete; 130 interrupted.
The database is started again in every case.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pymysql
from botocore.exceptions import BotoCoreError, ClientError

from scripts.local_stack.emulator import client
from scripts.local_stack.process import poll
from scripts.local_stack.settings import REPOSITORY
from scripts.local_stack.simulation import Operation, Pace, Simulation, TableOrderClient, run
from scripts.local_stack.stack import RECORD_AGE, Stack
from scripts.local_stack.terminal import Narrator, StackError, discard_stdout, say

EQUAL, DIFFERENT, INTERRUPTED = 0, 1, 130
# Exit codes of `backstream replay`: done; done, with records that wait for the operator.
REPLAYED = {0, 4}
ORDERS, BEFORE, BURST, RATE = 40, 100, 20, 5
ARRIVES_WITHIN, FAILS_WITHIN = 90, 300  # seconds
COLUMNS = ("order_id", "merchant_id", "amount", "currency", "status", "created_at", "updated_at")
Row = tuple[Any, ...]


class DemoError(StackError):
    """A step of the demonstration did not complete."""


class SimulatedTraffic:
    """Changes on a few orders, different ones in each run of the demonstration."""

    def __init__(self, outputs: dict[str, Any]) -> None:
        self._orders = TableOrderClient(outputs["table_name"], outputs["endpoint_url"])
        self._operations = iter(Simulation(seed=uuid.uuid4().int, keys=ORDERS))
        self._stop = threading.Event()
        self.sent = 0
        self._refused: list[str] = []

    def send(self, count: int, rate: float | None = None) -> None:
        # Numbered from 0 in each call: the pace depends on the number.
        operations = (replace(one, number=number) for number, one in enumerate(islice(self._operations, count)))
        summary = run(operations, self._orders, Pace(rate=rate))
        self.sent += sum(summary.sent.values())
        self._refused += summary.failures
        if self._refused and threading.current_thread() is threading.main_thread():
            raise DemoError(f"the table refused a change: {self._refused[0]}")

    def marker(self) -> str:
        """Creates one more order. Once its row is in MySQL, every earlier change is too, or has failed."""
        order_id = str(uuid.uuid4())
        facts = ("merchant-demo", Decimal("1.00"), "EUR", "NEW")
        self._orders.send(Operation(0, "create", 0, order_id, *facts))
        return order_id

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Sends changes in another thread until the block ends."""
        self._stop.clear()
        thread = threading.Thread(target=self._send_until_stopped, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _send_until_stopped(self) -> None:
        while not self._stop.is_set():
            self.send(RATE, RATE)


@dataclass(frozen=True)
class Replication:
    """The table and MySQL, compared row by row, and the batches that failed between them."""

    stack: Stack
    outputs: dict[str, Any]
    ignored: frozenset[str] = frozenset()  # orders that differed before the demonstration began

    @classmethod
    def of(cls, stack: Stack) -> Replication:
        return cls(stack, stack.outputs())

    def mysql(self) -> dict[str, Row]:
        with self.stack.access.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM tbl_orders")
            return {row[0]: row for row in cursor.fetchall()}

    def table(self) -> dict[str, Row]:
        scan = self._client("dynamodb").get_paginator("scan")
        pages = scan.paginate(TableName=self.outputs["table_name"], ConsistentRead=True)
        rows = (_as_row(item) for page in pages for item in page["Items"])
        return {row[0]: row for row in rows if row}

    def differing(self) -> list[str]:
        """The ids of the orders that differ."""
        table, mysql = self.table(), self.mysql()
        keys = (table.keys() | mysql.keys()) - self.ignored
        return sorted(key for key in keys if table.get(key) != mysql.get(key))

    def failed(self) -> int:
        """The number of batches in the bucket and of pointers in the queue."""
        pages = self._client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.outputs["failures_bucket"], Prefix="aws/lambda/")
        return sum(int(page.get("KeyCount", 0)) for page in found) + self._messages()

    def _messages(self) -> int:
        queue = self.outputs["failures_queue_url"]
        if not queue:
            return 0
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def _client(self, service: str) -> Any:
        return client(service, self.outputs["endpoint_url"])


def _as_row(item: dict[str, Any]) -> Row | None:
    """None for an item that fits no row: it is quarantined and never reaches MySQL."""
    try:
        texts = (item["p_key"]["S"], item["merchant_id"]["S"])
        rest = (Decimal(item["amount"]["N"]), item["currency"]["S"], item["status"]["S"])
        return (*texts, *rest, int(item["created_at"]["N"]), int(item["updated_at"]["N"]))
    except KeyError:
        return None


def run_demo(stack: Stack, svg: Path | None = None) -> int:
    """The exit code. Raises StackError when a step does not complete."""
    try:
        replication = Replication.of(stack)
        narrator = Narrator("make demo-outage", svg)
        code = _show(narrator, replication, SimulatedTraffic(replication.outputs))
        narrator.save()
    except (ClientError, BotoCoreError, pymysql.MySQLError) as error:
        raise DemoError(str(error)) from error
    except BrokenPipeError:  # the reader has ended, as in `make demo-outage | head`
        discard_stdout()
        return INTERRUPTED
    except KeyboardInterrupt:
        say("\ndemo-outage: interrupted; the database is running, make replay drains what failed")
        return INTERRUPTED
    return code


def _show(narrator: Narrator, replication: Replication, traffic: SimulatedTraffic) -> int:
    replication = _without_known_differences(narrator, replication)
    _before(narrator, replication, traffic)
    _outage(narrator, replication, traffic)
    _overtaken(narrator, replication, traffic)
    _replay(narrator, replication)
    return _verdict(narrator, replication)


def _without_known_differences(narrator: Narrator, replication: Replication) -> Replication:
    """`make down` forgets the table and keeps MySQL's rows; quarantined orders differ as well."""
    differing = frozenset(replication.differing())
    if not differing:
        return replication
    narrator.say(f"Ignored: {len(differing)} orders that differ already, of an earlier stack or quarantined.")
    return replace(replication, ignored=differing)


def _before(narrator: Narrator, replication: Replication, traffic: SimulatedTraffic) -> None:
    narrator.step(f"Customers change orders: {BEFORE} changes of {ORDERS} orders go into DynamoDB.")
    traffic.send(BEFORE)
    started = time.monotonic()
    _require(lambda: not replication.differing(), ARRIVES_WITHIN, "MySQL did not become equal to the table")
    seconds, orders = time.monotonic() - started, len(replication.mysql())
    narrator.say(f"{seconds:.1f} s later MySQL holds the same {orders} orders, row by row.")


def _outage(narrator: Narrator, replication: Replication, traffic: SimulatedTraffic) -> None:
    narrator.step("MySQL stops. Customers continue: the API and the table are not affected.")
    narrator.say("Watch it in another terminal: make status ARGS=--watch")
    already = replication.failed()
    try:
        replication.stack.db_stop()
        with traffic.in_background():
            _wait_for_failed_batch(narrator, replication, traffic, already)
    finally:
        replication.stack.db_start()  # before anything is printed: stdout may be closed
    narrator.say("MySQL starts again.")


def _wait_for_failed_batch(
    narrator: Narrator, replication: Replication, traffic: SimulatedTraffic, already: int
) -> None:
    narrator.say("The consumer fails and acknowledges nothing. The stream waits, so the order of changes is kept.")
    narrator.say(f"Lambda gives a batch up after {RECORD_AGE} s or a few retries here, and after hours on AWS.")
    began, before = time.monotonic(), traffic.sent
    # The whole record age, also when retries end a batch sooner: else only a few changes would have failed.
    while (failed := replication.failed()) <= already or time.monotonic() - began < RECORD_AGE:
        passed = time.monotonic() - began
        if passed > FAILS_WITHIN:
            narrator.end_of_count()
            raise DemoError(f"no batch failed within {FAILS_WITHIN} s")
        left = f"{RECORD_AGE - passed:3.0f} s to go" if passed < RECORD_AGE else "any moment now"
        narrator.count(f"{passed:3.0f} s without MySQL, {traffic.sent - before} changes waiting, {left}")
        time.sleep(1)
    narrator.end_of_count()
    place = "queue, as pointers into the stream" if replication.outputs["failures_queue_url"] else "bucket, whole"
    narrator.say(f"Given up after {time.monotonic() - began:.0f} s: {_batches(failed)} in the {place}.")


def _overtaken(narrator: Narrator, replication: Replication, traffic: SimulatedTraffic) -> None:
    narrator.step(f"{BURST} newer changes of the same orders arrive live and overtake the failed ones.")
    traffic.send(BURST)
    marker = traffic.marker()
    _require(lambda: marker in replication.mysql(), FAILS_WITHIN, "newer changes did not reach MySQL")
    failed, behind = _batches(replication.failed()), len(replication.differing())
    narrator.say(f"They are in MySQL. {failed} left to replay; orders that differ from the table: {behind}.")


def _replay(narrator: Narrator, replication: Replication) -> None:
    narrator.step("The replay drains them: `backstream replay`, or in the console Start execution with {}.")
    if _run_replay(narrator, replication.outputs) not in REPLAYED:
        raise DemoError("the replay failed; nothing is lost, start it again: make replay")
    narrator.say("Stale and superseded changes were overtaken by newer ones: they are not written over them.")


def _run_replay(narrator: Narrator, outputs: dict[str, Any]) -> int:
    """The exit code of the operator's tool, whose output is shown as it comes."""
    folders = (REPOSITORY, REPOSITORY / "lambdas", REPOSITORY / "scripts")
    with subprocess.Popen(
        [sys.executable, "-m", "backstream", "replay", "--outputs", "-"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdin and process.stdout  # noqa: S101, PT018 - both are pipes
        process.stdin.write(json.dumps(outputs))
        process.stdin.close()
        for line in process.stdout:
            narrator.say(line.rstrip())
    return process.returncode


def _verdict(narrator: Narrator, replication: Replication) -> int:
    narrator.step("Is MySQL equal to the table?")
    poll(lambda: not replication.differing(), ARRIVES_WITHIN, interval=0.5)
    differing = replication.differing()
    if differing:
        narrator.say(f"NO: orders that differ: {len(differing)}, such as {', '.join(differing[:5])}")
        return DIFFERENT
    orders, failed = len(replication.table()), replication.failed()
    narrator.say(f"Yes: {orders} orders, every column of every row. {_batches(failed)} left.")
    return EQUAL


def _batches(count: int) -> str:
    return f"{count} failed batch{'' if count == 1 else 'es'}"


def _require(condition: Callable[[], object], within: float, failure: str) -> None:
    if not poll(condition, within, interval=0.5):
        raise DemoError(f"{failure} within {within:.0f} s")
