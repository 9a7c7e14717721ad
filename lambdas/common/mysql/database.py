"""MySQL behind the interface of `common.database`: one connection, verified, reused, dropped on error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CR, ER

from common.changes import Change, Row
from common.database import (
    ApplyOptions,
    Comparison,
    Outcome,
    Page,
    Removals,
    SchemaMismatchError,
    Since,
    StopError,
    StoredKey,
    StoredVersion,
    TableSize,
)
from common.mapping import Mapping
from common.mysql import errors, pages, registry, schema, walk
from common.mysql.apply import apply
from common.mysql.compare import compare
from common.mysql.connection import abandon, connect, is_quiet
from common.mysql.durability import durability_warnings
from common.mysql.prune import Pruner
from common.mysql.settings import MySQLSettings, Parameters
from common.mysql.sidecar import SIDECAR, Sidecar
from common.mysql.table_writer import read_rows
from common.mysql.target import Target, Targets
from common.source import Source
from common.spans import Span, no_span

T = TypeVar("T")

_LOCK_RETRIES = 3
# A connection knows the endpoint that it was made to, so it grows no older than this.
CONNECTION_SECONDS = 300.0
# It knows the table as it was when it was looked at. The statements reach no other key's row whatever becomes of the
# table, but a text column that becomes an ENUM, for instance, takes '2' for its second value.
INSPECTION_SECONDS = 10.0


@dataclass(frozen=True)
class _Session:
    connection: Connection[Any]
    targets: Targets
    since: float
    inspected: float


class MySQLDatabase:
    """A `common.database.Database`. Every connection checks that `source` is registered; None asks for no source.

    `statement_bytes` bounds the text of a statement; None leaves it to the database. `span` makes the spans `connect`,
    `write` and `commit`.
    """

    def __init__(  # noqa: PLR0913 - what an execution environment has
        self,
        settings: MySQLSettings,
        parameters: Parameters,
        mapping: Mapping,
        *,
        clock: Callable[[], float] = time.monotonic,
        source: Source | None = None,
        statement_bytes: int | None = None,
        span: Span = no_span,
    ) -> None:
        self._settings, self._parameters, self._mapping, self._clock = settings, parameters, mapping, clock
        self._source, self._statement_bytes, self._span = source, statement_bytes, span
        self._session: _Session | None = None

    # The interface

    def apply(self, changes: Sequence[Change], options: ApplyOptions, *, purpose: str = "applying") -> Outcome:
        return self.execute(
            f"{purpose} {len(changes)} changes of mapping {self._mapping.name}, the first of key {changes[0].key}",
            lambda connection, targets: apply(
                connection, targets, changes, options, self._statement_bytes, clock=self._clock, span=self._span
            ),
        )

    def versions(self, keys: Iterable[str]) -> dict[str, StoredVersion]:
        wanted = _possible(keys)

        def read(connection: Connection[Any], targets: Targets) -> dict[str, StoredVersion]:
            limit = targets.statement_limit(self._statement_bytes)
            found = Sidecar(connection, self._mapping.name, limit).versions(wanted)
            connection.rollback()
            return found

        return self.execute(f"reading the versions of {len(wanted)} keys from {SIDECAR}", read)

    def rows(self, entity: int, keys: Iterable[Row]) -> dict[Row, Row]:
        wanted = list(keys)

        def read(connection: Connection[Any], targets: Targets) -> dict[Row, Row]:
            limit = targets.statement_limit(self._statement_bytes)
            target = targets.tables[entity]
            found = read_rows(connection, target, wanted, [column.name for column in target.entity.columns], limit)
            connection.rollback()
            return {wanted[i]: row for i, row in found.items()}

        return self.execute(f"reading {len(wanted)} rows of {self._mapping.entities[entity].table}", read)

    def levels(self) -> tuple[int, ...]:
        return self.execute("reading how the tables refer to each other", lambda _, targets: targets.levels)

    def page(  # noqa: PLR0913 - a range and what to read of it
        self,
        entity: int,
        *,
        limit: int,
        after: Row | None = None,
        upto: Row | None = None,
        since: Since | None = None,
        keys_only: bool = False,
    ) -> Page:
        chosen = walk.Range(after, upto)
        return self._read(
            entity, "rows", lambda connection, t: walk.page(connection, t, chosen, limit, since, keys_only=keys_only)
        )

    def since(self, entity: int, column: str, start: str | datetime) -> Since:
        return self._read(
            entity, f"column {column}", lambda connection, t: walk.since_of(connection, t.table, column, start)
        )

    def boundaries(self, entity: int, *, every: int, most: int, after: Row | None = None) -> list[Row]:
        return self._read(
            entity, "boundaries", lambda connection, t: walk.boundaries(connection, t, after, every, most)
        )

    def size(self, entity: int) -> TableSize:
        return self._read(entity, "the size", lambda connection, t: walk.size(connection, t.table))

    def sidecar_size(self) -> TableSize:
        def read(connection: Connection[Any], _: Targets) -> TableSize:
            found = walk.size(connection, SIDECAR)
            connection.rollback()
            return found

        return self.execute(f"reading the size of {SIDECAR}", read)

    def _read(self, entity: int, what: str, work: Callable[[Connection[Any], Target], T]) -> T:
        def read(connection: Connection[Any], targets: Targets) -> T:
            found = work(connection, targets.tables[entity])
            connection.rollback()
            return found

        return self.execute(f"reading {what} of {self._mapping.entities[entity].table}", read)

    def compare(self, changes: Sequence[Change]) -> list[Comparison]:
        def read(connection: Connection[Any], targets: Targets) -> list[Comparison]:
            limit = targets.statement_limit(self._statement_bytes)
            found = list(compare(connection, targets, changes, limit))
            connection.rollback()
            return found

        return self.execute(f"comparing {len(changes)} keys of mapping {self._mapping.name}", read)

    def page_of_stored_keys(self, entity: int, after: str | None, limit: int) -> list[StoredKey]:
        def read(connection: Connection[Any], _: Targets) -> list[StoredKey]:
            found = pages.page_of_stored_keys(connection, self._mapping, entity, after, limit)
            connection.rollback()
            return found

        return self.execute(f"reading {limit} keys from {SIDECAR}", read)

    def page_of_removals(self, entity: int, after: str | None, limit: int, before: int) -> Removals:
        def read(connection: Connection[Any], _: Targets) -> Removals:
            found = Pruner(connection, self._mapping, entity, before).page(after, limit)
            connection.rollback()
            return found

        return self.execute(f"reading {limit} rows of {SIDECAR}", read)

    def prune(self, entity: int, keys: Sequence[str], before: int, *, count_only: bool = False) -> int:
        def delete(connection: Connection[Any], targets: Targets) -> int:
            limit = targets.statement_limit(self._statement_bytes)
            pruner = Pruner(connection, self._mapping, entity, before)
            return pruner.prune(targets.tables[entity], keys, limit, count_only=count_only)

        return self.execute(f"pruning {len(keys)} keys of {SIDECAR}, the first {keys[0]}", delete)

    def prepare(self, stream_label: str) -> dict[str, str]:
        return self.execute_unchecked(
            f"creating and checking the tables of mapping {self._mapping.name}",
            lambda connection: self._prepare(connection, stream_label),
        )

    def durability_warnings(self) -> list[str]:
        return self.execute_unchecked("reading the server's settings", durability_warnings)

    def ping(self) -> None:
        def ask(connection: Connection[Any], _: Targets) -> None:
            connection.query("SELECT 1")
            connection.rollback()  # RDS Proxy keeps its connection to the server until the transaction ends

        self.execute("asking the database for a sign of life", ask)

    # The connection

    def execute(self, operation: str, work: Callable[[Connection[Any], Targets], T]) -> T:
        """`work(connection, targets)` on the environment's connection, made or made again where needed.

        A lock conflict is tried again at once, a few times, as a whole; a reused connection that turns out to be
        dead is replaced once. `work` must be safe to run again.

        Raises HoldError or StopError. The MySQL error itself is not chained: its message may hold row values.
        """
        lock_retries, replaced = _LOCK_RETRIES, False
        while True:
            reused = self._session is not None
            try:
                session = self._live_session()
                return work(session.connection, session.targets)
            except SchemaMismatchError as error:
                self.drop()
                raise _mismatch(operation, error) from None
            except (pymysql.MySQLError, OSError) as error:
                errno = errors.number(error)
                if errno in (ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT) and lock_retries:
                    lock_retries -= 1
                    continue
                self.drop()
                if reused and not replaced and errno in (CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, None):
                    replaced = True
                    continue
                raise errors.database_error(operation, error) from None
            except BaseException:
                self.drop()
                raise

    def execute_unchecked(self, operation: str, work: Callable[[Connection[Any]], T]) -> T:
        """`work(connection)` on a connection of its own, to tables that need not exist or fit yet.

        Raises HoldError or StopError, as `execute()` does.
        """
        try:
            connection = self.connect()
            try:
                return work(connection)
            finally:
                abandon(connection)
        except SchemaMismatchError as error:
            raise _mismatch(operation, error) from None
        except (pymysql.MySQLError, OSError) as error:
            raise errors.database_error(operation, error) from None

    def connect(self) -> Connection[Any]:
        """A new connection. Raises pymysql.MySQLError, OSError or ConfigError."""
        return connect(self._settings, self._parameters)

    def drop(self) -> None:
        """Close the connection; the next call makes a new one."""
        if self._session:
            abandon(self._session.connection)
        self._session = None

    def _prepare(self, connection: Connection[Any], label: str) -> dict[str, str]:
        answer = schema.create_missing(connection, self._mapping)
        if self._source is None:
            return answer
        return answer | {"source": registry.register(connection, self._mapping, self._source, label)}

    def _live_session(self) -> _Session:
        if self._session and not self._is_fit(self._session):
            self.drop()
        if self._session and self._clock() - self._session.inspected >= INSPECTION_SECONDS:
            targets = self._inspect(self._session.connection)
            self._session = replace(self._session, targets=targets, inspected=self._clock())
        if not self._session:
            with self._span("connect"):
                self._session = self._new_session()
        return self._session

    def _new_session(self) -> _Session:
        connection = self.connect()
        try:
            targets = self._inspect(connection)
            if not registry.check(connection, self._mapping, self._source):
                schema.require_true_counts(connection)
        except BaseException:
            abandon(connection)
            raise
        return _Session(connection, targets, since=self._clock(), inspected=self._clock())

    def _inspect(self, connection: Connection[Any]) -> Targets:
        targets = schema.inspect(connection, self._mapping)
        connection.rollback()  # ends the read view that inspecting opened
        return targets

    def _is_fit(self, session: _Session) -> bool:
        return self._clock() - session.since < CONNECTION_SECONDS and is_quiet(session.connection)


def _possible(keys: Iterable[str]) -> list[str]:
    """Those that the sidecar can have, sorted. The server refuses to compare an ascii column with any other text."""
    return sorted(key for key in keys if key.isascii() and "/" in key and " " not in key)


def _mismatch(operation: str, error: SchemaMismatchError) -> StopError:
    return StopError(operation, error.title, str(error))
