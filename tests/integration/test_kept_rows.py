"""Removals that leave the row in place: ignored, or flagged. Any order of delivery ends in one state."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from common.changes import Change, Kind, Mark
from common.histories import CLOCK_REASON
from tests.support.item_tables import ItemTables, mapping_of
from tests.support.legacy import signal
from tests.support.records import START
from tests.support.shop import make_shop, total
from tests.support.tables import Tables

BILL = ("ann", "2026-01-31", 1)
NOTE = ("ann", 1)
LIVE = (0, None)
GONE = {"flag": "gone", "time": "gone_at"}


def seat(**removals: Any) -> dict[str, Any]:
    """A mapping of one entity with these removals."""
    key = {"partition_key": "{id}"}, [{"column": "id", "type": "string", "length": 20, "ascii": True}]
    columns = [{"column": "name", "from": ["name"], "type": "string", "length": 20}]
    entity = {"target": {"table": "seats", "key": key[0], "key_columns": key[1]}, "columns": columns, **removals}
    return {"partition_key": {"attribute": "pk", "type": "string"}, "entities": {"seat": entity}}


def flag_columns(declared: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for one in declared.values() if isinstance(one, dict) for name in one.values()))


def flags_after(declared: dict[str, Any], removals: list[tuple[int, Mark]]) -> list[Any]:
    """The flag columns after removals, the newest last."""
    found: dict[str, Any] = {name: None if name.endswith("at") else 0 for name in flag_columns(declared)}
    for version, mark in removals:
        flags = declared.get("ttl" if mark is Mark.EXPIRED else "deletes")
        if isinstance(flags, dict):
            found |= {flags["flag"]: 1, flags["time"]: f"2026-02-02 02:40:{version:02}"}
    return list(found.values())


@pytest.fixture
def shop(tables: Tables, connect: Any) -> ItemTables:
    return make_shop(tables, connect(), ())


def bill(shop: ItemTables, version: int) -> Change:
    return shop.put("bill", BILL, version, total(str(version)), None, *LIVE)


def flagged(version: int, removed: int) -> tuple[Any, ...]:
    """The row of a bill: what it was at `version`, flagged at the time of `removed`."""
    # START is 2026-02-02 02:40:00 UTC.
    return (*BILL, total(str(version)), None, 1, f"2026-02-02 02:40:{removed:02}")


def state(shop: ItemTables) -> Any:
    return shop.rows("bills"), shop.rows("notes"), shop.sidecar()


def assert_one_state(shop: ItemTables, changes: list[Change], expected: Any) -> None:
    """The changes end in one state: in any order, one by one or in one batch."""
    for order in itertools.permutations(changes):
        for together in (False, True):
            shop.tables.run("DELETE FROM bills", "DELETE FROM notes", "DELETE FROM replication_versions")
            for batch in [order] if together else [[change] for change in order]:
                assert shop(*batch).parked == []
            assert state(shop) == expected, [change.version for change in order]


def test_a_deleted_row_is_flagged_with_its_last_values(shop: ItemTables):
    assert START % 86_400 == 9_600, "see flagged()"
    expected = [flagged(2, 3)], [], [("shop.bill ann/2026-01-31/1", "v0002", 0, "v0003", None)]

    assert_one_state(shop, [bill(shop, 1), bill(shop, 2), shop.delete("bill", BILL, 3)], expected)


def test_an_item_that_comes_back_is_not_flagged(shop: ItemTables):
    rows = [(*BILL, total("3"), None, *LIVE)]
    expected = rows, [], [("shop.bill ann/2026-01-31/1", "v0003", 0, "v0002", None)]

    assert_one_state(shop, [bill(shop, 1), shop.delete("bill", BILL, 2), bill(shop, 3)], expected)


def test_an_ignored_removal_leaves_the_row(shop: ItemTables):
    """The row still becomes what the item was before its removal."""
    changes = [shop.put("note", NOTE, 1, "a"), shop.put("note", NOTE, 2, "b"), shop.delete("note", NOTE, 3)]
    expected = [], [(*NOTE, "b")], [("shop.note ann/1", "v0002", 0, "v0003", None)]

    assert_one_state(shop, changes, expected)


def test_an_ignored_expiry_leaves_its_own_mark(shop: ItemTables):
    changes = [shop.put("note", NOTE, 1, "a"), shop.expire("note", NOTE, 2)]
    expected = [], [(*NOTE, "a")], [("shop.note ann/1", "v0001", 0, None, "v0002")]

    assert_one_state(shop, changes, expected)


def test_an_expiry_that_removes_the_row_has_its_own_mark(shop: ItemTables):
    """The mark is 2; a deletion leaves a tombstone of 1."""
    shop(shop.put("customer", ("ann",), 1, "A"), shop.put("customer", ("bob",), 1, "B"))

    outcome = shop(shop.expire("customer", ("ann",), 2), shop.delete("customer", ("bob",), 2))

    assert outcome.counts == Counter(deleted=2)
    assert shop.rows("customers") == []
    assert [row[:3] for row in shop.sidecar()] == [("shop.customer ann", "v0002", 2), ("shop.customer bob", "v0002", 1)]


SEAT = ("a",)
FLAGS: dict[str, dict[str, Any]] = {
    "one flag for both": {"deletes": GONE, "ttl": GONE},
    "two flags": {"deletes": GONE, "ttl": {"flag": "expired", "time": "expired_at"}},
    "deletes alone": {"deletes": GONE},
    "expiries alone": {"deletes": "ignore", "ttl": GONE},
    "expiries beside removed rows": {"deletes": "delete", "ttl": GONE},
}


@pytest.mark.parametrize("beside_poison", [False, True], ids=["alone", "beside a refused row"])
@pytest.mark.parametrize("declared", FLAGS.values(), ids=FLAGS)
def test_a_deletion_and_an_expiry_are_flagged_apart(
    tables: Tables, connect: Any, declared: dict[str, Any], *, beside_poison: bool
):
    """An item can stop matching and then expire. Which one is delivered first changes nothing."""
    seats = ItemTables(tables, connect(), mapping_of("seats", seat(**declared)))
    values = [None if name.endswith("at") else 0 for name in flag_columns(declared)]
    put = seats.put("seat", SEAT, 1, "x", *values)
    refused = [seats.put("seat", ("b",), 1, "bad", *values)] if beside_poison else []
    if beside_poison:
        trigger = signal("NEW.name = 'bad'")
        tables.run(f"CREATE TRIGGER bad BEFORE INSERT ON seats FOR EACH ROW {trigger}")
    for removals in ([(2, Mark.DELETED), (3, Mark.EXPIRED)], [(2, Mark.EXPIRED), (3, Mark.DELETED)]):
        changes = [put, *(seats.delete("seat", SEAT, version, mark) for version, mark in removals)]
        rows = [] if declared["deletes"] == "delete" else [(*SEAT, "x", *flags_after(declared, removals))]
        for order in itertools.permutations(changes):
            for together in (False, True):
                tables.run("DELETE FROM seats", "DELETE FROM replication_versions")
                for batch in [order] if together else [[change] for change in order]:
                    assert len(seats(*batch, *refused).parked) == len(refused)
                assert seats.rows("seats") == rows, [(change.version, change.mark) for change in order]


def test_removals_that_keep_their_rows_are_counted(shop: ItemTables):
    shop(bill(shop, 5))
    removals = [shop.expire("note", NOTE, 2), shop.delete("note", ("bob", 1), 2), shop.delete("bill", BILL, 6)]

    assert shop(*removals).counts == Counter(ttl_delete=1, ignored_delete=1, deleted=1)
    assert shop(*removals).counts == Counter(redelivered=3)
    assert shop(shop.expire("note", NOTE, 1), shop.delete("bill", BILL, 4)).counts == Counter(stale=2)
    again = shop.expire("note", NOTE, 9)
    assert shop(shop.expire("note", NOTE, 8), again, again).counts == Counter(ttl_delete=1, superseded=1, redelivered=1)


def test_a_removal_that_is_older_than_the_row_flags_nothing(shop: ItemTables):
    shop(bill(shop, 5))

    assert shop(shop.delete("bill", BILL, 4)).counts == Counter(stale=1)
    assert shop.rows("bills") == [(*BILL, total("5"), None, *LIVE)]


def test_a_newer_removal_beside_a_redelivered_one_sets_its_flag(shop: ItemTables):
    other = ("bob", "2026-01-31", 1)
    first = shop.delete("bill", BILL, 2)
    shop(bill(shop, 1), first, shop.put("bill", other, 1, total("1"), None, *LIVE), shop.delete("bill", other, 2))
    shop(shop.put("bill", other, 3, total("3"), None, *LIVE))

    assert shop(first, shop.delete("bill", other, 4)).counts == Counter(redelivered=1, deleted=1)
    assert shop.rows("bills")[1] == (*other, total("3"), None, 1, "2026-02-02 02:40:04")


def test_a_removal_that_the_clock_contradicts_leaves_no_trace(shop: ItemTables):
    """It is parked however often it comes: a note would make its retry a redelivery."""
    shop(bill(shop, 5))
    late = shop.delete("bill", BILL, 3)._replace(source_time=START + 500)

    for beside in ((), (shop.put("note", ("ann", 0), 1, "x"),)):
        outcome = shop(late, *beside)
        assert [(p.version, p.reason) for p in outcome.parked] == [("v0003", CLOCK_REASON)]
        assert shop.sidecar()[0] == ("shop.bill ann/2026-01-31/1", "v0005", 0, None, None)
        assert shop.rows("bills") == [(*BILL, total("5"), None, *LIVE)]


def test_a_flag_beside_poison_is_set(shop: ItemTables):
    refused = signal("NEW.number = 0")
    shop.tables.run(f"CREATE TRIGGER bad BEFORE INSERT ON notes FOR EACH ROW {refused}")
    shop(bill(shop, 1))

    outcome = shop(shop.delete("bill", BILL, 2), shop.put("note", ("ann", 0), 1, "x"), shop.expire("note", NOTE, 2))

    assert [p.key for p in outcome.parked] == ["note/ann/0"]
    assert outcome.counts == Counter(deleted=1, ttl_delete=1)
    assert shop.rows("bills") == [flagged(1, 2)]
    assert [row[0] for row in shop.sidecar()] == ["shop.bill ann/2026-01-31/1", "shop.note ann/1"]


def test_an_older_removal_beside_poison_changes_no_flag(shop: ItemTables):
    """The time of the flag stays that of the newest removal."""
    refused = signal("NEW.number = 0")
    shop.tables.run(f"CREATE TRIGGER bad BEFORE INSERT ON notes FOR EACH ROW {refused}")
    shop(bill(shop, 1), shop.delete("bill", BILL, 3))

    outcome = shop(shop.delete("bill", BILL, 2), shop.put("note", ("ann", 0), 1, "x"))

    assert outcome.counts == Counter(stale=1)
    assert shop.rows("bills") == [flagged(1, 3)]


def test_a_refused_flag_is_parked_without_a_trace(shop: ItemTables):
    """It is tried again once the trigger is gone."""
    refused = signal("NEW.is_deleted = 1")
    shop(bill(shop, 1), bill(shop, 2))
    shop.tables.run(f"CREATE TRIGGER bad BEFORE UPDATE ON bills FOR EACH ROW {refused}")
    removal = shop.delete("bill", BILL, 3)

    outcome = shop(removal, shop.put("note", NOTE, 1, "x"))

    assert [(p.key, p.kind) for p in outcome.parked] == [("bill/ann/2026-01-31/1", Kind.POISON)]
    assert outcome.counts == Counter(upserted=1)
    assert shop.sidecar()[0][3:] == (None, None)
    shop.tables.run("DROP TRIGGER bad")
    assert shop(removal).counts == Counter(deleted=1)
    assert shop.rows("bills") == [flagged(2, 3)]


def test_a_refused_flag_leaves_no_older_removal_behind(shop: ItemTables):
    """An older removal of the batch that was noted, without a flag, could not be delivered again."""
    refused = signal("NEW.is_deleted = 1")
    shop(bill(shop, 1))
    shop.tables.run(f"CREATE TRIGGER bad BEFORE UPDATE ON bills FOR EACH ROW {refused}")
    older, newer = shop.delete("bill", BILL, 2), shop.delete("bill", BILL, 4)

    outcome = shop(newer, older, older, newer)

    assert [p.version for p in outcome.parked] == ["v0002", "v0004"]
    assert outcome.counts == Counter(redelivered=2)
    assert shop.sidecar()[0][3:] == (None, None)
    shop.tables.run("DROP TRIGGER bad")
    assert shop(older).counts == Counter(deleted=1)
    assert shop.rows("bills") == [flagged(1, 2)]


def test_a_trigger_that_moves_a_flagged_row_is_found(shop: ItemTables):
    shop(bill(shop, 1))
    shop.tables.run("CREATE TRIGGER move BEFORE UPDATE ON bills FOR EACH ROW SET NEW.number = 77")
    shop.tables.run("ALTER TABLE bills ADD COLUMN more INT NULL")
    shop.inspect()

    outcome = shop(shop.delete("bill", BILL, 2))

    assert [p.reason.split(":")[0] for p in outcome.parked] == ["a trigger changes the key of the row"]
    assert [row[2] for row in shop.rows("bills")] == [1]


def test_a_flag_is_set_only_where_there_is_a_row(shop: ItemTables):
    assert shop(shop.delete("bill", BILL, 2)).counts == Counter(deleted=1)
    assert shop.rows("bills") == []


def test_a_row_written_since_the_batch_began_is_flagged(tables: Tables, connect: Any, monkeypatch: pytest.MonkeyPatch):
    """The batch reads rows of other items before it locks the key. The snapshot of that read lacks the new row."""
    repeatable = connect(init_command="SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    shop, other = make_shop(tables, repeatable, ()), make_shop(tables, connect(), ())
    tables.run(
        "CREATE TRIGGER same BEFORE UPDATE ON bills FOR EACH ROW SET NEW.total = NEW.total"
    )  # rows are looked up
    shop.inspect()
    query, claims = repeatable.query, itertools.count(1)

    def interrupted(sql: str, *options: Any) -> Any:
        if sql.startswith("INSERT INTO replication_versions") and next(claims) == 2:
            other(bill(other, 1))
        return query(sql, *options)

    monkeypatch.setattr(repeatable, "query", interrupted)
    another = ("ann", "2026-01-31", 2)

    outcome = shop(shop.put("bill", another, 1, total("1"), None, *LIVE), shop.delete("bill", BILL, 2))

    assert outcome.counts == Counter(upserted=1, deleted=1)
    assert next(claims) == 3
    assert shop.rows("bills") == [flagged(1, 2), (*another, total("1"), None, *LIVE)]
