"""An echo of the seed claims its version and leaves the row alone, where nobody but the seed wrote the item."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.changes import Change, Mark
from common.database import Outcome
from common.mysql.apply import apply
from common.records import parse_items
from common.versions import LOWEST_VERSION
from tests.integration.test_kept_rows import GONE, seat
from tests.support.convergence import PROPERTY
from tests.support.item_tables import ItemTables, mapping_of
from tests.support.records import echo, item, record, remove
from tests.support.tables import Tables, order
from tests.support.writes import MAPPING, Applier, WriteLog, changes_of, round_trips

SEEDED = int(Mark.SEEDED)
both_ways = pytest.mark.parametrize("every_change", [False, True], ids=["last change", "every change"])


def done(**counts: int) -> Outcome:
    return Outcome(Counter(counts))


def legacy_row(tables: Tables, key: str, status: str = "LEGACY") -> None:
    """The legacy application writes the row of an order."""
    values = ", ".join(f"'{value}'" for value in order(key, status=status))
    tables.run(f"REPLACE INTO tbl_orders VALUES ({values})")


def poison(key: str) -> dict[str, Any]:
    """MySQL refuses the currency; the mapping accepts it."""
    return record(key, 1, currency="XX")


@pytest.fixture
def three_letters(writer: Applier, tables: Tables) -> Applier:
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT three CHECK (CHAR_LENGTH(currency) = 3)")
    return writer


def test_an_echo_claims_the_version_and_writes_no_row(writer: Applier, tables: Tables, log: WriteLog):
    """The legacy application has changed one row since the seed read it, and deleted another."""
    legacy_row(tables, "a", "CHANGED")
    log.clear()

    assert writer(echo("a", 1, status="NEW"), echo("b", 1)) == done(seeded=2)

    assert tables.orders() == [order("a", status="CHANGED")]
    assert tables.sidecar() == [("a", 1, SEEDED), ("b", 1, SEEDED)]
    assert log.rows() == []


def test_an_echo_again_writes_nothing(writer: Applier, tables: Tables):
    writer(echo("a", 1))
    before = tables.whole_sidecar()

    assert writer(echo("a", 1)) == done(redelivered=1)

    assert tables.whole_sidecar() == before


def test_a_row_that_is_seeded_again_is_left_alone(writer: Applier, tables: Tables):
    legacy_row(tables, "a", "SECOND")
    writer(echo("a", 1, status="FIRST"))

    assert writer(echo("a", 2, "MODIFY", seed="two", status="SECOND")) == done(seeded=1)

    assert (tables.orders(), tables.sidecar()) == ([order("a", status="SECOND")], [("a", 2, SEEDED)])


def test_a_change_by_anybody_else_is_written(writer: Applier, tables: Tables):
    legacy_row(tables, "a")
    writer(echo("a", 1), echo("b", 1))

    assert writer(record("a", 2, status="PAID"), record("b", 2)) == done(upserted=2)
    assert writer(remove("a", 3)) == done(deleted=1)

    assert (tables.orders(), tables.sidecar()) == ([order("b")], [("a", 3, 1), ("b", 2, 0)])


def test_an_older_change_than_an_echo_is_stale(writer: Applier, tables: Tables):
    """The row is the legacy application's, and the item was made from it."""
    legacy_row(tables, "a")
    writer(echo("a", 5))

    assert writer(record("a", 4), remove("a", 3)) == done(stale=1, superseded=1)

    assert (tables.orders(), tables.sidecar()) == ([order("a", status="LEGACY")], [("a", 5, SEEDED)])


@both_ways
@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
@pytest.mark.parametrize("before", [record("a", 1, status="PAID"), remove("a", 1)], ids=["an upsert", "a removal"])
def test_an_echo_after_another_writer_is_written(
    writer: Applier, tables: Tables, before: dict[str, Any], *, together: bool, every_change: bool
):
    """The row of a live change cannot be the legacy application's alone: the row must become the item again."""
    legacy_row(tables, "a")
    after = echo("a", 2, seed="two", status="SEEDED")
    for batch in [[before, after]] if together else [[before], [after]]:
        writer(*batch, every_change=every_change)

    assert (tables.orders(), tables.sidecar()) == ([order("a", status="SEEDED")], [("a", 2, 0)])


@both_ways
def test_echoes_beside_others_in_a_batch(writer: Applier, tables: Tables, *, every_change: bool):
    legacy_row(tables, "a", "CHANGED")
    writer(record("d", 1))

    outcome = writer(echo("a", 1), record("b", 1, "INSERT"), echo("c", 1), remove("d", 2), every_change=every_change)

    assert outcome == done(seeded=2, upserted=1, deleted=1)
    assert tables.orders() == [order("a", status="CHANGED"), order("b")]
    assert tables.sidecar() == [("a", 1, SEEDED), ("b", 1, 0), ("c", 1, SEEDED), ("d", 2, 1)]


@both_ways
def test_poison_beside_echoes_is_parked_alone(three_letters: Applier, tables: Tables, *, every_change: bool):
    """The rows of echoes are not sent, even where the server would refuse them."""
    legacy_row(tables, "a", "CHANGED")
    three_letters(record("d", 1))
    batch = [echo("a", 1), poison("b"), echo("c", 1, currency="XX"), echo("d", 2, seed="two", status="SEEDED")]

    outcome = three_letters(*batch, record("e", 1), every_change=every_change)

    assert [one.record for one in outcome.parked] == [poison("b")]
    assert outcome.counts == Counter(seeded=2, upserted=2)
    assert tables.orders() == [order("a", status="CHANGED"), order("d", status="SEEDED"), order("e")]
    assert tables.sidecar() == [("a", 1, SEEDED), ("c", 1, SEEDED), ("d", 2, 0), ("e", 1, 0)]


@both_ways
def test_an_echo_before_poison_claims_its_version(three_letters: Applier, tables: Tables, *, every_change: bool):
    legacy_row(tables, "a")
    bad = record("a", 2, currency="XX")

    outcome = three_letters(echo("a", 1), bad, every_change=every_change)

    assert ([one.record for one in outcome.parked], outcome.counts) == ([bad], Counter(seeded=1))
    assert (tables.orders(), tables.sidecar()) == ([order("a", status="LEGACY")], [("a", 1, SEEDED)])


# A load of seeded items


@pytest.mark.parametrize("with_poison", [False, True], ids=["no poison", "poison"])
def test_a_load_writes_a_seeded_item_only_where_there_is_no_row(
    three_letters: Applier, tables: Tables, *, with_poison: bool
):
    """A row that is there may be newer than its item. A live change and an echo were there before."""
    legacy_row(tables, "a", "CHANGED")
    legacy_row(tables, "c", "CHANGED")
    three_letters(echo("c", 1), record("d", 1))
    images = [echo(key, 1)["dynamodb"]["NewImage"] for key in "abcd"] + [item("e")]
    bad = [item("f", currency="XX")] * with_poison
    changes = parse_items([*images, *bad], MAPPING).changes

    outcome = apply(three_letters.connection, three_letters.targets, changes)

    assert outcome.counts == Counter(seeded=1, upserted=2, stale=2)
    assert len(outcome.parked) == len(bad)
    assert tables.orders() == [
        order("a", status="CHANGED"),
        order("b"),
        order("c", status="CHANGED"),
        order("d"),
        order("e"),
    ]
    states = tables.run(
        f"SELECT item_key, version = '{LOWEST_VERSION}', deleted FROM replication_versions ORDER BY item_key"
    )
    assert states == [("a", 1, SEEDED), ("b", 1, SEEDED), ("c", 0, SEEDED), ("d", 0, 0), ("e", 1, 0)]


# Rows that are flagged or kept


def test_an_echo_after_a_kept_removal_is_written(tables: Tables, connect: Any):
    """A removal that left the row and flagged it is another writer's change, too."""
    seats = ItemTables(tables, connect(), mapping_of("hall", seat(deletes=GONE)))
    seats(seats.put("seat", ("a",), 1, "old", 0, None))
    tables.run("DELETE FROM replication_versions")
    seats(_as_echo(seats.put("seat", ("a",), 2, "old", 0, None)))
    seats(seats.delete("seat", ("a",), 3))
    assert seats.rows("seats") == [("a", "old", 1, "2026-02-02 02:40:03")]

    seats(_as_echo(seats.put("seat", ("a",), 4, "new", 0, None)))

    assert seats.rows("seats") == [("a", "new", 0, None)]


def _as_echo(change: Change) -> Change:
    return change._replace(mark=Mark.SEEDED)


# Any order


def _record(kind: str, number: int) -> dict[str, Any]:
    if kind == "echo":
        return echo("a", number, "MODIFY", seed=str(number), status="SEEDED")
    return remove("a", number) if kind == "removal" else record("a", number, status=f"APP-{number}")


histories = st.lists(st.sampled_from(("echo", "upsert", "removal")), min_size=1, max_size=5)


@PROPERTY
@given(st.data(), histories, st.booleans(), st.booleans())
def _any_order(world: tuple[Applier, Tables], data: Any, kinds: list[str], with_poison: bool, every_change: bool):
    """The legacy row is what the seed read, so every order must end in the state of the item."""
    writer, tables = world
    tables.clear()
    legacy_row(tables, "a", "SEEDED")
    queue = data.draw(st.permutations([_record(kind, number) for number, kind in enumerate(kinds, 1)]))
    while queue:
        size = data.draw(st.integers(1, len(queue)))
        batch, queue = queue[:size], queue[size:]
        outcome = writer(*batch, *[poison("p")] * with_poison, every_change=every_change)
        assert outcome.counts.total() == len(batch)
    last = {"echo": [order("a", status="SEEDED")], "removal": []}
    assert tables.orders() == last.get(kinds[-1], [order("a", status=f"APP-{len(kinds)}")])
    [(key, version, deleted)] = tables.sidecar()
    assert (key, version) == ("a", len(kinds))
    assert (deleted == 1) == (kinds[-1] == "removal")


def test_any_order_with_echoes_ends_in_the_item(three_letters: Applier, tables: Tables):
    _any_order((three_letters, tables))


@both_ways
@pytest.mark.parametrize("with_poison", [False, True], ids=["no poison", "poison"])
def test_echoes_alone_never_touch_the_row(
    three_letters: Applier, tables: Tables, *, with_poison: bool, every_change: bool
):
    """In any order and any batches, whatever the legacy application does meanwhile."""
    echoes = [echo("a", n, "MODIFY", seed=str(n), status=f"SEED-{n}") for n in (1, 2, 3)]
    for delivered in itertools.permutations(echoes):
        for cut in (1, 2, 3):
            tables.clear()
            for number, batch in enumerate((delivered[:cut], delivered[cut:])):
                legacy_row(tables, "a", f"CHANGED-{number}")
                if batch:
                    three_letters(*batch, *[poison("p")] * with_poison, every_change=every_change)
            assert tables.orders() == [order("a", status="CHANGED-1")]
            assert tables.sidecar() == [("a", 3, SEEDED)]


def test_an_echo_needs_few_round_trips(writer: Applier):
    """No row is looked up or written: the sidecar is locked, read and claimed."""
    sent = round_trips(writer.connection)
    writer(*(echo(f"k{i:03}", 1) for i in range(500)))

    assert [text.split(" ", 1)[0] for text in sent] == ["INSERT", "SELECT", "INSERT", "COMMIT"]
    assert changes_of(echo("a", 1))[0].mark is Mark.SEEDED
