"""Orders reach MySQL exactly as they are in DynamoDB."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts.local_stack.process import poll
from scripts.local_stack.simulation import Pace, Simulation, run
from tests.e2e.deployed import ARRIVAL, Deployed

ORDER_LIFE = 3 * 24 * 3600


def test_a_created_order_arrives_with_every_digit(stack: Deployed):
    order_id = stack.create(merchant="merchant-102", amount="123456789012345.67", currency="INR")
    assert poll(lambda: stack.mysql_order(order_id), ARRIVAL) == stack.table_order(order_id)
    row = stack.mysql_order(order_id)
    assert (row["merchant_id"], str(row["amount"]), row["currency"], row["status"]) == (
        "merchant-102",
        "123456789012345.6700",
        "INR",
        "NEW",
    )


def test_one_key_sent_at_once_by_many_is_one_order(stack: Deployed):
    merchant, key = f"merchant-{uuid.uuid4()}", str(uuid.uuid4())
    body = {"merchant_id": merchant, "amount": 1, "currency": "INR"}
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: stack.api("POST", "/v1/orders", body, Idempotency_Key=key), range(16)))
    assert {answer.status for answer in answers} == {201}
    (order_id,) = {answer.json()["order_id"] for answer in answers}
    orders = stack.table_orders()
    assert [key for key, order in orders.items() if order["merchant_id"] == merchant] == [order_id]


def test_a_changed_order_changes_its_row(stack: Deployed):
    order_id = stack.create()
    assert poll(lambda: stack.mysql_order(order_id), ARRIVAL)
    answer = stack.api("PATCH", f"/v1/orders/{order_id}", '{"status": "PAID", "amount": 199.99}')
    assert answer.status == 200, answer.data
    poll(lambda: (stack.mysql_order(order_id) or {}).get("status") == "PAID", ARRIVAL)
    assert stack.mysql_order(order_id) == stack.table_order(order_id)


def test_a_deleted_order_leaves_a_tombstone_and_no_row(stack: Deployed):
    order_id = stack.create()
    assert poll(lambda: stack.mysql_order(order_id), ARRIVAL)
    assert stack.api("DELETE", f"/v1/orders/{order_id}").status == 204
    assert poll(lambda: stack.mysql_order(order_id) is None, ARRIVAL)
    assert stack.rows("SELECT deleted FROM replication_versions WHERE item_key = %s", order_id) == [{"deleted": 1}]


@pytest.mark.parametrize("keys", [None, 5], ids=["many orders", "few hot orders"])
@pytest.mark.parametrize("via", ["api", "table"])
def test_after_many_changes_mysql_equals_the_table(stack: Deployed, via: str, keys: int | None):
    summary = run(Simulation(seed=7, keys=keys), stack.order_client(via), Pace(count=150), workers=4)
    assert summary.failures == ()
    assert stack.settles()
    assert stack.mysql_orders() == stack.table_orders()


def test_a_poison_record_is_parked_and_the_next_orders_pass(stack: Deployed):
    now = str(int(time.time()))
    poison = {
        "p_key": {"S": "poison-1"},
        "s_key": {"S": "ORDER"},
        "merchant_id": {"S": "merchant-1"},
        "amount": {"S": "two hundred"},
        "currency": {"S": "INR"},
        "status": {"S": "NEW"},
        "created_at": {"N": now},
        "updated_at": {"N": now},
        "record_ttl": {"N": str(int(now) + ORDER_LIFE)},
    }
    stack.client("dynamodb").put_item(TableName=stack.outputs["table_name"], Item=poison)
    order_id = stack.create()
    assert poll(lambda: stack.mysql_order(order_id), ARRIVAL) == stack.table_order(order_id)
    bucket = stack.outputs["failures_bucket"]
    parked = stack.client("s3").list_objects_v2(Bucket=bucket, Prefix="quarantine/order/poison-1/")
    assert parked["KeyCount"] == 1
    assert stack.mysql_order("poison-1") is None
    assert stack.rows("SELECT * FROM replication_versions WHERE item_key = 'poison-1'") == []
