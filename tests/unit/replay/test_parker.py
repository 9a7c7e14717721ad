"""A replay parks records in parallel, and a step that fails leaves none of it running."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common.changes import Kind, Parked, Reference
from common.quarantine import ParkError
from dlq_replayer.parking import Parker
from dlq_replayer.progress import Progress
from tests.support.records import SOURCE
from tests.support.replay import change, failure

RECORDS = [change("a", 1), change("b", 2)]


class Bucket:
    def read_or_settled(self, _: str) -> bytes:
        return json.dumps(failure(RECORDS) | {"payload": {"Records": RECORDS}}).encode()


class Quarantine:
    """Refuses the first record once the second is being stored, which takes until the gate is open."""

    def __init__(self) -> None:
        self.begun, self.refused, self.gate = threading.Event(), threading.Event(), threading.Event()
        self.stored: list[str] = []

    def park_again(self, parked: Parked, _: Any) -> tuple[str, Kind]:
        assert parked.key
        if parked.key == "a":
            self.begun.wait(10)
            self.refused.set()
            raise ParkError("cannot park a")
        self.begun.set()
        self.gate.wait(10)
        self.stored.append(parked.key)
        return parked.key, parked.kind


def test_a_park_that_fails_waits_for_the_records_under_way():
    quarantine: Any = Quarantine()
    bucket: Any = Bucket()
    refused = [Parked(key, None, "reason", "hint", None, Reference("batch", index)) for index, key in enumerate("ab")]
    with ThreadPoolExecutor(1) as pool:
        parking = pool.submit(Parker(bucket, SOURCE, quarantine).park, refused, Progress())
        assert quarantine.refused.wait(10)
        with pytest.raises(TimeoutError):
            parking.result(timeout=0.2)
        quarantine.gate.set()
        with pytest.raises(ParkError, match="cannot park a"):
            parking.result(timeout=10)
    assert quarantine.stored == ["b"]
