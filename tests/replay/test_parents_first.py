"""A replay writes the rows of an entity before those of later entities in the mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common.layout import DEFERRED
from dlq_replayer import drain
from tests.support.family import FAMILY
from tests.support.records import START, record
from tests.support.replay import Dataset, ReplayHarness

COUNT = 12


def change(kind: str, number: int, sequence: int) -> dict[str, Any]:
    made = record("", sequence, "INSERT", time=START + sequence)
    body = made["dynamodb"]
    body["Keys"] = {"pk": {"S": f"{kind}#{number}"}}
    body["NewImage"] = body["Keys"] | ({"parcel": {"N": str(number)}} if kind == "LINE" else {})
    return made


@pytest.fixture
def harness(make_harness: Callable[..., ReplayHarness]) -> Iterator[ReplayHarness]:
    harness = make_harness(dataset=Dataset(FAMILY, {}, lambda *_: {}), concurrency=1)
    harness.tables.run(
        "ALTER TABLE family_lines ADD CONSTRAINT of_parcel FOREIGN KEY (parcel) REFERENCES family_parcels (id)"
    )
    yield harness
    harness.tables.run("DROP TABLE family_lines", "DROP TABLE family_parcels")


def test_no_child_of_a_backlog_waits_for_its_parent(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """This holds for more changes than one call of apply() takes."""
    monkeypatch.setattr(drain, "_CHUNK", 2)
    lines = [change("LINE", number, number) for number in range(COUNT)]
    parcels = [change("PARCEL", number, COUNT + number) for number in range(COUNT)]
    harness.put_batch(lines)
    harness.put_batch(parcels)

    counts = harness.replay()["counts"]

    assert (counts["applied"], counts["deferred"], counts["splits"]) == (2 * COUNT, 0, 2)
    assert harness.keys(DEFERRED) == []
    harness.assert_last_states([*lines, *parcels])
