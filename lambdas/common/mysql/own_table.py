"""A table of Backstream's own beside the targets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OwnTable:
    """What the table must be where it exists. `ddl` creates it.

    `texts` has the least length of its text columns. `migration` is the statement that makes the table of an earlier
    version, which has not the first column of the `key`, into this one.
    """

    name: str
    ddl: str
    columns: tuple[str, ...]
    texts: dict[str, int]
    key: tuple[str, ...]
    migration: str = ""
