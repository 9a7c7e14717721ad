"""A row that can never be written is parked whole and leaves no trace. Everything else is committed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pymysql
import pytest

from common.database import Outcome, SchemaMismatchError
from common.mysql import errors, schema
from common.mysql.apply import apply
from common.mysql.sql import tuples
from tests.support.records import START, order_id, record, remove
from tests.support.tables import Tables, order, without_width
from tests.support.writes import MAPPING, Applier, WriteLog, changes_of, round_trips

both_ways = pytest.mark.parametrize("every_change", [False, True], ids=["last change", "every change"])
CHECK = (3819, 4025)  # MySQL's number and MariaDB's


@pytest.fixture
def positive(writer: Applier, tables: Tables) -> Applier:
    """A target that refuses negative amounts."""
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
    return writer


def parked(outcome: Outcome) -> list[tuple[Any, ...]]:
    return [(order_id(p.key), p.version and int(p.version[-20:]), p.errno, p.record) for p in outcome.parked]


@both_ways
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_only_the_poison_is_parked(positive: Applier, tables: Tables, size: int, *, every_change: bool):
    for position in range(size):
        tables.run("DELETE FROM tbl_orders", "DELETE FROM replication_versions")
        batch = [record(f"k{i}", 1, amount="-1" if i == position else "1") for i in range(size)]

        outcome = positive(*batch, every_change=every_change)

        assert [p.record for p in outcome.parked] == [batch[position]]
        assert outcome.parked[0].errno in CHECK
        good = [i for i in range(size) if i != position]
        assert +outcome.counts == +Counter(upserted=size - 1)
        assert tables.orders() == [order(f"k{i}", amount="1") for i in good]
        assert tables.sidecar() == [(f"k{i}", 1, 0) for i in good], "a parked record leaves no trace"


@both_ways
def test_many_poisons_among_many_rows(positive: Applier, tables: Tables, *, every_change: bool):
    bad = {7, 8, 9, *range(100, 1000, 100), 998, 999}
    batch = [record(f"k{i:04}", 1, amount="-1" if i in bad else "1") for i in range(1000)]
    deletes = [remove(f"d{i}", 1) for i in range(5)]

    outcome = positive(*batch, *deletes, every_change=every_change)

    assert outcome.counts == Counter(upserted=1000 - len(bad), deleted=5)
    assert sorted(int(order_id(p.key)[1:]) for p in outcome.parked) == sorted(bad)
    assert tables.orders() == [order(f"k{i:04}", amount="1") for i in range(1000) if i not in bad]
    assert len(tables.sidecar()) == 1005 - len(bad)


def test_a_batch_of_nothing_but_poison_writes_nothing(positive: Applier, tables: Tables):
    outcome = positive(*(record(f"k{i}", 1, amount="-1") for i in range(5)))

    assert (len(outcome.parked), outcome.counts) == (5, Counter())
    assert (tables.orders(), tables.whole_sidecar()) == ([], [])
    tables.assert_unlocked()


def test_the_newest_good_change_before_the_poison_is_written(positive: Applier, tables: Tables, log: WriteLog):
    poison = [record("a", 4, amount="-4"), record("a", 5, amount="-5")]

    outcome = positive(
        record("a", 1, amount="1"), remove("a", 2), record("a", 3, amount="3"), *poison, record("b", 1, amount="1")
    )

    assert sorted(p.record["dynamodb"]["SequenceNumber"][-1] for p in outcome.parked) == ["4", "5"]
    assert outcome.counts == Counter(upserted=2, superseded=2)
    assert tables.orders() == [order("a", amount="3"), order("b", amount="1")]
    assert tables.sidecar() == [("a", 3, 0), ("b", 1, 0)]
    assert [row[:2] for row in log.rows() if row[1] == "a"] == [("insert", "a")]


def test_the_change_before_the_poison_may_be_a_delete(positive: Applier, tables: Tables):
    positive(record("a", 1, amount="1"))

    outcome = positive(remove("a", 2), record("a", 3, amount="-1"))

    assert (len(outcome.parked), outcome.counts) == (1, Counter(deleted=1))
    assert (tables.orders(), tables.sidecar()) == ([], [("a", 2, 1)])


@both_ways
def test_a_later_good_version_supersedes_the_poison(positive: Applier, tables: Tables, *, every_change: bool):
    outcome = positive(
        record("a", 1, amount="1"),
        record("a", 2, amount="-1"),
        record("a", 3, amount="3"),
        every_change=every_change,
    )

    assert len(outcome.parked) == int(every_change), "a change that is not the last is not even tried"
    assert tables.orders() == [order("a", amount="3")]
    assert tables.sidecar() == [("a", 3, 0)]


def test_a_stale_poison_is_stale(positive: Applier, tables: Tables):
    positive(record("a", 5, amount="5"))

    assert positive(record("a", 4, amount="-1"), record("b", 1)) == Outcome(Counter(stale=1, upserted=1))


def test_the_row_before_the_poison_stays_as_it_was(positive: Applier, tables: Tables):
    positive(record("a", 1, amount="1"))
    before = tables.whole_sidecar()

    positive(record("a", 2, amount="-1"), record("b", 1, amount="1"))

    assert tables.orders() == [order("a", amount="1"), order("b", amount="1")]
    assert tables.whole_sidecar()[:1] == before


def test_a_retry_wins_once_the_cause_is_gone(positive: Applier, tables: Tables):
    poison = record("a", 2, amount="-1")
    positive(record("a", 1), poison)
    tables.run("ALTER TABLE tbl_orders DROP CONSTRAINT positive")

    assert positive(poison) == Outcome(Counter(upserted=1))
    assert tables.orders() == [order("a", amount="-1")]
    assert tables.sidecar() == [("a", 2, 0)]


def test_a_retry_after_a_newer_good_version_is_stale(positive: Applier, tables: Tables):
    poison = record("a", 2, amount="-1")
    positive(poison)
    positive(record("a", 3, amount="3"))
    tables.run("ALTER TABLE tbl_orders DROP CONSTRAINT positive")

    assert positive(poison) == Outcome(Counter(stale=1))
    assert tables.orders() == [order("a", amount="3")]


@both_ways
def test_poison_again_changes_nothing(positive: Applier, tables: Tables, log: WriteLog, *, every_change: bool):
    batch = [record("a", 1), record("a", 2, amount="-1"), record("b", 1), remove("c", 1)]
    first = positive(*batch, every_change=every_change)
    before = tables.orders(), tables.whole_sidecar()
    log.clear()

    second = positive(*batch, every_change=every_change)

    assert second.parked == first.parked
    assert second.counts == Counter(redelivered=3)
    assert (tables.orders(), tables.whole_sidecar()) == before
    assert log.rows() == []


@both_ways
def test_the_clock_trips_beside_poison_too(positive: Applier, tables: Tables, *, every_change: bool):
    positive(record("a", 5))

    outcome = positive(record("a", 4, time=START + 9), record("b", 1, amount="-1"), every_change=every_change)

    assert sorted(order_id(p.key) for p in outcome.parked) == ["a", "b"]
    assert tables.sidecar() == [("a", 5, 0)]


REFUSALS = [
    pytest.param("ALTER TABLE tbl_orders MODIFY status VARCHAR(2)", 1406, "status", id="too long"),
    pytest.param("ALTER TABLE tbl_orders MODIFY amount DECIMAL(4,2)", 1264, "amount", id="out of range"),
]


@pytest.mark.parametrize(("ddl", "errno", "column"), REFUSALS)
def test_an_altered_column_parks_what_no_longer_fits(
    writer: Applier, tables: Tables, ddl: str, errno: int, column: str
):
    """The server never rounds, cuts or replaces it."""
    tables.run(ddl)
    poison = record("a", 1, "INSERT", status="VERY NEW", amount="12345")

    outcome = writer(poison, remove("b", 1))

    assert parked(outcome) == [("a", 1, errno, poison)]
    assert outcome.parked[0].reason.startswith(f"MySQL error {errno} (")
    assert outcome.parked[0].reason.endswith(f" on column {column}")
    assert outcome.parked[0].hint == errors.RULES[errno].hint
    assert "VERY NEW" not in str(outcome.parked[0]._replace(record={}))


def test_a_number_column_altered_to_a_date_parks_its_values(writer: Applier, tables: Tables):
    """The server takes some numbers for dates, so none of them is sent."""
    tables.run("ALTER TABLE tbl_orders MODIFY created_at DATE")
    poison = record("a", 1, "INSERT")

    outcome = writer(poison, remove("b", 1))

    assert parked(outcome) == [("a", 1, None, poison)]
    assert outcome.parked[0].reason == "column created_at is date, no column of whole numbers"
    assert (tables.orders(), tables.sidecar()) == ([], [("b", 1, 1)])


OTHERWISE = [
    ("MODIFY created_at INT NOT NULL", "column created_at is int, which ends at 2147483647"),
    ("MODIFY status ENUM('OK', '') NOT NULL", "column status is an ENUM without this value"),
    ("MODIFY status CHAR(32) NOT NULL", "column status is a CHAR, which drops the spaces at the end of this value"),
]


@pytest.mark.parametrize(("ddl", "reason"), OTHERWISE)
def test_what_would_be_stored_otherwise_is_not_sent(connect: Any, tables: Tables, ddl: str, reason: str):
    tables.run(f"ALTER TABLE tbl_orders {ddl}")
    writer = Applier(connect())
    poison = record("a", 1, status="ok ", created_at=2**31)

    outcome = writer(poison, remove("b", 1))

    assert parked(outcome) == [("a", 1, None, poison)]
    assert without_width(outcome.parked[0].reason) == reason
    assert (tables.orders(), tables.sidecar()) == ([], [("b", 1, 1)])


@pytest.mark.parametrize(("ddl", "reason"), OTHERWISE[:1])
def test_the_reason_is_that_of_the_table_as_it_is_now(writer: Applier, tables: Tables, ddl: str, reason: str):
    tables.run(f"ALTER TABLE tbl_orders {ddl}")

    outcome = writer(record("a", 1, status="ok ", created_at=2**31))

    assert [without_width(parked.reason) for parked in outcome.parked] == [reason]


FORESEEN = [
    ("amount DECIMAL(6,2) NOT NULL", "amount", ["9999.99", "-9999.99", "10000", "-10000", "0"]),
    ("amount DECIMAL(6,2) UNSIGNED NOT NULL", "amount", ["9999.99", "-0.01", "10000", "0"]),
    ("status VARCHAR(4) NOT NULL", "status", ["abcd", "abcde", "abcd  ", "😀😀😀😀", "😀😀😀😀😀", ""]),
    ("status VARCHAR(32) CHARACTER SET ascii NOT NULL", "status", ["abc", "é", "\x7f", "\x80"]),
    ("status VARCHAR(32) CHARACTER SET utf8mb3 NOT NULL", "status", ["é", "\uffff", "😀"]),
    ("status VARCHAR(32) CHARACTER SET latin1 NOT NULL", "status", ["é", "ł"]),
]


@pytest.mark.parametrize(("ddl", "column", "values"), FORESEEN, ids=[case[0] for case in FORESEEN])
def test_what_is_foreseen_is_what_the_server_would_say(
    connect: Any, tables: Tables, ddl: str, column: str, values: list[str]
):
    tables.run(f"ALTER TABLE tbl_orders MODIFY {ddl}")
    connection = connect()
    [target] = schema.describe(connection, MAPPING).tables

    for i, value in enumerate(values):
        (change,) = changes_of(record(f"k{i}", 1, **{column: value}))
        foreseen = target.refusal(change.row, foresee=True)
        said = None
        try:
            connection.query(f"{target.insert_head}{tuples(zip(change.row))[0]}")
        except pymysql.MySQLError as error:
            said = target.rejection(error)
        connection.rollback()
        if foreseen or "latin1" not in ddl:
            assert foreseen == said, value


def test_a_thousand_values_that_do_not_fit_cost_few_round_trips(connect: Any, tables: Tables):
    tables.run("ALTER TABLE tbl_orders MODIFY status VARCHAR(3) NOT NULL")
    connection = connect()
    target = schema.describe(connection, MAPPING)
    sent = round_trips(connection)

    outcome = apply(connection, target, changes_of(*(record(f"k{i}", 1, status="PAID") for i in range(1000))))

    assert (len(outcome.parked), outcome.counts, len(sent) < 60) == (1000, Counter(), True)


def test_a_value_that_an_altered_column_takes_is_not_refused(connect: Any, tables: Tables):
    """The connection knows the table as it was."""
    tables.run("ALTER TABLE tbl_orders MODIFY status ENUM('NEW') NOT NULL")
    writer = Applier(connect())
    tables.run("ALTER TABLE tbl_orders MODIFY status ENUM('NEW', 'PAID') NOT NULL")

    assert writer(record("a", 1, status="PAID")) == Outcome(Counter(upserted=1))
    assert tables.orders() == [order("a", status="PAID")]


def test_a_value_that_an_altered_column_rounds_stops(writer: Applier, tables: Tables):
    """The server gives a note and no error."""
    writer(record("b", 1, amount="1.2345"))
    tables.run("ALTER TABLE tbl_orders MODIFY amount DECIMAL(19,2) NOT NULL")

    for change in (record("a", 1, amount="1.2345"), record("b", 2, amount="1.2345")):
        with pytest.raises(SchemaMismatchError, match=r"column amount is decimal\(19,2\)"):
            writer(change)
    assert tables.orders() == [order("b", amount="1.23")]


def test_a_character_that_a_legacy_column_cannot_hold_is_parked(writer: Applier, tables: Tables):
    tables.run("ALTER TABLE tbl_orders MODIFY status VARCHAR(32) CHARACTER SET latin1")

    outcome = writer(record("a", 1, status="😀"), record("b", 1, status="é"))

    assert [(order_id(p.key), p.errno) for p in outcome.parked] == [("a", 1366)]
    assert tables.orders() == [order("b", status="é")]


def test_a_missing_referred_row_parks_until_it_is_there(writer: Applier, tables: Tables):
    tables.run(
        "CREATE TABLE merchants (id VARCHAR(64) PRIMARY KEY) ENGINE=InnoDB CHARSET=utf8mb4",
        "ALTER TABLE tbl_orders ADD FOREIGN KEY (merchant_id) REFERENCES merchants (id)",
        "INSERT INTO merchants VALUES ('known')",
    )
    poison = record("a", 1, merchant_id="unknown")

    outcome = writer(poison, record("b", 1, merchant_id="known"))

    assert parked(outcome) == [("a", 1, 1452, poison)]
    assert tables.orders() == [order("b", merchant_id="known")]
    tables.run("INSERT INTO merchants VALUES ('unknown')")
    assert writer(poison) == Outcome(Counter(upserted=1))


def test_a_row_that_others_refer_to_is_not_deleted(writer: Applier, tables: Tables):
    writer(record("a", 1), record("b", 1))
    tables.run(
        "CREATE TABLE invoices (order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,"
        " FOREIGN KEY (order_id) REFERENCES tbl_orders (order_id)) ENGINE=InnoDB",
        "INSERT INTO invoices VALUES ('a')",
    )

    outcome = writer(remove("a", 2), remove("b", 2))

    assert parked(outcome) == [("a", 2, 1451, outcome.parked[0].record)]
    assert (tables.orders(), tables.sidecar()) == ([order("a")], [("a", 1, 0), ("b", 2, 1)])


def test_a_refusal_by_a_trigger_is_poison(writer: Applier, tables: Tables):
    tables.run(
        "CREATE TRIGGER refuse BEFORE INSERT ON tbl_orders FOR EACH ROW IF NEW.status = 'BAD' THEN"
        " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF"
    )

    outcome = writer(record("a", 1, status="BAD"), record("b", 1))

    assert [(order_id(p.key), p.errno) for p in outcome.parked] == [("a", 1644)]
    assert tables.orders() == [order("b")]


@pytest.mark.parametrize(
    ("ddl", "errno"),
    [
        ("DROP TABLE tbl_orders", 1146),
        ("DROP TABLE replication_versions", 1146),
        ("ALTER TABLE tbl_orders DROP COLUMN status", 1054),
        ("ALTER TABLE tbl_orders ADD COLUMN tax INT NOT NULL", 1364),
    ],
)
def test_a_schema_that_no_row_fits_raises_and_writes_nothing(writer: Applier, tables: Tables, ddl: str, errno: int):
    """Only a person can correct it: nothing is parked, and the shard waits."""
    tables.run(ddl)

    with pytest.raises(pymysql.MySQLError) as raised:
        writer(record("a", 1), remove("b", 1))

    assert errors.number(raised.value) == errno
    if "tbl_orders" in ddl:
        assert tables.whole_sidecar() == []
