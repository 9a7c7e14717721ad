"""Shadow reads on fakes: what is read again, how long, and what is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from common import mapping
from common.changes import Change, Mark, Row
from common.database import Comparison, HoldError, StoredState
from common.raw_items import Item
from common.seeds import marked
from common.shadow import ShadowReads, ShadowReport, ShadowSample
from tests.support.item_tables import mapping_of
from tests.support.records import item

ORDERS = mapping.load()
COLUMNS = [column.name for column in ORDERS.entities[0].columns]
WAIT = 5.0


class Sides:
    """Items, rows and versions by order id, a clock, and what happens while somebody sleeps."""

    mapping = ORDERS

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.rows: dict[str, Row] = {}
        self.version = 1
        self.now = 1_000.0
        self.sleeps: list[float] = []
        self.during_sleep: Callable[[int], object] = lambda _: None
        self.read: list[list[str]] = []
        self.fails = False

    def put(self, key: str, **values: Any) -> None:
        """An item and its row."""
        self.items[key] = item(key, **values)
        self.rows[key] = row_of(self.items[key])

    def read_items(self, keys: Sequence[Item]) -> Iterable[Item]:
        self.read.append([key["p_key"]["S"] for key in keys])
        return [self.items[key["p_key"]["S"]] for key in keys if key["p_key"]["S"] in self.items]

    def compare(self, changes: Sequence[Change]) -> list[Comparison]:
        if self.fails:
            raise HoldError("comparing", "gone", "wait")
        return [found for change in changes if (found := self._compare(change))]

    def _compare(self, change: Change) -> Comparison | None:
        row = self.rows.get(str(change.key_values[0]))
        if row is not None and row == change.row:
            return None
        columns = tuple(
            name for name, a, b in zip(COLUMNS, change.row or (), row or (), strict=False) if a != b
        )  # fmt: skip
        mark = change.mark if change.row else Mark.LIVE
        stored = StoredState(f"v{self.version}", 0, mark) if row else None
        return Comparison(change, stored, row, columns)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        self.during_sleep(len(self.sleeps))

    def clock(self) -> float:
        return self.now

    def reads(self, wait: float = WAIT) -> ShadowReads:
        database: Any = self
        return ShadowReads(self.mapping, database, self.read_items, wait=wait, clock=self.clock, sleep=self.sleep)

    def check(self, *texts: str, **options: Any) -> ShadowReport:
        reads = self.reads(**options)
        return reads.check(map(reads.parse, texts))


def row_of(image: Item) -> Row:
    plain = {name: value.get("S", value.get("N")) for name, value in image.items()}
    return (
        plain["p_key"],
        plain["merchant_id"],
        Decimal(plain["amount"]),
        plain["currency"],
        plain["status"],
        int(plain["created_at"]),
        int(plain["updated_at"]),
    )


def told(report: ShadowReport) -> dict[str, tuple[str, ...]]:
    return {one.finding.key: (one.kind, *one.finding.columns) for one in report.differences}


@pytest.fixture
def sides() -> Sides:
    made = Sides()
    for key in "abc":
        made.put(key)
    return made


def test_equal_sides_are_read_once(sides: Sides):
    """Nothing waits where nothing differs, and a key that is given twice is read once."""
    report = sides.check("a", "order/b", "a", "order/a")
    assert report == ShadowReport(Counter(keys=2, agreed=2))
    assert report.is_equal
    assert (sides.read, sides.sleeps) == ([["a", "b"]], [])


def test_a_change_on_its_way_is_no_difference(sides: Sides):
    """Only the key that differs is read again, until it agrees."""
    sides.items["b"] = item("b", amount="7")
    sides.during_sleep = lambda count: count == 3 and sides.put("b", amount="7")
    report = sides.check("a", "b")
    assert report == ShadowReport(Counter(keys=2, agreed=1, agreed_later=1, unsettled=0))
    assert report.is_equal
    assert sides.read == [["a", "b"], ["b"], ["b"], ["b"]]
    assert sum(sides.sleeps) < WAIT


def test_what_stands_still_for_longer_than_wait_differs(sides: Sides):
    """The finding names key, kind and columns; the values are beside it."""
    sides.items["b"] = item("b", amount="7", status="PAID")
    del sides.rows["c"]
    report = sides.check("a", "b", "c")
    assert told(report) == {"order/b": ("columns_differ", "amount", "status"), "order/c": ("row_missing",)}
    assert report.counts == Counter(keys=3, agreed=1, differs=2)
    assert not report.is_equal
    assert [one.key for one in report.findings] == ["order/b", "order/c"]
    values = [one.values(ORDERS) for one in report.differences]
    assert values == [{"amount": (Decimal(7), Decimal(200)), "status": ("PAID", "NEW")}, {}]
    assert WAIT < sum(sides.sleeps) <= 2 * WAIT


def test_a_row_without_an_item_differs(sides: Sides):
    del sides.items["b"]
    assert told(sides.check("b", "gone")) == {"order/b": ("removal_lost",)}


def test_each_change_starts_the_wait_again(sides: Sides):
    """A key whose row changed is compared with that state, not with the first."""
    sides.items["b"] = item("b", amount="7")

    def change(count: int) -> None:
        if count == 3:
            sides.version = 2

    sides.during_sleep = change
    report = sides.check("b")
    assert report.counts["differs"] == 1
    assert sum(sides.sleeps) - sum(sides.sleeps[:3]) > WAIT


def test_a_key_that_never_stands_still_is_unsettled(sides: Sides):
    """It is given up after ten times the wait, or half a minute."""
    sides.items["b"] = item("b", amount="7")
    sides.during_sleep = lambda count: setattr(sides, "version", count)
    report = sides.check("a", "b", wait=4.0)
    assert report == ShadowReport(Counter(keys=2, agreed=1, unsettled=1), unsettled=["order/b"])
    assert not report.is_equal
    assert 40.0 < sum(sides.sleeps) < 46.0


def test_a_row_that_changed_since_its_seed_is_told_apart(sides: Sides):
    """Until the cutover the legacy application writes the row, and the next seed takes it."""
    sides.items["b"] = marked(item("b"), "orders", "one")
    sides.rows["b"] = row_of(item("b", status="PAID"))
    report = sides.check("b")
    assert told(report) == {"order/b": ("seed_outdated", "status")}
    assert report.counts == Counter(keys=1, agreed=0, seed_outdated=1)


def test_an_item_that_cannot_become_a_row_is_refused(sides: Sides):
    """Its reason holds no value."""
    sides.items["b"] = item("b", amount={"S": "secret"})
    report = sides.check("a", "b")
    assert report.counts == Counter(keys=2, agreed=1, refused=1)
    assert list(report.refused) == ["order/b"]
    assert "secret" not in report.refused["order/b"]
    assert not report.is_equal


def test_an_item_that_becomes_malformed_is_refused(sides: Sides):
    """While its earlier change is on its way."""
    sides.items["b"] = item("b", amount="7")
    sides.during_sleep = lambda _: sides.items.update(b=item("b", amount={"S": "x"}))
    report = sides.check("b")
    assert (report.counts, report.differences) == (Counter(keys=1, refused=1), [])


# One item, several entities: the type says which one it is, and only cars have codes from A on.
VEHICLES = mapping_of(
    "vehicles",
    {
        "partition_key": {"attribute": "pk", "type": "string"},
        "entities": {
            name: {
                "target": {
                    "table": f"{name}s",
                    "key": {"partition_key": "{code}"},
                    "key_columns": [{"column": "code", "type": "string", "length": 8}],
                },
                "when": {"attribute": {"path": ["type"], "equals": name}} | when,
                "columns": [{"column": "seats", "from": ["seats"], "type": "int"}],
            }
            for name, when in (("car", {"partition_key": {"starts_with": "A"}}), ("van", {}))
        },
    },
)


class Vehicles(Sides):
    mapping = VEHICLES

    def read_items(self, keys: Sequence[Item]) -> Iterable[Item]:
        return [self.items[key["pk"]["S"]] for key in keys if key["pk"]["S"] in self.items]

    def compare(self, changes: Sequence[Change]) -> list[Comparison]:
        self.asked = [(change.key, change.row) for change in changes]
        return []


def test_only_the_rows_that_were_asked_for_are_compared():
    """An item can be of several entities. A row of an entity that it cannot be has no item."""
    sides = Vehicles()
    sides.items["A1"] = {"pk": {"S": "A1"}, "type": {"S": "van"}, "seats": {"N": "3"}}
    sides.items["B1"] = {"pk": {"S": "B1"}, "type": {"S": "van"}, "seats": {"S": "many"}}
    assert sides.check("car/A1", "car/B1").counts == Counter(keys=2, agreed=2)
    assert sides.asked == [("car/A1", None), ("car/B1", None)]
    assert sides.check("van/A1", "van/B1").counts == Counter(keys=2, agreed=1, refused=1)
    assert sides.asked == [("van/A1", ("A1", 3))]


def test_an_item_that_is_refused_for_all_entities_is_there():
    """One reason is that of all of them. No row is that of an item that is gone."""

    def prepare(_: Any) -> Any:
        raise ValueError

    sides = Vehicles()
    sides.mapping = replace(VEHICLES, prepare=prepare, prepare_digest="x")
    sides.items["A1"] = {"pk": {"S": "A1"}, "type": {"S": "van"}}
    report = sides.check("car/A1", "van/A1")
    assert (report.counts, report.differences) == (Counter(keys=2, agreed=0, refused=2), [])


def test_keys_are_read_a_hundred_at_a_time(sides: Sides):
    keys = [f"k{number:03}" for number in range(250)]
    for key in keys:
        sides.put(key)
    assert sides.check(*keys).counts["agreed"] == 250
    assert [len(part) for part in sides.read] == [100, 100, 50]


# A sample of live requests


def test_a_request_only_notes_its_key(sides: Sides):
    """Nothing is read before the check, which takes each key once."""
    sample = ShadowSample(sides.reads(), 1)
    for key in ("a", "b", "a"):
        sample.observe(key)
    assert sides.read == []
    assert sample.check().counts == Counter(keys=2, agreed=2)
    assert sample.check().counts == Counter()
    assert sides.read == [["a", "b"]]


def test_a_share_of_the_requests_is_noted(sides: Sides):
    chances = iter([0.2, 0.05, 0.1])
    sample = ShadowSample(sides.reads(), 0.1, chance=lambda: next(chances))
    for key in "abc":
        sample.observe(key)
    assert sample.check().counts["keys"] == 1
    assert sides.read == [["b"]]


def test_no_more_keys_wait_than_allowed(sides: Sides):
    sample = ShadowSample(sides.reads(), 1, most=2)
    for key in "abc":
        sample.observe(key)
    assert sample.check().counts["keys"] == 2


def test_a_sample_never_raises(sides: Sides, caplog: Any):
    """A key that is no item's, or a side that does not answer, is counted."""
    sample = ShadowSample(sides.reads(), 1)
    sample.observe("x" * 100)
    sample.observe("a")
    report = sample.check()
    assert report.counts == Counter(keys=2, agreed=1, invalid=1)
    assert not report.is_equal
    sides.fails = True
    sample.observe("a")
    report = sample.check()
    assert report.counts == Counter(keys=1, failed=1)
    assert not report.is_equal
    assert caplog.messages == ["shadow reads failed: HoldError"]
