"""After an outage longer than the record age a replay makes MySQL equal to the table, and no key goes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from scripts.local_stack.process import poll
from tests.e2e.deployed import ARRIVAL, Deployed
from tests.e2e.replays import ENDS_WITHIN, FAILED_WITHIN, Failures, Operator, stream_is_drained
from tests.e2e.traffic import CountedTraffic

LOG = (
    "CREATE TABLE row_log (id BIGINT AUTO_INCREMENT PRIMARY KEY, order_id VARCHAR(64), amount DECIMAL(20,4), gone INT)",
    *(
        f"CREATE TRIGGER row_log_{event} AFTER {event} ON tbl_orders FOR EACH ROW"
        f" INSERT INTO row_log (order_id, amount, gone) VALUES ({row}.order_id, {row}.amount, {int(event == 'DELETE')})"
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
    ),
)


@pytest.fixture(scope="module")
def logged(stack: Deployed) -> Iterator[Deployed]:
    """Triggers log every state of every row."""
    stack.execute(*LOG)
    yield stack
    stack.execute("DROP TRIGGER row_log_INSERT", "DROP TRIGGER row_log_UPDATE", "DROP TRIGGER row_log_DELETE")
    stack.execute("DROP TABLE row_log")


@pytest.fixture(scope="module")
def traffic(logged: Deployed) -> CountedTraffic:
    return CountedTraffic(logged)


@pytest.fixture(scope="module")
def failures(stack: Deployed) -> Failures:
    return Failures(stack, stack.outputs)


@pytest.fixture(scope="module")
def operator(stack: Deployed) -> Operator:
    return Operator(stack)


def require_equality(stack: Deployed) -> None:
    """Fails with the rows that differ when MySQL does not become equal to the table."""
    stack.settles()
    assert stack.mysql_orders() == stack.table_orders()


def gone_back(stack: Deployed) -> list[str]:
    """The orders whose row was older after newer, or came back after its removal as it was before."""
    found, last = [], dict[str, tuple[Decimal, int]]()
    for row in stack.rows("SELECT order_id, amount, gone FROM row_log ORDER BY id"):
        amount, was_gone = last.get(row["order_id"], (Decimal(0), 0))
        if row["amount"] < amount or (was_gone and row["amount"] == amount):
            found.append(row["order_id"])
        last[row["order_id"]] = (row["amount"], row["gone"])
    return found


def test_a_replay_drains_an_outage_and_no_key_goes_back(
    logged: Deployed, traffic: CountedTraffic, failures: Failures, operator: Operator
):
    stack = logged
    traffic.send(60)
    require_equality(stack)
    stack.db_stop()
    try:
        left_behind = stack.create(merchant="merchant-left-behind")
        with traffic:
            assert poll(failures.count, FAILED_WITHIN, interval=1)
    finally:
        stack.db_start()
    traffic.send(40)
    assert stream_is_drained(stack)
    waiting, before = failures.count(), stack.mysql_orders()
    assert before != stack.table_orders()
    assert left_behind not in before

    planned = operator.replay("--dry-run", "--json")
    assert (planned.code, planned.report["outcome"]) == (0, "planned"), planned
    assert planned.report["counts"]["batches"] == waiting
    assert planned.report["counts"]["stale"] > 0
    assert poll(lambda: failures.count() == waiting, ARRIVAL)
    assert stack.mysql_orders() == before

    report = operator.end(operator.start())
    assert report["outcome"] == "complete"
    assert report["counts"]["applied"] > 0
    assert report["counts"]["stale"] + report["counts"]["superseded"] > 0
    assert (report["counts"]["settled"], report["counts"]["left"]) == (waiting, 0)
    assert (report["expired"], report["problems"], report["parked_records"]) == ([], [], [])
    assert failures.count() == 0
    assert stack.mysql_orders() == stack.table_orders()
    assert gone_back(stack) == []


def test_a_replay_waits_for_the_database_and_is_the_only_one(
    logged: Deployed, traffic: CountedTraffic, failures: Failures, operator: Operator
):
    stack = logged
    assert failures.put_back()
    stack.db_stop()
    try:
        first = operator.begin("start", "--json")
        assert first.stderr
        execution = first.stderr.readline().removeprefix("execution ").strip()
        assert poll(lambda: operator.waits_for_database(execution), ARRIVAL, interval=0.5)
        second = operator.end(operator.start())
        assert (second["outcome"], second["running"]) == ("already_running", execution)
        third = operator.replay("start")
        assert third.code == 3
        assert execution in third.stdout
    finally:
        stack.db_start()
    with traffic:
        stdout, stderr = first.communicate(timeout=ENDS_WITHIN)
    counts = json.loads(stdout)["counts"]
    assert (first.returncode, counts["applied"], counts["parked"]) == (0, 0, 0), stderr
    require_equality(stack)
    assert failures.count() == 0
    assert gone_back(stack) == []


def test_a_quarantined_record_is_retried_by_its_key(stack: Deployed, operator: Operator):
    stack.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON tbl_orders FOR EACH ROW"
        " IF NEW.merchant_id = 'merchant-refused' THEN SIGNAL SQLSTATE '45000'; END IF",
    )
    try:
        refused = stack.create(merchant="merchant-refused")
        key = f"order/{refused}"
        assert poll(lambda: operator.replay("list", key, "--json").report, ARRIVAL, interval=1)
        parked_again = operator.replay("retry", key)
        assert parked_again.code == 4, parked_again
        assert stack.mysql_order(refused) is None
    finally:
        stack.execute("DROP TRIGGER refuse")
    assert key in operator.replay("show", key).stdout
    retried = operator.replay("retry", key)
    assert retried.code == 0, retried
    assert stack.mysql_order(refused) == stack.table_order(refused)
    assert operator.replay("list", key, "--json").report == []


def test_an_order_is_written_once_its_parent_row_exists(stack: Deployed, operator: Operator):
    stack.execute(
        "CREATE TABLE merchants AS SELECT DISTINCT merchant_id FROM tbl_orders",
        "ALTER TABLE merchants ADD PRIMARY KEY (merchant_id)",
        "ALTER TABLE tbl_orders ADD CONSTRAINT of_merchant FOREIGN KEY (merchant_id) REFERENCES merchants"
        " (merchant_id)",
    )
    try:
        early = stack.create(merchant="merchant-late")
        key = f"order/{early}"
        assert poll(lambda: operator.replay("list", key, "--json").report, ARRIVAL, interval=1)
        (parked,) = operator.replay("list", key, "--json").report
        assert (parked["kind"], parked["object"].split("/")[:3]) == ("deferred", ["deferred", "order", early])
        tried = operator.replay("--json")
        assert (tried.code, tried.report["counts"].get("deferred"), stack.mysql_order(early)) == (0, 1, None), tried
        stack.execute("INSERT INTO merchants VALUES ('merchant-late')")
        written = operator.replay("--json")
        assert (written.code, written.report["counts"]["applied"]) == (0, 1), written
        assert stack.mysql_order(early) == stack.table_order(early)
        assert operator.replay("list", key, "--json").report == []
    finally:
        stack.execute("ALTER TABLE tbl_orders DROP FOREIGN KEY of_merchant", "DROP INDEX of_merchant ON tbl_orders")
        stack.execute("DROP TABLE merchants")


def test_wrong_input_is_refused_with_the_reason(operator: Operator):
    refused = operator.replay("--concurrency", "0")
    assert refused.code == 2
    assert "concurrency: 0 is less than the minimum of 1" in refused.stdout


def test_a_replay_without_failed_batches_succeeds(stack: Deployed, failures: Failures, operator: Operator):
    assert failures.count() == 0
    replayed = operator.replay()
    assert (replayed.code, "nothing to do" in replayed.stdout) == (0, True), replayed
    assert stack.make("replay").returncode == 0
