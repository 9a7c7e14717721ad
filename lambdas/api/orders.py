"""Orders in DynamoDB. Every write is conditional on the item that was read, so no update is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from api import aws, idempotency
from api.idempotency import IdempotencyRecord
from api.order import Item, Order, etag, expired, from_item, key, to_item
from api.problems import FieldError, Problem, conflict, not_found, unprocessable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ATTEMPTS = 5
PAUSE_SECONDS = 0.05

# Callbacks get the stored order; an Edit returns the changed one. Either may raise a Problem to cancel the write.
Edit = Callable[["StoredOrder"], Order]
Check = Callable[["StoredOrder"], None]


@dataclass(frozen=True)
class OrderTables:
    """Names of the tables, and the life of their items in seconds."""

    orders: str
    idempotency: str
    order_ttl_seconds: int
    idempotency_ttl_seconds: int


@dataclass(frozen=True)
class StoredOrder:
    """An order with the item it was read from."""

    order: Order
    item: Item

    @property
    def etag(self) -> str:
        return etag(self.item)


class Orders:
    def __init__(
        self,
        client: DynamoDBClient,
        tables: OrderTables,
        now: Callable[[], int],
        pause: Callable[[float], None],
    ) -> None:
        self._client: Any = client
        self._tables = tables
        self._now = now
        self._pause = pause

    def create(self, order: Order) -> None:
        try:
            self._client.put_item(**self._new(order))
        except ClientError as error:
            # An earlier attempt of this call may have succeeded without its response arriving.
            if aws.code(error) != aws.CONDITION_FAILED or not self._is_stored(order):
                raise

    def create_once(self, order: Order, record: IdempotencyRecord) -> str:
        """Create `order` unless the key was used before; return the id of the key's one order.

        Raises 422 if the key was used for a different order, and 409 if another request is using it.
        """
        for attempt in range(ATTEMPTS):
            try:
                self._client.transact_write_items(
                    TransactItems=[{"Put": self._new(order)}, {"Put": self._new_record(record, order)}]
                )
            except ClientError as error:
                if aws.code(error) != aws.CANCELED or aws.unavailable(error):
                    raise
            else:
                return order.order_id
            earlier_id = self._recorded_order_id(record)
            if earlier_id:
                return earlier_id
            self._pause(PAUSE_SECONDS * 2**attempt)
        raise conflict("Another request with the same Idempotency-Key is in progress. Retry later.")

    def read(self, order_id: str) -> StoredOrder:
        item = self._read(order_id)
        if item is None or expired(item, self._now()):
            raise not_found("The order does not exist or has expired.")
        return StoredOrder(from_item(item), item)

    def change(self, order_id: str, edit: Edit) -> StoredOrder:
        """Write what `edit` returns if the order is still as it was read; otherwise read it and call `edit` again."""
        wanted: Order | None = None
        for _ in range(ATTEMPTS):
            current = self.read(order_id)
            # No other writer: an earlier attempt succeeded without its response arriving.
            if current.order == wanted:
                return current
            wanted = edit(current)
            changes = _changes(current.order, wanted)
            if self._updated(current, changes):
                return StoredOrder(wanted, {**current.item, **changes})
        raise _too_many_writers()

    def remove(self, order_id: str, check: Check) -> None:
        """Delete the order if it has not changed since `check`; otherwise read it and call `check` again."""
        for _ in range(ATTEMPTS):
            current = self.read(order_id)
            check(current)
            if self._removed(current):
                return
        raise _too_many_writers()

    def _updated(self, current: StoredOrder, changes: Mapping[str, Any]) -> bool:
        unchanged = _unchanged(current.item)
        try:
            self._client.update_item(
                TableName=self._tables.orders,
                Key=key(current.order.order_id),
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
                ConditionExpression=unchanged.expression,
                ExpressionAttributeNames=unchanged.names | {f"#{name}": name for name in changes},
                ExpressionAttributeValues=unchanged.values | {f":{name}": value for name, value in changes.items()},
            )
        except ClientError as error:
            _require_conflict(error)
            return False
        return True

    def _removed(self, current: StoredOrder) -> bool:
        unchanged = _unchanged(current.item)
        order_id = current.order.order_id
        try:
            self._client.delete_item(
                TableName=self._tables.orders,
                Key=key(order_id),
                ConditionExpression=unchanged.expression,
                ExpressionAttributeNames=unchanged.names,
                ExpressionAttributeValues=unchanged.values,
            )
        except ClientError as error:
            _require_conflict(error)
            # An earlier attempt may have succeeded without its response arriving.
            return aws.retried(error) and self._read(order_id) is None
        return True

    def _is_stored(self, order: Order) -> bool:
        item = self._read(order.order_id)
        return item is not None and from_item(item) == order

    def _read(self, order_id: str) -> Item | None:
        answer = self._client.get_item(TableName=self._tables.orders, Key=key(order_id), ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    def _new(self, order: Order) -> dict[str, Any]:
        return {
            "TableName": self._tables.orders,
            "Item": to_item(order, order.created_at + self._tables.order_ttl_seconds),
            "ConditionExpression": "attribute_not_exists(p_key)",
        }

    def _new_record(self, record: IdempotencyRecord, order: Order) -> dict[str, Any]:
        """Replaces an expired record, which DynamoDB may take days to delete."""
        record_ttl = order.created_at + self._tables.idempotency_ttl_seconds
        return {
            "TableName": self._tables.idempotency,
            "Item": idempotency.to_item(record, order.order_id, record_ttl),
            "ConditionExpression": "attribute_not_exists(p_key) OR record_ttl <= :now",
            "ExpressionAttributeValues": {":now": {"N": str(self._now())}},
        }

    def _recorded_order_id(self, record: IdempotencyRecord) -> str | None:
        """Read the record: not every emulator returns it in the reasons of a cancelled transaction."""
        answer = self._client.get_item(
            TableName=self._tables.idempotency, Key={"p_key": {"S": record.p_key}}, ConsistentRead=True
        )
        item: Item | None = answer.get("Item")
        if item is None or expired(item, self._now()):
            return None
        if item["fingerprint"]["S"] != record.fingerprint:
            detail = "Idempotency-Key was already used with a different request body."
            raise unprocessable([FieldError(idempotency.HEADER, "must be new for a different order")], detail)
        return str(item["order_id"]["S"])


@dataclass(frozen=True)
class _Condition:
    expression: str
    names: dict[str, str]
    values: dict[str, Any]


def _unchanged(item: Item) -> _Condition:
    """Require every attribute to be as it was read; placeholders avoid reserved words and special characters."""
    return _Condition(
        expression=" AND ".join(f"#{n} = :{n}" for n in range(len(item))),
        names={f"#{n}": name for n, name in enumerate(item)},
        values={f":{n}": value for n, value in enumerate(item.values())},
    )


def _changes(before: Order, after: Order) -> dict[str, Any]:
    item = to_item(after, record_ttl=0)
    changed = {name for name, value in vars(after).items() if value != getattr(before, name)}
    return {name: item[name] for name in sorted(changed | {"updated_at"})}


def _require_conflict(error: ClientError) -> None:
    """Raise `error` unless it says that another writer came first and nothing was written."""
    if aws.code(error) not in {aws.CONDITION_FAILED, aws.IN_TRANSACTION}:
        raise error


def _too_many_writers() -> Problem:
    return conflict("Other requests are changing the order. Retry later.")
