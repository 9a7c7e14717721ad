"""What a person has to know, in words, with what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from backstream.errors import ExitCode


class Level(IntEnum):
    """Worst first."""

    LOST = 0  # a change is lost, or may be
    ACT = 1  # something waits for a person
    UNKNOWN = 2  # a source did not answer
    WORKING = 3  # something goes on, and ends by itself
    GOOD = 4
    NOTE = 5  # nobody has to do anything

    @property
    def word(self) -> str:
        """It stands beside the colour."""
        return self.name.lower()

    @property
    def exit_code(self) -> ExitCode:
        if self <= Level.ACT:
            return ExitCode.NEEDS_ATTENTION
        return ExitCode.FAILED if self is Level.UNKNOWN else ExitCode.DONE


@dataclass(frozen=True)
class Finding:
    """`code` names it for scripts. `next` is what to do, `command` what to run for it; either may be empty.

    `section` is a heading of the runbook. `details` are lines, each a name and a text.
    """

    code: str
    level: Level
    headline: str
    next: str = ""
    command: str = ""
    section: str = ""
    details: tuple[tuple[str, str], ...] = ()

    @property
    def link(self) -> str:
        return f"docs/runbook.md#{self.section}" if self.section else ""


@dataclass(frozen=True)
class Commands:
    """Commands for the deployment that is looked at. `options` are those that name it; the local stack needs none."""

    options: str = ""
    local: bool = False

    def replay(self, arguments: str = "") -> str:
        if self.local:
            return f"make replay ARGS={arguments}" if arguments else "make replay"
        return self.run("replay", arguments)

    def run(self, *words: str) -> str:
        return " ".join(filter(None, ("backstream", *words, self.options)))
