"""Whatever a legacy table is or becomes, a change reaches the row of its own key or no row."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pymysql
import pytest

from common.changes import Kind
from common.database import Outcome, SchemaMismatchError
from tests.support.legacy import KEY_CHARSETS, mapped_orders, orders_table, trigger
from tests.support.records import START, order_id, record, remove
from tests.support.tables import Rows, Tables, order
from tests.support.writes import Applier

UNIQUE_STATUS = "UNIQUE KEY uq_status (status)"
KEEP_KEY = trigger("BEFORE UPDATE", "SET NEW.order_id = OLD.order_id")
A, B = order("a", status="ONE"), order("b", status="TWO")


def made(tables: Tables, connect: Any, *ddl: str, target: str = "") -> Applier:
    """A writer whose connection has inspected the table after `ddl`."""
    tables.replace_target(target or orders_table())
    tables.run(*ddl)
    return Applier(connect())


def next_id(tables: Tables) -> int:
    """The id that the server gives the next row."""
    tables.run("INSERT INTO tbl_orders SELECT NULL, 'probe', 'merchant-102', 1, 'INR', 'PROBE', 1, 1")
    ((number,),) = tables.run("SELECT id FROM tbl_orders WHERE order_id = 'probe'")
    return int(number)


def parked_or_held(writer: Applier, *records: dict[str, Any]) -> Outcome | None:
    """The outcome, or None when the writer raised."""
    try:
        return writer(*records)
    except pymysql.MySQLError:
        return None


def assert_refused(tables: Tables, writer: Applier, *records: dict[str, Any], rows: Rows, sidecar: Rows) -> None:
    """Every record is parked or the batch is held, and both tables stay as they were."""
    outcome = parked_or_held(writer, *records)

    assert mapped_orders(tables) == rows
    assert tables.sidecar() == sidecar
    if outcome is not None:
        assert sorted(order_id(p.key) for p in outcome.parked) == sorted(
            r["dynamodb"]["Keys"]["p_key"]["S"] for r in records
        )
        assert outcome.counts == Counter()


class TestAlteredUnderAnOpenConnection:
    """The table changes after the inspection, under the open connection."""

    @pytest.mark.parametrize("batch", [1, 3], ids=["alone", "among others"])
    def test_a_new_unique_key_protects_its_rows_at_once(self, tables: Tables, connect: Any, batch: int):
        writer = made(tables, connect)
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))
        tables.run(f"ALTER TABLE tbl_orders ADD {UNIQUE_STATUS}")
        others = [record(f"d{i}", 4, status=f"D{i}") for i in range(1, batch)]

        outcome = writer(record("c", 3, status="ONE", amount="999"), *others)

        assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("c", Kind.DEFERRED)]
        written = [order(f"d{i}", status=f"D{i}") for i in range(1, batch)]
        assert mapped_orders(tables) == [A, B, *written]
        assert [row[0] for row in tables.sidecar()] == ["a", "b", *(row[0] for row in written)]

    def test_a_new_unique_key_and_a_trigger_protect_too(self, tables: Tables, connect: Any):
        writer = made(tables, connect)
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))
        tables.run(f"ALTER TABLE tbl_orders ADD {UNIQUE_STATUS}", KEEP_KEY)

        outcome = writer(record("c", 3, status="ONE", amount="999"))

        assert [order_id(p.key) for p in outcome.parked] == ["c"]
        assert mapped_orders(tables) == [A, B]

    def test_an_update_to_a_taken_value_is_refused(self, tables: Tables, connect: Any):
        writer = made(tables, connect)
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))
        tables.run(f"ALTER TABLE tbl_orders ADD {UNIQUE_STATUS}")

        outcome = writer(record("b", 3, status="ONE", amount="999"))

        assert [order_id(p.key) for p in outcome.parked] == ["b"]
        assert mapped_orders(tables) == [A, B]

    def test_a_new_trigger_that_changes_keys_hits_no_other_row(self, tables: Tables, connect: Any):
        writer = made(tables, connect)
        writer(record("a", 1, status="ONE"))
        tables.run(trigger("BEFORE INSERT", "SET NEW.order_id = 'a'"))

        assert_refused(tables, writer, record("c", 3, status="THREE", amount="999"), rows=[A], sidecar=[("a", 1, 0)])

    def test_a_new_auto_increment_column_burns_no_ids(self, tables: Tables, connect: Any):
        writer = made(tables, connect)
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))
        tables.run(
            "ALTER TABLE tbl_orders DROP PRIMARY KEY, ADD UNIQUE KEY uq_order (order_id),"
            " ADD id INT NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST"
        )

        for n in range(20):
            writer(record("a", 3 + n, status="ONE"))

        assert mapped_orders(tables) == [A, B]
        assert next_id(tables) == 3

    def test_a_new_case_folding_collation_keeps_keys_apart(self, tables: Tables, connect: Any):
        writer = made(tables, connect)
        writer(record("a", 1, status="ONE"))
        tables.run(
            "ALTER TABLE tbl_orders MODIFY order_id VARCHAR(64) CHARACTER SET utf8mb4"
            " COLLATE utf8mb4_general_ci NOT NULL"
        )

        outcome = writer(record("A", 3, status="THREE", amount="999"), remove("B", 4))

        assert [order_id(p.key) for p in outcome.parked] == ["A"]
        assert mapped_orders(tables) == [A]


class TestTriggersOnTheKey:
    """A legacy trigger may set the key. No other row is changed, and no row is stored under another key."""

    @pytest.mark.parametrize("id_type", ["", "INT"], ids=["order_id is primary", "surrogate id"])
    def test_a_restored_key_does_not_defeat_the_guard(self, tables: Tables, connect: Any, id_type: str):
        writer = made(tables, connect, KEEP_KEY, target=orders_table(UNIQUE_STATUS, id_type=id_type))
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))

        outcome = writer(record("c", 3, status="ONE", amount="999"))

        assert [order_id(p.key) for p in outcome.parked] == ["c"]
        assert mapped_orders(tables) == [A, B]
        assert tables.sidecar() == [("a", 1, 0), ("b", 2, 0)]

    def test_a_restored_key_allows_good_updates(self, tables: Tables, connect: Any):
        writer = made(tables, connect, KEEP_KEY, target=orders_table(UNIQUE_STATUS))
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))

        assert writer(record("a", 3, status="THREE")) == Outcome(Counter(upserted=1))
        assert mapped_orders(tables) == [order("a", status="THREE"), B]

    @pytest.mark.parametrize(
        "key", ["'a'", "'fixed'", "CONCAT(NEW.order_id, '-x')"], ids=["existing key", "constant", "derived"]
    )
    @pytest.mark.parametrize("id_type", ["", "INT"], ids=["order_id is primary", "surrogate id"])
    def test_a_changed_key_of_a_new_row_is_refused(self, tables: Tables, connect: Any, key: str, id_type: str):
        writer = made(tables, connect, target=orders_table(id_type=id_type))
        writer(record("a", 1, status="ONE"))
        tables.run(trigger("BEFORE INSERT", f"SET NEW.order_id = {key}"))

        assert_refused(
            tables,
            Applier(writer.connection),
            record("c", 3, status="THREE", amount="999"),
            rows=[A],
            sidecar=[("a", 1, 0)],
        )

    def test_two_new_rows_with_one_changed_key_are_refused(self, tables: Tables, connect: Any):
        writer = made(tables, connect, trigger("BEFORE INSERT", "SET NEW.order_id = 'fixed'"))

        assert_refused(tables, writer, record("c", 1), record("d", 2), rows=[], sidecar=[])

    @pytest.mark.parametrize(
        "new_key", ["CONCAT(OLD.order_id, '-moved')", "'b'"], ids=["a free key", "another row's key"]
    )
    def test_a_row_that_a_trigger_would_move_is_refused(self, tables: Tables, connect: Any, new_key: str):
        """No other row is hit."""
        writer = made(tables, connect, trigger("BEFORE UPDATE", f"SET NEW.order_id = {new_key}"))
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))

        assert_refused(
            tables,
            writer,
            record("a", 3, status="THREE", amount="999"),
            rows=[A, B],
            sidecar=[("a", 1, 0), ("b", 2, 0)],
        )


class TestNumberedRows:
    """The table numbers its rows itself. The ids are the server's, and none is wasted."""

    def test_a_proposed_id_that_exists_hits_no_row(self, tables: Tables, connect: Any):
        writer = made(tables, connect, target=orders_table(id_type="INT"))
        writer(record("a", 1, status="ONE"))
        tables.run(trigger("BEFORE INSERT", "SET NEW.id = 1"))

        outcome = Applier(writer.connection)(record("c", 3, amount="999"))

        assert [order_id(p.key) for p in outcome.parked] == ["c"]
        assert mapped_orders(tables) == [A]
        assert tables.sidecar() == [("a", 1, 0)]

    @pytest.mark.parametrize("id_type", ["TINYINT UNSIGNED", "TINYINT"])
    def test_an_exhausted_counter_hits_no_row(self, tables: Tables, connect: Any, id_type: str):
        last = 255 if "UNSIGNED" in id_type else 127
        writer = made(tables, connect, target=orders_table(id_type=id_type))
        tables.run(f"INSERT INTO tbl_orders VALUES ({last}, 'a', 'merchant-102', 200, 'INR', 'ONE', {START}, {START})")

        assert_refused(tables, writer, record("c", 3, amount="999"), rows=[A], sidecar=[])
        assert_refused(tables, writer, record("d", 4, amount="999"), rows=[A], sidecar=[])

    def test_updates_go_on_beside_an_exhausted_counter(self, tables: Tables, connect: Any):
        writer = made(tables, connect, target=orders_table(id_type="TINYINT UNSIGNED"))
        tables.run(f"INSERT INTO tbl_orders VALUES (255, 'a', 'merchant-102', 200, 'INR', 'ONE', {START}, {START})")

        assert writer(record("a", 1, status="PAID")) == Outcome(Counter(upserted=1))
        assert mapped_orders(tables) == [order("a", status="PAID")]

    @pytest.mark.parametrize("unique", [(), (UNIQUE_STATUS,)], ids=["one unique key", "two unique keys"])
    def test_updates_burn_no_ids(self, tables: Tables, connect: Any, unique: tuple[str, ...]):
        writer = made(tables, connect, target=orders_table(*unique, id_type="INT"))

        for n in range(200):
            writer(record("a", 1 + n, amount=str(n)))

        assert mapped_orders(tables) == [order("a", amount="199")]
        assert tables.run("SELECT id FROM tbl_orders") == [(1,)]
        assert next_id(tables) == 2

    def test_stale_and_repeated_changes_burn_no_ids(self, tables: Tables, connect: Any):
        writer = made(tables, connect, target=orders_table(id_type="INT"))
        for n in (9, 9, 3, 5):
            writer(record("a", n))

        assert next_id(tables) == 2

    @pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
    def test_insert_triggers_fire_for_new_rows_only(self, tables: Tables, connect: Any, when: str):
        writer = made(
            tables,
            connect,
            "CREATE TABLE audit (id INT AUTO_INCREMENT PRIMARY KEY, event VARCHAR(6), status VARCHAR(32))",
            *(
                trigger(f"{when} {event}", f"INSERT INTO audit (event, status) VALUES ('{event}', NEW.status)")
                for event in ("INSERT", "UPDATE")
            ),
            target=orders_table(id_type="INT"),
        )

        for n, status in enumerate(("NEW", "PAID", "SENT"), 1):
            writer(record("a", n, status=status), record("b", n, status=status))

        log = tables.run("SELECT event, status FROM audit ORDER BY id")
        assert log == [(e, s) for e, s in (("INSERT", "NEW"), ("UPDATE", "PAID"), ("UPDATE", "SENT")) for _ in "ab"]

    def test_columns_of_others_survive_updates(self, tables: Tables, connect: Any):
        more = ("note VARCHAR(20) NULL", "seen INT NOT NULL DEFAULT 7")
        writer = made(tables, connect, target=orders_table(UNIQUE_STATUS, *more, id_type="INT"))
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))
        tables.run("UPDATE tbl_orders SET note = 'legacy', seen = 8 WHERE order_id = 'a'")

        writer(record("a", 3, status="THREE"))

        assert tables.run("SELECT id, order_id, status, note, seen FROM tbl_orders ORDER BY id") == [
            (1, "a", "THREE", "legacy", 8),
            (2, "b", "TWO", None, 7),
        ]


class TestKeyCharacterSets:
    """A key is the same key whatever character set its column has."""

    @pytest.fixture(params=KEY_CHARSETS.values(), ids=KEY_CHARSETS.keys())
    def writer(self, request: Any, tables: Tables, connect: Any) -> Applier:
        return made(tables, connect, target=orders_table(UNIQUE_STATUS, key=request.param))

    def test_a_delete_deletes_its_row(self, writer: Applier, tables: Tables):
        writer(record("order-a", 1, status="ONE"), record("b", 2, status="TWO"))

        assert writer(remove("order-a", 3)) == Outcome(Counter(deleted=1))
        assert mapped_orders(tables) == [B]

    def test_an_update_updates_its_row(self, writer: Applier, tables: Tables):
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))

        assert writer(record("a", 3, status="THREE")) == Outcome(Counter(upserted=1))
        assert mapped_orders(tables) == [order("a", status="THREE"), B]

    def test_another_case_is_another_key(self, writer: Applier, tables: Tables):
        writer(record("a", 1, status="ONE"), record("b", 2, status="TWO"))

        outcome = writer(remove("A", 3), record("B", 4, status="FOUR"))

        new = [] if outcome.parked else [order("B", status="FOUR")]
        assert mapped_orders(tables) == [*new, A, B]
        assert [order_id(p.key) for p in outcome.parked] == ([] if new else ["B"])


class TestTrailingBlank:
    """'a ' equals 'a' where the collation pads, yet it is the row of no item."""

    LEGACY = ("a ", *order("a", status="OLD")[1:])

    @pytest.fixture(
        params=[
            "CHARACTER SET ascii COLLATE ascii_bin",
            "CHARACTER SET latin1 COLLATE latin1_bin",
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            "CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci",
            "CHARACTER SET ucs2 COLLATE ucs2_bin",
        ]
    )
    def writer(self, request: Any, tables: Tables, connect: Any) -> Applier:
        row = f"INSERT INTO tbl_orders VALUES ('a ', 'merchant-102', 200, 'INR', 'OLD', {START}, {START})"
        return made(tables, connect, row, target=orders_table(key=request.param))

    def test_an_update_parks_as_a_clash(self, writer: Applier, tables: Tables):
        outcome = writer(record("a", 1, status="ONE", amount="999"), record("b", 2, status="TWO"))

        assert [order_id(p.key) for p in outcome.parked] == ["a"]
        assert outcome.parked[0].reason.startswith("another row holds the same value of ")
        assert mapped_orders(tables) == [self.LEGACY, B]
        assert tables.sidecar() == [("b", 2, 0)]

    def test_a_delete_leaves_it(self, writer: Applier, tables: Tables):
        writer(remove("a", 1))

        assert mapped_orders(tables) == [self.LEGACY]


class TestStoredIsSent:
    """A value that the server would change silently is refused before it is sent."""

    @pytest.mark.parametrize("value", ["2", "paid", "Paid", "", "0", "PAID "])
    def test_only_exact_members_of_an_enum_are_stored(self, tables: Tables, connect: Any, value: str):
        writer = made(tables, connect, target=orders_table(status="ENUM('NEW', 'PAID') NOT NULL"))
        poison = record("a", 1, status=value)

        outcome = writer(poison, record("b", 2, status="PAID"), record("c", 3, status="NEW"))

        assert [(order_id(p.key), p.kind, p.record) for p in outcome.parked] == [("a", Kind.POISON, poison)]
        assert "status" in outcome.parked[0].reason
        assert mapped_orders(tables) == [order("b", status="PAID"), order("c", status="NEW")]
        assert tables.sidecar() == [("b", 2, 0), ("c", 3, 0)]

    def test_an_enum_member_keeps_its_own_case_and_quote(self, tables: Tables, connect: Any):
        writer = made(tables, connect, target=orders_table(status="ENUM('it''s', 'Ä,b') NOT NULL"))

        assert writer(record("a", 1, status="it's"), record("b", 2, status="Ä,b")) == Outcome(Counter(upserted=2))
        assert mapped_orders(tables) == [order("a", status="it's"), order("b", status="Ä,b")]

    @pytest.mark.parametrize("value", ["ONE ", " ", "ONE  "])
    def test_trailing_blanks_in_a_char_column_are_poison(self, tables: Tables, connect: Any, value: str):
        writer = made(tables, connect, target=orders_table(status="CHAR(32) NOT NULL"))

        outcome = writer(record("a", 1, status=value), record("b", 2, status="TWO"))

        assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("a", Kind.POISON)]
        assert "status" in outcome.parked[0].reason
        assert mapped_orders(tables) == [B]

    def test_trailing_blanks_in_a_varchar_column_are_stored(self, tables: Tables, connect: Any):
        writer = made(tables, connect)

        assert writer(record("a", 1, status="ONE ")) == Outcome(Counter(upserted=1))
        assert mapped_orders(tables) == [order("a", status="ONE ")]

    @pytest.mark.parametrize("id_type", ["", "INT"], ids=["order_id is primary", "surrogate id"])
    def test_a_time_beyond_a_signed_int_is_poison(self, tables: Tables, connect: Any, id_type: str):
        writer = made(tables, connect, target=orders_table(id_type=id_type, created_at="INT NOT NULL"))

        outcome = writer(record("a", 1, created_at=2**31), record("b", 2, status="TWO", created_at=2**31 - 1))

        assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("a", Kind.POISON)]
        assert "created_at" in outcome.parked[0].reason
        assert mapped_orders(tables) == [order("b", status="TWO", created_at=2**31 - 1)]

    @pytest.mark.parametrize("stored", ["STORED", "VIRTUAL"])
    def test_a_generated_column_in_the_mapping_is_refused(self, tables: Tables, connect: Any, stored: str):
        tables.replace_target(orders_table(status=f"VARCHAR(32) AS (currency) {stored}"))

        with pytest.raises(SchemaMismatchError, match=r"\bstatus\b.*generated"):
            Applier(connect())
