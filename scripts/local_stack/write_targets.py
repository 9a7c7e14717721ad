"""The two ways to write an order: through the API, or straight into the table."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import urllib3

from scripts.local_stack.aws import client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.local_stack.simulation import Operation

ORDER_LIFE = 3 * 24 * 3600


class WriteError(Exception):
    """The API did not accept an operation."""


class ApiTarget:
    """Customers know orders by the ids that the API gave out."""

    def __init__(self, api_url: str, username: str, password: str) -> None:
        self._orders = f"{api_url}/v1/orders"
        self._http = urllib3.PoolManager(maxsize=32, block=True)
        self._headers = urllib3.make_headers(basic_auth=f"{username}:{password}")
        self._ids: dict[int, str] = {}

    def send(self, operation: Operation) -> None:
        if operation.kind != "create" and operation.slot not in self._ids:
            raise WriteError(f"{operation.kind}: the order was not created")
        getattr(self, operation.kind)(operation)

    def create(self, operation: Operation) -> None:
        body = {
            "merchant_id": operation.merchant_id,
            "amount": operation.amount,
            "currency": operation.currency,
        }
        self._ids[operation.slot] = self._request("POST", "", body)["order_id"]

    def update(self, operation: Operation) -> None:
        body = {"amount": operation.amount, "status": operation.status}
        self._request("PATCH", f"/{self._ids[operation.slot]}", body)

    def delete(self, operation: Operation) -> None:
        self._request("DELETE", f"/{self._ids.pop(operation.slot)}")

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = self._http.request(
            method,
            self._orders + path,
            body=_exact_json(body) if body else None,
            headers={**self._headers, "Content-Type": "application/json"},
            timeout=30,
            retries=False,
        )
        if answer.status >= 300:  # noqa: PLR2004
            raise WriteError(f"{method} {path}: {answer.status} {answer.data.decode(errors='replace')[:300]}")
        return answer.json() if answer.data else None


class TableTarget:
    """Straight into DynamoDB, as another service of the company would."""

    def __init__(self, table_name: str, endpoint: str) -> None:
        self._table = table_name
        self._dynamodb = client("dynamodb", endpoint)

    def send(self, operation: Operation) -> None:
        getattr(self, operation.kind)(operation)

    def create(self, operation: Operation) -> None:
        now = int(time.time())
        item = {
            **_key(operation),
            "merchant_id": {"S": operation.merchant_id},
            "amount": {"N": str(operation.amount)},
            "currency": {"S": operation.currency},
            "status": {"S": operation.status},
            "created_at": {"N": str(now)},
            "updated_at": {"N": str(now)},
            "record_ttl": {"N": str(now + ORDER_LIFE)},
        }
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def update(self, operation: Operation) -> None:
        self._dynamodb.update_item(
            TableName=self._table,
            Key=_key(operation),
            UpdateExpression="SET amount = :amount, #status = :status, updated_at = :now",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":amount": {"N": str(operation.amount)},
                ":status": {"S": operation.status},
                ":now": {"N": str(int(time.time()))},
            },
        )

    def delete(self, operation: Operation) -> None:
        self._dynamodb.delete_item(TableName=self._table, Key=_key(operation))


def _key(operation: Operation) -> dict[str, Any]:
    return {"p_key": {"S": operation.order_id}, "s_key": {"S": "ORDER"}}


def _exact_json(body: Mapping[str, Any]) -> bytes:
    """An amount keeps its digits, 200.00: json.dumps would want a float."""
    fields = (f"{json.dumps(name)}: {_json_value(value)}" for name, value in body.items())
    return f"{{{', '.join(fields)}}}".encode()


def _json_value(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
