"""What isolating refused rows promises when time runs out, and what counts as evidence."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from common.changes import Kind
from common.database import ApplyOptions, Outcome
from common.mysql import answers, errors
from common.mysql.apply import apply
from common.versions import LOWEST_VERSION
from tests.support.legacy import mapped_orders, orders_table, signal, trigger
from tests.support.records import order_id, record
from tests.support.tables import Tables, order
from tests.support.writes import Applier, changes_of


def fuse(calls: int) -> Callable[[], bool]:
    """False for the first `calls` calls, then True."""
    count = itertools.count()
    return lambda: next(count) >= calls


@pytest.fixture
def refusing(tables: Tables, connect: Any) -> Applier:
    """A target whose triggers signal the unknown number 31001 for the status ODD, and 45000 for BAD."""
    for event in ("INSERT", "UPDATE"):
        refusals = signal("NEW.status = 'ODD'", 31001), signal("NEW.status = 'BAD'")
        tables.run(trigger(f"BEFORE {event}", f"BEGIN {'; '.join(refusals)}; END"))
    return Applier(connect())


def redeliver(writer: Applier, records: list[dict[str, Any]], calls: int = 0, limit: int = 200) -> list[Outcome]:
    """Deliver the whole batch again until nothing is left, as Lambda does. Each call knows what was parked before."""
    outcomes: list[Outcome] = []
    known: set[tuple[Any, Any]] = set()
    while not outcomes or outcomes[-1].left:
        assert len(outcomes) < limit, f"{len(outcomes[-1].left)} changes are left for ever"
        outcomes.append(
            apply(
                writer.connection,
                writer.targets,
                changes_of(*records),
                ApplyOptions(out_of_time=fuse(calls), parked_before=lambda: frozenset(known)),
            )
        )
        now = [(one.key, one.version) for one in outcomes[-1].parked]
        assert not known & set(now), "a record is parked twice"
        known.update(now)
    return outcomes


@pytest.mark.parametrize("calls", [0, 1, 30])
def test_every_delivery_of_a_hard_batch_gets_further(refusing: Applier, tables: Tables, calls: int):
    """Rows that earlier deliveries wrote take no time."""
    records = [record(f"k{i:03}", 1, status="BAD" if i % 2 else "NEW") for i in range(300)]

    outcomes = redeliver(refusing, records, calls)

    lefts = [len(outcome.left) for outcome in outcomes]
    assert all(after < before for before, after in itertools.pairwise(lefts)), lefts
    assert sorted(order_id(p.key) for outcome in outcomes for p in outcome.parked) == [
        f"k{i:03}" for i in range(1, 300, 2)
    ]
    assert tables.orders() == [order(f"k{i:03}") for i in range(0, 300, 2)]


def test_a_slice_of_what_was_written_before_is_no_progress(refusing: Applier, tables: Tables):
    good = [record(f"a{i:03}", 1) for i in range(520)]
    refusing(*good)
    hard = [record(f"b{i:03}", 1, status="BAD" if i % 2 else "NEW") for i in range(60)]

    outcomes = redeliver(refusing, good + hard)

    lefts = [len(outcome.left) for outcome in outcomes]
    assert all(after < before for before, after in itertools.pairwise(lefts)), lefts
    assert len(tables.orders()) == 520 + 30


@pytest.mark.parametrize("every_change", [False, True])
def test_a_rest_that_was_written_before_is_evidence(refusing: Applier, tables: Tables, *, every_change: bool):
    """A delivery that could not park its record comes again. Everything else is written already."""
    batch = [record("a", 1), record("b", 1, status="ODD"), record("c", 1)]
    first = refusing(*batch, every_change=every_change)

    again = refusing(*batch, every_change=every_change)

    assert again.parked == first.parked
    assert [p.kind for p in again.parked] == [Kind.UNKNOWN]
    assert again.counts == Counter(redelivered=2)
    assert tables.orders() == [order("a"), order("c")]


def test_an_unknown_error_in_what_is_left_stops_nothing(refusing: Applier, tables: Tables):
    """The first ten are poison. The unknown error comes when time runs out."""
    batch = [record(f"k{i:03}", 1, status="ODD" if i == 10 else "BAD") for i in range(200)]

    outcome = apply(refusing.connection, refusing.targets, changes_of(*batch), ApplyOptions(out_of_time=fuse(60)))

    assert [order_id(p.key) for p in outcome.parked] == [f"k{i:03}" for i in range(10)]
    assert len(outcome.left) == 190


def test_rows_that_went_through_before_time_ran_out_are_evidence(refusing: Applier, tables: Tables):
    batch = [record(f"k{i:03}", 1, status="ODD" if i < 10 else "NEW") for i in range(200)]

    outcomes = redeliver(refusing, batch, calls=19)

    assert sorted(order_id(p.key) for outcome in outcomes for p in outcome.parked) == [f"k{i:03}" for i in range(10)]
    assert {p.kind for outcome in outcomes for p in outcome.parked} == {Kind.UNKNOWN}
    assert len(tables.orders()) == 190


def test_an_unknown_error_while_freeing_a_value_defers(tables: Tables, connect: Any):
    tables.replace_target(orders_table("UNIQUE KEY uq_status (status)", status="VARCHAR(32) NULL"))
    tables.run(trigger("BEFORE UPDATE", signal("NEW.status IS NULL", 31001)))
    writer = Applier(connect())
    writer(record("a", 1, status="ONE"), record("b", 1, status="TWO"))

    outcome = writer(record("a", 2, status="TWO"), record("b", 2, status="ONE"))

    assert sorted((order_id(p.key), p.kind) for p in outcome.parked) == [("a", Kind.DEFERRED), ("b", Kind.DEFERRED)]
    assert tables.sidecar() == [("a", 1, 0), ("b", 1, 0)]


@pytest.mark.parametrize("n", [501, 1000])
def test_a_rotation_larger_than_a_slice_is_written(tables: Tables, connect: Any, n: int):
    tables.replace_target(orders_table("UNIQUE KEY uq_status (status)"))
    writer = Applier(connect())
    writer(*(record(f"k{i:04}", 1, status=f"S{i}") for i in range(n)))

    outcome = writer(*(record(f"k{i:04}", 2, status=f"S{(i + 1) % n}") for i in range(n)))

    assert outcome == Outcome(Counter(upserted=n))
    assert mapped_orders(tables) == [order(f"k{i:04}", status=f"S{(i + 1) % n}") for i in range(n)]


def test_a_signalled_duplicate_tells_no_text_of_the_trigger(tables: Tables, connect: Any):
    """The text may hold a value of the row."""
    body = "IF NEW.status = 'BAD' THEN SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 1062, MESSAGE_TEXT = 'secret'; END IF"
    tables.run(trigger("BEFORE INSERT", body))

    outcome = Applier(connect())(record("a", 1, status="BAD"), record("b", 1))

    assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("a", Kind.DEFERRED)]
    assert "secret" not in outcome.parked[0].reason


def test_a_loaded_row_beside_poison_is_written(refusing: Applier, tables: Tables):
    """The lowest version wins where nothing was ever written."""
    loaded = changes_of(record("a", 1))[0]._replace(version=LOWEST_VERSION, source_time=0)

    outcome = apply(refusing.connection, refusing.targets, [loaded, *changes_of(record("b", 1, status="BAD"))])

    assert outcome.counts == Counter(upserted=1)
    assert tables.orders() == [order("a")]
    assert [row[:2] for row in tables.run("SELECT item_key, version FROM replication_versions")] == [
        ("a", LOWEST_VERSION)
    ]


def test_what_the_clock_contradicts_is_parked_once(refusing: Applier):
    records = [record("a", 1, time=100), record("a", 2, time=50)]
    records += [record(f"k{i:03}", 1, status="BAD") for i in range(30)]

    outcomes = redeliver(refusing, records)

    assert sorted(order_id(p.key) for outcome in outcomes for p in outcome.parked) == [
        "a",
        *(f"k{i:03}" for i in range(30)),
    ]


def test_what_the_clock_contradicts_is_left_with_its_key(refusing: Applier):
    records = [record(f"k{i:03}", 1, status="BAD") for i in range(30)]
    changes = changes_of(*records, record("z", 1, time=100), record("z", 2, time=50))

    outcome = apply(refusing.connection, refusing.targets, changes, ApplyOptions(out_of_time=fuse(0)))

    assert outcome.counts.total() + len(outcome.parked) + len(outcome.left) == len(changes)
    assert outcome.left[-2:] == changes[-2:]
    assert "z" not in {order_id(p.key) for p in outcome.parked}


def test_what_was_written_before_is_no_evidence_if_it_fails_now(refusing: Applier, tables: Tables):
    """By now the database refuses every row, even those that it accepted before."""
    batch = [record("a", 1), record("b", 1, status="ODD"), record("c", 1)]
    refusing(*batch)
    before = tables.orders(), tables.whole_sidecar()
    tables.run("DROP TRIGGER before_update", trigger("BEFORE UPDATE", signal("1 = 1", 31001)))

    with pytest.raises(pymysql.MySQLError) as raised:
        refusing(*batch)

    assert errors.number(raised.value) == 31001
    assert (tables.orders(), tables.whole_sidecar()) == before
    tables.assert_unlocked()


def test_evidence_changes_nothing(refusing: Applier, tables: Tables):
    """A row that others have changed since is not written again as a probe."""
    batch = [record("a", 1), record("b", 1, status="ODD")]
    refusing(*batch)
    tables.run("UPDATE tbl_orders SET currency = 'EUR'")
    before = tables.orders(), tables.whole_sidecar()

    refusing(*batch)

    assert (tables.orders(), tables.whole_sidecar()) == before


def test_a_server_without_row_counts_is_queried(refusing: Applier, tables: Tables, monkeypatch: pytest.MonkeyPatch):
    """A proxy may leave the counts out of the server's answers."""
    refusing(record("a", 1), record("b", 1))
    monkeypatch.setattr(answers, "info", lambda _: "")

    outcome = refusing(record("a", 2, status="PAID"), record("b", 2, status="BAD"), record("c", 2))

    assert [order_id(p.key) for p in outcome.parked] == ["b"]
    assert outcome.counts == Counter(upserted=2)
    assert tables.orders() == [order("a", status="PAID"), order("b"), order("c")]


def test_a_change_that_was_parked_before_is_decided(refusing: Applier, tables: Tables):
    (change,) = changes_of(record("a", 1, status="ODD"))

    outcome = apply(refusing.connection, refusing.targets, [change], ApplyOptions(was_parked=lambda _: True))

    assert [(order_id(p.key), p.kind) for p in outcome.parked] == [("a", Kind.UNKNOWN)]
    assert (tables.orders(), tables.whole_sidecar()) == ([], [])


def test_rows_that_time_undoes_are_undone(refusing: Applier, tables: Tables):
    """The last row is refused when all others are written. In the end only the first ten are done."""
    batch = [record(f"k{i:02}", 1, status="BAD" if i == 29 else "NEW") for i in range(30)]

    outcome = apply(refusing.connection, refusing.targets, changes_of(*batch), ApplyOptions(out_of_time=fuse(1)))

    assert [order_id(change.key) for change in outcome.left] == [f"k{i:02}" for i in range(10, 30)]
    assert tables.orders() == [order(f"k{i:02}") for i in range(10)]
    assert [row[0] for row in tables.sidecar()] == [f"k{i:02}" for i in range(10)]


def test_a_second_try_that_time_undoes_claims_nothing(tables: Tables, connect: Any):
    """`a` waits for the value of `b`, and `c` for that of an outsider. Time may run out at any moment."""
    tables.replace_target(orders_table("UNIQUE KEY uq_status (status)"))
    writer = Applier(connect())
    batch = [record("a", 2, status="A2"), record("a", 3, status="B2"), *(record(f"c{i}", 2, status="O") for i in "12")]
    batch += [record("b", 2, status="B2"), record("b", 3, status="B2"), record("b", 4, status="B4")]
    seen = set()
    for calls in range(30):
        tables.clear()
        writer(record("outsider", 1, status="O"), record("b", 1, status="B2"), record("a", 1, status="A1"))

        apply(
            writer.connection,
            writer.targets,
            changes_of(*batch),
            ApplyOptions(out_of_time=fuse(calls), every_change=True),
        )

        state = tables.run(
            "SELECT status, RIGHT(version, 1) FROM tbl_orders JOIN replication_versions ON item_key = order_id"
            " WHERE order_id = 'a'"
        )
        assert state in ([("A1", "1")], [("A2", "2")], [("B2", "3")])
        seen.update(state)
    assert ("B2", "3") in seen


@pytest.mark.parametrize("third", ["A3", "B2"], ids=["written", "deferred too"])
def test_what_waits_never_takes_its_key_back(tables: Tables, connect: Any, third: str):
    """The second change of `a` waits for a value. It is free only after a newer change was written."""
    tables.replace_target(orders_table("UNIQUE KEY uq_status (status)"))
    writer = Applier(connect())
    writer(record("a", 1, status="A1"), record("b", 1, status="B2"))
    waits = record("a", 2, status="B2")
    batch = [waits, record("a", 3, status=third), *(record("b", n, status="B4" if n == 4 else "B2") for n in (2, 3, 4))]

    outcome = writer(*batch, every_change=True)

    assert [p.record for p in outcome.parked] == [waits]
    assert tables.orders() == [order("a", status=third), order("b", status="B4")]
    assert tables.sidecar() == [("a", 3, 0), ("b", 4, 0)]


@pytest.mark.parametrize(("every_change", "upserted"), [(False, 1), (True, 2)])
def test_each_change_counts_for_what_became_of_it(refusing: Applier, *, every_change: bool, upserted: int):
    batch = [record("a", 1), record("a", 2), record("a", 3, status="BAD")]

    outcome = refusing(*batch, every_change=every_change)

    assert outcome.counts == +Counter(upserted=upserted, superseded=2 - upserted)


@pytest.mark.parametrize("errno", [31001, 1264], ids=["unknown", "of a row"])
def test_a_refusal_that_ends_the_transaction_claims_nothing(tables: Tables, connect: Any, errno: int):
    """Some errors roll back the transaction. What was written before is gone, and all of it is tried again."""
    writer = Applier(connect(client_flag=0))
    send = writer.connection.query

    def query(sql: str, *args: Any) -> Any:
        if "tbl_orders" in sql and "'bad'" in sql and not sql.startswith("SELECT"):
            send("ROLLBACK")
            raise pymysql.InternalError(errno, "refused, and rolled back")
        return send(sql, *args)

    writer.connection.query = query  # type: ignore[method-assign]

    with pytest.raises(pymysql.MySQLError) as raised:
        writer(record("a", 1), record("bad", 1), record("c", 1))

    assert raised.value.args[0] == 1213
    assert (tables.orders(), tables.whole_sidecar()) == ([], [])
