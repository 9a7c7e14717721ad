"""Orders in DynamoDB: every write says what it expects to find, so that no change goes unseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from api import aws, idempotency
from api.idempotency import Claim
from api.order import Item, Order, etag, expired, from_item, key, to_item
from api.problems import FieldError, Problem, conflict, not_found, unprocessable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ATTEMPTS = 5
PAUSE_SECONDS = 0.05
CHANGEABLE = ("amount", "currency", "status")

# What a caller makes of the order that was read; both may raise a Problem to leave it as it is.
Edit = Callable[["Stored"], Order]
Check = Callable[["Stored"], None]


@dataclass(frozen=True)
class Tables:
    orders: str
    idempotency: str
    order_ttl_seconds: int
    idempotency_ttl_seconds: int


@dataclass(frozen=True)
class Stored:
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
        tables: Tables,
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
            # An earlier attempt of this very call may have come through and only its answer been lost.
            if aws.code(error) != aws.CONDITION_FAILED or not self._holds(order):
                raise

    def create_once(self, order: Order, claim: Claim) -> str:
        """Create `order` unless the claim was met before; return the id of the one order the claim has."""
        for attempt in range(ATTEMPTS):
            try:
                self._client.transact_write_items(
                    TransactItems=[{"Put": self._new(order)}, {"Put": self._new_claim(claim, order)}]
                )
            except ClientError as error:
                if aws.code(error) != aws.CANCELED or aws.unavailable(error):
                    raise
            else:
                return order.order_id
            earlier = self._claimed(claim)
            if earlier:
                return earlier
            self._pause(PAUSE_SECONDS * 2**attempt)
        raise conflict("Another request with this Idempotency-Key is under way. Repeat the request later.")

    def read(self, order_id: str) -> Stored:
        item = self._read(order_id)
        if item is None or expired(item, self._now()):
            raise not_found("There is no such order.")
        return Stored(from_item(item), item)

    def change(self, order_id: str, edit: Edit) -> Stored:
        """Write what `edit` makes of the order, provided that the order is still what `edit` saw."""
        wanted: Order | None = None
        for _ in range(ATTEMPTS):
            current = self.read(order_id)
            # Lost to nobody: an earlier attempt came through and only its answer had been lost.
            if current.order == wanted:
                return current
            wanted = edit(current)
            changes = _changes(current.order, wanted)
            if self._updated(current, changes):
                return Stored(wanted, {**current.item, **changes})
        raise _lost_every_race()

    def remove(self, order_id: str, check: Check) -> None:
        """Delete the order, provided that it is still what `check` saw."""
        for _ in range(ATTEMPTS):
            current = self.read(order_id)
            check(current)
            if self._removed(current):
                return
        raise _lost_every_race()

    def _updated(self, current: Stored, changes: Mapping[str, Any]) -> bool:
        expectation = _as_read(current.item)
        try:
            self._client.update_item(
                TableName=self._tables.orders,
                Key=key(current.order.order_id),
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
                ConditionExpression=expectation.condition,
                ExpressionAttributeNames=expectation.names | {f"#{name}": name for name in changes},
                ExpressionAttributeValues=expectation.values | {f":{name}": value for name, value in changes.items()},
            )
        except ClientError as error:
            _require_lost(error)
            return False
        return True

    def _removed(self, current: Stored) -> bool:
        expectation = _as_read(current.item)
        order_id = current.order.order_id
        try:
            self._client.delete_item(
                TableName=self._tables.orders,
                Key=key(order_id),
                ConditionExpression=expectation.condition,
                ExpressionAttributeNames=expectation.names,
                ExpressionAttributeValues=expectation.values,
            )
        except ClientError as error:
            _require_lost(error)
            # An earlier attempt may have come through and only its answer been lost.
            return aws.retried(error) and self._read(order_id) is None
        return True

    def _holds(self, order: Order) -> bool:
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

    def _new_claim(self, claim: Claim, order: Order) -> dict[str, Any]:
        """A claim that has run out gives way, whether or not the TTL process has been there."""
        record_ttl = order.created_at + self._tables.idempotency_ttl_seconds
        return {
            "TableName": self._tables.idempotency,
            "Item": idempotency.to_item(claim, order.order_id, record_ttl),
            "ConditionExpression": "attribute_not_exists(p_key) OR record_ttl <= :now",
            "ExpressionAttributeValues": {":now": {"N": str(self._now())}},
        }

    def _claimed(self, claim: Claim) -> str | None:
        """Read rather than trust the reasons of a cancelled transaction: not every emulator returns the item."""
        answer = self._client.get_item(
            TableName=self._tables.idempotency, Key={"p_key": {"S": claim.p_key}}, ConsistentRead=True
        )
        item: Item | None = answer.get("Item")
        if item is None or expired(item, self._now()):
            return None
        if item["fingerprint"]["S"] != claim.fingerprint:
            message = "was used for another order before"
            raise unprocessable([FieldError(idempotency.HEADER, message)], "The Idempotency-Key is taken.")
        return str(item["order_id"]["S"])


@dataclass(frozen=True)
class _Expectation:
    condition: str
    names: dict[str, str]
    values: dict[str, Any]


def _as_read(item: Item) -> _Expectation:
    """Expect every attribute to be as it was read; the numbers spare us reserved and odd names."""
    return _Expectation(
        condition=" AND ".join(f"#{n} = :{n}" for n in range(len(item))),
        names={f"#{n}": name for n, name in enumerate(item)},
        values={f":{n}": value for n, value in enumerate(item.values())},
    )


def _changes(before: Order, after: Order) -> dict[str, Any]:
    item = to_item(after, record_ttl=0)
    changed = {name for name in CHANGEABLE if getattr(before, name) != getattr(after, name)}
    return {name: item[name] for name in (*sorted(changed), "updated_at")}


def _require_lost(error: ClientError) -> None:
    """Pass if nothing was written because somebody else was first; raise any other error."""
    if aws.code(error) not in {aws.CONDITION_FAILED, aws.IN_TRANSACTION}:
        raise error


def _lost_every_race() -> Problem:
    return conflict("The order is being changed by others at this moment. Repeat the request later.")
