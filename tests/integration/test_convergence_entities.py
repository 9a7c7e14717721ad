"""The product's promise over a hostile mapping: composite keys, a foreign key, soft deletes, ignored removals."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from common.changes import Change, Row
from common.database import Outcome
from tests.support.convergence import PROPERTY, until_unlocked
from tests.support.item_tables import ItemTables
from tests.support.shop import FOREIGN_KEY, make_shop, total
from tests.support.tables import Tables

KEYS: list[tuple[str, Row]] = [
    ("customer", ("ann",)),
    ("customer", ("Ann",)),
    ("bill", ("ann", "2026-01-31", 1)),
    ("bill", ("ann", "2026-01-31", -1)),
    ("note", ("ann", 1)),
    ("note", ("ann", 2**63 - 1)),
]
PUT, DELETE, EXPIRE = "put", "delete", "expire"
KINDS = {"customer": (PUT,), "bill": (PUT, DELETE, EXPIRE), "note": (PUT, DELETE, EXPIRE)}
TRIGGERS = "SET NEW.total = NEW.total"  # a table that is not plain: what was written is looked up


@dataclass(frozen=True)
class Plan:
    """The kinds of the changes of each key, oldest first, and deliveries of them: (writer, changes, size, every)."""

    histories: dict[tuple[str, Row], list[str]]
    deliveries: list[tuple[int, list[tuple[tuple[str, Row], int]], int, bool]]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, unique=True))
    histories = {
        key: [PUT, *draw(st.lists(st.sampled_from(KINDS[key[0]]), max_size=5))]
        for key in [("customer", ("ann",)), *keys]
    }
    steps = [(key, n) for key, kinds in histories.items() for n in range(1, len(kinds) + 1)]
    queue = draw(st.permutations(steps + draw(st.lists(st.sampled_from(steps), max_size=8))))
    deliveries = []
    while queue:
        size = draw(st.integers(1, len(queue)))
        every = draw(st.booleans())
        limit = draw(st.sampled_from([15_000, 1, 600]))
        deliveries.append((draw(st.integers(0, 1)), list(queue[:size]), limit, every))
        queue = queue[size:]
    return Plan(histories, deliveries)


def change(shop: ItemTables, step: tuple[tuple[str, Row], int], histories: dict[Any, list[str]]) -> Change:
    (name, key), version = step
    kind = histories[name, key][version - 1]
    if kind != PUT:
        return shop.delete(name, key, version) if kind == DELETE else shop.expire(name, key, version)
    return shop.put(name, key, version, *values(name, version))


def values(name: str, version: int) -> Row:
    return (total(str(version)), version, 0, None) if name == "bill" else (str(version),)


def expected(plan: Plan) -> dict[str, list[Row]]:
    """Each row has the values of the item's last put. A bill whose item was deleted since is flagged."""
    rows: dict[str, list[Row]] = {"bill": [], "customer": [], "note": []}
    for (name, key), kinds in plan.histories.items():
        put = _last_of(PUT, kinds)
        row = (*key, *values(name, put))
        if name == "bill" and (deleted := _last_of(DELETE, kinds)) > put:
            row = (*row[:-2], 1, f"2026-02-02 02:40:{deleted:02}")
        rows[name].append(row)
    return {name: sorted(found, key=repr) for name, found in rows.items()}


def test_any_deliveries_end_in_the_last_state(tables: Tables, connect: Any):
    """Two writers, any order, any batches, redeliveries; what is deferred is tried again at the end."""
    writers = [make_shop(tables, connect(), [FOREIGN_KEY])]
    tables.run(
        f"CREATE TRIGGER same BEFORE UPDATE ON bills FOR EACH ROW {TRIGGERS}",
        "ALTER TABLE notes ADD COLUMN seen INT NOT NULL DEFAULT 7",
    )
    writers.append(make_shop(tables, connect(), ()))
    writers[0].inspect()

    def deliver(plan: Plan, number: int) -> list[Change]:
        waiting: list[Change] = []
        for writer, steps, limit, every in plan.deliveries:
            if writer == number:
                shop = writers[number]
                changes = [change(shop, step, plan.histories) for step in steps]
                outcome: Outcome = until_unlocked(
                    lambda shop=shop, changes=changes, limit=limit, every=every: shop(
                        *changes, statement_bytes=limit, every_change=every
                    )
                )
                assert outcome.counts.total() + len(outcome.parked) == len(changes)
                parked = {(one.key, one.version) for one in outcome.parked}
                waiting += [one for one in changes if (one.key, one.version) in parked]
        return waiting

    @PROPERTY
    @given(plans())
    def converges(plan: Plan) -> None:
        tables.run(*(f"DELETE FROM {table}" for table in ("bills", "customers", "notes", "replication_versions")))
        with ThreadPoolExecutor(2) as pool:
            waiting = [one for done in pool.map(deliver, [plan] * 2, range(2)) for one in done]
        assert {one.key.partition("/")[0] for one in waiting} <= {"bill"}, "only a bill waits for its customer"
        if waiting:
            assert writers[0](*waiting).parked == []
        rows = {name: _rows(writers[0], f"{name}s") for name in ("bill", "customer", "note")}
        assert rows == expected(plan)
        assert _versions(writers[0]) == sorted(_last(plan))

    converges()


def _rows(shop: ItemTables, table: str) -> list[Row]:
    rows = shop.rows(table)
    assert table != "notes" or all(row[-1] == 7 for row in rows), "a column of others keeps its value"
    return [row[:-1] for row in rows] if table == "notes" else rows


def _versions(shop: ItemTables) -> list[Any]:
    return sorted((key, version, delete or "", expiry or "") for key, version, _, delete, expiry in shop.sidecar())


def _last(plan: Plan) -> Sequence[Any]:
    """Of every key: its name, and the versions of its last put, deletion and expiry."""
    for (name, key), kinds in plan.histories.items():
        last = [_last_of(kind, kinds) for kind in (PUT, DELETE, EXPIRE)]
        yield f"shop.{name} {'/'.join(map(str, key))}", *(f"v{n:04}" if n else "" for n in last)


def _last_of(kind: str, kinds: list[str]) -> int:
    """The version of the last change of a kind, 0 where there is none."""
    return max((n for n, one in enumerate(kinds, 1) if one == kind), default=0)
