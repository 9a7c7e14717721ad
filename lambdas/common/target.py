"""The statements that write the target table and the sidecar, made once per connection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from common.mapping import Table
from common.sql import literal

SIDECAR = "replication_versions"

# Assignments run from left to right, so `version`, which all others compare with, comes last:
# https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html (MariaDB has no row alias, hence VALUES()).
_NEWER = "IF(VALUES(version) > version, VALUES({0}), {0})"
CLAIM_HEAD = f"INSERT INTO {SIDECAR} (item_key, deleted, source_time, token, version) VALUES "
CLAIM_TAIL = " ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = {_NEWER.format(name)}" for name in ("deleted", "source_time", "token", "version")
)
# Locks nothing new: the claim holds these rows already. A plain SELECT could read from an older snapshot.
READ_HEAD = f"SELECT item_key, version, source_time, token FROM {SIDECAR} WHERE item_key IN ("
READ_TAIL = ") FOR UPDATE"


@dataclass(frozen=True)
class Target:
    """A mapped table as a server has it.

    `other_unique_keys` names the unique keys besides the one on the key column; `folds_case` says that the key
    column's collation takes different keys for equal. Either way `ON DUPLICATE KEY UPDATE` could hit a row
    of another key; then it is written so that such a row is refused with error 1048 on the key column.
    `packet_bytes` is what the server takes at once, its max_allowed_packet.
    """

    table: Table
    other_unique_keys: tuple[str, ...] = ()
    folds_case: bool = False
    packet_bytes: int = 2**24

    @property
    def guarded(self) -> bool:
        return bool(self.other_unique_keys) or self.folds_case

    @cached_property
    def upsert_head(self) -> str:
        return f"INSERT INTO `{self.table.name}` ({', '.join(f'`{c.name}`' for c in self.table.columns)}) VALUES "

    @cached_property
    def upsert_tail(self) -> str:
        key = self.table.key.name
        updates = [f"`{c.name}` = VALUES(`{c.name}`)" for c in self.table.columns if c.name != key]
        if self.guarded:
            same = f"CAST(`{key}` AS BINARY) = CAST(VALUES(`{key}`) AS BINARY)"
            updates.insert(0, f"`{key}` = IF({same}, `{key}`, NULL)")
        return " ON DUPLICATE KEY UPDATE " + ", ".join(updates)

    @cached_property
    def delete_head(self) -> str:
        return f"DELETE FROM `{self.table.name}` WHERE " + ("" if self.folds_case else f"`{self.table.key.name}` IN (")

    @property
    def delete_tail(self) -> str:
        return "" if self.folds_case else ")"

    @property
    def delete_separator(self) -> str:
        return " OR " if self.folds_case else ","

    def delete_item(self, key: str) -> str:
        if not self.folds_case:
            return literal(key)
        column = f"`{self.table.key.name}`"
        return f"({column} = {literal(key)} AND CAST({column} AS BINARY) = {literal(key)})"
