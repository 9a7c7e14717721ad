"""One command at a time may change the stack."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scripts.local_stack.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Waits for the other one and says so. The system lets go when its holder dies, however it dies."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make is at work on this stack: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
