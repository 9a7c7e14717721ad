"""An outage of MySQL on the running stack, told step by step: make demo-outage. About two minutes.

Exit codes: 0 MySQL ended equal to the table; 1 it differs, or a step did not come to its end; 130 interrupted.
However it ends, the database is started again.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import Any

import pymysql
from botocore.exceptions import BotoCoreError, ClientError

from backstream.deployment import Deployment
from backstream.errors import ExitCode
from backstream.execution import Execution
from backstream.progress import follow
from backstream.report import exit_code, text_report
from scripts.local_stack.aws import no_proxy
from scripts.local_stack.failure import StackError
from scripts.local_stack.settings import read_settings
from scripts.local_stack.simulation import Operation, Pace, Simulation, run
from scripts.local_stack.stack import RECORD_AGE, Stack
from scripts.local_stack.waiting import poll
from scripts.local_stack.write_targets import TableTarget

DIFFERENT, INTERRUPTED = 1, 130
ORDERS, BEFORE, BURST, RATE = 40, 100, 20, 5
ARRIVES_WITHIN, FAILS_WITHIN = 90, 300
COLUMNS = ("order_id", "merchant_id", "amount", "currency", "status", "created_at", "updated_at")
Row = tuple[Any, ...]


class DemoError(Exception):
    """The story cannot go on; the message says why."""


class Teller:
    """Numbered steps on stdout. A line that counts is written over where a person looks on, else it comes rarely."""

    def __init__(self) -> None:
        self._step = 0
        self._live = sys.stdout.isatty()
        self._told = 0.0

    def step(self, text: str) -> None:
        self._step += 1
        print(f"\n{self._step}. {text}", flush=True)

    def say(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def count(self, text: str) -> None:
        if self._live:
            print(f"\r   {text:<76}", end="", flush=True)
        elif time.monotonic() - self._told >= 10:  # noqa: PLR2004 - seconds
            self._told = time.monotonic()
            self.say(text)

    def end_of_count(self) -> None:
        if self._live:
            print(flush=True)


class Traffic:
    """Customers: changes on a few orders, each a new one every time the demonstration is shown."""

    def __init__(self, outputs: dict[str, Any]) -> None:
        self._target = TableTarget(outputs["table_name"], outputs["endpoint_url"])
        self._operations = iter(Simulation(seed=uuid.uuid4().int, keys=ORDERS))
        self._stop = threading.Event()
        self.sent = 0
        self._refused: list[str] = []

    def send(self, count: int, rate: float | None = None) -> None:
        # Numbered from 0 at each turn, which the pace goes by.
        operations = (replace(one, number=number) for number, one in enumerate(islice(self._operations, count)))
        summary = run(operations, self._target, Pace(rate=rate))
        self.sent += sum(summary.sent.values())
        self._refused += summary.failures
        if self._refused and threading.current_thread() is threading.main_thread():
            raise DemoError(f"the table refused a change: {self._refused[0]}")

    def order(self) -> str:
        """One more, made last: when its row is there, so is all that came before it, or it has failed."""
        order_id = str(uuid.uuid4())
        facts = ("merchant-demo", Decimal("1.00"), "EUR", "NEW")
        self._target.send(Operation(0, "create", 0, order_id, *facts))
        return order_id

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """In the background, until the block ends."""
        self._stop.clear()
        thread = threading.Thread(target=self._go_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _go_on(self) -> None:
        while not self._stop.is_set():
            self.send(RATE, RATE)


@dataclass(frozen=True)
class Sides:
    """The table, MySQL, and what lies between them."""

    stack: Stack
    outputs: dict[str, Any]
    deployment: Deployment
    ignored: frozenset[str] = frozenset()  # orders that differed before the story began

    @classmethod
    def of(cls, stack: Stack) -> Sides:
        outputs = stack.outputs()
        return cls(stack, outputs, Deployment(outputs))

    def mysql(self) -> dict[str, Row]:
        with self.stack.access.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM tbl_orders")
            return {row[0]: row for row in cursor.fetchall()}

    def table(self) -> dict[str, Row]:
        scan = self.deployment.client("dynamodb").get_paginator("scan")
        pages = scan.paginate(TableName=self.outputs["table_name"], ConsistentRead=True)
        rows = (_as_row(item) for page in pages for item in page["Items"])
        return {row[0]: row for row in rows if row}

    def differing(self) -> list[str]:
        """Orders of which the two do not say the same."""
        table, mysql = self.table(), self.mysql()
        keys = (table.keys() | mysql.keys()) - self.ignored
        return sorted(key for key in keys if table.get(key) != mysql.get(key))

    def failed(self) -> int:
        """Batches in the bucket and pointers in the queue."""
        pages = self.deployment.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.deployment.bucket, Prefix="aws/lambda/")
        return sum(page.get("KeyCount", 0) for page in found) + self._messages()

    def _messages(self) -> int:
        queue = self.outputs["failures_queue_url"]
        if not queue:
            return 0
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.deployment.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


def _as_row(item: dict[str, Any]) -> Row | None:
    """None for what fits no row: it is quarantined, and is not MySQL's to hold."""
    try:
        texts = (item["p_key"]["S"], item["merchant_id"]["S"])
        rest = (Decimal(item["amount"]["N"]), item["currency"]["S"], item["status"]["S"])
        return (*texts, *rest, int(item["created_at"]["N"]), int(item["updated_at"]["N"]))
    except KeyError:
        return None


def tell(teller: Teller, sides: Sides, traffic: Traffic) -> int:
    sides = _of_now_on(teller, sides)
    _before(teller, sides, traffic)
    _outage(teller, sides, traffic)
    _overtaken(teller, sides, traffic)
    _replay(teller, sides)
    return _verdict(teller, sides)


def _of_now_on(teller: Teller, sides: Sides) -> Sides:
    """`make down` forgets the table and keeps MySQL's rows; what is quarantined differs as well."""
    differing = frozenset(sides.differing())
    if not differing:
        return sides
    teller.say(f"Left out: {len(differing)} orders that differed before, of an earlier stack or quarantined.")
    return replace(sides, ignored=differing)


def _before(teller: Teller, sides: Sides, traffic: Traffic) -> None:
    teller.step(f"Customers change orders: {BEFORE} changes on {ORDERS} orders go into DynamoDB.")
    traffic.send(BEFORE)
    started = time.monotonic()
    _demand(lambda: not sides.differing(), ARRIVES_WITHIN, "MySQL did not come to equal the table before the outage")
    teller.say(
        f"{time.monotonic() - started:.1f} s later MySQL holds the same {len(sides.mysql())} orders, row by row."
    )


def _outage(teller: Teller, sides: Sides, traffic: Traffic) -> None:
    teller.step("MySQL stops. Customers go on: the API and the table do not notice.")
    already = sides.failed()
    try:
        sides.stack.db_stop()
        with traffic.going_on():
            _wait_until_given_up(teller, sides, traffic, already)
    finally:
        sides.stack.db_start()  # before anything is told: nobody may be reading any more
    teller.say("MySQL starts again.")


def _wait_until_given_up(teller: Teller, sides: Sides, traffic: Traffic, already: int) -> None:
    teller.say(
        "The consumer fails, acknowledges nothing, and the stream waits: order is kept for free. But not for ever."
    )
    teller.say(f"Here a batch is given up after {RECORD_AGE} s or a few retries; on AWS after hours. Until then:")
    began, before = time.monotonic(), traffic.sent
    # The whole age also where a few retries end a batch sooner: else hardly anything is left behind.
    while (failed := sides.failed()) <= already or time.monotonic() - began < RECORD_AGE:
        passed = time.monotonic() - began
        if passed > FAILS_WITHIN:
            teller.end_of_count()
            raise DemoError(f"no batch was given up within {FAILS_WITHIN} s")
        left = f"{RECORD_AGE - passed:3.0f} s to go" if passed < RECORD_AGE else "any moment now"
        teller.count(f"{passed:3.0f} s without MySQL, {traffic.sent - before} changes waiting, {left}")
        time.sleep(1)
    teller.end_of_count()
    where = "queue, as pointers into the stream" if sides.outputs["failures_queue_url"] else "bucket, whole"
    teller.say(f"Given up after {time.monotonic() - began:.0f} s: {_batches(failed)} in the {where}.")


def _overtaken(teller: Teller, sides: Sides, traffic: Traffic) -> None:
    teller.step(f"{BURST} newer changes of the same orders arrive live and overtake what has failed.")
    traffic.send(BURST)
    marker = traffic.order()
    _demand(lambda: marker in sides.mysql(), FAILS_WITHIN, "newer changes did not reach MySQL")
    failed, behind = _batches(sides.failed()), len(sides.differing())
    teller.say(f"They are in MySQL. {failed} left to replay; orders not yet as in the table: {behind}.")


def _replay(teller: Teller, sides: Sides) -> None:
    teller.step("The replay drains them: the state machine, started with {} as from the console or by make replay.")
    execution = Execution.start(sides.deployment, {})
    sys.stdout.flush()
    follow(execution)
    result = execution.result()
    print("\n".join(f"   {line}" for line in text_report(result).splitlines()), flush=True)
    teller.say("Stale and superseded are changes that something newer had overtaken: never written over it.")
    if exit_code(result) not in (ExitCode.DONE, ExitCode.NEEDS_ATTENTION):
        raise DemoError("the replay did not get through; nothing is lost: make replay")


def _verdict(teller: Teller, sides: Sides) -> int:
    teller.step("Is MySQL what the table is?")
    poll(lambda: not sides.differing(), ARRIVES_WITHIN, interval=0.5)
    differing = sides.differing()
    if differing:
        teller.say(f"NO: orders that differ: {len(differing)}, such as {', '.join(differing[:5])}")
        return DIFFERENT
    teller.say(
        f"Yes: {len(sides.table())} orders, every column of every row. {sides.failed()} failed batches are left."
    )
    return ExitCode.DONE


def _batches(count: int) -> str:
    return f"{count} failed batch{'' if count == 1 else 'es'}"


def _demand(condition: Callable[[], object], within: float, otherwise: str) -> None:
    if not poll(condition, within, interval=0.5):
        raise DemoError(f"{otherwise} within {within:.0f} s")


def main() -> int:
    argparse.ArgumentParser(
        prog="demo_outage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    os.environ.update(no_proxy(os.environ))
    try:
        sides = Sides.of(Stack(read_settings()))
        return tell(Teller(), sides, Traffic(sides.outputs))
    except (StackError, DemoError, ClientError, BotoCoreError, pymysql.MySQLError) as error:
        print(f"demo-outage: {error}", file=sys.stderr)
        return DIFFERENT
    except BrokenPipeError:
        # Whoever reads has had enough, as in `make demo-outage | head`; keep Python from trying again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except KeyboardInterrupt:
        print("\ndemo-outage: interrupted; the database is running, what failed waits for make replay", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
