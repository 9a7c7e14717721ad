"""Several entities in one batch: each table keeps the rules of a single table."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from common.changes import Kind
from common.database import ApplyOptions
from common.mapping import Removal
from common.mysql.apply import apply
from tests.support.item_tables import ItemTables
from tests.support.legacy import signal
from tests.support.shop import make_shop, total
from tests.support.tables import Tables
from tests.support.writes import round_trips

LIVE = (0, None)  # not flagged
BILL = ("ann", "2026-01-31", 1)


@pytest.fixture
def shop(tables: Tables, connect: Any) -> ItemTables:
    return make_shop(tables, connect())


def bill(shop: ItemTables, version: int, amount: str = "1", key: Any = BILL, place: int | None = None) -> Any:
    return shop.put("bill", key, version, total(amount), place, *LIVE)


def bill_row(amount: str = "1", key: Any = BILL, place: int | None = None, flag: Any = LIVE) -> Any:
    return (*key, total(amount), place, *flag)


def test_each_entity_is_written_to_its_own_table(shop: ItemTables):
    outcome = shop(
        bill(shop, 1), shop.put("customer", ("ann",), 2, "Ann"), shop.put("note", ("ann", 7), 3, "hello"),
    )  # fmt: skip

    assert outcome.counts == Counter(upserted=3)
    assert shop.rows("bills") == [bill_row()]
    assert shop.rows("customers") == [("ann", "Ann")]
    assert shop.rows("notes") == [("ann", 7, "hello")]
    assert shop.sidecar() == [
        ("shop.bill ann/2026-01-31/1", "v0001", 0, None, None),
        ("shop.customer ann", "v0002", 0, None, None),
        ("shop.note ann/7", "v0003", 0, None, None),
    ]


def test_one_claim_covers_all_entities(shop: ItemTables):
    sent = round_trips(shop.connection)

    shop(bill(shop, 1), shop.put("customer", ("ann",), 2, "Ann"), shop.put("note", ("ann", 7), 3, "hello"))

    assert [text.split(" (")[0] for text in sent] == [
        "INSERT INTO replication_versions",
        "INSERT INTO `customers`",
        "INSERT INTO `notes`",
        "INSERT INTO `bills`",
        "COMMIT",
    ]


def test_a_parent_comes_first_in_any_stream_order(shop: ItemTables):
    """The bill is older than its customer, and before it in key order."""
    assert shop(bill(shop, 1), shop.put("customer", ("ann",), 2, "Ann")).parked == []

    assert len(shop.rows("bills")) == 1


def test_a_parent_comes_first_beside_poison(shop: ItemTables):
    """Isolation keeps this order."""
    shop.tables.run(f"CREATE TRIGGER bad BEFORE INSERT ON notes FOR EACH ROW {signal('NEW.number = 0')}")

    outcome = shop(
        bill(shop, 1), shop.put("customer", ("ann",), 2, "Ann"), shop.put("note", ("ann", 0), 3, "bad"),
    )  # fmt: skip

    assert [(p.key, p.kind) for p in outcome.parked] == [("note/ann/0", Kind.POISON)]
    assert outcome.counts == Counter(upserted=2)
    assert len(shop.rows("bills")) == 1


def test_a_child_is_deleted_before_its_parent(tables: Tables, connect: Any):
    """Here a customer refers to its notes."""
    shop = make_shop(
        tables, connect(), ["ALTER TABLE customers ADD FOREIGN KEY (customer) REFERENCES notes (customer)"]
    )
    shop(shop.put("customer", ("ann",), 1, "Ann"), shop.put("note", ("ann", 1), 1, "x"))
    assert shop.targets.parents_first == [0, 2, 1]

    outcome = shop(shop.delete("customer", ("ann",), 2))

    assert (outcome.counts, outcome.parked) == (Counter(deleted=1), [])


def test_a_child_of_a_refused_parent_is_deferred(shop: ItemTables):
    refused = signal("NEW.name = 'bad'")
    shop.tables.run(f"CREATE TRIGGER bad BEFORE INSERT ON customers FOR EACH ROW {refused}")

    outcome = shop(bill(shop, 1), shop.put("customer", ("ann",), 2, "bad"), shop.put("customer", ("bob",), 2, "Bob"))

    assert sorted((p.key, p.kind) for p in outcome.parked) == [
        ("bill/ann/2026-01-31/1", Kind.DEFERRED),
        ("customer/ann", Kind.POISON),
    ]
    assert shop.rows("customers") == [("bob", "Bob")]
    assert [row[0] for row in shop.sidecar()] == ["shop.customer bob"], "what is parked leaves no trace"


def test_a_parent_is_deleted_after_its_child_moves_away(tables: Tables, connect: Any):
    """Deletes come before updates, and the update frees the parent: the delete is tried again."""
    ddl = "ALTER TABLE notes ADD KEY (number)", "ALTER TABLE bills ADD FOREIGN KEY (place) REFERENCES notes (number)"
    shop = make_shop(tables, connect(), ["ALTER TABLE bills MODIFY place BIGINT NULL", *ddl])
    shop.mapping = replace(
        shop.mapping, entities=tuple(replace(entity, deletes=Removal()) for entity in shop.mapping.entities)
    )
    shop.inspect()
    shop(shop.put("note", ("ann", 1), 1, "x"), shop.put("note", ("ann", 2), 1, "x"), bill(shop, 1, place=1))

    outcome = shop(shop.delete("note", ("ann", 1), 2), bill(shop, 2, place=2))

    assert (outcome.counts, outcome.parked) == (Counter(upserted=1, deleted=1), [])


def test_a_unique_value_moves_between_rows_of_one_entity(shop: ItemTables):
    """A cycle in one table, beside another table."""
    shop.tables.run("ALTER TABLE bills ADD UNIQUE KEY uq_place (place)")
    shop.inspect()
    other = ("ann", "2026-01-31", 2)
    shop(shop.put("customer", ("ann",), 1, "Ann"), bill(shop, 1, place=1), bill(shop, 1, key=other, place=2))

    outcome = shop(bill(shop, 2, place=2), bill(shop, 2, key=other, place=1), shop.put("customer", ("ann",), 2, "Anna"))

    assert (outcome.counts, outcome.parked) == (Counter(upserted=3), [])
    assert shop.rows("bills") == [bill_row(place=2), bill_row(key=other, place=1)]


def test_a_tree_of_one_table_is_written_in_one_batch(tables: Tables, connect: Any):
    """Each note refers to the one with the next number, so key order is the wrong order."""
    shop = make_shop(
        tables,
        connect(),
        [
            "ALTER TABLE notes ADD COLUMN parent BIGINT AS (IF(number < 8, number + 1, NULL)) STORED, ADD KEY (number)",
            "ALTER TABLE notes ADD FOREIGN KEY (parent) REFERENCES notes (number)",
        ],
    )

    outcome = shop(*(shop.put("note", ("ann", number), 1, "x") for number in range(1, 9)))

    assert (outcome.counts, outcome.parked) == (Counter(upserted=8), [])


def test_what_is_left_is_in_key_order_over_all_entities(shop: ItemTables):
    shop.tables.run(f"CREATE TRIGGER bad BEFORE INSERT ON notes FOR EACH ROW {signal('NEW.number >= 0')}")
    batch = [
        *(shop.put("note", ("ann", number), 1, "x") for number in range(30)),
        shop.put("customer", ("ann",), 1, "Ann"),
        shop.expire("note", ("ann", 99), 2),
        shop.expire("bill", BILL, 2),
    ]

    outcome = apply(shop.connection, shop.targets, batch, ApplyOptions(out_of_time=lambda: True))

    keys = [change.key for change in outcome.left]
    assert keys == sorted(keys)
    assert "note/ann/99" in keys, "a removal behind the first change that is left is left as well"
    assert outcome.counts == Counter(upserted=1, ttl_delete=1)
    assert len(outcome.left) + len(outcome.parked) + outcome.counts.total() == len(batch)


def test_poison_in_every_entity_costs_few_round_trips(shop: ItemTables):
    for table in ("customers", "notes"):
        shop.tables.run(f"CREATE TRIGGER bad_{table} BEFORE INSERT ON {table} FOR EACH ROW {signal('TRUE')}")
    sent = round_trips(shop.connection)

    outcome = shop(
        *(shop.put("customer", (f"c{i}",), 1, "x") for i in range(200)),
        *(shop.put("note", ("ann", i), 1, "x") for i in range(200)),
    )

    assert len(outcome.parked) == 400
    assert len(sent) < 460, "about one for each refused row, as in one table"


@pytest.mark.parametrize("every_change", [False, True])
@pytest.mark.parametrize("statement_bytes", [700, 15_000])
def test_a_redelivered_batch_of_entities_writes_nothing(shop: ItemTables, statement_bytes: int, *, every_change: bool):
    batch = [
        *(shop.put("customer", (f"c{i}",), 1, "x") for i in range(20)),
        *(bill(shop, 1, key=(f"c{i}", "2026-01-31", i)) for i in range(20)),
        *(shop.delete("bill", (f"c{i}", "2026-01-31", i), 2) for i in range(0, 20, 2)),
        *(shop.expire("note", (f"c{i}", i), 2) for i in range(9)),
        shop.delete("customer", ("c99",), 3),
    ]
    shop(*batch, statement_bytes=statement_bytes, every_change=every_change)
    before = [shop.rows(table) for table in ("bills", "customers", "notes")], shop.sidecar()

    outcome = shop(*batch, statement_bytes=statement_bytes, every_change=every_change)

    assert outcome.counts == Counter(redelivered=len(batch))
    assert ([shop.rows(table) for table in ("bills", "customers", "notes")], shop.sidecar()) == before
