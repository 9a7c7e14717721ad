"""The search for refused rows decides every row once, in few round trips, whatever the server says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.changes import Change, Mark
from common.mysql.search import Search, row_number
from common.mysql.sender import PartError
from common.mysql.table_writer import Statement

FIXED = 100


class FakeServer:
    """Refuses statements that hold a bad row, and says which row it was, if `says` is set. `lies` by one."""

    def __init__(self, bad: set[str], *, says: bool, lies: bool = False) -> None:
        self.bad, self.says, self.lies = bad, says, lies
        self.trips = self.largest = 0

    def send(self, parts: Sequence[Sequence[Change]]) -> None:
        self.trips += 1
        self.largest = max(self.largest, sum(10 * len(part) + FIXED for part in parts))
        for done, part in enumerate(parts):
            found = next((i for i, change in enumerate(part, 1) if change.key in self.bad), None)
            if found:
                where = f" at row {found + self.lies}" if self.says else ""
                raise PartError(done, pymysql.DataError(1264, f"Out of range value{where}"))


def searched(rows: int, server: FakeServer, at_once: int, limit: int) -> tuple[list[str], list[str]]:
    """Keys that were accepted, and those that were refused."""
    changes = [
        Change(f"k{i:04}", "1", (), 0, {}, created=False, entity=0, key_values=(f"k{i:04}",), mark=Mark.LIVE)
        for i in range(rows)
    ]
    search = Search(Statement(changes, [10] * rows, FIXED, limit, server.send), at_once)
    through: list[str] = []
    refused: list[str] = []
    while parts := search.parts():
        bad: Sequence[Change] = ()
        row = None
        try:
            server.send(parts)
        except PartError as error:
            row = row_number(error.cause)
            parts, bad = parts[: error.done], parts[error.done]
            if len(bad) == 1:
                refused.append(bad[0].key)
        through += [change.key for part in parts for change in part]
        search.note(sum(map(len, parts)), len(bad), row)
    return through, refused


@given(
    bad=st.lists(st.booleans(), max_size=80),
    at_once=st.sampled_from([1, 2, 10]),
    limit=st.sampled_from([1, 150, 400, 2_000, 10**6]),
    says=st.booleans(),
    lies=st.booleans(),
)
def test_every_row_is_decided_once(bad: list[bool], at_once: int, limit: int, *, says: bool, lies: bool):
    """Also where the server names another row than the one that it refuses."""
    keys = [f"k{i:04}" for i in range(len(bad))]
    server = FakeServer({key for key, is_bad in zip(keys, bad, strict=True) if is_bad}, says=says, lies=lies)

    through, refused = searched(len(bad), server, at_once, limit)

    assert through == [key for key in keys if key not in server.bad]
    assert refused == sorted(server.bad)
    assert server.largest <= max(limit, FIXED + 10), "only a single row may be larger than the limit"


@pytest.mark.parametrize(("at_once", "says", "each"), [(1, False, 11), (1, True, 4), (10, False, 5), (10, True, 4)])
def test_a_few_refused_rows_cost_a_few_round_trips(at_once: int, each: int, *, says: bool):
    server = FakeServer({f"k{i:04}" for i in range(37, 1000, 100)}, says=says)

    searched(1000, server, at_once, 10**6)

    assert server.trips <= 10 * each + math.ceil(math.log2(1000))


@pytest.mark.parametrize("at_once", [1, 10])
@pytest.mark.parametrize("says", [False, True])
def test_rows_that_are_all_refused_cost_a_round_trip_each(at_once: int, *, says: bool):
    server = FakeServer({f"k{i:04}" for i in range(1000)}, says=says)

    searched(1000, server, at_once, 15_000)

    assert server.trips <= 1010
