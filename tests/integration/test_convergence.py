"""The product's promise: whatever the deliveries, MySQL ends as the last state of each key and never goes back.

Each example is a set of histories and a schedule: duplicates, reordered redeliveries, arbitrary splits, two
concurrent writers. Triggers log every write of the target, so the way is checked as well as the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky

from common.sink import CLOCK_REASON, Outcome, apply
from common.sql import literal
from tests.support.histories import DELETE, POISON, UPSERT, Delivery, Plan, plans
from tests.support.records import START
from tests.support.tables import Tables
from tests.support.writes import TABLE, WriteLog, Writer, changes_of

Write = Callable[[Writer, Delivery], Outcome]

PROPERTY = settings(
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True)
class World:
    """Tables with logging triggers, and connections of either isolation level for each of two writers."""

    tables: Tables
    log: WriteLog
    writers: dict[tuple[int, str], Writer]

    def deliver(self, plan: Plan, write: Write) -> list[tuple[Delivery, Outcome]]:
        """Two threads, each with its own deliveries in order; both start at once."""
        self.tables.run("DELETE FROM tbl_orders", "DELETE FROM replication_versions")
        self.log.clear()
        start = Barrier(2)

        def run(number: int) -> list[tuple[Delivery, Outcome]]:
            writer = self.writers[number, plan.isolation[number]]
            start.wait(10)
            return [
                (delivery, until_unlocked(lambda delivery=delivery: write(writer, delivery)))
                for delivery in plan.deliveries
                if delivery.writer == number
            ]

        with ThreadPoolExecutor(2) as pool:
            return [done for thread in [pool.submit(run, 0), pool.submit(run, 1)] for done in thread.result()]


@pytest.fixture
def world(tables: Tables, log: WriteLog, connect: Any) -> World:
    tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT positive CHECK (amount >= 0)")
    return World(
        tables,
        log,
        {
            (number, level): Writer(connect(init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {level}"))
            for number in (0, 1)
            for level in ("READ COMMITTED", "REPEATABLE READ")
        },
    )


def until_unlocked(work: Callable[[], Outcome]) -> Outcome:
    """As the consumer does: a lock conflict is tried again as a whole."""
    for _ in range(50):
        try:
            return work()
        except pymysql.MySQLError as error:
            if error.args[0] not in (1205, 1213):
                raise
    raise AssertionError("still locked after 50 attempts")


def guarded(writer: Writer, delivery: Delivery) -> Outcome:
    return apply(
        writer.connection,
        writer.target,
        changes_of(*(step.record() for step in delivery.steps)),
        statement_bytes=delivery.statement_bytes,
        every_change=delivery.every_change,
    )


def unguarded(writer: Writer, delivery: Delivery) -> Outcome:
    """What one would write at first: the last of each key in the batch, one upsert, one delete, COMMIT."""
    changes = changes_of(*(step.record() for step in delivery.steps))
    newest = {change.key: change for change in sorted(changes, key=lambda change: change[:2])}
    table, columns = TABLE.name, ", ".join(column.name for column in TABLE.columns)
    changed = ", ".join(f"{column.name} = VALUES({column.name})" for column in TABLE.columns)
    rows = [f"({','.join(map(literal, change.row))})" for change in newest.values() if change.row is not None]
    gone = [literal(change.key) for change in newest.values() if change.row is None]
    try:
        if rows:
            into = f"INSERT INTO {table} ({columns}) VALUES {','.join(rows)}"
            writer.connection.query(f"{into} ON DUPLICATE KEY UPDATE {changed}")
        if gone:
            writer.connection.query(f"DELETE FROM {table} WHERE {TABLE.key.name} IN ({','.join(gone)})")
        writer.connection.commit()
    except BaseException:
        writer.connection.rollback()
        raise
    return Outcome()


def assert_never_went_back(plan: Plan, log: list[tuple[Any, ...]]) -> None:
    """Each write of a key brings a later step than the write before: no step twice, none after a newer one.

    A deletion does not say which one it was: it is taken for the earliest that is possible.
    """
    kinds = {history[0].key: {step.n: step.kind for step in history} for history in plan.histories}
    reached = dict.fromkeys(kinds, 0)
    for event, key, updated_at in log:
        if event == "delete":
            later = [n for n, kind in kinds[key].items() if kind == DELETE and n > reached[key]]
            assert later, f"{key} was deleted after its last deletion had been passed"
            reached[key] = later[0]
        else:
            n = updated_at - START
            assert kinds[key][n] == UPSERT
            assert n > reached[key], f"{key} went from step {reached[key]} to {n}"
            reached[key] = n


def assert_converges(world: World, plan: Plan, write: Write) -> list[tuple[Delivery, Outcome]]:
    done = world.deliver(plan, write)
    assert_never_went_back(plan, world.log.rows())
    assert world.tables.orders() == plan.rows()
    return done


def assert_every_record_is_accounted_for(done: list[tuple[Delivery, Outcome]]) -> None:
    for delivery, outcome in done:
        assert outcome.counts.total() + len(outcome.parked) == len(delivery.steps)
        assert set(outcome.counts) <= {"upserted", "deleted", "stale", "redelivered", "superseded"}


def test_any_deliveries_end_in_the_last_state_and_never_go_back(world: World):
    @settings(PROPERTY, max_examples=150)
    @given(plans())
    def converges(plan: Plan) -> None:
        done = assert_converges(world, plan, guarded)

        assert world.tables.sidecar() == plan.sidecar()
        assert_every_record_is_accounted_for(done)
        assert [parked for _, outcome in done for parked in outcome.parked] == []
        written = sum((outcome.counts for _, outcome in done), Counter())
        assert written["upserted"] == sum(row[0] != "delete" for row in world.log.rows())

    converges()


def test_poison_among_them_is_parked_and_the_last_good_state_wins(world: World):
    @settings(PROPERTY, max_examples=60)
    @given(plans(kinds=(UPSERT, DELETE, POISON)))
    def converges(plan: Plan) -> None:
        done = assert_converges(world, plan, guarded)

        assert world.tables.sidecar() == plan.sidecar()
        for delivery, outcome in done:
            bad = [step.record() for step in delivery.steps if not step.good]
            assert all(parked.record in bad for parked in outcome.parked)
            assert outcome.counts.total() + len(outcome.parked) == len(delivery.steps)
        unreplaced = [
            step.record()
            for history in plan.histories
            for i, step in enumerate(history)
            if not any(later.good for later in history[i:])
        ]
        parked = [parked.record for _, outcome in done for parked in outcome.parked]
        assert all(record in parked for record in unreplaced if newest_of_its_kind(record, unreplaced)), (
            "a poison that nothing supersedes is parked"
        )

    converges()


def newest_of_its_kind(record: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    """Several in one batch may be parked or superseded by one another; the newest of a key never is."""
    body = record["dynamodb"]
    mine = [other for other in others if other["dynamodb"]["Keys"] == body["Keys"]]
    return record == mine[-1]


def test_a_clock_that_contradicts_loses_nothing(world: World):
    """Each record ends applied, stale, superseded, redelivered or parked, and the newest version still wins."""

    @settings(PROPERTY, max_examples=60)
    @given(plans(any_clock=True))
    def converges(plan: Plan) -> None:
        done = assert_converges(world, plan, guarded)

        assert_every_record_is_accounted_for(done)
        assert world.tables.sidecar() == plan.sidecar()
        for delivery, outcome in done:
            assert all(parked.reason == CLOCK_REASON for parked in outcome.parked)
            assert all(parked.record in [step.record() for step in delivery.steps] for parked in outcome.parked)

    converges()


def test_without_the_guard_the_same_check_fails(world: World):
    """The negative control: a check that cannot fail proves nothing."""

    @settings(PROPERTY, max_examples=50, phases=[Phase.generate], database=None)
    @given(plans())
    def converges(plan: Plan) -> None:
        assert_converges(world, plan, unguarded)

    with pytest.raises((AssertionError, Flaky)):
        converges()
