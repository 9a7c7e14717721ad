"""What the parts of one run share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from scripts.bench.rows import Row
from scripts.bench.server import Server


class Bench:
    """A server, started when the first of them needs it."""

    def __init__(self, cleanup: ExitStack) -> None:
        self._cleanup = cleanup

    @cached_property
    def server(self) -> Server:
        home = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
        server = Server(home)
        self._cleanup.callback(server.stop)
        return server


Part = Callable[[Bench], Iterator[Row]]
