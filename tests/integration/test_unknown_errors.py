"""An unknown error number is the row's when other rows are accepted, and the database's otherwise."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pymysql
import pytest

from common.changes import Kind
from common.database import Outcome
from common.mysql import errors
from tests.support.legacy import MERCHANT_KEY, MERCHANTS, signal, trigger
from tests.support.records import order_id, record, remove
from tests.support.tables import Tables, order
from tests.support.writes import Applier

both_ways = pytest.mark.parametrize("every_change", [False, True], ids=["last change", "every change"])


@pytest.fixture
def odd(writer: Applier, tables: Tables) -> Applier:
    """A target whose triggers signal 31001 for the status ODD, and 45000 for BAD."""
    for event in ("INSERT", "UPDATE"):
        refusals = signal("NEW.status = 'ODD'", 31001), signal("NEW.status = 'BAD'")
        tables.run(trigger(f"BEFORE {event}", f"BEGIN {'; '.join(refusals)}; END"))
    return writer


@both_ways
@pytest.mark.parametrize("bad", [{3}, {0, 39}, set(range(20, 40))], ids=["one", "both ends", "half"])
def test_rows_with_an_unknown_error_park_alone(odd: Applier, tables: Tables, bad: set[int], *, every_change: bool):
    batch = [record(f"k{i:02}", 1, status="ODD" if i in bad else "NEW") for i in range(40)]

    outcome = odd(*batch, every_change=every_change)

    assert outcome.counts == Counter(upserted=40 - len(bad))
    assert sorted((order_id(p.key), p.kind, p.errno) for p in outcome.parked) == [
        (f"k{i:02}", Kind.UNKNOWN, 31001) for i in sorted(bad)
    ]
    assert all("unknown error" in p.reason and "31001" in p.reason for p in outcome.parked)
    assert all(p.record in batch for p in outcome.parked)
    assert tables.orders() == [order(f"k{i:02}") for i in range(40) if i not in bad]
    assert [row[0] for row in tables.sidecar()] == [f"k{i:02}" for i in range(40) if i not in bad]


def test_an_update_with_an_unknown_error_leaves_its_row(odd: Applier, tables: Tables):
    odd(record("a", 1), record("b", 1))
    before = tables.whole_sidecar()[:1]

    outcome = odd(record("a", 2, status="ODD"), record("b", 2, status="PAID"))

    assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("a", Kind.UNKNOWN)]
    assert tables.orders() == [order("a"), order("b", status="PAID")]
    assert tables.whole_sidecar()[:1] == before


def test_a_retry_wins_once_the_cause_is_gone(odd: Applier, tables: Tables):
    (parked,) = odd(record("a", 1, status="ODD"), record("b", 1)).parked
    tables.run("DROP TRIGGER before_insert")

    assert odd(parked.record) == Outcome(Counter(upserted=1))
    assert tables.orders() == [order("a", status="ODD"), order("b")]


@both_ways
@pytest.mark.parametrize("size", [1, 2, 40])
def test_an_unknown_error_on_every_row_holds(odd: Applier, tables: Tables, size: int, *, every_change: bool):
    with pytest.raises(pymysql.MySQLError) as raised:
        odd(*(record(f"k{i}", 1, status="ODD") for i in range(size)), every_change=every_change)

    assert errors.number(raised.value) == 31001
    assert (tables.orders(), tables.whole_sidecar()) == ([], [])
    tables.assert_unlocked()


def test_poison_beside_it_is_no_evidence(odd: Applier, tables: Tables):
    """No row was accepted, so the unknown error may be the database's."""
    with pytest.raises(pymysql.MySQLError) as raised:
        odd(record("a", 1, status="BAD"), record("b", 1, status="ODD"))

    assert errors.number(raised.value) == 31001
    assert (tables.orders(), tables.whole_sidecar()) == ([], [])


def test_each_kind_of_refusal_has_its_own_kind(odd: Applier, tables: Tables):
    outcome = odd(record("a", 1, status="BAD"), record("b", 1, status="ODD"), record("c", 1))

    assert sorted((order_id(p.key), p.kind) for p in outcome.parked) == [("a", Kind.POISON), ("b", Kind.UNKNOWN)]
    assert tables.orders() == [order("c")]


class TestDeferred:
    """A change that waits for another row is deferred."""

    def test_a_missing_parent(self, writer: Applier, tables: Tables):
        tables.run(*MERCHANTS, f"ALTER TABLE tbl_orders ADD {MERCHANT_KEY}")

        outcome = writer(record("a", 1, merchant_id="nobody"), record("b", 1))

        assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("a", Kind.DEFERRED)]
        assert tables.orders() == [order("b")]

    def test_a_parent_that_is_still_referred_to(self, writer: Applier, tables: Tables):
        writer(record("a", 1), record("b", 1))
        tables.run(
            "CREATE TABLE invoices (order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,"
            " FOREIGN KEY (order_id) REFERENCES tbl_orders (order_id)) ENGINE=InnoDB",
            "INSERT INTO invoices VALUES ('a')",
        )

        outcome = writer(remove("a", 2), remove("b", 2))

        assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("a", Kind.DEFERRED)]
        assert tables.sidecar() == [("a", 1, 0), ("b", 2, 1)]

    @pytest.mark.parametrize("exists", [False, True], ids=["new row", "changed row"])
    def test_a_taken_unique_value(self, tables: Tables, connect: Any, *, exists: bool):
        tables.run("ALTER TABLE tbl_orders ADD UNIQUE KEY uq_status (status)")
        writer = Applier(connect())
        writer(record("a", 1, status="ONE"), *([record("b", 1, status="TWO")] if exists else []))

        outcome = writer(record("b", 2, status="ONE"), record("c", 1, status="THREE"))

        assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("b", Kind.DEFERRED)]


@pytest.mark.parametrize("number", [1365, 167, 1118, 1467, 1216, 1217, 3141, 1906, 3105])
def test_these_numbers_have_a_rule(number: int):
    rule = errors.rule(pymysql.err.OperationalError(number, ""))
    assert rule is not errors.UNKNOWN


@pytest.mark.parametrize(("number", "like"), [(1216, 1452), (1217, 1451)])
def test_without_privileges_on_the_parent_the_rule_is_the_same(number: int, like: int):
    """MySQL gives such an account 1216 and 1217 in place of 1452 and 1451."""
    ours, theirs = (errors.rule(pymysql.err.IntegrityError(n, "")) for n in (number, like))
    assert ours == theirs
