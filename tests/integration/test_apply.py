"""What `apply()` makes of changes: newer wins, once, and a deleted key stays deleted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from common.database import Outcome
from common.histories import CLOCK_REASON
from common.mysql.apply import apply
from common.versions import LOWEST_VERSION
from tests.support.records import ARN, START, order_id, record, remove
from tests.support.tables import Tables, order
from tests.support.writes import Applier, WriteLog, changes_of

RECREATED = ARN.replace("2026-01-31", "2026-02-01")


def done(**counts: int) -> Outcome:
    return Outcome(Counter(counts))


class TestStates:
    def test_an_insert_makes_a_row(self, writer: Applier, tables: Tables):
        assert writer(record("a", 1, "INSERT")) == done(upserted=1)

        assert tables.orders() == [order("a")]
        assert tables.sidecar() == [("a", 1, 0)]

    def test_a_modification_replaces_the_row(self, writer: Applier, tables: Tables):
        writer(record("a", 1, "INSERT"), record("b", 1, "INSERT"))

        assert writer(record("a", 2, status="PAID", amount="0.0001")) == done(upserted=1)

        assert tables.orders() == [order("a", status="PAID", amount="0.0001"), order("b")]
        assert tables.sidecar() == [("a", 2, 0), ("b", 1, 0)]

    def test_a_modification_of_a_row_that_is_not_there_makes_it(self, writer: Applier, tables: Tables):
        """The stream may begin after the insert. The image is whole all the same."""
        writer(record("a", 7, "MODIFY", status="PAID"))

        assert tables.orders() == [order("a", status="PAID")]

    def test_a_removal_deletes_the_row_and_leaves_a_tombstone(self, writer: Applier, tables: Tables):
        writer(record("a", 1), record("b", 1))

        assert writer(remove("a", 2)) == done(deleted=1)

        assert tables.orders() == [order("b")]
        assert tables.sidecar() == [("a", 2, 1), ("b", 1, 0)]

    def test_a_removal_of_a_row_that_is_not_there_leaves_a_tombstone(self, writer: Applier, tables: Tables):
        assert writer(remove("a", 2)) == done(deleted=1)

        assert tables.orders() == []
        assert tables.sidecar() == [("a", 2, 1)]

    def test_an_item_may_come_back_after_its_removal(self, writer: Applier, tables: Tables):
        writer(record("a", 1))
        writer(remove("a", 2))

        assert writer(record("a", 3, "INSERT", status="PAID")) == done(upserted=1)

        assert tables.orders() == [order("a", status="PAID")]
        assert tables.sidecar() == [("a", 3, 0)]

    def test_all_kinds_go_in_one_batch(self, writer: Applier, tables: Tables):
        writer(record("gone", 1), record("changed", 1), record("ahead", 9, status="PAID"))
        again = record("changed", 1)

        outcome = writer(
            again, record("new", 1), remove("gone", 2), record("changed", 2, status="PAID"), record("ahead", 8)
        )

        assert outcome == done(upserted=2, deleted=1, stale=1, superseded=1)
        assert tables.orders() == [order("ahead", status="PAID"), order("changed", status="PAID"), order("new")]
        assert tables.sidecar() == [("ahead", 9, 0), ("changed", 2, 0), ("gone", 2, 1), ("new", 1, 0)]

    def test_nothing_to_do_does_nothing(self, writer: Applier, tables: Tables):
        assert writer() == done()

        assert tables.whole_sidecar() == []

    def test_the_sidecar_keeps_the_clock_and_the_whole_version(self, writer: Applier, tables: Tables):
        writer(record("a", 1, time=START + 5))

        assert tables.run("SELECT version, source_time FROM replication_versions") == [
            ("2026-01-31T00:00:00.000_21_800000000000000000001", START + 5)
        ]


class TestNewerWins:
    @pytest.mark.parametrize("every_change", [False, True])
    @pytest.mark.parametrize("others", [[], [record("b", 5)]], ids=["alone", "with another"])
    @pytest.mark.parametrize("last", [record("a", 2, status="PAID"), remove("a", 2)], ids=["upsert", "delete"])
    def test_a_redelivery_writes_nothing(
        self, writer: Applier, tables: Tables, log: WriteLog, last: Any, others: list[Any], *, every_change: bool
    ):
        writer(record("a", 1), last)
        before = tables.orders(), tables.whole_sidecar()
        log.clear()

        outcome = writer(last, *others, every_change=every_change)

        assert outcome == (done(redelivered=1, upserted=1) if others else done(redelivered=1))
        assert [row for row in log.rows() if row[1] == "a"] == []
        assert [row for row in tables.orders() if row[0] == "a"] == [row for row in before[0] if row[0] == "a"]
        assert [row for row in tables.whole_sidecar() if row[0] == "a"] == before[1]

    def test_a_whole_batch_again_writes_nothing(self, writer: Applier, tables: Tables, log: WriteLog):
        batch = [record("a", 1), record("b", 1), remove("b", 2), record("c", 1), record("a", 2, status="PAID")]
        writer(*batch)
        before = tables.orders(), tables.whole_sidecar()
        log.clear()

        assert writer(*batch) == done(redelivered=3, superseded=2)

        assert (tables.orders(), tables.whole_sidecar()) == before
        assert log.rows() == []

    def test_a_record_twice_in_a_batch_is_written_once(self, writer: Applier, log: WriteLog):
        assert writer(record("a", 1), record("a", 1), record("a", 1)) == done(upserted=1, redelivered=2)

        assert log.rows() == [("insert", "a", START)]

    def test_an_older_change_is_stale_and_writes_nothing(self, writer: Applier, tables: Tables, log: WriteLog):
        writer(record("a", 5, status="PAID"))
        before = tables.whole_sidecar()
        log.clear()

        assert writer(record("a", 4, status="NEW")) == done(stale=1)
        assert writer(remove("a", 3)) == done(stale=1)

        assert tables.orders() == [order("a", status="PAID")]
        assert tables.whole_sidecar() == before
        assert log.rows() == []

    def test_a_late_upsert_cannot_bring_a_deleted_order_back(self, writer: Applier, tables: Tables):
        writer(remove("a", 5))

        assert writer(record("a", 4)) == done(stale=1)

        assert tables.orders() == []
        assert tables.sidecar() == [("a", 5, 1)]

    def test_numbers_are_compared_as_numbers(self, writer: Applier, tables: Tables):
        """As strings, 9 would be higher than 10. As floats, neighbours of 27 digits would be equal."""
        nine, ten = record("a", 0, status="NINE"), record("a", 0, status="TEN")
        nine["dynamodb"]["SequenceNumber"] = "9" * 26
        ten["dynamodb"]["SequenceNumber"] = "1" + "0" * 26
        eleven = record("a", 0, status="ELEVEN")
        eleven["dynamodb"]["SequenceNumber"] = "1" + "0" * 25 + "1"

        assert writer(nine) == done(upserted=1)
        assert writer(eleven) == done(upserted=1)
        assert writer(ten) == done(stale=1)

        assert tables.orders() == [order("a", status="ELEVEN")]

    def test_a_recreated_stream_sorts_after_the_old_one(self, writer: Applier, tables: Tables):
        """Its sequence numbers may begin lower."""
        writer(record("a", 100))

        assert writer(record("a", 1, arn=RECREATED, status="PAID")) == done(upserted=1)
        assert writer(record("a", 200)) == done(stale=1)

        assert tables.orders() == [order("a", status="PAID")]

    def test_the_order_inside_a_batch_does_not_matter(self, writer: Applier, tables: Tables):
        assert writer(record("a", 3, status="PAID"), remove("a", 2), record("a", 1)) == done(upserted=1, superseded=2)

        assert tables.orders() == [order("a", status="PAID")]

    def test_a_loaded_row_never_wins_over_a_live_change(self, writer: Applier, tables: Tables):
        writer(record("live", 1, status="PAID"), remove("gone", 1))
        loaded = [
            change._replace(version=LOWEST_VERSION, source_time=0)
            for change in changes_of(record("live", 0), record("gone", 0), record("quiet", 0))
        ]

        assert apply(writer.connection, writer.targets, loaded) == done(stale=2, upserted=1)
        assert apply(writer.connection, writer.targets, loaded) == done(stale=2, redelivered=1)
        assert tables.orders() == [order("live", status="PAID"), order("quiet")]

        assert writer(record("quiet", 1, status="PAID")) == done(upserted=1)
        assert tables.orders() == [order("live", status="PAID"), order("quiet", status="PAID")]


class TestEveryChange:
    def history(self, key: str) -> list[dict[str, Any]]:
        return [
            record(key, 1, "INSERT", updated_at=START + 1),
            record(key, 2, updated_at=START + 2),
            remove(key, 3, updated_at=START + 3),
            record(key, 4, "INSERT", updated_at=START + 4),
        ]

    def test_only_the_last_change_of_a_key_is_written(self, writer: Applier, tables: Tables, log: WriteLog):
        assert writer(*self.history("a"), *self.history("b")[:3]) == done(upserted=1, deleted=1, superseded=5)

        assert log.rows() == [("insert", "a", START + 4)]
        assert tables.orders() == [order("a", updated_at=START + 4)]
        assert tables.sidecar() == [("a", 4, 0), ("b", 3, 1)]

    def test_every_change_is_written_in_order_when_asked(self, writer: Applier, tables: Tables, log: WriteLog):
        shuffled = [*self.history("a")[::-1], *self.history("b")[:3]]

        assert writer(*shuffled, every_change=True) == done(upserted=5, deleted=2)

        assert [row for row in log.rows() if row[1] == "a"] == [
            ("insert", "a", START + 1),
            ("update", "a", START + 2),
            ("delete", "a", START + 2),
            ("insert", "a", START + 4),
        ]
        assert [row[0] for row in log.rows() if row[1] == "b"] == ["insert", "update", "delete"]
        assert tables.orders() == [order("a", updated_at=START + 4)]
        assert tables.sidecar() == [("a", 4, 0), ("b", 3, 1)]

    def test_only_what_is_newer_than_the_row_is_written(self, writer: Applier, log: WriteLog):
        writer(*self.history("a")[:2])
        log.clear()

        assert writer(*self.history("a"), every_change=True) == done(stale=1, redelivered=1, deleted=1, upserted=1)

        assert log.rows() == [("delete", "a", START + 2), ("insert", "a", START + 4)]


class TestTripwire:
    """Older by version, yet later by the stream's clock. Such a change is never skipped silently."""

    @pytest.mark.parametrize("every_change", [False, True])
    @pytest.mark.parametrize("together", [False, True], ids=["against the sidecar", "inside a batch"])
    @pytest.mark.parametrize(("later_by", "trips"), [(2, False), (3, True)], ids=["2 s", "3 s"])
    def test_more_than_two_seconds_trip(
        self, writer: Applier, tables: Tables, *, together: bool, later_by: int, trips: bool, every_change: bool
    ):
        newer = record("a", 5, status="PAID", time=START)
        older = record("a", 4, time=START + later_by)

        if together:
            outcome = writer(newer, older, every_change=every_change)
        else:
            writer(newer)
            outcome = writer(older, every_change=every_change)

        assert [(order_id(parked.key), parked.reason, parked.errno, parked.record) for parked in outcome.parked] == (
            [("a", CLOCK_REASON, None, older)] if trips else []
        )
        assert tables.orders() == [order("a", status="PAID")]
        assert tables.sidecar() == [("a", 5, 0)]

    def test_each_contradicted_change_of_a_batch_is_parked(self, writer: Applier, tables: Tables):
        """Changes 3 and 1 are later than 4, which is newer. Change 2 contradicts none."""
        times = {1: 50, 2: 11, 3: 20, 4: 10}

        outcome = writer(*(record("a", n, time=START + times[n], status=f"S{n}") for n in times))

        assert sorted(parked.version[-1] for parked in outcome.parked) == ["1", "3"]
        assert outcome.counts == Counter(upserted=1, superseded=1)
        assert tables.orders() == [order("a", status="S4")]

    def test_a_redelivery_does_not_trip_whatever_its_clock_says(self, writer: Applier):
        writer(record("a", 1, time=START))

        assert writer(record("a", 1, time=START + 100)) == done(redelivered=1)

    def test_a_newer_change_with_an_earlier_clock_is_applied(self, writer: Applier, tables: Tables):
        writer(record("a", 1, time=START + 100))

        assert writer(record("a", 2, time=START, status="PAID")) == done(upserted=1)
        assert tables.orders() == [order("a", status="PAID")]

    def test_a_clock_contradiction_blocks_no_other_key(self, writer: Applier, tables: Tables):
        writer(record("a", 5), record("b", 5))

        outcome = writer(record("a", 4, time=START + 9), record("b", 6, status="PAID"), record("c", 1))

        assert outcome.counts == Counter(upserted=2)
        assert [order_id(parked.key) for parked in outcome.parked] == ["a"]
        assert tables.orders() == [order("a"), order("b", status="PAID"), order("c")]


def test_changes_need_no_record(writer: Applier, tables: Tables):
    """A backfill has items, not records."""
    [change] = changes_of(record("a", 1))
    change = change._replace(version=LOWEST_VERSION, source_time=0, record={})

    assert apply(writer.connection, writer.targets, iter([change])) == done(upserted=1)
    assert tables.orders() == [order("a")]
