"""What the API's tests share: tables in moto, a settable clock, and a client that builds API Gateway events."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3

from api import auth
from api.app import serve
from api.cors import Cors
from api.listing import Listing
from api.orders import Orders, OrderTables
from api.routes import Access, OrdersApi

TABLE, INDEX, IDEMPOTENCY_TABLE = "orders", "merchant_id-created_at-index", "idempotency"
NOW = 1_770_000_000
THREE_DAYS = 3 * 86_400
GOOD_ORDER = '{"merchant_id": "merchant-102", "amount": 200.00, "currency": "INR"}'


@dataclass
class SettableClock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> list[str]:
        return [error["field"] for error in self.json["errors"]]


@dataclass
class ApiHarness:
    """The tables, the clock and the pauses of an API under test."""

    dynamodb: Any
    clock: SettableClock
    pauses: list[float] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_id(self) -> str:
        return f"00000000-0000-4000-8000-{next(self.ids):012}"

    def items(self, table: str = TABLE) -> list[dict[str, Any]]:
        found = self.dynamodb.scan(TableName=table)["Items"]
        return sorted(found, key=lambda item: item["p_key"]["S"])

    def everything(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return self.items(TABLE), self.items(IDEMPOTENCY_TABLE)

    def put(self, order_id: str = "order-1", **attributes: Any) -> dict[str, Any]:
        item = stored_item(order_id) | attributes
        item = {name: value for name, value in item.items() if value is not None}
        self.dynamodb.put_item(TableName=TABLE, Item=item)
        return item

    def clear(self) -> None:
        for item in self.items(TABLE):
            self.dynamodb.delete_item(TableName=TABLE, Key={name: item[name] for name in ("p_key", "s_key")})
        for item in self.items(IDEMPOTENCY_TABLE):
            self.dynamodb.delete_item(TableName=IDEMPOTENCY_TABLE, Key={"p_key": item["p_key"]})


@dataclass
class Client:
    api: OrdersApi
    authorization: str | None

    def __call__(
        self,
        method: str,
        path: str = "/v1/orders",
        body: str | bytes | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str | list[str]] | None = None,
        **event: Any,
    ) -> Answer:
        given = {"Content-Type": "application/json"} if body is not None else {}
        if self.authorization is not None:
            given["Authorization"] = self.authorization
        return self.send(rest_event(method, path, body, given | (headers or {}), query) | event)

    def send(self, event: dict[str, Any]) -> Answer:
        reply = serve(self.api, event)
        return Answer(reply["statusCode"], dict(reply["headers"]), reply["body"])

    def post(self, body: str | bytes | None = GOOD_ORDER, **headers: str) -> Answer:
        return self("POST", body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def get(self, order_id: str, **headers: str) -> Answer:
        return self("GET", f"/v1/orders/{order_id}", headers=_dashed(headers))

    def patch(self, order_id: str, body: str, **headers: str) -> Answer:
        return self("PATCH", f"/v1/orders/{order_id}", body, headers=_dashed(headers))

    def delete(self, order_id: str, **headers: str) -> Answer:
        return self("DELETE", f"/v1/orders/{order_id}", headers=_dashed(headers))

    def list(self, **query: str | list[str]) -> Answer:
        return self("GET", query=query)


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def basic(username: str = "foo", password: str = "bar") -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def rest_event(
    method: str,
    path: str,
    body: str | bytes | None,
    headers: dict[str, str],
    query: dict[str, str | list[str]] | None,
) -> dict[str, Any]:
    """An event as API Gateway sends it (REST API, format 1.0); a body of bytes is base64-encoded."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in (query or {}).items()}
    encoded = isinstance(body, bytes)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers or None,
        "multiValueHeaders": {name: [value] for name, value in headers.items()} or None,
        "queryStringParameters": {name: values[-1] for name, values in lists.items()} or None,
        "multiValueQueryStringParameters": lists or None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "requestContext": {"requestId": "request-1", "path": f"/prod{path}", "identity": {"userArn": None}},
        "body": base64.b64encode(body).decode() if encoded else body,
        "isBase64Encoded": encoded,
    }


def stored_item(order_id: str = "order-1") -> dict[str, Any]:
    return {
        "p_key": {"S": order_id},
        "s_key": {"S": "ORDER"},
        "merchant_id": {"S": "merchant-102"},
        "amount": {"N": "200"},
        "currency": {"S": "INR"},
        "status": {"S": "NEW"},
        "created_at": {"N": str(NOW)},
        "updated_at": {"N": str(NOW)},
        "record_ttl": {"N": str(NOW + THREE_DAYS)},
    }


class PatchedClient:
    """The DynamoDB client with chosen methods replaced."""

    def __init__(self, client: Any, **methods: Any) -> None:
        self._client = client
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class SerialClient:
    """The DynamoDB client, one call at a time.

    DynamoDB's calls are atomic; moto's are not. A failed transaction in moto restores a copy of the whole table,
    which undoes the writes of other threads.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(**request: Any) -> Any:
            with self._lock:
                return method(**request)

        return call


def build_api(
    harness: ApiHarness,
    dynamodb: Any = None,
    authenticate: auth.Authenticate | None = None,
    cors: Cors | None = None,
) -> OrdersApi:
    """Build the API on `harness`; `dynamodb` replaces its client, for example by a failing one."""
    client = dynamodb or harness.dynamodb
    secret = auth.Secret(lambda: '{"username": "foo", "password": "bar"}', harness.clock)
    tables = OrderTables(TABLE, IDEMPOTENCY_TABLE, THREE_DAYS, 86_400)
    return OrdersApi(
        Access(authenticate or auth.basic(secret), cors or Cors()),
        orders=Orders(client, tables, harness.clock, harness.pauses.append),
        listing=Listing(client, TABLE, INDEX, harness.clock),
        now=harness.clock,
        new_id=harness.new_id,
    )


def make_tables() -> Any:
    client = boto3.client("dynamodb")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_keys("p_key", "s_key"),
        AttributeDefinitions=_attributes(p_key="S", s_key="S", merchant_id="S", created_at="N"),
        GlobalSecondaryIndexes=[
            {
                "IndexName": INDEX,
                "KeySchema": _keys("merchant_id", "created_at"),
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    client.create_table(
        TableName=IDEMPOTENCY_TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_keys("p_key"),
        AttributeDefinitions=_attributes(p_key="S"),
    )
    return SerialClient(client)


def _keys(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


def _attributes(**kinds: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]
