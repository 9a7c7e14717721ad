"""A deployed stack as its users and operators see it: HTTP, SQL, AWS calls and commands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import urllib3

from scripts.local_stack.deployed import DeployedStack, Row
from scripts.local_stack.process import poll
from scripts.local_stack.settings import REPOSITORY
from scripts.local_stack.simulation import ApiOrderClient, Operation, OrderClient, TableOrderClient
from scripts.local_stack.stack import API_ACCOUNT, Stack

# Seconds until a change arrives on a busy machine: emulators poll streams and pause between retries.
ARRIVAL = 90
SHOWN_WITHIN = 5  # seconds; an update without an effect has no record
ORDER = json.loads((REPOSITORY / "mappings" / "orders.json").read_text())["entities"]["order"]
COLUMNS = [{"column": "order_id", "from": ["p_key"], "type": "string"}, *ORDER["columns"]]
TYPES = {"string": "S", "decimal": "N", "bigint": "N"}
PARSERS: dict[str, Callable[[str], Any]] = {"string": str, "decimal": Decimal, "bigint": int}


class StreamOrder:
    """Makes each change when the record of the previous one is in the stream.

    LocalStack writes stream records in ten threads and numbers them there. Two changes of one order, 0.7 s apart,
    came in the wrong order, so that its stream ended with another state than its table.
    """

    def __init__(self, streams: Any, stream_arn: str) -> None:
        self._streams, self._arn = streams, stream_arn
        self._turn = Lock()

    def make(self, change: Callable[[], object]) -> None:
        with self._turn:
            iterator = self._latest()
            change()
            poll(lambda: self._streams.get_records(ShardIterator=iterator)["Records"], SHOWN_WITHIN, interval=0.02)

    def _latest(self) -> str:
        (shard,) = self._streams.describe_stream(StreamArn=self._arn)["StreamDescription"]["Shards"]
        position = {"StreamArn": self._arn, "ShardId": shard["ShardId"], "ShardIteratorType": "LATEST"}
        return self._streams.get_shard_iterator(**position)["ShardIterator"]


class InStreamOrder:
    """Sends changes of orders in the order of their stream."""

    def __init__(self, orders: OrderClient, stream: StreamOrder) -> None:
        self._orders, self._stream = orders, stream

    def send(self, operation: Operation) -> None:
        self._stream.make(lambda: self._orders.send(operation))


class Deployed(DeployedStack):
    def __init__(self, stack: Stack, environment: Mapping[str, str]) -> None:
        super().__init__(stack)
        self.environment = environment
        self.is_localstack = bool(stack.settings.endpoint)

    @cached_property
    def _http(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(timeout=30, retries=False)

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
        """A request as foo:bar. A body that is text is sent unchanged."""
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        own = urllib3.make_headers(basic_auth=f"{API_ACCOUNT.user}:{API_ACCOUNT.password}")
        url = self.outputs["api_url"] + path
        return self._http.request(method, url, body=text, headers={**own, "Content-Type": "application/json", **given})

    def create(self, merchant: str = "merchant-1", amount: str = "200.00", currency: str = "INR") -> str:
        body = f'{{"merchant_id": "{merchant}", "amount": {amount}, "currency": "{currency}"}}'
        answer = self.api("POST", "/v1/orders", body)
        assert answer.status in (200, 201), answer.data
        return answer.json()["order_id"]

    def execute(self, *statements: str) -> None:
        """As the administrator of the database."""
        with self.mysql() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def mysql_orders(self) -> dict[str, Row]:
        return {row["order_id"]: row for row in self.rows("SELECT * FROM tbl_orders")}

    def table_orders(self) -> dict[str, Row]:
        """The rows that MySQL should hold: of every item that fits the columns."""
        pages = (
            self.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.outputs["table_name"], ConsistentRead=True)
        )
        items = [item for page in pages for item in page["Items"]]
        return {item["p_key"]["S"]: as_row(item) for item in items if _fits(item)}

    def table_order(self, order_id: str) -> Row | None:
        return self.table_orders().get(order_id)

    def stream_record(self, order_id: str) -> dict[str, Any]:
        """The first record of an order that has arrived, as Lambda receives it."""
        streams, arn = self.client("dynamodbstreams"), self.outputs["stream_arn"]
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        position = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        page = streams.get_records(ShardIterator=streams.get_shard_iterator(**position)["ShardIterator"])
        while page["Records"]:
            for record in page["Records"]:
                body = record["dynamodb"]
                if body["Keys"]["p_key"]["S"] == order_id:
                    body["ApproximateCreationDateTime"] = int(body["ApproximateCreationDateTime"].timestamp())
                    return record | {"eventSourceARN": arn}
            page = streams.get_records(ShardIterator=page["NextShardIterator"])
        raise LookupError(order_id)

    def order_client(self, via: str = "table") -> OrderClient:
        """Sends the changes of a simulation to the `api` or the `table`."""
        orders: OrderClient = (
            ApiOrderClient(self.outputs["api_url"], API_ACCOUNT.user, API_ACCOUNT.password)
            if via == "api"
            else TableOrderClient(self.outputs["table_name"], self.outputs["endpoint_url"])
        )
        stream = self.stream_order(self.outputs["stream_arn"])
        return InStreamOrder(orders, stream) if stream else orders

    def stream_order(self, stream_arn: str) -> StreamOrder | None:
        """None where the stream has the order of the changes anyway."""
        return StreamOrder(self.client("dynamodbstreams"), stream_arn) if self.is_localstack else None

    def settles(self) -> bool:
        """Whether MySQL becomes equal to the table. No other writer may be active."""
        expected = self.table_orders()
        return poll(lambda: self.mysql_orders() == expected, ARRIVAL, interval=0.2)

    def enable_mapping(self, *, enabled: bool) -> None:
        """Returns when the event source mapping is on or off."""
        lambdas, mapping = self.client("lambda"), {"UUID": self.outputs["event_source_mapping_uuid"]}
        lambdas.update_event_source_mapping(**mapping, Enabled=enabled)
        state = "Enabled" if enabled else "Disabled"
        assert poll(lambda: lambdas.get_event_source_mapping(**mapping)["State"] == state, ARRIVAL, interval=0.2)

    def planned_changes(self) -> set[str]:
        """The types of the resources that another apply would change.

        LocalStack keeps no encryption of a state machine, so there each plan gives it again.
        """
        return self.stack.planned_changes() - ({"aws_sfn_state_machine"} if self.is_localstack else set())

    def make(self, target: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", target],
            cwd=REPOSITORY,
            env=dict(self.environment),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def _fits(item: Mapping[str, Any]) -> bool:
    return all(TYPES[column["type"]] in item.get(column["from"][0], {}) for column in COLUMNS)


def as_row(item: Mapping[str, Any]) -> Row:
    return {
        column["column"]: PARSERS[column["type"]](item[column["from"][0]][TYPES[column["type"]]]) for column in COLUMNS
    }


def own_environment(home: Path, token: str) -> dict[str, str]:
    """Names that no other stack uses, on a shared emulator or database server too."""
    own = {
        "BACKSTREAM_HOME": str(home),
        "BACKSTREAM_ENV": f"e2e-{token}",
        "MYSQL_DATABASE": f"backstream_e2e_{token}",
    }
    # The variables of the make that runs these tests do not apply to the ones that they run.
    of_make = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "ARGS"}
    return {name: value for name, value in os.environ.items() if name not in of_make} | own
