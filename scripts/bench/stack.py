"""What a deployed stack takes: `make up` from nothing, and an automatic replay after an outage.

Each is measured once: nine times would take longer than everything else together.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from common.layout import FAILED
from scripts.bench.environment import ORIGINAL, ROOT
from scripts.bench.orders import new_keys, records
from scripts.bench.results import Row, at_most, not_measured
from scripts.bench.server import Bench
from scripts.local_stack.database import Account
from scripts.local_stack.deployed import DeployedStack
from scripts.local_stack.emulator import no_proxy
from scripts.local_stack.external_server import drop
from scripts.local_stack.process import poll
from scripts.local_stack.settings import read_settings
from scripts.local_stack.stack import Stack

UP_GOAL_SECONDS, UP_TIMEOUT = 120, 900
# With these it would use a server or an emulator that is not its own.
FOREIGN = ("AWS_ENDPOINT_URL", "MYSQL_HOST", "BACKSTREAM_ENV")

REPLAY = "the database's return to the first replayed row, auto_replay on, once"
REPLAY_GOAL_SECONDS = 60
ORDERS = 20
FAILED_WITHIN, REPLAYED_WITHIN = 600, 600


def rows_of_up(_: Bench) -> Iterator[Row]:
    """To the first order in MySQL, with nothing but a warm package cache."""
    with tempfile.TemporaryDirectory() as home:
        environment = {name: value for name, value in ORIGINAL.items() if name not in FOREIGN}
        environment["BACKSTREAM_HOME"] = home
        try:
            started = time.monotonic()
            _make("up", environment)
            seconds = time.monotonic() - started
        finally:
            _make("down", environment)
    cores = f"{os.cpu_count()} cores"
    yield at_most("make up to the first order in MySQL, once", seconds, UP_GOAL_SECONDS, " s", cores)


def _make(target: str, environment: dict[str, str]) -> None:
    # Its output is progress: only the table goes to stdout.
    subprocess.run(["make", target], cwd=ROOT, env=environment, stdout=sys.stderr, check=True, timeout=UP_TIMEOUT)


class AutoReplayStack(Stack):
    """As `make up` makes it, except for one variable."""

    def _variables(self, *given: Any) -> dict[str, Any]:
        return {**super()._variables(*given), "auto_replay": True}


def rows_of_auto_replay(_: Bench) -> Iterator[Row]:
    """On LocalStack at AWS_ENDPOINT_URL, which stores failed batches and sends events about them.

    The stack is deployed for this row and removed after it.
    """
    if not ORIGINAL.get("AWS_ENDPOINT_URL"):
        yield not_measured(REPLAY, "needs AWS_ENDPOINT_URL")
        return
    os.environ.update(no_proxy(os.environ))
    with tempfile.TemporaryDirectory() as home, redirect_stdout(sys.stderr):
        stack = _auto_replay_stack(Path(home))
        try:
            stack.up()
            seconds = _return_to_first_row(DeployedStack(stack))
        finally:
            stack.down()
            if stack.settings.server:
                drop(stack.access, Account(f"{stack.access.database}_app", ""))
    yield at_most(REPLAY, seconds, REPLAY_GOAL_SECONDS, " s", f"{ORDERS} orders failed")


def _auto_replay_stack(home: Path) -> Stack:
    token = secrets.token_hex(3)
    own = {
        "BACKSTREAM_HOME": str(home),
        "BACKSTREAM_ENV": f"bench-{token}",
        "MYSQL_DATABASE": f"backstream_bench_{token}",
        "FAILURE_DESTINATION": "s3",
    }
    return AutoReplayStack(read_settings({**ORIGINAL, **own}))


def _return_to_first_row(deployed: DeployedStack) -> float:
    """Seconds. The database stays away until every change has left the stream: only a replay can bring it then."""
    keys = new_keys(ORDERS)
    deployed.db_stop()
    for record in records(keys):
        item = record["dynamodb"]["NewImage"]
        deployed.client("dynamodb").put_item(TableName=deployed.outputs["table_name"], Item=item)
    if not poll(lambda: _all_failed(deployed, keys), FAILED_WITHIN, interval=1):
        raise TimeoutError(f"not every change was in a failed batch after {FAILED_WITHIN} s")
    deployed.db_start()
    returned = time.monotonic()
    if not poll(lambda: any(map(deployed.mysql_order, keys)), REPLAYED_WITHIN, interval=0.2):
        raise TimeoutError(f"no row was replayed after {REPLAYED_WITHIN} s")
    return time.monotonic() - returned


def _all_failed(deployed: DeployedStack, keys: list[str]) -> bool:
    s3, bucket = deployed.client("s3"), deployed.outputs["failures_bucket"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=FAILED)
    names = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    text = b"".join(s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names).decode()
    return all(key in text for key in keys)
