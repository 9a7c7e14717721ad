"""What a rewrite may do to a row: write it under the stored version, or leave it to a newer change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pymysql
import pytest

from common.changes import Change, Kind, Mark
from common.database import Outcome
from common.mapping import Removal
from common.mysql.writer import ignored_count
from common.versions import LOWEST_VERSION
from scripts.local_stack.process import poll
from tests.support.item_tables import ItemTables
from tests.support.legacy import signal
from tests.support.records import START
from tests.support.shop import make_shop, total
from tests.support.tables import Rows, Tables
from tests.support.writes import round_trips

ANN, BOB = ("ann",), ("bob",)
BILL = ("ann", "2026-01-31", 1)
NOTE = ("ann", 1)
REFUSED = ("ann", 0)
LIVE = (0, None)
BAD_NOTE = f"CREATE TRIGGER bad BEFORE UPDATE ON notes FOR EACH ROW {signal('NEW.number = 0')}"


@pytest.fixture
def shop(tables: Tables, connect: Any) -> ItemTables:
    return make_shop(tables, connect())


@dataclass
class Rewriting:
    """Rewrites changes of a shop, alone or beside a row that the server refuses."""

    shop: ItemTables
    beside_refused: bool

    def __call__(self, *changes: Change, **options: Any) -> Counter[str]:
        if not self.beside_refused:
            outcome = self.shop(*changes, rewrite=True, **options)
            assert outcome.parked == []
            return outcome.counts
        refused = self.shop.put("note", REFUSED, 9, "refused")
        self.shop(refused)
        self.shop.tables.run(BAD_NOTE)
        before = self._stored(refused)
        outcome = self.shop(*changes, refused, rewrite=True, **options)
        assert [(parked.key, parked.kind) for parked in outcome.parked] == [(refused.key, Kind.POISON)]
        assert self._stored(refused) == before
        self.shop.tables.run(
            "DROP TRIGGER bad",
            "DELETE FROM notes WHERE number = 0",
            "DELETE FROM replication_versions WHERE item_key = 'shop.note ann/0'",
        )
        return outcome.counts

    def _stored(self, change: Change) -> Rows:
        name = "shop." + change.key.replace("/", " ", 1)
        return [row for row in self.shop.tables.whole_sidecar() if row[0] == name]


@pytest.fixture(params=[False, True], ids=["alone", "beside a refused row"])
def rewrite(shop: ItemTables, request: pytest.FixtureRequest) -> Rewriting:
    return Rewriting(shop, request.param)


def loaded(change: Change) -> Change:
    return change._replace(version=LOWEST_VERSION, source_time=0)


def state(shop: ItemTables) -> Any:
    """The rows of all tables, and every column of the sidecar."""
    return {table: shop.rows(table) for table in ("customers", "bills", "notes")}, shop.tables.whole_sidecar()


def sidecar(shop: ItemTables) -> Rows:
    """(name of the key, version, mark)"""
    return [row[:3] for row in shop.sidecar()]


def _kept(mark: Mark, version: str) -> tuple[str | None, str | None]:
    """The two notes of a key that has one."""
    return (None, version) if mark is Mark.EXPIRED else (version, None)


def bill(shop: ItemTables, version: int, *, place: int | None = None, key: Any = BILL) -> Change:
    return shop.put("bill", key, version, total(str(version)), place, *LIVE)


def flagged(version: int, removed: int) -> tuple[Any, ...]:
    """The row of a bill: what it was at `version`, flagged at the time of `removed`."""
    return (*BILL, total(str(version)), None, 1, f"2026-02-02 02:40:{removed:02}")


class TestCompare:
    """The stored version decides, and does not change."""

    def test_a_row_is_rewritten_under_its_stored_version(self, shop: ItemTables, rewrite: Rewriting):
        shop(shop.put("customer", ANN, 3, "Ann"), shop.put("customer", BOB, 4, "Bob"))
        before = state(shop)
        shop.tables.run("UPDATE customers SET name = 'stranger'")

        assert rewrite(shop.put("customer", ANN, 3, "Ann"), shop.put("customer", BOB, 4, "Bob")) == Counter(upserted=2)

        assert state(shop) == before

    def test_a_missing_row_is_inserted(self, shop: ItemTables, rewrite: Rewriting):
        shop(shop.put("customer", ANN, 3, "Ann"), shop.put("customer", BOB, 4, "Bob"))
        before = state(shop)
        shop.tables.run("DELETE FROM customers WHERE customer = 'ann'")

        assert rewrite(shop.put("customer", ANN, 3, "Ann"), shop.put("customer", BOB, 4, "Bob")) == Counter(upserted=2)

        assert state(shop) == before

    @pytest.mark.parametrize("stored", [2, 4], ids=["older", "newer"])
    @pytest.mark.parametrize("gone", [False, True], ids=["row", "no row"])
    def test_another_stored_version_is_overtaken(
        self, shop: ItemTables, rewrite: Rewriting, stored: int, *, gone: bool
    ):
        """Nothing is written, whether the item was read with a row or without one."""
        shop(shop.put("customer", ANN, stored, "stored"), bill(shop, stored), shop.put("note", NOTE, stored, "stored"))
        before = state(shop)
        read = [shop.put("customer", ANN, 3, "read"), bill(shop, 3), shop.put("note", NOTE, 3, "read")]
        if gone:
            read = [shop.delete("customer", ANN, 3), shop.delete("bill", BILL, 3), shop.delete("note", NOTE, 3)]

        assert rewrite(*read) == Counter(overtaken=3)

        assert state(shop) == before

    def test_a_key_without_a_stored_version_is_not_written(self, shop: ItemTables, rewrite: Rewriting):
        """Neither a missing row nor a stranger's, and no sidecar row is left behind."""
        shop.tables.run("INSERT INTO customers VALUES ('ann', 'stranger')")
        before = state(shop)
        read = [loaded(shop.put("customer", ANN, 1, "Ann")), shop.put("customer", BOB, 2, "Bob")]

        assert rewrite(*read, loaded(bill(shop, 1)), loaded(shop.delete("note", NOTE, 1))) == Counter(overtaken=4)

        assert state(shop) == before
        assert before[1] == []

    def test_a_loaded_row_is_rewritten(self, shop: ItemTables, rewrite: Rewriting):
        """It keeps the lowest version, so any live change still wins."""
        shop(loaded(shop.put("customer", ANN, 1, "Ann")))
        before = state(shop)
        shop.tables.run("UPDATE customers SET name = 'stranger'")

        assert rewrite(loaded(shop.put("customer", ANN, 1, "Ann"))) == Counter(upserted=1)

        assert state(shop) == before
        assert shop(loaded(shop.put("customer", ANN, 1, "other"))).counts == Counter(redelivered=1)
        assert shop(shop.put("customer", ANN, 1, "live")).counts == Counter(upserted=1)
        assert shop.rows("customers") == [("ann", "live")]

    def test_a_repeated_key_is_an_error(self, shop: ItemTables):
        shop(shop.put("customer", ANN, 1, "Ann"))
        before = state(shop)

        with pytest.raises(ValueError, match="one change of each key"):
            shop(shop.put("customer", ANN, 1, "a"), shop.put("customer", ANN, 2, "b"), rewrite=True)

        assert state(shop) == before

    def test_the_row_of_a_seeded_item_is_left_alone(self, shop: ItemTables, rewrite: Rewriting):
        """The legacy application has changed one row since, and deleted the other."""
        shop.tables.run("INSERT INTO customers VALUES ('ann', 'legacy')")
        seeded = [shop.put("customer", name, 2, "seed")._replace(mark=Mark.SEEDED) for name in (ANN, BOB)]
        shop(*seeded)
        before = state(shop)

        assert rewrite(*seeded) == Counter(seeded=2)

        assert state(shop) == before
        assert sidecar(shop)[0] == ("shop.customer ann", "v0002", Mark.SEEDED)

    def test_the_row_of_a_seeded_item_is_written_where_asked(self, shop: ItemTables, rewrite: Rewriting):
        """Its mark stays, so the echo of a later seed leaves the row alone again."""
        shop.tables.run("INSERT INTO customers VALUES ('ann', 'legacy')")
        seeded = [shop.put("customer", name, 2, "seed")._replace(mark=Mark.SEEDED) for name in (ANN, BOB)]
        shop(*seeded)
        before = shop.tables.whole_sidecar()

        assert rewrite(*seeded, seeded_rows=True) == Counter(upserted=2)

        assert shop.rows("customers") == [("ann", "seed"), ("bob", "seed")]
        assert shop.tables.whole_sidecar() == before
        assert shop(shop.put("customer", ANN, 3, "later")._replace(mark=Mark.SEEDED)).counts == Counter(seeded=1)
        assert shop.rows("customers") == [("ann", "seed"), ("bob", "seed")]

    def test_a_seeded_row_that_does_not_fit_is_parked(self, tables: Tables, connect: Any):
        """Only where it is written: then the server may change no value, as in any other row."""
        shop = make_shop(
            tables, connect(), ["ALTER TABLE customers MODIFY name CHAR(40) CHARACTER SET utf8mb4 NOT NULL"]
        )
        cut = shop.put("customer", ANN, 2, "cut ")._replace(mark=Mark.SEEDED)
        echo = shop(cut)
        before = state(shop)

        outcome = shop(cut, rewrite=True, seeded_rows=True)

        assert (echo.parked, echo.counts) == ([], Counter(seeded=1))
        assert ([one.key for one in outcome.parked], outcome.counts) == ([cut.key], Counter())
        assert state(shop) == before

    def test_a_seeded_item_that_was_written_since_is_rewritten(self, shop: ItemTables, rewrite: Rewriting):
        """The record of that was lost."""
        shop.tables.run("INSERT INTO customers VALUES ('ann', 'legacy')")
        shop(shop.put("customer", ANN, 2, "seed")._replace(mark=Mark.SEEDED))

        assert rewrite(shop.put("customer", ANN, 2, "new")) == Counter(upserted=1)

        assert (shop.rows("customers"), sidecar(shop)) == ([("ann", "new")], [("shop.customer ann", "v0002", 0)])

    def test_a_second_rewrite_changes_nothing(self, shop: ItemTables, rewrite: Rewriting):
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2), shop.put("customer", BOB, 3, "Bob"))
        read = [shop.put("customer", ANN, 1, "Anna"), bill(shop, 2, place=7), shop.delete("customer", BOB, 3)]
        rewrite(*read)
        before = state(shop)

        assert rewrite(*read) == Counter(upserted=2, deleted=1)

        assert state(shop) == before

    def test_a_rewrite_costs_one_read_more_than_unguarded(self, shop: ItemTables):
        shop(*(shop.put("customer", (f"c{i}",), 1, "x") for i in range(50)))
        sent = round_trips(shop.connection)

        shop(*(shop.put("customer", (f"c{i}",), 1, "y") for i in range(50)), rewrite=True)

        assert [text.split()[0] for text in sent] == ["SELECT", "UPDATE", "COMMIT"]

    def test_small_statements_change_nothing(self, shop: ItemTables):
        """Marks, rows and removals go in many statements."""
        shop(
            *(shop.put("customer", (f"a{i}",), 1, "x") for i in range(40)),
            *(shop.put("customer", (f"b{i}",), 1, "x") for i in range(40)),
        )
        read = [
            *(shop.put("customer", (f"a{i}",), 1, "y") for i in range(40)),
            *(shop.delete("customer", (f"b{i}",), 1) for i in range(40)),
        ]
        sent = round_trips(shop.connection)

        outcome = shop(*read, rewrite=True, statement_bytes=700)

        assert max(map(len, sent)) <= 700
        assert outcome.counts == Counter(upserted=40, deleted=40)
        assert shop.rows("customers") == sorted((f"a{i}", "y") for i in range(40))
        assert sidecar(shop) == sorted(
            (f"shop.customer {name}{i}", "v0001", mark) for name, mark in (("a", 0), ("b", 1)) for i in range(40)
        )


class TestRemovals:
    """A removed item has no row, or a flagged one, and cannot come back by an older change."""

    def test_a_row_that_a_stranger_put_back_is_deleted(self, shop: ItemTables, rewrite: Rewriting):
        shop(shop.delete("customer", ANN, 3), shop.expire("customer", BOB, 4))
        before = state(shop)
        shop.tables.run("INSERT INTO customers VALUES ('ann', 'stranger'), ('bob', 'stranger')")

        assert rewrite(shop.delete("customer", ANN, 3), shop.expire("customer", BOB, 4)) == Counter(deleted=2)

        assert state(shop) == before

    def test_a_lost_removal_leaves_a_tombstone(self, shop: ItemTables, rewrite: Rewriting):
        """Changes up to the stored version stay out. A newer one brings the item back."""
        shop(shop.put("customer", ANN, 3, "Ann"), shop.put("customer", BOB, 4, "Bob"))

        assert rewrite(shop.delete("customer", ANN, 3), shop.expire("customer", BOB, 4)) == Counter(deleted=2)

        assert shop.rows("customers") == []
        assert sidecar(shop) == [("shop.customer ann", "v0003", 1), ("shop.customer bob", "v0004", 2)]
        late = [shop.put("customer", ANN, 2, "late"), shop.put("customer", BOB, 4, "again")]
        assert shop(*late).counts == Counter(stale=1, redelivered=1)
        assert shop.rows("customers") == []
        assert shop(shop.put("customer", ANN, 5, "back")).counts == Counter(upserted=1)
        assert (shop.rows("customers"), sidecar(shop)[0][2]) == ([("ann", "back")], Mark.LIVE)

    def test_a_lost_removal_of_a_loaded_row_leaves_a_tombstone(self, shop: ItemTables, rewrite: Rewriting):
        """The load's own change, delivered again, does not bring it back."""
        load = loaded(shop.put("customer", ANN, 1, "Ann"))
        shop(load)

        assert rewrite(loaded(shop.delete("customer", ANN, 1))) == Counter(deleted=1)

        assert shop(load).counts == Counter(redelivered=1)
        assert (shop.rows("customers"), sidecar(shop)) == ([], [("shop.customer ann", LOWEST_VERSION, 1)])

    def test_a_row_that_an_earlier_mapping_left_is_deleted(self, tables: Tables, connect: Any, rewrite: Rewriting):
        """The removal was noted while its entity ignored removals. It becomes a tombstone."""
        shop = rewrite.shop
        shop(shop.put("note", NOTE, 3, "x"), shop.delete("note", NOTE, 5))
        entities = shop.mapping.entities
        shop.mapping = replace(shop.mapping, entities=(*entities[:-1], replace(entities[-1], deletes=Removal())))
        shop.inspect()

        assert rewrite(shop.delete("note", NOTE, 5)) == Counter(deleted=1)

        assert (shop.rows("notes"), shop.sidecar()[0][:3]) == ([], ("shop.note ann/1", "v0005", 1))
        assert shop(shop.put("note", NOTE, 4, "late")).counts == Counter(stale=1)

    def test_an_item_behind_a_tombstone_is_live_again(self, shop: ItemTables, rewrite: Rewriting):
        """Its return was lost. The removal, delivered again, takes nothing away."""
        removal = shop.delete("customer", ANN, 3)
        shop(removal)

        assert rewrite(shop.put("customer", ANN, 3, "Ann")) == Counter(upserted=1)

        assert sidecar(shop) == [("shop.customer ann", "v0003", 0)]
        assert shop(removal).counts == Counter(redelivered=1)
        assert shop.rows("customers") == [("ann", "Ann")]

    @pytest.mark.parametrize("mark", [Mark.DELETED, Mark.EXPIRED])
    def test_a_removal_that_left_the_row_overtakes_a_rewrite(self, shop: ItemTables, rewrite: Rewriting, mark: Mark):
        """It came since the version was read. The version of the row is still the same."""
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2), shop.delete("bill", BILL, 3, mark))
        before = state(shop)

        assert rewrite(bill(shop, 2)) == Counter(overtaken=1)
        assert rewrite(shop.delete("bill", BILL, 2)) == Counter(overtaken=1)

        assert state(shop) == before

    @pytest.mark.parametrize("mark", [Mark.DELETED, Mark.EXPIRED])
    @pytest.mark.parametrize("written", [True, False], ids=["with a row", "without a row"])
    def test_an_item_is_live_again_after_a_removal_that_left_its_row(
        self, shop: ItemTables, rewrite: Rewriting, mark: Mark, *, written: bool
    ):
        """Its return was lost. The row gets the version of the removal, so nothing older takes it back."""
        removal = shop.delete("bill", BILL, 5, mark)
        shop(shop.put("customer", ANN, 1, "Ann"), *([bill(shop, 2)] if written else []), removal)

        assert rewrite(bill(shop, 5, place=7)) == Counter(upserted=1)

        rows = [(*BILL, total("5"), 7, *LIVE)]
        assert (shop.rows("bills"), shop.sidecar()[0][1:]) == (rows, ("v0005", 0, *_kept(mark, "v0005")))
        assert shop.tables.run("SELECT source_time FROM replication_versions WHERE version = 'v0005'") == [(START + 5,)]
        assert shop(bill(shop, 4), removal).counts == Counter(stale=1, redelivered=1)
        assert shop.rows("bills") == rows

    def test_a_lost_removal_sets_the_flag(self, shop: ItemTables, rewrite: Rewriting):
        """The time beside it is that of the change. The sidecar stays as it is."""
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2))
        before = shop.tables.whole_sidecar()

        assert rewrite(shop.delete("bill", BILL, 2)._replace(source_time=START + 5)) == Counter(deleted=1)

        assert shop.rows("bills") == [flagged(2, 5)]
        assert shop.tables.whole_sidecar() == before
        assert shop(bill(shop, 3)).counts == Counter(upserted=1)
        assert shop.rows("bills") == [(*BILL, total("3"), None, *LIVE)]

    @pytest.mark.parametrize("note_removals", [False, True])
    def test_a_flag_that_a_stranger_took_away_is_set_again(
        self, shop: ItemTables, rewrite: Rewriting, *, note_removals: bool
    ):
        """With the time of the removal that the sidecar notes. What is noted stays."""
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2), shop.delete("bill", BILL, 3))
        before = state(shop)
        shop.tables.run("UPDATE bills SET is_deleted = 0, deleted_at = NULL")

        removal = shop.delete("bill", BILL, 3)._replace(source_time=START + 50)
        assert rewrite(removal, note_removals=note_removals) == Counter(deleted=1)

        assert state(shop) == before

    @pytest.mark.parametrize("mark", [Mark.DELETED, Mark.EXPIRED])
    def test_a_lost_removal_is_noted_where_asked(self, shop: ItemTables, rewrite: Rewriting, mark: Mark):
        """As the first change after the stored version: a redelivery changes nothing, and any later change wins."""
        name, key = ("note", NOTE) if mark is Mark.DELETED else ("bill", BILL)
        shop(shop.put("customer", ANN, 1, "Ann"), shop.put("note", NOTE, 3, "x"), bill(shop, 3))
        rows = shop.rows("notes"), shop.rows("bills")
        removal = shop.delete(name, key, 3, mark)._replace(source_time=START + 5)

        assert rewrite(removal, note_removals=True) == Counter([ignored_count(removal)])

        kept = {f"shop.{name} {'/'.join(map(str, key))}": ("v0003", 0, *_kept(mark, "v0003!"))}
        assert {row[0]: row[1:] for row in shop.sidecar() if any(row[3:])} == kept
        assert (shop.rows("notes"), shop.rows("bills")) == rows
        before = state(shop)
        assert rewrite(removal, note_removals=True) == Counter(overtaken=1)
        assert state(shop) == before
        assert shop(shop.put("note", NOTE, 4, "y"), bill(shop, 4)).counts == Counter(upserted=2)
        assert (shop.rows("notes"), shop.rows("bills")) == ([(*NOTE, "y")], [(*BILL, total("4"), None, *LIVE)])

    def test_a_lost_removal_that_flags_is_noted_where_asked(self, shop: ItemTables, rewrite: Rewriting):
        """The flag and the note have the time of the change."""
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2))
        removal = shop.delete("bill", BILL, 2)._replace(source_time=START + 5)

        assert rewrite(removal, note_removals=True) == Counter(deleted=1)

        assert shop.rows("bills") == [flagged(2, 5)]
        assert shop.tables.run(
            "SELECT kept_delete, kept_delete_time FROM replication_versions WHERE version = 'v0002'"
        ) == [("v0002!", START + 5)]
        assert shop(bill(shop, 3)).counts == Counter(upserted=1)
        assert shop.rows("bills") == [(*BILL, total("3"), None, *LIVE)]

    def test_a_removal_that_the_entity_ignores_is_counted(self, shop: ItemTables, rewrite: Rewriting):
        """It changes neither row nor sidecar."""
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2), shop.put("note", NOTE, 3, "x"))
        before = state(shop)

        counts = rewrite(shop.expire("bill", BILL, 2), shop.delete("note", NOTE, 3))

        assert counts == Counter(ttl_delete=1, ignored_delete=1)
        assert state(shop) == before


class TestRefusedRows:
    def test_refused_rows_are_parked_and_the_rest_is_written(self, shop: ItemTables):
        """A rewrite that is overtaken is not tried, so it is not parked either."""
        shop(*(shop.put("note", ("ann", number), 1, "x") for number in range(20)), shop.put("note", ("bob", 0), 2, "x"))
        shop.tables.run(BAD_NOTE)
        before = shop.tables.whole_sidecar()
        read = [shop.put("note", ("ann", number), 1, "y") for number in range(20)]

        outcome = shop(*read, shop.put("note", ("bob", 0), 1, "y"), rewrite=True)

        assert [(parked.key, parked.version, parked.kind) for parked in outcome.parked] == [
            ("note/ann/0", "v0001", Kind.POISON)
        ]
        assert outcome.counts == Counter(upserted=19, overtaken=1)
        rows = [("ann", number, "y" if number else "x") for number in range(20)]
        assert shop.rows("notes") == sorted([*rows, ("bob", 0, "x")], key=repr)
        assert shop.tables.whole_sidecar() == before

    def test_a_refused_removal_leaves_no_tombstone(self, shop: ItemTables):
        """Others still refer to the row of the customer."""
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2), shop.put("customer", BOB, 3, "Bob"))

        outcome = shop(shop.delete("customer", ANN, 1), shop.delete("customer", BOB, 3), rewrite=True)

        assert [(parked.key, parked.kind) for parked in outcome.parked] == [("customer/ann", Kind.DEFERRED)]
        assert outcome.counts == Counter(deleted=1)
        assert shop.rows("customers") == [("ann", "Ann")]
        assert [row[2] for row in sidecar(shop)] == [0, 0, 1]

    def test_a_refused_flag_changes_nothing(self, shop: ItemTables):
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2))
        refused = signal("NEW.is_deleted = 1")
        shop.tables.run(f"CREATE TRIGGER bad BEFORE UPDATE ON bills FOR EACH ROW {refused}")
        before = state(shop)

        outcome = shop(shop.delete("bill", BILL, 2), shop.put("customer", ANN, 1, "Ann"), rewrite=True)

        assert [(parked.key, parked.kind) for parked in outcome.parked] == [("bill/ann/2026-01-31/1", Kind.POISON)]
        assert outcome.counts == Counter(upserted=1)
        assert state(shop) == before

    def test_parents_are_rewritten_before_their_children(self, shop: ItemTables, rewrite: Rewriting):
        """Both rows are missing. The bill comes first in key order."""
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2))
        before = state(shop)
        shop.tables.run("DELETE FROM bills", "DELETE FROM customers")

        assert rewrite(bill(shop, 2), shop.put("customer", ANN, 1, "Ann")) == Counter(upserted=2)

        assert state(shop) == before

    def test_a_child_of_a_missing_parent_is_deferred(self, shop: ItemTables):
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2))
        before = shop.tables.whole_sidecar()
        shop.tables.run("DELETE FROM bills", "DELETE FROM customers")

        outcome = shop(bill(shop, 2), rewrite=True)

        assert [(parked.key, parked.kind) for parked in outcome.parked] == [("bill/ann/2026-01-31/1", Kind.DEFERRED)]
        assert shop.rows("bills") == []
        assert shop.tables.whole_sidecar() == before

    def test_unique_values_that_a_stranger_swapped_go_back(self, shop: ItemTables):
        shop.tables.run("ALTER TABLE bills ADD UNIQUE KEY uq_place (place)")
        shop.inspect()
        other = ("ann", "2026-01-31", 2)
        read = [bill(shop, 2, place=1), bill(shop, 3, place=2, key=other)]
        shop(shop.put("customer", ANN, 1, "Ann"), *read)
        before = state(shop)
        shop.tables.run("UPDATE bills SET place = NULL", "UPDATE bills SET place = 3 - number")

        outcome = shop(*read, rewrite=True)

        assert (outcome.counts, outcome.parked) == (Counter(upserted=2), [])
        assert state(shop) == before

    @pytest.mark.parametrize("gone", [False, True], ids=["row", "flag"])
    def test_a_row_that_a_trigger_would_move_is_parked(self, shop: ItemTables, *, gone: bool):
        shop(shop.put("customer", ANN, 1, "Ann"), bill(shop, 2))
        shop.tables.run("CREATE TRIGGER move BEFORE UPDATE ON bills FOR EACH ROW SET NEW.number = 77")
        shop.inspect()
        before = state(shop)
        read = shop.delete("bill", BILL, 2) if gone else bill(shop, 2, place=5)

        outcome = shop(read, shop.put("customer", ANN, 1, "Ann"), rewrite=True)

        assert [parked.reason.split(":")[0] for parked in outcome.parked] == ["a trigger changes the key of the row"]
        assert outcome.counts == Counter(upserted=1)
        assert state(shop) == before

    def test_a_key_whose_case_a_stranger_changed_is_deferred(self, tables: Tables, connect: Any):
        """The row is that of another key, and the collation keeps the item's own row out."""
        shop = make_shop(tables, connect(), ())
        tables.run("ALTER TABLE customers MODIFY customer VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL")
        shop.inspect()
        shop(shop.put("customer", ANN, 1, "Ann"), shop.put("customer", BOB, 2, "Bob"))
        tables.run("UPDATE customers SET customer = 'ANN' WHERE customer = 'ann'")

        outcome = shop(shop.put("customer", ANN, 1, "Ann"), shop.put("customer", BOB, 2, "Bobby"), rewrite=True)

        assert [(parked.key, parked.kind) for parked in outcome.parked] == [("customer/ann", Kind.DEFERRED)]
        assert shop.rows("customers") == [("ANN", "Ann"), ("bob", "Bobby")]


def before_statement(connection: pymysql.Connection[Any], word: str, work: Callable[[], Any]) -> None:
    """Do `work` once, before `connection` sends the first command that begins with `word`."""
    send, todo = connection._execute_command, [work]  # noqa: SLF001 - the one way to the server

    def spy(command: int, sql: str | bytes) -> None:
        text = sql if isinstance(sql, str) else sql.decode()
        if todo and text.startswith(word):
            todo.pop()()
        send(command, sql)

    connection._execute_command = spy  # type: ignore[method-assign]  # noqa: SLF001


@pytest.fixture(params=["READ COMMITTED", "REPEATABLE READ"])
def shops(tables: Tables, connect: Any, request: pytest.FixtureRequest) -> tuple[ItemTables, ItemTables]:
    """Two connections to the same tables."""
    level = f"SET SESSION TRANSACTION ISOLATION LEVEL {request.param}"
    return make_shop(tables, connect(init_command=level)), make_shop(tables, connect(init_command=level), ())


class TestConcurrentWriters:
    """A rewrite never writes over a live change, and never keeps one out."""

    def test_a_live_change_between_read_and_lock_wins(self, shops: tuple[ItemTables, ItemTables]):
        shop, other = shops
        shop(shop.put("customer", ANN, 1, "Ann"))
        before_statement(shop.connection, "SELECT", lambda: other(other.put("customer", ANN, 2, "live")))

        assert shop(shop.put("customer", ANN, 1, "read"), rewrite=True).counts == Counter(overtaken=1)

        assert (shop.rows("customers"), sidecar(shop)) == ([("ann", "live")], [("shop.customer ann", "v0002", 0)])

    def test_a_live_change_waits_for_a_rewrite_and_wins(self, shops: tuple[ItemTables, ItemTables]):
        shop, other = shops
        shop(shop.put("customer", ANN, 1, "Ann"))
        with ThreadPoolExecutor(1) as pool:
            live: list[Any] = []

            def start_and_wait() -> None:
                live.append(pool.submit(other, other.put("customer", ANN, 2, "live")))
                shop.tables.assert_waiting()

            before_statement(shop.connection, "COMMIT", start_and_wait)
            assert shop(shop.put("customer", ANN, 1, "read"), rewrite=True).counts == Counter(upserted=1)
            assert live[0].result(timeout=10).counts == Counter(upserted=1)

        assert (shop.rows("customers"), sidecar(shop)) == ([("ann", "live")], [("shop.customer ann", "v0002", 0)])

    def test_a_rewrite_waits_for_a_live_change_and_is_skipped(self, shops: tuple[ItemTables, ItemTables]):
        shop, other = shops
        shop(shop.put("customer", ANN, 1, "Ann"))
        with ThreadPoolExecutor(1) as pool:
            rewriting: list[Any] = []

            def start_and_wait() -> None:
                rewriting.append(pool.submit(shop, shop.put("customer", ANN, 1, "read"), rewrite=True))
                shop.tables.assert_waiting()

            before_statement(other.connection, "COMMIT", start_and_wait)
            other(other.put("customer", ANN, 2, "live"))
            assert rewriting[0].result(timeout=10) == Outcome(Counter(overtaken=1))

        assert shop.rows("customers") == [("ann", "live")]

    def test_a_rewrite_locks_no_other_key(self, shops: tuple[ItemTables, ItemTables]):
        """The live change holds a key in the middle of a small table. Rows are written, and marks."""
        shop, other = shops
        names = [(f"c{i}",) for i in range(9)]
        shop(*(shop.put("customer", name, 1, "x") for name in names))
        rewriting = [shop.put("customer", name, 1, "y") for name in names[:4]]
        rewriting += [shop.delete("customer", name, 1) for name in names[5:]]
        shop.connection.query("SET SESSION innodb_lock_wait_timeout = 1")
        done: list[Outcome] = []
        before_statement(other.connection, "COMMIT", lambda: done.append(shop(*rewriting, rewrite=True)))

        other(other.put("customer", ("c4",), 2, "live"))

        assert done == [Outcome(Counter(upserted=4, deleted=4))]

    def test_a_load_during_a_rewrite_keeps_its_version(self, tables: Tables, connect: Any):
        """The key had no stored version when it was compared. The isolation of refused rows forgets none."""
        level = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"  # the other one lets no key appear
        shop, other = make_shop(tables, connect(init_command=level)), make_shop(tables, connect(), ())
        load, refused = loaded(shop.put("customer", ANN, 1, "loaded")), shop.put("note", REFUSED, 2, "x")
        shop(refused)
        tables.run(BAD_NOTE)
        before_statement(shop.connection, "SAVEPOINT turns", lambda: other(load))

        outcome = shop(loaded(shop.put("customer", ANN, 1, "read")), refused, rewrite=True)

        assert (outcome.counts, len(outcome.parked)) == (Counter(overtaken=1), 1)
        assert (shop.rows("customers"), sidecar(shop)[0]) == (
            [("ann", "loaded")],
            ("shop.customer ann", LOWEST_VERSION, 0),
        )

    def test_a_rewrite_killed_before_its_commit_changes_nothing(self, shops: tuple[ItemTables, ItemTables]):
        shop, other = shops
        shop(shop.put("customer", ANN, 1, "Ann"), shop.put("customer", BOB, 2, "Bob"), bill(shop, 3))
        before = state(other)
        victim = shop.connection.thread_id()
        before_statement(shop.connection, "COMMIT", lambda: shop.tables.run(f"KILL {victim}"))
        read = [shop.put("customer", ANN, 1, "read"), shop.delete("customer", BOB, 2), bill(shop, 3, place=1)]

        with pytest.raises((pymysql.MySQLError, OSError)):
            shop(*read, rewrite=True)

        assert poll(lambda: not _is_alive(shop.tables, victim), timeout=10)
        assert state(other) == before
        assert other(*read, rewrite=True).counts == Counter(upserted=2, deleted=1)


def _is_alive(tables: Tables, connection: int) -> bool:
    return bool(tables.run(f"SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = {connection}"))


class TestLoadBesidePoison:
    """A load is isolated like any batch: what is refused leaves no trace, and what is written keeps its version."""

    def test_a_redelivered_load_writes_nothing_twice(self, shop: ItemTables):
        shop.tables.run(f"CREATE TRIGGER bad BEFORE INSERT ON notes FOR EACH ROW {signal('NEW.number = 0')}")
        load = [loaded(shop.put("note", ("ann", number), 1, "x")) for number in range(5)]
        shop(shop.put("note", ("ann", 4), 1, "live"))

        first = shop(*load)
        before = state(shop)
        again = shop(*load)

        assert [parked.key for parked in first.parked] == [parked.key for parked in again.parked] == ["note/ann/0"]
        assert first.counts == Counter(upserted=3, stale=1)
        assert again.counts == Counter(redelivered=3, stale=1)
        assert state(shop) == before
        assert sidecar(shop) == [(f"shop.note ann/{i}", "v0001" if i == 4 else LOWEST_VERSION, 0) for i in range(1, 5)]

    @pytest.mark.parametrize("beside_refused", [False, True])
    @pytest.mark.parametrize("mark", [Mark.DELETED, Mark.EXPIRED])
    def test_a_load_after_a_removal_that_leaves_the_row_is_written(
        self, shop: ItemTables, mark: Mark, *, beside_refused: bool
    ):
        """The item was read before its removal, which was noted first. The row ends as in the other order."""
        shop.tables.run(f"CREATE TRIGGER bad BEFORE INSERT ON notes FOR EACH ROW {signal('NEW.number = 0')}")
        refused = [shop.put("note", REFUSED, 1, "x")] if beside_refused else []
        customer, load, removal = (
            shop.put("customer", ANN, 1, "Ann"), loaded(bill(shop, 1)), shop.delete("bill", BILL, 5, mark),
        )  # fmt: skip
        shop(customer, load)
        shop(removal)
        before = shop.rows("bills"), shop.sidecar()
        shop.tables.run("DELETE FROM bills", "DELETE FROM replication_versions WHERE item_key LIKE '%bill%'")

        shop(removal)
        assert shop(load, *refused).counts == Counter(upserted=1)

        assert (shop.rows("bills"), shop.sidecar()) == before
        assert shop(load, *refused).counts == Counter(redelivered=1)

    def test_isolation_forgets_no_loaded_row(self, shop: ItemTables):
        """The key of a refused live change has a loaded row, which keeps its version."""
        shop(loaded(shop.put("note", REFUSED, 1, "x")), loaded(shop.put("note", NOTE, 1, "x")))
        shop.tables.run(BAD_NOTE)
        before = state(shop)

        outcome = shop(shop.put("note", REFUSED, 2, "y"), loaded(shop.put("note", NOTE, 1, "z")))

        assert [parked.key for parked in outcome.parked] == ["note/ann/0"]
        assert outcome.counts == Counter(redelivered=1)
        assert state(shop) == before
