"""Ports on this machine that nobody else uses."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

from scripts.local_stack.failure import StackError

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the range from which systems take ports for outgoing connections: a server that is stopped and started
# again finds its port still free.
RANGE = range(20_000, 30_000)
ATTEMPTS = 100


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port with only closed connections lingering on it counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    for port in random.SystemRandom().sample(RANGE, ATTEMPTS):
        if is_free(port):
            return port
    raise StackError(f"no free port found between {RANGE.start} and {RANGE.stop - 1}")


def remembered(file: Path) -> int | None:
    return int(file.read_text()) if file.exists() else None


def remember(file: Path, port: int) -> int:
    file.write_text(f"{port}\n")
    return port


def same_or_free(file: Path) -> int:
    """The port used last time where it is still free, so that whatever points at it keeps working."""
    last = remembered(file)
    return last if last is not None and is_free(last) else remember(file, free_port())
