"""A batch full of poison ends: its cost is linear in its records, and running out of time loses nothing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymysql.constants import CLIENT

from common.changes import Change, Kind
from common.database import ApplyOptions, Outcome
from common.mysql.apply import apply
from tests.support.legacy import MERCHANT_KEY, MERCHANTS, signal, trigger
from tests.support.records import order_id, record
from tests.support.tables import Tables, order
from tests.support.writes import Applier, changes_of, round_trips


@dataclass(frozen=True)
class Refusal:
    """What makes a target refuse rows: DDL before or after the inspection, and the refused values."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    kind: Kind = Kind.POISON


_SIGNALS = tuple(trigger(f"BEFORE {event}", signal("NEW.status = 'BAD'")) for event in ("INSERT", "UPDATE"))
REFUSALS = {
    "out of range": Refusal(before=("ALTER TABLE tbl_orders MODIFY created_at INT NOT NULL",),
                            values={"created_at": 2**31}),
    "out of range, altered": Refusal(after=("ALTER TABLE tbl_orders MODIFY amount DECIMAL(7,4) NOT NULL",),
                                     values={"amount": "1000"}),
    "check": Refusal(before=("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)",),
                     values={"amount": "-1"}),
    "foreign key": Refusal(before=(*MERCHANTS, f"ALTER TABLE tbl_orders ADD {MERCHANT_KEY}"),
                           values={"merchant_id": "nobody"}, kind=Kind.DEFERRED),
    "enum": Refusal(before=("ALTER TABLE tbl_orders MODIFY status ENUM('NEW', 'PAID') NOT NULL",),
                    values={"status": "SENT"}),
    "enum, altered": Refusal(after=("ALTER TABLE tbl_orders MODIFY status ENUM('NEW', 'PAID') NOT NULL",),
                             values={"status": "SENT"}),
    "signal": Refusal(before=_SIGNALS, values={"status": "BAD"}),
}  # fmt: skip
sizes = pytest.mark.parametrize("statement_bytes", [15_000, 10_000_000], ids=["chunks", "unsplit"])


@pytest.fixture(params=REFUSALS.values(), ids=REFUSALS.keys())
def refusal(request: Any, tables: Tables) -> Refusal:
    tables.run(*request.param.before)
    return request.param


@pytest.fixture(params=[CLIENT.MULTI_STATEMENTS, 0], ids=["together", "one by one"])
def writer(request: Any, refusal: Refusal, tables: Tables, connect: Any) -> Applier:
    """Whether the connection takes several statements in one round trip."""
    writer = Applier(connect(client_flag=request.param))
    tables.run(*refusal.after)
    return writer


def test_a_proxy_may_take_one_statement_at_a_time(tables: Tables, connect: Any):
    """The connection asks for several statements, and the server cannot parse them."""
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
    writer = Applier(connect(client_flag=0))
    writer.connection.client_flag |= CLIENT.MULTI_STATEMENTS
    batch = [record(f"k{i:03}", 1, amount="-1" if i % 20 == 7 else "1") for i in range(100)]

    outcome = writer(*batch)

    assert sorted(order_id(p.key) for p in outcome.parked) == [f"k{i:03}" for i in range(100) if i % 20 == 7]
    assert outcome.counts == Counter(upserted=95)
    assert tables.orders() == [order(f"k{i:03}", amount="1") for i in range(100) if i % 20 != 7]


def assert_parked(outcome: Outcome, poison: list[dict[str, Any]], kind: Kind) -> None:
    """Exactly `poison` is parked, whole, once each."""
    numbers = [(order_id(p.key), p.version) for p in outcome.parked]
    assert len(numbers) == len(set(numbers)) == len(poison)
    assert all(p.record in poison for p in outcome.parked)
    assert {p.kind for p in outcome.parked} == ({kind} if poison else set())


@sizes
def test_a_batch_of_poison_costs_a_few_trips_a_record(
    writer: Applier, tables: Tables, refusal: Refusal, statement_bytes: int
):
    poison = [record(f"k{i:04}", 1, **refusal.values) for i in range(1000)]
    sent = round_trips(writer.connection)

    outcome = writer(*poison, statement_bytes=statement_bytes)

    assert len(sent) <= 4 * 1000
    assert sorted(order_id(p.key) for p in outcome.parked) == [f"k{i:04}" for i in range(1000)]
    assert {p.kind for p in outcome.parked} == {refusal.kind}
    assert outcome.counts == Counter()
    assert (tables.orders(), tables.whole_sidecar()) == ([], [])


@sizes
@pytest.mark.parametrize("known", [False, True], ids=["new rows", "known rows"])
def test_a_little_poison_costs_little(
    writer: Applier, tables: Tables, refusal: Refusal, statement_bytes: int, *, known: bool
):
    bad = {0, 99, 100, 333, 500, 501, 502, 777, 998, 999}
    if known:
        writer(*(record(f"k{i:04}", 1, amount="1") for i in range(1000)))
    batch = [record(f"k{i:04}", 2, **(refusal.values if i in bad else {"amount": "2"})) for i in range(1000)]
    sent = round_trips(writer.connection)

    outcome = writer(*batch, statement_bytes=statement_bytes)

    assert len(sent) <= 300
    assert_parked(outcome, [batch[i] for i in sorted(bad)], refusal.kind)
    assert outcome.counts == Counter(upserted=990)
    old = {i: order(f"k{i:04}", amount="1") for i in bad if known}
    good = {i: order(f"k{i:04}", amount="2") for i in range(1000) if i not in bad}
    assert tables.orders() == [row for _, row in sorted((old | good).items())]
    assert tables.sidecar() == [(f"k{i:04}", 2 if i in good else 1, 0) for i in sorted(old | good)]


@pytest.mark.parametrize("depth", [2, 7, 50])
def test_the_newest_good_state_of_each_key_is_written(writer: Applier, tables: Tables, refusal: Refusal, depth: int):
    """All changes of a key but the first are poison."""
    keys = [f"k{i:02}" for i in range(20)]
    first = [record(key, 1) for key in keys]
    poison = [record(key, n, **refusal.values) for n in range(2, depth + 1) for key in keys]
    sent = round_trips(writer.connection)

    outcome = writer(*first, *poison)

    assert len(sent) <= 4 * len(poison) + 40
    assert_parked(outcome, poison, refusal.kind)
    assert outcome.counts == Counter(upserted=20)
    assert tables.orders() == [order(key) for key in keys]
    assert tables.sidecar() == [(key, 1, 0) for key in keys]


def fuse(calls: int) -> Callable[[], bool]:
    """False for the first `calls` calls, then True."""
    count = itertools.count()
    return lambda: next(count) >= calls


def assert_left_is_the_last_keys(given: list[Change], outcome: Outcome) -> set[str]:
    """Checks that `left` holds every change of the last keys, in key order. Returns the keys that are done."""
    left = {order_id(change.key) for change in outcome.left}
    done = {order_id(change.key) for change in given} - left
    assert [order_id(change.key) for change in outcome.left] == sorted(order_id(change.key) for change in outcome.left)
    assert sorted(c[:2] for c in outcome.left) == sorted(c[:2] for c in given if order_id(c.key) in left)
    assert not left or not done or max(done) < min(left)
    assert {order_id(p.key) for p in outcome.parked} <= done
    assert outcome.counts.total() + len(outcome.parked) + len(outcome.left) == len(given)
    return done


@pytest.mark.parametrize("calls", [0, 1, 3, 10, 50])
def test_changes_left_when_time_runs_out_are_written_next(
    writer: Applier, tables: Tables, refusal: Refusal, calls: int
):
    """Changes that are left when time runs out are returned, and the next call writes them."""
    keys = [f"k{i:03}" for i in range(200)]
    good = [record(key, 1) for key in keys]
    poison = [record(key, 2, **refusal.values) for key in keys[::2]]
    changes = changes_of(*good, *poison)
    total, left = Outcome(), changes

    for attempt in range(500):
        timer = fuse(calls) if attempt < 499 else (lambda: False)
        given = left
        outcome = apply(writer.connection, writer.targets, given, ApplyOptions(out_of_time=timer))
        done = assert_left_is_the_last_keys(given, outcome)
        written = {row[0] for row in tables.orders()}
        assert done <= written, "what is not left is committed"
        assert not written & {order_id(change.key) for change in outcome.left}, "what is left is not"
        total.add(outcome)
        left = outcome.left
        if not left:
            break
        calls += 1

    assert_parked(total, poison, refusal.kind)
    assert total.counts == Counter(upserted=200)
    assert tables.orders() == [order(key) for key in keys]
    assert tables.sidecar() == [(key, 1, 0) for key in keys]


def test_changes_are_left_when_time_runs_out(tables: Tables, connect: Any):
    """A thousand refusals that only single rows reveal take longer than a moment."""
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
    writer = Applier(connect())
    changes = changes_of(*(record(f"k{i:04}", 1, amount="-1") for i in range(1000)))

    outcome = apply(writer.connection, writer.targets, changes, ApplyOptions(out_of_time=fuse(3)))

    assert outcome.left
    assert_left_is_the_last_keys(changes, outcome)
    tables.assert_unlocked()
