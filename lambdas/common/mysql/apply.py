"""The only writer. `apply()` alone decides what is written to MySQL.

It is correct for any order of the changes, and beside any other writer:

1. One multi-row upsert of the sidecar `replication_versions`, keys sorted, keeps the newer version of each key
   and stamps the rows it won with this call's token. It locks every key, new ones too, until the commit.
   (`SELECT ... FOR UPDATE` first would lock nothing for a key that does not exist yet.)
2. The server's answer says whether every row won. Only if not, the rows are read back: the token tells a winner
   from a redelivery of the same version, the stored version a stale change.
3. Winners only: for each table one delete, one update of the existing rows, one insert of the new ones. The same
   answer tells them apart: a key that the sidecar knew has its row, a new key has none. Where this is wrong, the
   update matches fewer rows or the insert meets one, and the rows are looked up.
4. Commit. A loser at step 1 was applied already, or a newer change superseded it.

`INSERT ... ON DUPLICATE KEY UPDATE` of the target would be one statement for both, and it is wrong. It decides by
whatever unique key it meets, so it can change the row of another key. It takes an AUTO_INCREMENT number for each update
and fires insert triggers for it. Triggers are hidden from a user without the TRIGGER privilege, so no inspection can
tell where it would be safe. https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html

A deleted key keeps its sidecar row, the tombstone, so that a late upsert cannot bring it back. A removal that leaves
the row in place, because the entity ignores or flags it, is noted beside the version. A late upsert still makes the row
what the item was before it went. Parents are written before their children and removed after them. When the server
refuses a row, isolate.py finds it and writes the rest.

A rewrite differs in steps 1 and 2: it locks the keys that the sidecar knows, and writes those whose stored version is
still the one that the caller read. See rewrite.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable
from functools import partial
from operator import itemgetter
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, SERVER_STATUS

from common.changes import Change
from common.database import ApplyOptions, Outcome, Verdict
from common.histories import History, coalesce, layers, newest, tripped
from common.mysql import errors, isolate, schema
from common.mysql.rewrite import Rewriter, require_distinct
from common.mysql.target import Targets
from common.mysql.writer import RefusedError, Writer
from common.spans import Span, no_span


def apply(  # noqa: PLR0913 - what a database has
    connection: Connection[Any],
    targets: Targets,
    changes: Iterable[Change],
    options: ApplyOptions = ApplyOptions(),  # noqa: B008 - frozen
    statement_bytes: int | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    span: Span = no_span,
) -> Outcome:
    """Write `changes` in one transaction and commit it; calling again with the same changes writes nothing.

    Changes of one key take effect in the order of their versions. A change that cannot be written is returned in
    `parked`, the last good one before it is written in its place, and the rest is committed. Changes that are not
    written when `options.out_of_time` returns true are returned in `left`. `statement_bytes` bounds the text of a
    statement; None leaves it to the database.

    Raises pymysql.MySQLError, SchemaMismatchError or OSError for anything that is not about single rows, with nothing
    written. Raises ValueError for a rewrite that has a key twice.
    """
    _require_plain_answers(connection)
    changes = list(changes)
    if options.rewrite:
        require_distinct(changes)
    make_writer = _make_writer(connection, options)
    writer = make_writer(targets, statement_bytes)
    removals = [change for change in changes if change.row is None and writer.leaves_row(change)]
    repeated = 0
    if removals:
        changes = [change for change in changes if change.row is not None or not writer.leaves_row(change)]
        distinct = {_id(change): change for change in removals}
        repeated, removals = len(removals) - len(distinct), list(distinct.values())
    histories, repeats, contradicted = coalesce(changes)
    began = clock()
    try:
        with span("write"):
            try:
                outcome = _write_all(writer, histories, options)
                if removals:
                    writer.keep(removals, outcome)
            except (RefusedError, pymysql.MySQLError) as error:
                connection.rollback()
                writer = make_writer(_as_they_are(connection, targets, error), statement_bytes)
                known = options.parked_before()
                removals = [change for change in removals if _id(change) not in known]
                outcome = isolate.write(writer, _without(histories, known), removals, options)
                contradicted = _leave(outcome, [change for change in contradicted if _id(change) not in known])
        with span("commit"):
            connection.commit()
        outcome.seconds = clock() - began
        outcome.parked += map(tripped, contradicted)
        outcome.counts["redelivered"] += repeats + repeated
        outcome.counts = +outcome.counts
    except BaseException:
        _rollback(connection)
        raise
    return outcome


def _make_writer(connection: Connection[Any], options: ApplyOptions) -> Callable[[Targets, int | None], Writer]:
    if options.rewrite:
        return partial(Rewriter, connection, seeded_rows=options.seeded_rows, note_removals=options.note_removals)
    return partial(Writer, connection, seeded_rows=options.seeded_rows, missing_rows=options.missing_rows)


def _as_they_are(connection: Connection[Any], targets: Targets, error: Exception) -> Targets:
    """The targets inspected again: a table may have been altered since the connection was made.

    Raises `error` where it is not about rows and the tables are unchanged.
    """
    if isinstance(error, pymysql.MySQLError) and errors.rule(error).verdict is not Verdict.STOP:
        raise error
    try:
        found = schema.describe(connection, targets.mapping)
    except KeyError:  # a table is gone, or its key column
        raise error from None
    connection.rollback()
    if isinstance(error, pymysql.MySQLError) and found == targets:
        raise error
    return found


def _without(histories: list[History], parked: Container[tuple[str, str]]) -> list[History]:
    left = ([change for change in history if _id(change) not in parked] for history in histories)
    return [history for history in left if history]


def _id(change: Change) -> tuple[str, str]:
    return change.key, change.version


def _leave(outcome: Outcome, contradicted: list[Change]) -> list[Change]:
    """Move the changes of `contradicted` whose key has a change in `outcome.left` there; return the others."""
    keys = {change.key for change in outcome.left}
    outcome.left = sorted([*outcome.left, *(c for c in contradicted if c.key in keys)], key=itemgetter(0, 1))
    return [change for change in contradicted if change.key not in keys]


def _require_plain_answers(connection: Connection[Any]) -> None:
    if connection.client_flag & CLIENT.FOUND_ROWS:
        raise ValueError("CLIENT_FOUND_ROWS makes the server's row counts wrong; connect without it")
    if getattr(connection, "server_status", 0) & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
        raise ValueError("sql_mode NO_BACKSLASH_ESCAPES changes what literals mean; connect without it")


def _rollback(connection: Connection[Any]) -> None:
    """Release locks at once. A connection that cannot roll back is closed, which does the same."""
    try:
        connection.rollback()
    except (pymysql.MySQLError, OSError):
        connection.close()


def _write_all(writer: Writer, histories: list[History], options: ApplyOptions) -> Outcome:
    """Write a batch of which no row is refused, as nearly always."""
    if options.every_change:
        outcome = Outcome()
        for layer in layers(histories):
            outcome.add(writer.write(layer))
    else:
        outcome = writer.write([history[0] if len(history) == 1 else newest(history) for history in histories])
        outcome.counts["superseded"] += sum(map(len, histories)) - len(histories)
    return outcome
