"""One module per command. To add one, write its module and name it here."""

from __future__ import annotations

from typing import Any, Protocol

from backstream.commands import completion, load, mapping, prune, replay, seed, shadow, status, verify


class Command(Protocol):
    def add_to(self, commands: Any) -> None:
        """Add a parser to the subparsers `commands`. It sets `run`: parsed options to an exit code."""


COMMANDS: tuple[Command, ...] = (status, replay, load, verify, seed, prune, shadow, mapping, completion)
