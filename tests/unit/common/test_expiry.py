"""What DynamoDB expired is told from what a user deleted."""

from __future__ import annotations

from typing import Any

import pytest

from common import mapping
from common.changes import Batch, Change
from common.expiry import is_ttl_delete
from common.records import parse_records
from tests.support.records import START, TTL_IDENTITY, record, remove

TABLE = mapping.load()
FIRST = "2026-01-31T00:00:00.000_21_800000000000000000001"


class TestTTL:
    """Items expire from DynamoDB; the legacy row stays unless told otherwise."""

    expired = remove("order-1", 1, identity=TTL_IDENTITY)

    def test_an_expired_item_is_skipped_and_counted(self):
        assert Batch(skipped={"ttl_delete": 1}) == parse_records([self.expired], TABLE)

    def test_an_expired_item_deletes_its_row_when_mirrored(self):
        change = Change("order-1", FIRST, None, START, self.expired)
        assert Batch(changes=[change]) == parse_records([self.expired], TABLE, mirror_ttl_deletes=True)

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
        assert len(parse_records([made], TABLE).changes) == 1


FIVE_YEARS = (5 * 365 + 2) * 86_400


class TestReplicatedTTL:
    """In a global table's other Region an expiry is a REMOVE without an identity: the item's own time tells."""

    @staticmethod
    def removed(ttl: Any, **options: Any) -> dict[str, Any]:
        return remove("order-1", 1, record_ttl=ttl, **options)

    @pytest.mark.parametrize("ttl", [START, START - 1, START - FIVE_YEARS], ids=["just now", "before", "long before"])
    def test_an_item_whose_time_had_come_has_expired(self, ttl: int):
        """It is skipped and counted, or deletes its row when mirrored."""
        made = self.removed({"N": str(ttl)})
        assert Batch(skipped={"ttl_delete": 1}) == parse_records([made], TABLE)
        mirrored = Batch(changes=[Change("order-1", FIRST, None, START, made)])
        assert mirrored == parse_records([made], TABLE, mirror_ttl_deletes=True)

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
        assert Batch(changes=[Change("order-1", FIRST, None, START, made)]) == parse_records([made], TABLE)

    def test_a_removal_with_an_identity_is_a_delete(self):
        user = {"type": "IAMUser", "principalId": "somebody"}
        assert len(parse_records([self.removed({"N": str(START)}, identity=user)], TABLE).changes) == 1

    def test_without_a_ttl_attribute_nothing_expires_by_its_time(self):
        table = mapping.Table(TABLE.name, TABLE.sort_key, TABLE.columns)
        assert len(parse_records([self.removed({"N": str(START)})], table).changes) == 1

    def test_only_a_removal_can_be_an_expiry(self):
        made = record("order-1", 1, record_ttl={"N": str(START)})
        made["dynamodb"]["OldImage"] = made["dynamodb"]["NewImage"]
        assert not is_ttl_delete(made, TABLE.ttl_attribute)
