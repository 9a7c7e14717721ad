"""From the database's return to the first replayed row, with `auto_replay` on and nothing else changed.

Needs an emulator that stores failed batches and tells of them: LocalStack at AWS_ENDPOINT_URL. The stack there is its
own, deployed for this and removed after it.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from common.layout import FAILED
from scripts.bench.environment import ORIGINAL
from scripts.bench.orders import new_keys, records
from scripts.bench.rows import Row, at_most, not_measured
from scripts.local_stack.access import Account
from scripts.local_stack.aws import no_proxy
from scripts.local_stack.given_server import drop
from scripts.local_stack.settings import read_settings
from scripts.local_stack.stack import Stack
from scripts.local_stack.waiting import poll
from tests.e2e.deployed import Deployed

WHAT = "the database's return to the first replayed row, auto_replay on, once"
GOAL_SECONDS = 60
ORDERS = 20
FAILED_WITHIN, REPLAYED_WITHIN = 600, 600


class AutoReplay(Stack):
    """As `make up` makes it, but for one variable."""

    def _variables(self, *given: Any) -> dict[str, Any]:
        return {**super()._variables(*given), "auto_replay": True}


def rows() -> Iterator[Row]:
    if not ORIGINAL.get("AWS_ENDPOINT_URL"):
        yield not_measured(WHAT, "needs AWS_ENDPOINT_URL")
        return
    os.environ.update(no_proxy(os.environ))
    with tempfile.TemporaryDirectory() as home, redirect_stdout(sys.stderr):
        stack, environment = _stack(Path(home))
        try:
            stack.up()
            seconds = _measure(Deployed(stack, environment))
        finally:
            stack.down()
            if stack.settings.server:
                drop(stack.access, Account(f"{stack.access.database}_app", ""))
    yield at_most(WHAT, seconds, GOAL_SECONDS, " s", f"{ORDERS} orders failed")


def _stack(home: Path) -> tuple[Stack, dict[str, str]]:
    token = secrets.token_hex(3)
    own = {
        "BACKSTREAM_HOME": str(home),
        "BACKSTREAM_ENV": f"bench-{token}",
        "MYSQL_DATABASE": f"backstream_bench_{token}",
        "FAILURE_DESTINATION": "s3",
    }
    environment = {**ORIGINAL, **own}
    return AutoReplay(read_settings(environment)), environment


def _measure(deployed: Deployed) -> float:
    """The database stays away until every change has left the stream, so that only a replay can bring it."""
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


def _all_failed(deployed: Deployed, keys: list[str]) -> bool:
    s3, bucket = deployed.client("s3"), deployed.outputs["failures_bucket"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=FAILED)
    names = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    text = b"".join(s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names).decode()
    return all(key in text for key in keys)
