"""Two pipelines write to one database, each with its own mapping, and do not disturb each other."""

from __future__ import annotations

import time
import uuid
from decimal import Decimal
from typing import Any

from scripts.local_stack.process import poll
from tests.e2e.deployed import ARRIVAL, Deployed
from tests.e2e.replays import FAILED_WITHIN, Failures, Operator
from tests.e2e.second_pipeline import SecondPipeline, customer, order, order_line

FAILS_WITHIN = 60  # seconds


def lines_of(shop: SecondPipeline, order_id: str) -> list[dict[str, Any]]:
    return [row for row in shop.rows("order_lines") if row["order_id"] == order_id]


def customers(shop: SecondPipeline) -> dict[str, str]:
    """Names by id."""
    return {row["customer_id"]: row["name"] for row in shop.rows("customers")}


def arrives(shop: SecondPipeline, order_id: str) -> bool:
    return bool(poll(lambda: lines_of(shop, order_id), ARRIVAL, interval=0.2))


def test_one_table_with_several_kinds_of_item_fills_its_tables(stack: Deployed, shop: SecondPipeline):
    """The orders of both pipelines have the same id: it is another key in each."""
    order_id, customer_id = stack.create(), str(uuid.uuid4())
    shop.put(customer(customer_id), order(order_id, customer_id), order_line(order_id, 1), order_line(order_id, 2))
    assert poll(lambda: len(lines_of(shop, order_id)) == 2, ARRIVAL, interval=0.2)
    assert lines_of(shop, order_id) == [
        {"order_id": order_id, "line_no": line_no, "sku": "tea", "quantity": 2, "price": Decimal("6.25")}
        for line_no in (1, 2)
    ]
    assert [row for row in shop.rows("orders") if row["order_id"] == order_id] == [
        {
            "order_id": order_id,
            "customer_id": customer_id,
            "total": Decimal("12.50"),
            "status": "PAID",
            "placed_at": "2026-02-02 02:40:00",
            "source": "dynamodb",
        }
    ]
    (row,) = (row for row in shop.rows("customers") if row["customer_id"] == customer_id)
    assert (row["name"], row["email"], row["city"], row["newsletter"]) == ("Ada", "ada@example.com", "Köln", 0)
    assert (row["registered_at"], row["extra"]) == ("2026-01-31 10:11:12.500", '{"loyalty":7}')
    assert poll(lambda: stack.mysql_order(order_id), ARRIVAL, interval=0.2) == stack.table_order(order_id)

    shop.delete(order_line(order_id, 1), order_line(order_id, 2), order(order_id, customer_id))
    assert poll(lambda: order_id not in {row["order_id"] for row in shop.rows("orders")}, ARRIVAL, interval=0.2)
    assert lines_of(shop, order_id) == []
    assert stack.mysql_order(order_id) == stack.table_order(order_id)


def test_the_sidecar_tells_the_pipelines_apart(stack: Deployed, shop: SecondPipeline):
    order_id, customer_id = stack.create(), str(uuid.uuid4())
    shop.put(customer(customer_id), order(order_id, customer_id), order_line(order_id, 1))
    assert arrives(shop, order_id)
    assert poll(lambda: stack.mysql_order(order_id), ARRIVAL, interval=0.2)
    names = [order_id, f"shop.order {order_id}"]
    kept = stack.rows("SELECT item_key FROM replication_versions WHERE item_key IN (%s, %s) ORDER BY item_key", *names)
    assert [row["item_key"] for row in kept] == sorted(names)
    sources = stack.rows("SELECT mapping, table_arn FROM replication_sources ORDER BY mapping")
    assert [source["mapping"] for source in sources] == ["orders", "shop"]
    assert sources[1]["table_arn"].endswith(f"table/{shop.outputs['table_name']}")


def test_an_outage_and_its_replay_concern_one_pipeline(stack: Deployed, shop: SecondPipeline):
    """The other pipeline continues. Both have an order of one id, and a failed batch when the first is replayed."""
    own, others = Failures(stack, shop.outputs), Failures(stack, stack.outputs)
    held, (customer_id, behind), started = stack.create(), (str(uuid.uuid4()) for _ in range(2)), time.time()
    stack.execute("RENAME TABLE order_lines TO order_lines_away")
    try:
        shop.put(customer(customer_id), order(held, customer_id), order_line(held, 1))
        assert poll(lambda: shop.consumer_failed_since(started), FAILS_WITHIN, interval=0.5)
        shop.put(customer(behind))
        assert arrives_undisturbed(stack)
        assert poll(own.count, FAILED_WITHIN, interval=1)
        assert arrives_undisturbed(stack)
        assert behind not in customers(shop)
    finally:
        stack.execute("RENAME TABLE order_lines_away TO order_lines")
    assert lines_of(shop, held) == []
    shop.put(customer(customer_id, "Grace"))
    assert poll(lambda: customers(shop).get(customer_id) == "Grace", ARRIVAL, interval=0.2)
    waiting, before = own.count(), stack.mysql_orders()
    others.put(stack.stream_record(held))

    operator = Operator(stack, "--outputs", str(shop.outputs_file))
    replayed = operator.replay("--json")

    assert (replayed.code, replayed.report["outcome"]) == (0, "complete"), replayed
    assert (replayed.report["counts"]["settled"], own.count(), others.count()) == (waiting, 0, 1)
    assert operator.replay().code == 0, "it writes a line that was tried before its order"
    assert [row["price"] for row in lines_of(shop, held)] == [Decimal("6.25")]
    assert (customers(shop)[customer_id], customers(shop)[behind]) == ("Grace", "Ada")
    assert stack.mysql_orders() == before
    replayed = Operator(stack).replay("--json")
    assert (replayed.report["counts"]["records"], replayed.report["counts"]["redelivered"]) == (1, 1), replayed
    assert (own.count(), others.count()) == (0, 0)
    assert stack.mysql_orders() == before == stack.table_orders()


def arrives_undisturbed(stack: Deployed) -> bool:
    order_id = stack.create()
    return bool(poll(lambda: stack.mysql_order(order_id) == stack.table_order(order_id), ARRIVAL, interval=0.2))


def test_a_poison_record_is_parked_in_its_own_pipeline(stack: Deployed, shop: SecondPipeline):
    customer_id, order_id = str(uuid.uuid4()), str(uuid.uuid4())
    poison = order_line(order_id, 1) | {"colour": {"S": "green"}}  # the entity quarantines unmapped attributes
    shop.put(customer(customer_id), order(order_id, customer_id), poison, order_line(order_id, 2))
    assert arrives(shop, order_id)
    assert [row["line_no"] for row in lines_of(shop, order_id)] == [2]
    prefix = f"quarantine/order_line/{order_id}%2F1/"
    assert poll(lambda: objects(stack, shop.outputs["failures_bucket"], prefix) == 1, ARRIVAL, interval=0.2)
    assert objects(stack, stack.outputs["failures_bucket"], "quarantine/order_line/") == 0
    shop.delete(poison)


def objects(stack: Deployed, bucket: str, prefix: str) -> int:
    return int(stack.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"])
