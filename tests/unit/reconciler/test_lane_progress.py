"""The progress of a lane belongs to one call at a time, and that of many lanes is read at once."""

from __future__ import annotations

from threading import Barrier
from typing import Any

import pytest

from common.bucket import Bucket, ReplacedError
from common.layout import RunKeys
from reconciler.progress import LaneFile, Progress, read_lanes
from tests.support.aws import S3, refused

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


def lane_file(s3: S3) -> LaneFile:
    return LaneFile(Bucket(s3, "failures"), KEYS, 0, 0, 1)


class LosesAnswers(S3):
    """boto3 repeats a write whose answer was lost."""

    def put_object(self, **options: Any) -> Any:
        super().put_object(**options)
        return super().put_object(**options)


def test_a_write_whose_answer_was_lost_is_no_conflict() -> None:
    """The object is the one that was to be written."""
    s3 = LosesAnswers()
    file = lane_file(s3)
    file.begin({"0": None}, [])
    file.progress.position = 3
    file.finish()
    assert lane_file(s3).begin({}, []).done


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_call_that_another_one_overtook_saves_nothing(*, is_begun: bool) -> None:
    """Whether the lane was begun before both calls or not."""
    s3 = S3()
    if is_begun:
        lane_file(s3).begin({"0": None}, [])
    early, late = lane_file(s3), lane_file(s3)
    early.begin({"0": None}, [])
    late.begin({"0": None}, [])
    late.finish()
    early.progress.position = 3
    with pytest.raises(ReplacedError, match="lanes"):
        early.save(at_work=True)
    assert lane_file(s3).begin({}, []).done


def test_a_lane_whose_file_has_expired_is_not_saved() -> None:
    """The bucket deletes old files. The next call begins the lane anew."""
    s3 = S3()
    file = lane_file(s3)
    file.begin({"0": None}, [])
    s3.objects.clear()
    with pytest.raises(ReplacedError):
        file.save(at_work=True)


def test_a_refused_write_of_a_lane_is_an_error() -> None:
    """It is no conflict."""

    class Refuses(S3):
        def put_object(self, **_: Any) -> Any:
            raise refused("AccessDenied", "PutObject")

    with pytest.raises(Exception, match="AccessDenied"):
        lane_file(Refuses()).begin({}, [])
