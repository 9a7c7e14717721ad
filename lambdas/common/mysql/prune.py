"""Deletes the sidecar's rows of items that are long gone. `common.database.Database.prune` says which may go.

A row of the sidecar stops changes with no higher version than its own. Those were made no later than its time, so a row
from before the horizon stops nothing that can still arrive: docs/operations.md has the reasons, under "Prune".

Rows are found without a lock, then locked by their exact keys in key order, as every writer locks them, and tested
again. So a row that a live change has written meanwhile stays. Only these rows are locked, and no gap between them,
because each key is compared with the whole primary key:
https://dev.mysql.com/doc/refman/8.4/en/innodb-locks-set.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymysql.connections import Connection

from common.changes import Mark, Row
from common.database import Removals
from common.keys import entity_and_tail, key_values
from common.mapping import Mapping
from common.mysql.sidecar import SIDECAR, names, scope
from common.mysql.sql import chunks, literal
from common.mysql.table_writer import read_rows
from common.mysql.target import Target

_KEPT = "GREATEST(COALESCE(kept_delete, ''), COALESCE(kept_expiry, ''))"
_TIME = "GREATEST(source_time, COALESCE(kept_delete_time, 0), COALESCE(kept_expiry_time, 0))"
_GONE = ", ".join(str(int(mark)) for mark in Mark if not mark.exists)
_TABLE = f"{SIDECAR} FORCE INDEX (PRIMARY)"
_DELETE_HEAD = f"DELETE t FROM {SIDECAR} t FORCE INDEX (PRIMARY) WHERE item_key IN ("


@dataclass(frozen=True)
class Pruner:
    """The sidecar's rows of one entity, whose newest change is a removal from before a time (epoch seconds)."""

    connection: Connection[Any]
    mapping: Mapping
    entity: int
    before: int

    def page(self, after: str | None, limit: int) -> Removals:
        """See `Database.page_of_removals`. The cursor is the name of a key in the sidecar."""
        name = self.mapping.entities[self.entity].name
        prefix, is_ours = scope(self.mapping.name, name)
        within = is_ours if prefix else "TRUE"  # keys without a prefix are no range: the page is one of all keys
        if after is not None:
            within += f" AND item_key > {literal(after)}"
        last = self._ask(f"SELECT item_key FROM {_TABLE} WHERE {within} ORDER BY item_key LIMIT 1 OFFSET {limit - 1}")
        if last:
            within += f" AND item_key <= {literal(last[0][0])}"
        condition = f"{within} AND {is_ours} AND {self._is_old}"
        found = self._ask(f"SELECT item_key FROM {_TABLE} WHERE {condition} ORDER BY item_key")
        rows = limit if last else int(self._ask(f"SELECT COUNT(*) FROM {_TABLE} WHERE {within}")[0][0])
        keys = [f"{name}/{item_key[len(prefix) :]}" for (item_key,) in found]
        return Removals(keys, rows, last[0][0] if last else None)

    def prune(self, target: Target, keys: Sequence[str], limit: int, *, count_only: bool) -> int:
        """See `Database.prune`. `limit` bounds a statement, in bytes."""
        values = {key: found for key in sorted(keys) if (found := self._values(key)) is not None}
        self.connection.begin()
        old = self._old(list(values), limit, "" if count_only else " FOR UPDATE")
        gone = self._without_row(target, {key: values[key] for key in old}, limit)
        if not count_only:
            for statement, _ in chunks(_DELETE_HEAD, self._names(gone), ")", limit):
                self.connection.query(statement)
        self.connection.commit()
        return len(gone)

    @property
    def _is_old(self) -> str:
        """The SQL condition of a row that may go. One without a time may not."""
        return f"(deleted IN ({_GONE}) OR {_KEPT} > version) AND {_TIME} > 0 AND {_TIME} < {self.before:d}"

    def _values(self, key: str) -> Row | None:
        """The values of a key; None where its text does not tell them."""
        columns = self.mapping.entities[self.entity].key
        return key_values(entity_and_tail(key)[1], [column.type.python for column in columns])

    def _names(self, keys: Sequence[str]) -> list[str]:
        return list(map(literal, names(self.mapping.name, keys)))

    def _old(self, keys: Sequence[str], limit: int, locking: str) -> list[str]:
        """Those of the sorted `keys` whose rows may still go. With `locking`, the rows of all `keys` are locked."""
        key_of = dict(zip(names(self.mapping.name, keys), keys, strict=True))
        head = f"SELECT item_key FROM {_TABLE} WHERE {self._is_old} AND item_key IN ("
        statements = chunks(head, list(map(literal, key_of)), f"){locking}", limit)
        return [key_of[name] for statement, _ in statements for (name,) in self._ask(statement)]

    def _without_row(self, target: Target, values: dict[str, Row], limit: int) -> list[str]:
        """The keys that have no row in the target.

        The first plain read of the transaction opens its view, after the locks: no writer of these keys is at work.
        """
        if not values:
            return []
        found = read_rows(self.connection, target, list(values.values()), [target.key[0].name], limit)
        return [key for i, key in enumerate(values) if i not in found]

    def _ask(self, statement: str) -> tuple[tuple[Any, ...], ...]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return tuple(cursor.fetchall())
