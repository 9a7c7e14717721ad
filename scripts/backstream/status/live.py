"""A picture that is read again when it is old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from backstream.deployment import Deployment
from backstream.status.document import document
from backstream.status.finding import Commands
from backstream.status.picture import Picture, draw
from backstream.status.snapshot import Snapshot
from backstream.status.sources import Sources
from backstream.status.verdict import judge

# AWS takes money for what it is asked, an emulator does not.
_LOCAL_SECONDS, _AWS_SECONDS = 2.0, 10.0


class LiveStatus:
    """Of a deployment. Several threads may ask; one of them reads.

    `seconds` is how long a picture is shown before it is read again. Raises UsageError as `Sources` does.
    """

    def __init__(self, deployment: Deployment, commands: Commands, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = _LOCAL_SECONDS if deployment.endpoint else _AWS_SECONDS
        self._sources, self._commands, self._clock = Sources(deployment), commands, clock
        self._name = str(deployment.outputs["consumer_function_name"]).removesuffix("-stream-consumer")
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._last: tuple[Snapshot, Picture] | None = None

    def picture(self) -> Picture:
        return self._newest()[1]

    def document(self) -> dict[str, Any]:
        snapshot, picture = self._newest()
        return document(picture, snapshot)

    def _newest(self) -> tuple[Snapshot, Picture]:
        with self._lock:
            if self._last is None or self._clock() - self._read_at >= self.seconds:
                snapshot = self._sources.read()
                self._last = (snapshot, draw(snapshot, judge(snapshot, self._commands), self._name))
                self._read_at = self._clock()
            return self._last
