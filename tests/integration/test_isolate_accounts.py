"""Every change is counted, parked or left exactly once, whatever is refused and whenever time runs out."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.changes import Change
from common.database import ApplyOptions, Outcome
from common.mysql import errors, isolate
from common.mysql.apply import apply
from tests.support.convergence import PROPERTY
from tests.support.legacy import orders_table, signal, trigger
from tests.support.records import START, order_id, record, remove
from tests.support.tables import Tables
from tests.support.writes import Applier, changes_of

KEYS = [f"k{i:02}" for i in range(16)]
KINDS = ("good", "good", "delete", "BAD", "ODD", "unique", "unique", "again")


@dataclass(frozen=True)
class Given:
    before: tuple[Any, ...]
    batch: tuple[Any, ...]
    every_change: bool
    statement_bytes: int
    calls: int


@st.composite
def steps(draw: st.DrawFn, most: int) -> tuple[dict[str, Any], ...]:
    """Changes of keys, in any order. An `again` comes twice."""
    made: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, most))):
        key, number, kind = draw(st.sampled_from(KEYS)), draw(st.integers(1, 9)), draw(st.sampled_from(KINDS))
        status = draw(st.sampled_from("ABCDE")) if kind == "unique" else f"{key}-{number}"
        options = {"time": START + draw(st.sampled_from([0, 0, 0, 0, number, 100]))}
        status = kind if kind in ("BAD", "ODD") else status
        made.append(
            remove(key, number, **options) if kind == "delete" else record(key, number, status=status, **options)
        )
        made += [made[-1]] * (kind == "again")
    # one version is one state
    first = {(one["dynamodb"]["Keys"]["p_key"]["S"], one["dynamodb"]["SequenceNumber"]): one for one in reversed(made)}
    return tuple(first[one["dynamodb"]["Keys"]["p_key"]["S"], one["dynamodb"]["SequenceNumber"]] for one in made)


cases = st.builds(
    Given,
    before=steps(12),
    batch=steps(50),
    every_change=st.booleans(),
    statement_bytes=st.sampled_from([1, 700, 1500, 15_000]),
    calls=st.integers(0, 40),
)


def name(change: Any) -> tuple[str, str]:
    return order_id(change.key), change.version


def checked(given_: list[Change], outcome: Outcome) -> None:
    assert outcome.counts.total() + len(outcome.parked) + len(outcome.left) == len(given_)
    parked = [name(one) for one in outcome.parked]
    assert len(parked) == len(set(parked))
    keys_left = {order_id(change.key) for change in outcome.left}
    assert {name(c) for c in outcome.left} == {name(c) for c in given_ if order_id(c.key) in keys_left}
    assert [name(c) for c in outcome.left] == sorted(name(c) for c in outcome.left)
    done = {order_id(c.key) for c in given_} - keys_left
    assert not keys_left or not done or max(done) < min(keys_left)
    assert not keys_left & {order_id(one.key) for one in outcome.parked}
    assert set(outcome.counts) <= {"upserted", "deleted", "stale", "redelivered", "superseded"}


def assert_sound(tables: Tables) -> None:
    """Every row has its claim and its value, and nothing is locked."""
    assert tables.run("SELECT order_id FROM tbl_orders WHERE status IS NULL OR status LIKE '~%'") == []
    assert tables.run("SELECT item_key FROM replication_versions WHERE version = ''") == []
    rows = tables.run("SELECT order_id FROM tbl_orders ORDER BY order_id")
    assert rows == tables.run("SELECT item_key FROM replication_versions WHERE deleted = 0 ORDER BY item_key")
    tables.assert_unlocked()


def test_every_change_is_accounted_for(tables: Tables, connect: Any, monkeypatch: pytest.MonkeyPatch):
    """Also over several slices."""
    monkeypatch.setattr(isolate, "_SLICE", 5)
    monkeypatch.setattr(isolate, "_LEAST", 2)
    tables.replace_target(orders_table("UNIQUE KEY uq_status (status)", status="VARCHAR(32) NULL"))
    for event in ("INSERT", "UPDATE"):
        refusals = signal("NEW.status = 'ODD'", 31001), signal("NEW.status = 'BAD'")
        tables.run(trigger(f"BEFORE {event}", f"BEGIN {'; '.join(refusals)}; END"))
    writer = Applier(connect())

    @settings(PROPERTY, max_examples=150)
    @given(cases)
    def accounts(case: Given) -> None:
        tables.clear()
        changes = changes_of(*case.batch)
        left, taken, calls = changes, Counter[str](), case.calls
        try:
            writer(*case.before)
            for _ in range(60):
                given_, before = left, (dict(tables.run("SELECT item_key, version FROM replication_versions")))
                timer = itertools.count()
                outcome = apply(
                    writer.connection,
                    writer.targets,
                    given_,
                    ApplyOptions(
                        every_change=case.every_change,
                        out_of_time=lambda timer=timer, calls=calls: next(timer) >= calls,
                    ),
                    case.statement_bytes,
                )
                checked(given_, outcome)
                after = dict(tables.run("SELECT item_key, version FROM replication_versions"))
                assert all(before.get(order_id(c.key)) == after.get(order_id(c.key)) for c in outcome.left), (
                    "what is left is not committed"
                )
                assert_sound(tables)
                taken += outcome.counts
                left = outcome.left
                if not left:
                    break
            assert left == []
        except pymysql.MySQLError as error:
            if errors.number(error) != 31001:
                raise
            assert_sound(tables)

    accounts()
