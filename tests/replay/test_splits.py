"""A split has all changes of its keys in order, each once, from any number of segments."""

from __future__ import annotations

import json
import random

import pytest

from common import bucket as buckets
from common import mapping
from common.bucket import Bucket
from common.changes import Change, Reference
from common.layout import ReplayKeys, part_label
from common.records import parse_records
from dlq_replayer import collect, drain
from dlq_replayer import splits as splitting
from dlq_replayer.backlog import Backlog
from dlq_replayer.splits import Line, SegmentFormat, cut, open_split, split_of, to_line
from tests.support.aws import S3
from tests.support.records import remove
from tests.support.replay import ReplayExecution, ReplayHarness, change, last_states

MAPPING, KEYS = mapping.load(), ReplayKeys("p")
FORM = SegmentFormat(MAPPING)


def changes_of(count: int, keys: int, seed: int) -> list[Change]:
    rng = random.Random(seed)
    records = [
        remove(f"k{rng.randrange(keys)}", n) if rng.random() < 0.2 else change(f"k{rng.randrange(keys)}", n)
        for n in range(count)
    ]
    return parse_records(records, MAPPING).changes


def write_segments(bucket: Bucket, lines: list[Line], part: int, splits: int, token: str) -> None:
    for split, held in cut(lines, splits, 1):
        bucket.write(KEYS.segment(split, part_label(part)), FORM.encode(held, token))


@pytest.mark.parametrize("splits", [1, 3, 16])
@pytest.mark.parametrize("parts", [1, 2, 40])
@pytest.mark.parametrize(("memory", "read_bytes"), [(0, 50), (0, 256 * 1024), (1_000_000, 50)])
def test_a_split_has_each_change_once_in_order(
    splits: int, parts: int, memory: int, read_bytes: int, monkeypatch: pytest.MonkeyPatch
):
    """Segments are sorted in memory, or merged as they are read."""
    monkeypatch.setattr(splitting, "_IN_MEMORY", memory)
    monkeypatch.setattr(buckets, "_RANGE", read_bytes)
    bucket, changes = Bucket(S3(), "b"), changes_of(300, 20, parts)
    random.Random(1).shuffle(changes)
    lines = [to_line(c, f"source {i % 7}", i) for i, c in enumerate(changes)]
    for part in range(parts):
        write_segments(bucket, lines[part::parts], part, splits, f"token {part}")
    found: list[Change] = []
    for split in range(splits):
        opened = open_split(bucket, KEYS, split, FORM)
        held = list(opened.changes)
        assert [c[:2] for c in held] == sorted(c[:2] for c in held)
        assert {split_of(c.key, 0, splits, 1) for c in held} <= {split}
        assert all(token == f"token {int(part)}" for part, token in opened.tokens.items())
        found += held
    assert sorted(c[:4] for c in found) == sorted(c[:4] for c in changes)
    assert len({(c.record.source, c.record.index) for c in found}) == len(changes)


@pytest.mark.parametrize("memory", [0, 1_000_000])
def test_a_line_in_two_segments_counts_once(memory: int, monkeypatch: pytest.MonkeyPatch):
    """A part may be collected again. Batches that overlap must each be accounted for."""
    monkeypatch.setattr(splitting, "_IN_MEMORY", memory)
    bucket, (one,) = Bucket(S3(), "b"), parse_records([change("a", 1)], MAPPING).changes
    first, second, third = to_line(one, "x", 0), to_line(one, "x", 3), to_line(one, "y", 0)
    for part, lines in enumerate([[first], [first, second, third], [first, second]]):
        write_segments(bucket, lines, part, 1, "t")
    found = [c.record for c in open_split(bucket, KEYS, 0, FORM).changes]
    assert found == [Reference("x", 0), Reference("x", 3), Reference("y", 0)]


def test_a_segment_overwritten_while_it_is_read_raises(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(splitting, "_IN_MEMORY", 0)
    monkeypatch.setattr(buckets, "_RANGE", 50)
    s3 = S3()
    bucket = Bucket(s3, "b")
    lines = [to_line(c, "x", i) for i, c in enumerate(changes_of(50, 1, 1))]
    write_segments(bucket, lines, 0, 1, "one")
    opened = open_split(bucket, KEYS, 0, FORM)
    next(opened.changes)
    write_segments(bucket, lines[10:], 0, 1, "two")
    with pytest.raises(Exception, match="PreconditionFailed"):
        list(opened.changes)


@pytest.mark.parametrize(
    ("batches", "megabytes", "workers", "expected"),
    [(1, 0, 4, 4), (1, 16, 4, 4), (1, 80, 4, 10), (1, 10**6, 4, 2000), (0, 8, 4, 1), (0, 80, 4, 10)],
)
def test_splits_are_bounded_and_a_backlog_is_not(batches: int, megabytes: int, workers: int, expected: int):
    """Parked records alone have as few splits as possible."""
    assert Backlog(batches=batches, size=megabytes * 1024 * 1024).splits(workers, 1) == expected


@pytest.mark.parametrize(
    ("batches", "megabytes", "expected"), [(1, 0, 12), (1, 80, 30), (1, 10**6, 1998), (0, 8, 1), (0, 80, 30)]
)
def test_each_entity_has_splits_of_its_own(batches: int, megabytes: int, expected: int):
    """Parked records that fit in one split stay together: rows that wait for each other need one call of apply()."""
    assert Backlog(batches=batches, size=megabytes * 1024 * 1024).splits(4, 3) == expected


@pytest.mark.parametrize(
    ("entities", "splits", "expected"),
    [(2, 4, [{0, 1}, {2, 3}]), (3, 3, [{0}, {1}, {2}]), (3, 1, [{0}, {0}, {0}]), (3, 2, [{0, 1}] * 3)],
)
def test_the_splits_of_entities_are_in_their_order(entities: int, splits: int, expected: list[set[int]]):
    found = [{split_of(f"key {n}", entity, splits, entities) for n in range(100)} for entity in range(entities)]
    assert found == expected


def test_a_key_with_many_changes_is_one_split(harness: ReplayHarness):
    """All changes of a key are in one split, and the row has the last one."""
    for start in range(0, 100_000, 5_000):
        harness.put_batch([change("hot", n) for n in range(start, start + 5_000)])
    harness.batches.clear()  # what is checked of each record takes longer than the replay
    report = harness.replay()
    assert (report["counts"]["changes"], report["counts"]["keys"]) == (100_000, 1)
    assert harness.tables.sidecar() == [("hot", 99_999, 0)]


def one_call_at_a_time(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A call has time for one chunk of ten changes. Returns what MySQL is asked from now on."""
    monkeypatch.setattr(drain, "_CHUNK", 10)
    asked: list[str] = []
    harness.database.before_execute = lambda operation: asked.append(operation.partition(",")[0])
    harness.out_of_time = lambda: True
    return asked


def test_a_split_longer_than_a_call_goes_on(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """Each change is applied once, and the counts are those of one long call."""
    records = [change("hot", n) for n in range(35)] + [change(f"k{n:02d}", 100 + n) for n in range(20)]
    harness.put_batch(records)
    whole = harness.replay({"dry_run": True, "concurrency": 1})["counts"]
    asked = one_call_at_a_time(harness, monkeypatch)
    execution = ReplayExecution(harness, {"concurrency": 1})
    counts = execution.resume()["counts"]
    assert [operation for operation in asked if "replaying" in operation] == [
        *["replaying 10 changes of mapping orders"] * 5,
        "replaying 5 changes of mapping orders",
    ]
    assert (counts["changes"], counts["keys"]) == (whole["changes"], whole["keys"]) == (55, 21)
    assert (counts["applied"], counts["superseded"], counts["redelivered"]) == (24, 31, 0)
    assert execution.trail.count("drain") == 7
    assert harness.tables.orders() == last_states(records)


def test_an_overwritten_segment_is_drained_from_its_start(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    records = [change("hot", n) for n in range(35)]
    harness.put_batch(records)
    one_call_at_a_time(harness, monkeypatch)
    execution = ReplayExecution(harness, {"concurrency": 1}).until("drain")
    lane = execution.lanes[0]
    while not any(key.endswith("begun/00000.json") for key in harness.s3.objects):
        lane = harness.steps().drain(lane)
    (segment,) = (key for key in harness.s3.objects if "/splits/" in key)
    header, *lines = harness.s3.body(segment).split(b"\n")
    changed = json.dumps(json.loads(header) | {"token": "another call"}).encode()
    harness.s3.put_object(Bucket="", Key=segment, Body=b"\n".join([changed, *lines]))
    while lane["outcome"] == "more":
        lane = harness.steps().drain(lane)
    (result,) = (key for key in harness.s3.objects if key.endswith("done/00000.json"))
    done = harness.bucket.read_json(result)
    assert done["tokens"] == {"000000": "another call"} != {"000000": json.loads(header)["token"]}
    assert done["counts"]["changes"] == 35


def test_unreadable_records_are_parked_a_part_at_a_time(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """A wrong mapping makes a whole backlog unreadable: no single call could park it."""
    monkeypatch.setattr(collect, "_PART_BATCHES", 1)
    for number in range(5):
        harness.put_batch([change(f"k{number}", number, amount="x"), change("good", 10 + number)])
    one_call_at_a_time(harness, monkeypatch)
    execution = ReplayExecution(harness, {"concurrency": 1})
    report = execution.resume()
    assert execution.trail.count("drain") == 5 + 1 + 1
    assert len(report["parked_records"]) == report["counts"]["parked"] == len(harness.keys("quarantine/")) == 5
    assert harness.left() == []


def test_unreadable_records_of_a_part_are_parked_in_chunks(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    harness.put_batch([change(f"k{number}", number, amount="x") for number in range(5)])
    one_call_at_a_time(harness, monkeypatch)
    monkeypatch.setattr(drain, "_CHUNK", 2)
    execution = ReplayExecution(harness, {"concurrency": 1})
    report = execution.resume()
    assert execution.trail.count("drain") == 3 + 1 + 1
    assert len(report["parked_records"]) == report["counts"]["parked"] == len(harness.keys("quarantine/")) == 5
    assert harness.left() == []


def test_the_state_stays_small_and_a_part_bounded(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch):
    """The harness refuses a state above 32 KiB. Here are forty lanes and many parts."""
    monkeypatch.setattr(collect, "_PART_RECORDS", 2)
    for number in range(60):
        harness.put_batch([change(f"k{number}", number)])
    execution = ReplayExecution(harness, {"concurrency": 40}, name="n" * 80)
    execution.resume()
    assert execution.trail.count("collect") == 1 + 31
    assert len(harness.tables.orders()) == 60
