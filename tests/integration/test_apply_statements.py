"""How `apply()` talks to the server: few round trips, bounded statements, exact values, no open transaction."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymysql.constants import CLIENT, SERVER_STATUS

from common.database import Outcome
from common.mysql.connection import SQL_MODE
from common.mysql.sql import literal
from tests.support.records import START, order_id, record, remove
from tests.support.tables import Tables, order
from tests.support.writes import Applier, changes_of, round_trips

ISOLATION = ["READ COMMITTED", "REPEATABLE READ"]


def verbs(sent: list[str]) -> list[str]:
    """First word and table of each statement."""
    tables = ("replication_versions", "tbl_orders")
    return [" ".join([text.split()[0], *(table for table in tables if table in text)]) for text in sent]


CLAIM, READ = "INSERT replication_versions", "SELECT replication_versions"
INSERT, UPDATE, DELETE, LOOK = "INSERT tbl_orders", "UPDATE tbl_orders", "DELETE tbl_orders", "SELECT tbl_orders"


class TestRoundTrips:
    """An upsert of the sidecar, an insert or an update of the target, COMMIT. Unguarded writing takes as many."""

    @pytest.mark.parametrize("size", [1, 2, 50])
    def test_new_rows_and_newer_ones(self, writer: Applier, size: int):
        for version, write in ((1, INSERT), (2, UPDATE)):
            sent = round_trips(writer.connection)
            writer(*(record(f"k{i}", version) for i in range(size)))

            assert verbs(sent) == [CLAIM, write, "COMMIT"]

    def test_new_and_newer_rows_together(self, writer: Applier):
        """The records say which items are new."""
        writer(record("a", 1), record("c", 1))
        sent = round_trips(writer.connection)

        writer(record("a", 2), record("b", 1, "INSERT"), record("c", 2), record("d", 1, "INSERT"))

        assert verbs(sent) == [CLAIM, UPDATE, INSERT, "COMMIT"]

    def test_new_rows_of_changed_items_are_looked_up(self, writer: Applier, tables: Tables):
        writer(record("a", 1), record("c", 1))
        sent = round_trips(writer.connection)

        writer(record("a", 2), record("b", 2), record("c", 2))

        assert verbs(sent) == [CLAIM, UPDATE, LOOK, INSERT, "COMMIT"]
        assert tables.orders() == [order(key) for key in "abc"]

    def test_rows_of_others_under_a_new_key_are_looked_up(self, writer: Applier, tables: Tables):
        """A legacy row that Backstream has never written."""
        writer(record("b", 1))
        tables.run("DELETE FROM replication_versions")
        sent = round_trips(writer.connection)

        writer(record("a", 1), record("b", 2, status="PAID"))

        assert verbs(sent) == [CLAIM, INSERT, LOOK, UPDATE, INSERT, "COMMIT"]
        assert tables.orders() == [order("a"), order("b", status="PAID")]

    def test_several_changes_of_a_key_cost_no_more(self, writer: Applier):
        sent = round_trips(writer.connection)

        writer(record("a", 1), record("a", 2), remove("a", 3), record("a", 4), record("b", 1))

        assert verbs(sent) == [CLAIM, INSERT, "COMMIT"]

    def test_deletes_add_one(self, writer: Applier):
        sent = round_trips(writer.connection)

        writer(record("a", 1), remove("b", 1), remove("c", 1))

        assert verbs(sent) == [CLAIM, DELETE, INSERT, "COMMIT"]

    def test_nothing_but_deletes(self, writer: Applier):
        sent = round_trips(writer.connection)

        writer(remove("b", 1))

        assert verbs(sent) == [CLAIM, DELETE, "COMMIT"]

    @pytest.mark.parametrize("others", [0, 1, 5])
    def test_a_stale_change_adds_one_read(self, writer: Applier, others: int):
        writer(record("a", 5))
        sent = round_trips(writer.connection)

        writer(record("a", 4), *(record(f"b{i}", 1) for i in range(others)))

        assert verbs(sent) == [CLAIM, READ, *([INSERT] if others else []), "COMMIT"]

    def test_every_change_takes_one_round_per_change_of_a_key(self, writer: Applier):
        sent = round_trips(writer.connection)

        writer(record("a", 1), record("a", 2), record("a", 3), record("b", 1), every_change=True)

        assert verbs(sent) == [CLAIM, INSERT, *[CLAIM, UPDATE] * 2, "COMMIT"]


@pytest.mark.parametrize("repeated", [False, True], ids=["distinct keys", "a key twice"])
@pytest.mark.parametrize("limit", [400, 15_000])
def test_every_writer_locks_keys_in_one_order(writer: Applier, limit: int, *, repeated: bool):
    """Two writers that lock in different orders deadlock."""
    keys = ["m", "a", "Z", "z", "k2", "k10"]
    sent = round_trips(writer.connection)

    writer(*(record(key, 1) for key in keys), *([record("z", 2)] if repeated else []), statement_bytes=limit)

    locked = [key for text in sent if CLAIM in verbs([text]) for key in re.findall(r"\('([^']+)',", text)]
    assert locked == sorted(keys)


class TestStatementSize:
    """RDS Proxy pins a session at a statement of 16 KB. Splitting a statement must not change what is written."""

    BATCH = (
        *(record(f"new-{i:03}", 1, status="😀" * (i % 30), merchant_id=f"m'{i}") for i in range(200)),
        *(remove(f"gone-{i:03}", 2) for i in range(150)),
        *(record(f"old-{i:03}", 1 + i % 3, status="PAID") for i in range(100)),
    )
    BEFORE = (
        *(record(f"gone-{i:03}", 1) for i in range(150)),
        *(record(f"old-{i:03}", 2) for i in range(100)),
    )

    @pytest.mark.parametrize("every_change", [False, True])
    @pytest.mark.parametrize("limit", [1000, 1777, 15_000, 1_000_000])
    def test_no_statement_is_larger_and_the_result_is_the_same(
        self, writer: Applier, tables: Tables, limit: int, *, every_change: bool
    ):
        writer(*self.BEFORE)
        sent = round_trips(writer.connection)

        outcome = writer(*self.BATCH, statement_bytes=limit, every_change=every_change)

        assert max(len(text.encode()) for text in sent) <= limit
        assert outcome == Outcome(Counter(upserted=233, deleted=150, stale=34, redelivered=33))
        assert tables.orders() == [
            *(order(f"new-{i:03}", status="😀" * (i % 30), merchant_id=f"m'{i}") for i in range(200)),
            *(order(f"old-{i:03}", **({"status": "PAID"} if i % 3 == 2 else {})) for i in range(100)),
        ]
        assert tables.sidecar() == [
            *((f"gone-{i:03}", 2, 1) for i in range(150)),
            *((f"new-{i:03}", 1, 0) for i in range(200)),
            *((f"old-{i:03}", 3 if i % 3 == 2 else 2, 0) for i in range(100)),
        ]

    def test_poison_does_not_make_statements_larger(self, writer: Applier, tables: Tables):
        tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
        sent = round_trips(writer.connection)

        outcome = writer(*self.BATCH, record("bad", 1, amount="-1"), statement_bytes=1000)

        assert [order_id(parked.key) for parked in outcome.parked] == ["bad"]
        assert max(len(text.encode()) for text in sent) <= 1000

    def test_a_row_larger_than_the_limit_is_sent_alone(self, writer: Applier, tables: Tables):
        sent = round_trips(writer.connection)

        writer(record("a", 1), record("b", 1, merchant_id="😀" * 64), record("c", 1), statement_bytes=400)

        assert tables.orders() == [order("a"), order("b", merchant_id="😀" * 64), order("c")]
        assert [text.count("😀") for text in sent if "INTO `tbl_orders`" in text] == [0, 64, 0]


class TestExactValues:
    @pytest.mark.parametrize(
        "values",
        [
            {"amount": "999999999999999.9999"},
            {"amount": "-999999999999999.9999"},
            {"amount": "0.0001"},
            {"amount": {"N": "2E+2"}},
            {"amount": {"N": "-0"}},
            {"status": "it's \"q\" \\ \\' ` % {} -- ; /*"},
            {"status": "\x00\n\r\t\x1a\x08"},
            {"status": "₹ ü 😀 \u202e\u0301"},
            {"status": ""},
            {"status": " leading and trailing "},
            {"updated_at": 99_999_999_999},
            {"created_at": 0},
        ],
        ids=str,
    )
    def test_what_the_item_holds_is_what_the_row_holds(self, writer: Applier, tables: Tables, values: dict[str, Any]):
        writer(record("a", 1, **values))

        plain = {name: Decimal(value["N"]) if isinstance(value, dict) else value for name, value in values.items()}
        assert tables.orders() == [order("a", **plain)]

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(texts=st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=20))
    @example(texts=["\\", "'", '"', "\x00", "\x1a", "\\'", "''", "\\\\'"])
    def test_every_text_comes_back_as_it_was(self, writer: Applier, texts: list[str]):
        with writer.connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(map(literal, texts))}")
            assert list(cursor.fetchone() or ()) == texts
        writer.connection.rollback()

    def test_keys_of_any_printable_character_stay_apart(self, writer: Applier, tables: Tables):
        keys = sorted(chr(code) for code in range(0x21, 0x7F))

        writer(*(record(key, 1) for key in keys))
        writer(*(remove(key, 2) for key in keys[::2]))

        assert tables.orders() == [order(key) for key in keys[1::2]]


class TestConnection:
    """Which connections are refused, and how a connection is left."""

    @pytest.mark.parametrize("isolation", ISOLATION)
    def test_a_stale_change_is_compared_with_committed_versions(
        self, connect: Any, tables: Tables, writer: Applier, isolation: str
    ):
        """An older snapshot would show a stale change as a contradiction, or show no row."""
        other = Applier(connect(init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}"))
        writer(record("a", 1))
        with other.connection.cursor() as cursor:
            cursor.execute("SELECT * FROM replication_versions")  # opens a snapshot where the level has one
        writer(record("a", 3, time=START + 50, status="PAID"), record("b", 3))

        outcome = other(record("a", 2, time=START + 20), record("b", 2), remove("a", 1))

        assert outcome == Outcome(Counter(stale=2, superseded=1))
        assert tables.orders() == [order("a", status="PAID"), order("b")]

    @pytest.mark.parametrize("isolation", ISOLATION)
    @pytest.mark.parametrize("poison", [False, True])
    def test_nothing_is_left_open_after_success(self, connect: Any, tables: Tables, isolation: str, *, poison: bool):
        tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
        writer = Applier(connect(init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}"))

        writer(record("a", 5), record("b", 1, amount="-1" if poison else "1"), remove("c", 1))
        writer(record("a", 4), record("b", 1, amount="-1" if poison else "1"))

        self.assert_idle(writer, tables)

    @pytest.mark.parametrize("isolation", ISOLATION)
    @pytest.mark.parametrize("poison", [False, True])
    def test_nothing_is_written_or_left_open_after_failure(
        self, connect: Any, tables: Tables, isolation: str, *, poison: bool
    ):
        """The last of three rows meets an error that holds, after the sidecar and a poison row were written."""
        tables.run(
            "ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)",
            "CREATE TRIGGER fail BEFORE INSERT ON tbl_orders FOR EACH ROW IF NEW.status = 'FAIL' THEN"
            " SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'full'; END IF",
        )
        writer = Applier(connect(init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}"))

        with pytest.raises(pymysql.MySQLError):
            writer(record("a", 1), record("b", 1, amount="-1" if poison else "1"), record("c", 1, status="FAIL"))

        assert (tables.orders(), tables.whole_sidecar()) == ([], [])
        self.assert_idle(writer, tables)

    def test_a_connection_that_counts_found_rows_is_refused(self, connect: Any, tables: Tables):
        """With its counts, stale changes would look like winners."""
        writer = Applier(connect(client_flag=CLIENT.FOUND_ROWS))
        sent = round_trips(writer.connection)

        with pytest.raises(ValueError, match="CLIENT_FOUND_ROWS"):
            writer(record("a", 1))
        assert sent == []

    def test_a_connection_without_backslash_escapes_is_refused(self, connect: Any, tables: Tables):
        """Its literals would end early."""
        connection = connect()
        connection.query(f"SET SESSION sql_mode = '{SQL_MODE},NO_BACKSLASH_ESCAPES'")
        writer = Applier(connection)

        with pytest.raises(ValueError, match="NO_BACKSLASH_ESCAPES"):
            writer(record("a", 1, status="\\"))
        assert tables.orders() == []

    @staticmethod
    def assert_idle(writer: Applier, tables: Tables) -> None:
        assert not writer.connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
        tables.assert_unlocked()


def test_a_second_writer_waits_for_the_first(writer: Applier, connect: Any, tables: Tables):
    """Keys that do not exist yet are locked as well. SELECT ... FOR UPDATE would not lock them."""
    impatient = Applier(connect(init_command="SET SESSION innodb_lock_wait_timeout = 1"))
    writer.connection.begin()
    writer.connection.query(
        "INSERT INTO replication_versions (item_key, version, deleted, source_time, token) VALUES ('a', 'v', 0, 0, 0)"
    )

    with pytest.raises(pymysql.MySQLError) as raised:
        impatient(record("a", 1))

    assert raised.value.args[0] == 1205
    writer.connection.rollback()
    assert impatient(record("a", 1)) == Outcome(Counter(upserted=1))
    assert tables.orders() == [order("a")]


@pytest.mark.parametrize("isolation", ISOLATION)
@pytest.mark.parametrize("refused", [0, 9])
def test_a_batch_locks_no_other_key(writer: Applier, connect: Any, tables: Tables, isolation: str, refused: int):
    """Reading stale keys and forgetting refused ones would otherwise scan a sidecar as small as this one."""
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
    writer(*(record(f"k{i}", 2) for i in range(9)))
    writer.connection.query("UPDATE replication_versions SET token = 0 WHERE item_key = 'k4'")
    waits = f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}; SET SESSION innodb_lock_wait_timeout = 1"
    other = Applier(connect(init_command=waits))

    poison = [record(f"k3{i}", 1, amount="-1") for i in range(refused)]
    outcome = other(*(record(f"k{i}", 1) for i in range(9) if i != 4), *poison)

    assert (outcome.counts, len(outcome.parked)) == (Counter(stale=8), refused)


def test_the_changes_handed_in_are_not_touched(writer: Applier):
    batch = [record("b", 2), record("a", 1), record("b", 1)]
    before = changes_of(*batch)

    writer(*batch)

    assert changes_of(*batch) == before
