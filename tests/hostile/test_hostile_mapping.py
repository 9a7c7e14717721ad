"""The promises of convergence and replay over a hostile mapping in a legacy table that has everything at once.

See tests/support/meters.py for the mapping and tests/support/legacy_meters.py for the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from common.changes import Kind
from tests.support import meters
from tests.support.backlogs import GeneratedBacklog, backlogs
from tests.support.convergence import (
    PROPERTY,
    World,
    assert_every_record_is_accounted_for,
    assert_refused_are_parked,
    guarded,
    make_world,
)
from tests.support.histories import (
    CLASH,
    DELETE,
    ORPHAN,
    POISON,
    SECOND_STREAM,
    STATUS,
    UPSERT,
    DeliveryPlan,
    Step,
    plans,
)
from tests.support.legacy import TAKEN
from tests.support.legacy_meters import HostileMeterItems
from tests.support.records import ARN, START
from tests.support.replay import LATER_ARN, Dataset, ReplayHarness, last_rows
from tests.support.tables import Rows, Tables
from tests.support.two_mappings import stored_meters
from tests.support.writes import Applier

pytestmark = pytest.mark.parametrize("items", [HostileMeterItems], ids=["meters"], indirect=True)

KEYS = ("K", "k", "z'\\", "order-1")
_REFUSED: dict[str, dict[str, Any]] = {
    POISON: {"amount": "-1"},
    ORPHAN: {"currency": "ZZZ"},
    STATUS: {"status": "paid"},
    CLASH: {"created_at": TAKEN},
}


class FlagLog:
    """A trigger's log of each state of each row: (name, step, flag, time of the flag)."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        tables.run(
            "CREATE TABLE flag_log (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(64) CHARACTER SET ascii COLLATE"
            " ascii_bin, step BIGINT, is_deleted INT, deleted_at DATETIME)",
            *(
                f"CREATE TRIGGER flag_log_{event} AFTER {event} ON {meters.TABLE} FOR EACH ROW INSERT INTO flag_log"
                f" (name, step, is_deleted, deleted_at) SELECT {meters.NAME.format(row='NEW')},"
                f" NEW.updated_at - {START}, NEW.is_deleted, NEW.deleted_at FROM DUAL"
                for event in ("INSERT", "UPDATE")
            ),
        )

    def clear(self) -> None:
        self._tables.run("DELETE FROM flag_log")

    def rows(self) -> Rows:
        return self._tables.run("SELECT name, step, is_deleted, IFNULL(deleted_at, '') FROM flag_log ORDER BY id")


@pytest.fixture
def world(items: HostileMeterItems, connect: Any) -> World:
    return make_world(items.tables, FlagLog(items.tables), connect, meters.METERS)


def record_of(step: Step) -> dict[str, Any]:
    number = step.n % SECOND_STREAM
    options: dict[str, Any] = {"arn": ARN if step.n < SECOND_STREAM else LATER_ARN, "time": START + step.clock}
    if step.kind == DELETE:
        return meters.remove(step.key, number, **options)
    return meters.put(step.key, number, **options, **values_of(step) | _REFUSED.get(step.kind, {}))


def values_of(step: Step) -> dict[str, Any]:
    return {"amount": str(step.n), "created_at": step.created_at, "updated_at": START + step.n}


def expected(items: HostileMeterItems, plan: DeliveryPlan) -> Rows:
    """The last good state of each item, flagged where its last good change is a removal."""
    rows: Rows = []
    for history in sorted(plan.histories, key=lambda history: history[0].key):
        good = [step for step in history if step.good]
        puts = [step for step in good if step.kind == UPSERT]
        if puts and good[-1].kind == UPSERT:
            rows.append(items.row(puts[-1].key, **values_of(puts[-1])))
        elif puts:
            rows.append(meters.flagged(puts[-1].key, removed_at=START + good[-1].clock, **values_of(puts[-1])))
    return rows


def reached(plan: DeliveryPlan) -> dict[str, int]:
    return {step.key: step.n % SECOND_STREAM for step in plan.last()}


def assert_never_went_back(log: Rows) -> None:
    """A row never gets an earlier step or removal. An older removal of another kind sets the flag that is there."""
    states: dict[str, tuple[Any, ...]] = {}
    for name, *state in log:
        assert states.get(name, ()) <= tuple(state), f"{name} went back"
        states[name] = tuple(state)


def test_any_deliveries_end_in_the_last_flagged_state(items: HostileMeterItems, world: World):
    @settings(PROPERTY, max_examples=60)
    @given(plans(keys=KEYS))
    def converges(plan: DeliveryPlan) -> None:
        done = world.deliver(plan, partial(guarded, record_of=record_of))

        assert items.rows() == expected(items, plan)
        assert items.versions(*KEYS) == reached(plan)
        assert_never_went_back(world.log.rows())
        assert_every_record_is_accounted_for(done)
        assert [parked for _, outcome in done for parked in outcome.parked] == []
        items.tables.assert_legacy_values_survived()

    converges()


def test_refused_rows_are_parked_and_the_rest_is_flagged(items: HostileMeterItems, world: World):
    @settings(PROPERTY, max_examples=60)
    @given(plans(keys=KEYS, kinds=(UPSERT, DELETE, POISON, ORPHAN, STATUS, CLASH)))
    def converges(plan: DeliveryPlan) -> None:
        done = world.deliver(plan, partial(guarded, record_of=record_of))

        assert items.rows() == expected(items, plan)
        assert items.versions(*KEYS) == reached(plan)
        assert_never_went_back(world.log.rows())
        assert_refused_are_parked(plan, done, record_of)
        items.tables.assert_legacy_values_survived()

    converges()


def _backlog_record(stream: int, number: int, key: int, event: str) -> dict[str, Any]:
    """As that of the orders in tests/support/replay.py."""
    name, at = "abcdef"[key], stream * 100 + number
    options: dict[str, Any] = {"arn": [ARN, LATER_ARN][stream], "time": START + at}
    if event == "REMOVE":
        return meters.remove(name, number, **options)
    return meters.put(name, number, **options, amount=str(at), created_at=START + at, updated_at=START + at)


DATASET = Dataset(
    meters.METERS,
    {meters.TABLE: (f"CONCAT('reading/', {meters.NAME.format(row='NEW')})", f"(NEW.updated_at - {START})")},
    _backlog_record,
)


class MeterHarness(ReplayHarness):
    """A replay of the hostile mapping's changes."""

    def assert_last_states(self, records: Iterable[dict[str, Any]]) -> None:
        names = [column.name for column in self.mapping.entities[0].columns]
        rows = last_rows(records, self.mapping)[meters.TABLE]
        expected = [meters.readable(dict(zip(names, row, strict=True))) for row in rows]
        assert stored_meters(self.tables) == sorted(expected, key=itemgetter("device"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(backlog=backlogs)
def test_any_backlog_of_a_hostile_mapping_is_replayed(
    make_harness: Callable[..., ReplayHarness], backlog: GeneratedBacklog
):
    backlog.assert_replays(partial(make_harness, MeterHarness, dataset=DATASET))


def test_each_refusal_of_a_hostile_row_has_its_kind(items: HostileMeterItems, connect: Any):
    outcome = Applier(connect(), meters.METERS)(
        meters.put("a", 1, amount="-1", created_at=1),
        meters.put("b", 1, currency="ZZZ", created_at=2),
        meters.put("c", 1, status="paid", created_at=3),
        meters.put("d", 1, created_at=TAKEN),
        meters.put("e", 1, created_at=6),
    )

    kinds = {items.key(name): kind for name, kind in zip("abcd", [Kind.POISON, Kind.DEFERRED] * 2, strict=True)}
    assert {parked.key: parked.kind for parked in outcome.parked} == kinds
    assert items.rows() == [items.row("e", created_at=6)]
    assert items.versions(*"abcde") == {"e": 1}


def test_flags_keep_ids_and_the_columns_of_others(items: HostileMeterItems, connect: Any):
    """A removed item may come back: its row is the one that it had."""
    writer = Applier(connect(), meters.METERS)
    writer(meters.put("a", 1, created_at=1))
    items.tables.run(f"UPDATE {meters.TABLE} SET note = 'legacy', seen = 8 WHERE created_at = 1")
    others = f"SELECT id, note, seen FROM {meters.TABLE} WHERE created_at = 1"
    before = items.tables.run(others)

    for number in (2, 3, 4):  # an item that no longer matches, one that expires, and one that is deleted
        writer(meters.remove("a", 10 * number))
        assert items.rows() == [meters.flagged("a", created_at=1)]
        writer(meters.put("a", 10 * number + 1, created_at=1))
        assert items.rows() == [meters.row("a", created_at=1)]

    assert items.tables.run(others) == before
