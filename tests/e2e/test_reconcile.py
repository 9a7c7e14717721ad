"""A table that was there before MySQL is loaded under traffic, and both sides are proven equal and healed."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.layout import EXPIRED, PARKED
from scripts.local_stack.process import poll
from scripts.local_stack.settings import REPOSITORY
from tests.e2e.deployed import ARRIVAL, Deployed
from tests.e2e.replays import SETTLED, Failures
from tests.e2e.traffic import CountedTraffic

# The minutes of metrics that a verification looks at, and what CloudWatch takes to publish them.
QUIET_AFTER = 600
PROVEN_WITHIN = 60


def backstream(stack: Deployed, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a command of the operator's tool."""
    done = subprocess.run(
        [sys.executable, "-m", "backstream", *arguments, "--json"],
        cwd=REPOSITORY,
        env={**stack.environment, "PYTHONPATH": "scripts:lambdas"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(autouse=True, scope="module")
def only_orders_that_fit(stack: Deployed) -> None:
    """Other tests leave items that no row can hold, and the records of these."""
    dynamodb, table = stack.client("dynamodb"), stack.outputs["table_name"]
    fitting = stack.table_orders()
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    for item in [item for page in pages for item in page["Items"] if item["p_key"]["S"] not in fitting]:
        dynamodb.delete_item(TableName=table, Key={name: item[name] for name in ("p_key", "s_key")})
    Failures(stack, stack.outputs).remove(*PARKED)
    assert stack.settles()


def forget(stack: Deployed) -> None:
    """As if the items had been there before the deployment: no rows, no versions, and no batches to put back."""
    stack.execute("DELETE FROM tbl_orders", "DELETE FROM replication_versions")
    Failures(stack, stack.outputs).remove(SETTLED)


def test_a_table_is_loaded_while_traffic_flows(stack: Deployed) -> None:
    """A load brings the items that no change touches, live changes bring the others, and a second load adds nothing."""
    orders = [stack.create(merchant="merchant-load") for _ in range(30)]
    assert poll(lambda: set(orders) <= stack.mysql_orders().keys(), ARRIVAL)
    assert stack.settles()
    forget(stack)
    code, planned = backstream(stack, "load", "--dry-run")
    assert (code, planned["outcome"]) == (0, "planned")
    assert stack.mysql_orders() == {}
    with CountedTraffic(stack):
        code, report = backstream(stack, "load")
    assert (code, report["outcome"]) == (0, "complete")
    assert report["counts"]["loaded"] >= len(orders)
    assert stack.settles()
    code, report = backstream(stack, "load")
    assert (code, report["counts"]["loaded"]) == (0, 0)
    counts = report["counts"]
    assert counts["known"] + counts["live"] == counts["items"] == len(stack.table_orders())


def verified(stack: Deployed, *options: str) -> tuple[int, dict[str, Any]]:
    """A verification, once the errors of earlier tests are out of the consumer's metrics."""
    found: list[tuple[int, dict[str, Any]]] = []

    def is_ready() -> bool:
        found[:] = [backstream(stack, "verify", *options)]
        return found[0][1].get("error") != "NotReady"

    assert poll(is_ready, QUIET_AFTER, interval=15), found
    return found[0]


def proves_a_time(stack: Deployed) -> bool:
    """Whether a verification that finds both sides equal proves it: one does that begins ten seconds after a repair."""
    code, report = backstream(stack, "verify")
    assert (code, report["findings"]) == (0, [])
    return bool(report["verified_through"])


def test_drift_is_found_and_healed(stack: Deployed) -> None:
    """A verification finds what a stranger did, repairs it if asked to, and then proves a time."""
    orders = [stack.create(merchant="merchant-drift") for _ in range(4)]
    assert poll(lambda: set(orders) <= stack.mysql_orders().keys(), ARRIVAL)
    assert stack.settles()
    changed, removed, renamed, _ = orders
    stack.execute(
        f"UPDATE tbl_orders SET amount = amount + 1 WHERE order_id = '{changed}'",
        f"DELETE FROM tbl_orders WHERE order_id = '{removed}'",
        f"UPDATE tbl_orders SET order_id = 'stranger' WHERE order_id = '{renamed}'",
    )
    expected = {
        f"order/{changed}": "columns_differ",
        f"order/{removed}": "row_missing",
        f"order/{renamed}": "row_missing",
        "order/stranger": "stranger",
    }
    code, report = verified(stack)
    assert {one["key"]: one["kind"] for one in report["findings"]} == expected
    assert (code, report["verified_through"]) == (4, "")
    code, report = backstream(stack, "verify", "--repair")
    outcomes = {one["key"]: one["outcome"] for one in report["findings"]}
    assert (code, outcomes) == (0, dict.fromkeys(expected, "repaired") | {"order/stranger": "found"})
    code, report = backstream(stack, "verify", "--repair", "--delete-strangers")
    assert (code, report["verified_through"]) == (0, "")
    assert poll(lambda: proves_a_time(stack), PROVEN_WITHIN)
    assert stack.settles()


def test_what_changed_in_a_window_is_healed(stack: Deployed) -> None:
    """The table is read, because no emulator makes exports. The expired range of the window leaves."""
    lost = stack.create(merchant="merchant-window")
    assert poll(lambda: lost in stack.mysql_orders(), ARRIVAL)
    assert stack.settles()
    stack.execute(f"DELETE FROM tbl_orders WHERE order_id = '{lost}'")
    until = datetime.now(UTC)
    start = until - timedelta(minutes=30)
    s3, bucket, key = stack.client("s3"), stack.outputs["failures_bucket"], f"{EXPIRED}window.json"
    document = {
        "message": "{}",
        "shard": "shardId-1",
        "first_arrival": start.isoformat(),
        "last_arrival": start.isoformat(),
    }
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(document))
    assert poll(lambda: datetime.now(UTC) - until > timedelta(seconds=12), 20)
    window = ("--changed-from", start.isoformat(), "--changed-until", until.isoformat())
    code, report = verified(stack, "--repair", *window)
    assert (code, report["changed_from"], report["changed_until"]) == (0, start.isoformat(), until.isoformat())
    assert "point-in-time recovery" in report["scan_reason"]
    assert {one["key"]: one["outcome"] for one in report["findings"]}[f"order/{lost}"] == "repaired"
    assert lost in stack.mysql_orders()
    assert report["counts"]["ranges_proven"] == 1
    assert s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 0
