"""A step of the local stack that failed: why, and where to read on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LAST_LINES = 12


class StackError(Exception):
    """One line for the person at the terminal, and the log that says more."""

    def __init__(self, reason: str, log: Path | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log

    def __str__(self) -> str:
        if self.log is None:
            return self.reason
        return f"{self.reason}\n{last_lines(self.log)}\nlog: {self.log}"


def last_lines(log: Path, count: int = LAST_LINES) -> str:
    if not log.exists():
        return "    (the log is empty)"
    lines = log.read_text(errors="replace").splitlines()[-count:]
    return "\n".join(f"    {line}" for line in lines)
