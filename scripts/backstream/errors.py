"""How a command ends: its exit code, and the error that a wrong call is reported with."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Scripts rely on these numbers; `backstream replay --help` explains them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    ALREADY_RUNNING = 3
    NEEDS_ATTENTION = 4
    INTERRUPTED = 130


class UsageError(Exception):
    """The command cannot do what it was asked for; nothing was changed. The message says what to give instead."""


class FailedError(Exception):
    """The command could not be done. The message says why."""
