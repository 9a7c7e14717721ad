"""The progress that a lane emits: its own share, at once and every minute."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.gauge import ProgressGauge, percent_of
from reconciler.load.walk import percent_of_run, stage_of
from reconciler.progress import Progress
from reconciler.verify import walk
from reconciler.verify.lane import LaneWalk
from tests.support.replay import RecordedMeter


def test_it_is_emitted_at_once_and_then_every_minute():
    meter, now, percent = RecordedMeter(), 1_000.0, 0.0
    gauge = ProgressGauge(meter, "load_progress", lambda: percent, lambda: now)
    for now, percent in ((1_000.0, 0.04), (1_059.9, 10.0), (1_060.0, 20.06), (1_061.0, 30.0), (1_180.0, 100.0)):  # noqa: B007
        gauge.tell()
    assert meter.gauges == {"load_progress": [0.0, 20.1, 99.0]}


def test_a_part_of_an_unknown_whole_is_nothing():
    assert [percent_of(1, 0), percent_of(1, 4), percent_of(5, 4)] == [0.0, 25.0, 100.0]


@pytest.mark.parametrize(
    ("stage", "units", "percent"),
    [(0, 0.0, 0.0), (0, 50.0, 25.0), (0, 300.0, 50.0), (1, 0.0, 50.0), (1, 50.0, 75.0), (2, 0.0, 99.0), (9, 5.0, 99.0)],
)
def test_a_worker_of_a_load_is_as_far_as_its_share(stage: int, units: float, percent: float):
    """Two scans, parents first, of 400 units among two workers; then what waits."""
    run: Any = {"levels": [0, 1], "lanes": 2, "estimate": {"read_units": 400}}
    assert percent_of_run(stage_of(stage, run["levels"]), Progress(units=units), run) == percent


@pytest.mark.parametrize(
    ("lane", "lanes", "left", "percent"),
    [(0, 2, ["0", "2"], 0.0), (0, 2, ["2"], 50.0), (1, 2, ["1"], 0.0), (1, 2, [], 100.0), (3, 4, [], 0.0)],
)
def test_a_worker_counts_its_own_ranges(lane: int, lanes: int, left: list[str], percent: float):
    """Of three ranges, the first of two workers has two, and the fourth of four has none."""
    lane_walk: Any = SimpleNamespace(
        file=SimpleNamespace(lane=lane), run={"lanes": lanes}, progress=Progress(cursors=dict.fromkeys(left))
    )
    assert LaneWalk.percent_of_cursors(lane_walk, 3) == percent


@pytest.mark.parametrize(("units", "percent"), [(0.0, 0.0), (25.0, 25.0), (100.0, 100.0), (130.0, 100.0)])
def test_a_worker_of_a_scan_is_as_far_as_its_share(units: float, percent: float):
    """A quarter of 400 units."""
    scan: Any = SimpleNamespace(progress=Progress(units=units), run={"lanes": 4, "estimate": {"read_units": 400}})
    assert walk._Scan.percent_of_stage(scan) == percent  # noqa: SLF001
