"""The product's promise as a property, over any target table."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any, Protocol

import pymysql
from hypothesis import HealthCheck, settings

from common import mapping
from common.database import ApplyOptions, Outcome
from common.mapping import Mapping
from common.mysql.apply import apply
from tests.support.histories import DELETE, UPSERT, Delivery, DeliveryPlan, Step
from tests.support.records import START
from tests.support.tables import Rows, Tables
from tests.support.writes import Applier, changes_of

Write = Callable[[Applier, Delivery], Outcome]
RecordOf = Callable[[Step], dict[str, Any]]

PROPERTY = settings(
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Log(Protocol):
    """What is written to the target, in the order of writing."""

    def clear(self) -> None: ...

    def rows(self) -> Rows: ...


@dataclass(frozen=True)
class World:
    """Tables with logging triggers, and connections of either isolation level for each of two writers."""

    tables: Tables
    log: Log
    writers: dict[tuple[int, str], Applier]

    def deliver(self, plan: DeliveryPlan, write: Write) -> list[tuple[Delivery, Outcome]]:
        """Two threads, each with its own deliveries in order. Both start at once."""
        self.tables.clear()
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


def make_world(
    tables: Tables,
    log: Log,
    connect: Callable[..., Any],
    declared: Mapping = mapping.load(),  # noqa: B008 - frozen
) -> World:
    return World(
        tables,
        log,
        {
            (number, level): Applier(connect(init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {level}"), declared)
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


def guarded(writer: Applier, delivery: Delivery, record_of: RecordOf = Step.record) -> Outcome:
    return apply(
        writer.connection,
        writer.targets,
        changes_of(*map(record_of, delivery.steps), declared=writer.declared),
        ApplyOptions(every_change=delivery.every_change),
        delivery.statement_bytes,
    )


def assert_never_went_back(plan: DeliveryPlan, log: list[tuple[Any, ...]]) -> None:
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


def assert_converges(world: World, plan: DeliveryPlan, write: Write) -> list[tuple[Delivery, Outcome]]:
    done = world.deliver(plan, write)
    assert_never_went_back(plan, world.log.rows())
    assert world.tables.orders() == plan.rows()
    return done


def assert_every_record_is_accounted_for(done: list[tuple[Delivery, Outcome]]) -> None:
    for delivery, outcome in done:
        assert outcome.counts.total() + len(outcome.parked) == len(delivery.steps)
        assert set(outcome.counts) <= {"upserted", "deleted", "stale", "redelivered", "superseded"}


def assert_refused_are_parked(
    plan: DeliveryPlan, done: list[tuple[Delivery, Outcome]], record_of: RecordOf = Step.record
) -> None:
    """Only refused records are parked, and every refused record that nothing supersedes is parked."""
    for delivery, outcome in done:
        bad = [record_of(step) for step in delivery.steps if not step.good]
        assert all(parked.record in bad for parked in outcome.parked)
        assert outcome.counts.total() + len(outcome.parked) == len(delivery.steps)
    unreplaced = [
        record_of(step)
        for history in plan.histories
        for i, step in enumerate(history)
        if not any(later.good for later in history[i:])
    ]
    parked = [parked.record for _, outcome in done for parked in outcome.parked]
    assert all(record in parked for record in unreplaced if newest_of_its_kind(record, unreplaced)), (
        "a poison that nothing supersedes is parked"
    )


def newest_of_its_kind(record: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    """Several in one batch may be parked or superseded by one another. The newest of a key is always parked."""
    body = record["dynamodb"]
    mine = [other for other in others if other["dynamodb"]["Keys"] == body["Keys"]]
    return record == mine[-1]
