"""The progress of many lanes is read at once."""

from __future__ import annotations

from threading import Barrier
from typing import Any

from common.bucket import Bucket
from common.layout import RunKeys
from reconciler.progress import Progress, read_lanes
from tests.support.aws import S3

KEYS = RunKeys("load", "run")


class Meeting(S3):
    """Each read waits for seven others."""

    barrier = Barrier(8, timeout=10)

    def get_object(self, **options: Any) -> Any:
        self.barrier.wait()
        return super().get_object(**options)


def test_files_of_lanes_are_read_eight_at_a_time() -> None:
    """A load may have 100 stages of 40 lanes, and its report reads them all in one call."""
    bucket = Bucket(Meeting(), "failures")
    for lane in range(16):
        bucket.write_json(KEYS.lane(0, lane), vars(Progress(position=lane)))
    assert [lane.position for lane in read_lanes(bucket, KEYS.lanes)] == list(range(16))
