"""The clock as a tripwire inside a batch: a change is compared with all changes that are newer by version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.records import START, record
from tests.support.tables import Tables, order
from tests.support.writes import Applier


@pytest.mark.parametrize("every_change", [False, True])
@pytest.mark.parametrize(
    ("times", "tripped"),
    [
        ([15, 20, 10], [1, 2]),  # the first agrees with the second, which is contradicted itself
        ([15, 20, 10, 30], [1, 2]),
        ([12, 20, 10], [2]),
    ],
)
def test_a_change_is_compared_with_every_newer_one(
    writer: Applier, tables: Tables, times: list[int], tripped: list[int], *, every_change: bool
):
    batch = [record("a", n, time=START + at, amount=str(n)) for n, at in enumerate(times, start=1)]

    outcome = writer(*batch, every_change=every_change)

    parked: list[Any] = sorted((one.record for one in outcome.parked), key=batch.index)
    assert parked == [batch[n - 1] for n in tripped]
    assert tables.orders() == [order("a", amount=str(len(times)))]
