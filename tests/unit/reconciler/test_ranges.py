"""How the target tables are cut into ranges: in many calls, each of which may die."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.bucket import Bucket
from common.layout import RunKeys
from reconciler import ranges
from reconciler.ranges import Cutter
from tests.support.aws import S3, refused
from tests.support.replay import Faults, Killed
from tests.support.stock import STOCK

NAMES = RunKeys("verify", "run")
FIRST = [[0, None, "sidecar"]]
SHOP = b"\x00"


@dataclass
class Tables:
    """The tables of the two entities of the stock, by the second column of their keys."""

    tables: list[list[int]]
    asked: list[tuple[int, int]] = field(default_factory=list)

    def boundaries(self, entity: int, *, every: int, most: int, after: Any = None) -> list[Any]:
        self.asked.append((every, most))
        table = self.tables[entity]
        left = table[bisect_right(table, int(after[1])) :] if after else table
        return [(SHOP, number, SHOP) for number in left[every - 1 :: every][:most]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_ROWS", 2), ("_STATEMENTS", 3), ("_MOST_RANGES", 8)):
        monkeypatch.setattr(ranges, name, value)


def looks(count: int) -> Callable[[], bool]:
    """Time for `count` looks at the clock."""
    left = iter([False] * count)
    return lambda: next(left, True)


def cutter(s3: Any, tables: Tables, out_of_time: Callable[[], bool] = lambda: False) -> Cutter:
    database: Any = tables
    return Cutter(Bucket(s3, "failures"), STOCK, database, out_of_time)


def cut(s3: Any, *tables: list[int]) -> list[Any]:
    assert cutter(s3, Tables(list(tables))).cut(NAMES, range(len(tables)), FIRST)
    return list(Bucket(s3, "failures").read_json(NAMES.ranges))


def rows_of(one: Any, *tables: list[int]) -> list[int]:
    entity, first, last = one
    return [row for row in tables[entity] if (not first or row > first[1]) and (not last or row <= last[1])]


@pytest.mark.parametrize("rows", [0, 1, 5, 6, 7, 41, 42, 47, 48, 49, 95, 96, 97, 1_000])
def test_ranges_cover_each_row_once(rows: int) -> None:
    """All ranges of a table are equally long, but for the last one. A large table has longer ranges, not more."""
    table = list(range(rows))
    found = cut(S3(), table)[1:]
    parts = [rows_of(one, table) for one in found]
    assert [row for part in parts for row in part] == table
    assert len({len(part) for part in parts[:-1]}) <= 1
    assert len(parts[-1]) <= len(parts[0])
    assert len(parts) <= 8
    assert len(parts[0]) == min(rows, 6) or (len(parts) >= 4 and rows >= 48)


def test_each_table_has_its_ranges_behind_the_others() -> None:
    key = [SHOP.hex(), 5, SHOP.hex()]
    assert cut(S3(), list(range(7)), [4]) == [*FIRST, [0, None, key], [0, key, None], [1, None, None]]


def test_a_look_at_the_time_comes_before_a_few_statements() -> None:
    """However large the table is, a call reads a bounded part of it after it has looked at the time."""
    tables = Tables([list(range(1_000))])
    s3 = S3()
    for calls in range(1, 10):
        assert not cutter(s3, tables, looks(2)).cut(NAMES, [0])
        assert tables.asked == [(2, 3)] * 2 * calls
    assert NAMES.ranges not in s3.objects


@pytest.mark.parametrize("moment", ["before", "after"])
def test_any_call_may_die_and_the_ranges_are_the_same(moment: str) -> None:
    """With little time in each call, and a death at each call of S3 and of MySQL."""
    given = Tables([list(range(100)), list(range(7))])
    expected = cut(S3(), *given.tables)
    call, died = 0, True
    while died:
        call, died, done, s3, faults = call + 1, False, False, S3(), Faults()
        faults.kill(call, moment)
        while not done:
            tables: Any = faults.watch(given)
            try:
                done = cutter(faults.watch(s3), tables, looks(1)).cut(NAMES, [0, 1], FIRST)
            except Killed:
                died = True
                faults.revive()
        assert Bucket(s3, "failures").read_json(NAMES.ranges) == expected, call
    assert call > 60


def test_ranges_that_are_there_stay() -> None:
    """Lanes know them by their numbers, and the table has grown since."""
    s3 = S3()
    before = cut(s3, list(range(7)))
    del s3.objects[NAMES.cuts]
    assert cut(s3, list(range(100))) == before


def test_a_late_call_does_not_replace_ranges() -> None:
    """A call of a stopped execution ends after another one has written the ranges."""
    s3, late = S3(), S3()
    late.put_object(Bucket="failures", Key=NAMES.cuts, Body='{"entities":[],"ranges":[]}')
    before = cut(s3, list(range(7)))
    s3.objects[NAMES.cuts] = late.objects[NAMES.cuts]
    hidden = {NAMES.ranges: "NoSuchKey"}
    s3.refusals = hidden
    assert cutter(s3, Tables([])).cut(NAMES, [0])
    s3.refusals = {}
    assert Bucket(s3, "failures").read_json(NAMES.ranges) == before


def test_ranges_that_cannot_be_written_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lane begins without them."""
    s3 = S3()
    put = s3.put_object

    def refuse(**options: Any) -> Any:
        if options["Key"] == NAMES.ranges:
            raise refused("AccessDenied", "PutObject")
        return put(**options)

    monkeypatch.setattr(s3, "put_object", refuse)
    with pytest.raises(Exception, match="AccessDenied"):
        cut(s3, [1])
