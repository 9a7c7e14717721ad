"""The product's promise: whatever the deliveries, MySQL ends as the last state of each key and never goes back.

Each example is a set of histories and a schedule: duplicates, reordered redeliveries, arbitrary splits, two
concurrent writers. Triggers log every write of the target, so the way is checked as well as the end.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis.errors import Flaky

from common.database import Outcome
from common.histories import CLOCK_REASON
from common.mysql.sql import literal
from tests.support.convergence import (
    PROPERTY,
    World,
    assert_converges,
    assert_every_record_is_accounted_for,
    assert_refused_are_parked,
    guarded,
    make_world,
)
from tests.support.histories import DELETE, POISON, UPSERT, Delivery, DeliveryPlan, plans
from tests.support.tables import Tables
from tests.support.writes import ORDER, Applier, WriteLog, changes_of


@pytest.fixture
def world(tables: Tables, log: WriteLog, connect: Any) -> World:
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
    return make_world(tables, log, connect)


def unguarded(writer: Applier, delivery: Delivery) -> Outcome:
    """The naive writer: the last change of each key in the batch, one upsert, one delete, COMMIT."""
    changes = changes_of(*(step.record() for step in delivery.steps))
    newest = {change.key: change for change in sorted(changes, key=lambda change: change[:2])}
    table, columns = ORDER.table, ", ".join(column.name for column in ORDER.columns)
    changed = ", ".join(f"{column.name} = VALUES({column.name})" for column in ORDER.columns)
    rows = [f"({','.join(map(literal, change.row))})" for change in newest.values() if change.row is not None]
    gone = [literal(change.key_values[0]) for change in newest.values() if change.row is None]
    try:
        if rows:
            into = f"INSERT INTO {table} ({columns}) VALUES {','.join(rows)}"
            writer.connection.query(f"{into} ON DUPLICATE KEY UPDATE {changed}")
        if gone:
            writer.connection.query(f"DELETE FROM {table} WHERE {ORDER.key[0].name} IN ({','.join(gone)})")
        writer.connection.commit()
    except BaseException:
        writer.connection.rollback()
        raise
    return Outcome()


def test_any_deliveries_end_in_the_last_state_and_never_go_back(world: World):
    @settings(PROPERTY, max_examples=150)
    @given(plans())
    def converges(plan: DeliveryPlan) -> None:
        done = assert_converges(world, plan, guarded)

        assert world.tables.sidecar() == plan.sidecar()
        assert_every_record_is_accounted_for(done)
        assert [parked for _, outcome in done for parked in outcome.parked] == []
        written = sum((outcome.counts for _, outcome in done), Counter())
        assert written["upserted"] == sum(row[0] != "delete" for row in world.log.rows())

    converges()


def test_poison_is_parked_and_the_last_good_state_wins(world: World):
    @settings(PROPERTY, max_examples=60)
    @given(plans(kinds=(UPSERT, DELETE, POISON)))
    def converges(plan: DeliveryPlan) -> None:
        done = assert_converges(world, plan, guarded)

        assert world.tables.sidecar() == plan.sidecar()
        assert_refused_are_parked(plan, done)

    converges()


def test_a_clock_that_contradicts_loses_nothing(world: World):
    """Each record ends applied, stale, superseded, redelivered or parked, and the newest version still wins."""

    @settings(PROPERTY, max_examples=60)
    @given(plans(any_clock=True))
    def converges(plan: DeliveryPlan) -> None:
        done = assert_converges(world, plan, guarded)

        assert_every_record_is_accounted_for(done)
        assert world.tables.sidecar() == plan.sidecar()
        for delivery, outcome in done:
            assert all(parked.reason == CLOCK_REASON for parked in outcome.parked)
            assert all(parked.record in [step.record() for step in delivery.steps] for parked in outcome.parked)

    converges()


def test_without_the_guard_the_same_check_fails(world: World):
    """The negative control: the check must be able to fail."""

    @settings(PROPERTY, max_examples=50, phases=[Phase.generate], database=None)
    @given(plans())
    def converges(plan: DeliveryPlan) -> None:
        assert_converges(world, plan, unguarded)

    with pytest.raises((AssertionError, Flaky)):
        converges()
