"""What DynamoDB expired is told from what a user deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from common import mapping
from common.changes import Batch, Change, Mark
from common.expiry import is_ttl_delete
from common.records import parse_records
from tests.support.records import START, TTL_IDENTITY, record, remove

ORDERS = mapping.load()
FIRST = "2026-01-31T00:00:00.000_21_800000000000000000001"


def removal(made: dict[str, Any], mark: Mark) -> Batch:
    return Batch(changes=[Change("order/order-1", FIRST, None, START, made, False, 0, ("order-1",), mark)])


class TestTTL:
    """DynamoDB expires items; the entity says what happens to the row."""

    expired = remove("order-1", 1, identity=TTL_IDENTITY)

    def test_an_expired_item_is_a_change_with_its_own_mark(self):
        assert removal(self.expired, Mark.EXPIRED) == parse_records([self.expired], ORDERS)

    def test_the_row_of_an_expired_item_stays_unless_mirrored(self):
        [entity] = ORDERS.entities
        [mirroring] = ORDERS.mirroring_expiry().entities
        assert entity.removal(Mark.EXPIRED).action is mapping.Action.IGNORE
        assert mirroring.removal(Mark.EXPIRED).action is mapping.Action.DELETE

    @pytest.mark.parametrize(
        "made",
        [
            remove("order-1", 1),
            remove("order-1", 1, identity={"type": "Service", "principalId": "replication.dynamodb.amazonaws.com"}),
            remove("order-1", 1, identity={"type": "IAMUser", "principalId": "dynamodb.amazonaws.com"}),
            record("order-1", 1, identity=TTL_IDENTITY),
        ],
        ids=["no identity", "another service", "a user", "not a removal"],
    )
    def test_nothing_else_counts_as_expired(self, made: dict[str, Any]):
        assert not is_ttl_delete(made)
        [change] = parse_records([made], ORDERS).changes
        assert change.mark is not Mark.EXPIRED


FIVE_YEARS = (5 * 365 + 2) * 86_400


class TestReplicatedTTL:
    """In a global table's other Region an expiry is a REMOVE without an identity: the item's own time tells."""

    @staticmethod
    def removed(ttl: Any, **options: Any) -> dict[str, Any]:
        return remove("order-1", 1, record_ttl=ttl, **options)

    @pytest.mark.parametrize("ttl", [START, START - 1, START - FIVE_YEARS], ids=["just now", "before", "long before"])
    def test_an_item_whose_time_had_come_has_expired(self, ttl: int):
        made = self.removed({"N": str(ttl)})
        assert removal(made, Mark.EXPIRED) == parse_records([made], ORDERS)

    @pytest.mark.parametrize(
        "ttl",
        [
            {"N": str(START + 1)},
            None,
            {"S": str(START)},
            {"N": "soon"},
            {"N": "-1"},
            {"N": "1" * 12},
            {"N": "\u0661" * 10},
            {"N": START},
            {"NULL": True},
            {"N": "0"},
            {"N": str(START - FIVE_YEARS - 1)},
        ],
        ids=repr,
    )
    def test_an_item_whose_time_had_not_come_was_deleted(self, ttl: Any):
        """DynamoDB expires nothing without a whole number of seconds, nor what is past by more than five years."""
        made = self.removed(ttl)
        assert removal(made, Mark.DELETED) == parse_records([made], ORDERS)

    def test_a_removal_with_an_identity_is_a_delete(self):
        user = {"type": "IAMUser", "principalId": "somebody"}
        made = self.removed({"N": str(START)}, identity=user)
        assert removal(made, Mark.DELETED) == parse_records([made], ORDERS)

    def test_without_a_ttl_attribute_nothing_expires_by_its_time(self):
        made = self.removed({"N": str(START)})
        assert removal(made, Mark.DELETED) == parse_records([made], replace(ORDERS, ttl_attribute=None))

    def test_only_a_removal_can_be_an_expiry(self):
        made = record("order-1", 1, record_ttl={"N": str(START)})
        made["dynamodb"]["OldImage"] = made["dynamodb"]["NewImage"]
        assert not is_ttl_delete(made, ORDERS.ttl_attribute)
