"""A table of Backstream's own beside the targets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class OwnTable:
    """What an existing table must be. `ddl` creates it.

    `texts` has the least length of its text columns. `migration` is the statement that upgrades the table of an earlier
    version, which has none of the columns in `added`.
    """

    name: str
    ddl: str
    columns: tuple[str, ...]
    texts: dict[str, int]
    key: tuple[str, ...]
    added: tuple[str, ...] = ()
    migration: str = ""

    def is_earlier(self, columns: Collection[str]) -> bool:
        """Whether a table with these columns is of the earlier version."""
        return bool(self.added) and not any(name in columns for name in self.added)
