"""An outage of the database that ends within the retry window loses and reorders nothing."""

from __future__ import annotations

import time

from scripts.local_stack.process import poll
from tests.e2e.deployed import Deployed

NOTICED = 25  # seconds


def consumer_failed_since(stack: Deployed, started: float) -> bool:
    events = stack.client("logs").filter_log_events(
        logGroupName=f"/aws/lambda/{stack.outputs['consumer_function_name']}", startTime=int(started * 1000)
    )["events"]
    return any("batch not applied" in event["message"] for event in events)


def test_changes_made_during_an_outage_arrive_when_it_ends(stack: Deployed):
    changed, deleted = stack.create(), stack.create()
    assert stack.settles()
    started = time.time()
    stack.db_stop()
    try:
        created = stack.create(merchant="merchant-outage")
        assert stack.api("PATCH", f"/v1/orders/{changed}", {"status": "PAID"}).status == 200
        assert stack.api("DELETE", f"/v1/orders/{deleted}").status == 204
        assert poll(lambda: consumer_failed_since(stack, started), NOTICED)
        assert stack.api("PATCH", f"/v1/orders/{changed}", {"status": "SHIPPED"}).status == 200
    finally:
        stack.db_start()
    assert stack.settles()
    assert stack.mysql_order(created) == stack.table_order(created)
    assert stack.mysql_order(changed)["status"] == "SHIPPED"
    assert stack.mysql_order(deleted) is None
