"""The only writer. `apply()` alone decides what is written to MySQL.

How it stays right, whatever order changes come in and whoever else writes:

1. One multi-row upsert of the sidecar `replication_versions`, keys sorted, keeps the newer version of each key
   and stamps the rows it won with this call's token. It locks every key, new ones too, until the commit.
   (`SELECT ... FOR UPDATE` first would lock nothing for a key that does not exist yet.)
2. The server's answer says whether every row won. Only if not, the rows are read back: the token tells a winner
   from a redelivery of the same version, the stored version a stale change.
3. Winners only: one delete, one update of the rows that are there, one insert of those that are not. The same answer
   says which are which: a key that the sidecar had has its row, a new one has none. Where it was wrong, the update
   matches fewer rows or the insert meets one, and the rows are looked up.
4. Commit. A loser at step 1 is a change somebody has applied already, or a newer one superseded.

`INSERT ... ON DUPLICATE KEY UPDATE` of the target would be one statement for both, and wrong: it decides by whatever
unique key it meets, so it can hit the row of another key; it takes an AUTO_INCREMENT number for each update, and fires
insert triggers for them. Triggers are hidden from a user without the TRIGGER privilege, so no look at the table can
tell where it would be safe. https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html

A deleted key keeps its sidecar row, the tombstone, so that a late upsert cannot bring it back. When the server refuses
a row, sift.py finds it and writes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, SERVER_STATUS

from common.changes import Change
from common.mysql import errors, schema, sift
from common.mysql.target import Target
from common.mysql.writer import CLOCK_REASON, CLOCK_SLACK_SECONDS, Outcome, RefusedError, Writer, layers, tripped

__all__ = ["CLOCK_REASON", "CLOCK_SLACK_SECONDS", "Outcome", "apply"]


def apply(  # noqa: PLR0913 - what differs between its callers
    connection: Connection[Any],
    target: Target,
    changes: Iterable[Change],
    *,
    statement_bytes: int = 15_000,
    every_change: bool = False,
    out_of_time: Callable[[], bool] = lambda: False,
    parked_before: Callable[[], Container[tuple[str, str]]] = frozenset,
    was_parked: Callable[[Change], bool] = lambda _: False,
) -> Outcome:
    """Write `changes` in one transaction and commit it; calling again with the same changes writes nothing.

    Changes of one key take effect in the order of their versions; unless `every_change`, only the last of each
    key is written. A change that cannot be written is returned in `parked`, the last good one before it is
    written in its place, and the rest is committed. `statement_bytes` bounds the text of a statement.

    Only where rows are refused, `out_of_time` is asked after each statement; what is not done then is in `left`, and
    changes whose (key, version) are in `parked_before`, by an earlier call that ran out of time, are passed over.
    An unknown error on a change that `was_parked` is its own: that was decided when it was parked.

    Raises pymysql.MySQLError or OSError for anything that is not about single rows, with nothing written.
    """
    _demand(connection)
    histories, repeats, contradicted = _histories(changes)
    try:
        try:
            outcome = _write_all(Writer(connection, target, statement_bytes), histories, every_change=every_change)
        except (RefusedError, pymysql.MySQLError) as error:
            connection.rollback()
            target = _as_it_is(connection, target, error)
            known = parked_before()
            outcome = sift.write(
                Writer(connection, target, statement_bytes),
                _without(histories, known),
                every_change=every_change,
                out_of_time=out_of_time,
                was_parked=was_parked,
            )
            contradicted = _leave(outcome, [one for one in contradicted if (one.key, one.version) not in known])
        connection.commit()
        outcome.parked += map(tripped, contradicted)
        outcome.counts["redelivered"] += repeats
        outcome.counts = +outcome.counts
    except BaseException:
        _rollback(connection)
        raise
    return outcome


def _as_it_is(connection: Connection[Any], target: Target, error: Exception) -> Target:
    """What refuses a row, or a whole statement, may have been altered since the connection was made.

    Raises `error` if it is not about rows, and the table is as it was.
    """
    if isinstance(error, pymysql.MySQLError) and errors.rule(error).verdict is not errors.Verdict.STOP:
        raise error
    try:
        found = schema.describe(connection, target.table)
    except KeyError:  # without its key column, or itself
        raise error from None
    connection.rollback()
    if isinstance(error, pymysql.MySQLError) and found == target:
        raise error
    return found


def _without(histories: list[History], parked: Container[tuple[str, str]]) -> list[History]:
    left = ([change for change in history if (change.key, change.version) not in parked] for history in histories)
    return [history for history in left if history]


def _leave(outcome: Outcome, contradicted: list[Change]) -> list[Change]:
    """All changes of a key are left, if any is: those of `contradicted` go there; gives back the others."""
    keys = {change.key for change in outcome.left}
    outcome.left = sorted([*outcome.left, *(c for c in contradicted if c.key in keys)], key=itemgetter(0, 1))
    return [change for change in contradicted if change.key not in keys]


def _demand(connection: Connection[Any]) -> None:
    if connection.client_flag & CLIENT.FOUND_ROWS:
        raise ValueError("CLIENT_FOUND_ROWS makes the server's row counts lie; connect without it")
    if getattr(connection, "server_status", 0) & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
        raise ValueError("sql_mode NO_BACKSLASH_ESCAPES changes what literals mean; connect without it")


def _rollback(connection: Connection[Any]) -> None:
    """Give locks back at once; a connection that cannot even do that is closed, which does the same."""
    try:
        connection.rollback()
    except (pymysql.MySQLError, OSError):
        connection.close()


# The distinct versions of one key, oldest first.
History = list[Change]


def _histories(changes: Iterable[Change]) -> tuple[list[History], int, list[Change]]:
    """The history of each key; how many changes repeated a version; what the clock contradicts.

    Sorted by key, as writers that lock keys in one order never deadlock.
    """
    changes = list(changes)
    if len({change.key for change in changes}) == len(changes):  # nearly every batch
        return [[change] for change in sorted(changes, key=itemgetter(0))], 0, []
    histories: list[History] = []
    all_contradicted: list[Change] = []
    repeats = 0
    ordered = sorted(changes, key=itemgetter(0, 1))  # key, version
    for _, same_key in groupby(ordered, key=itemgetter(0)):
        given = list(same_key)
        if len(given) == 1:
            histories.append(given)
            continue
        distinct = list({change.version: change for change in given}.values())
        repeats += len(given) - len(distinct)
        contradicted = _contradicted(distinct)
        all_contradicted += contradicted
        histories.append([change for change in distinct if change not in contradicted])
    return histories, repeats, all_contradicted


def _contradicted(changes: list[Change]) -> list[Change]:
    """Those that a change with a newer version precedes by the clock."""
    earliest, found = changes[-1].source_time, []
    for change in reversed(changes):
        if change.source_time > earliest + CLOCK_SLACK_SECONDS:
            found.append(change)
        earliest = min(earliest, change.source_time)
    return found


def _write_all(writer: Writer, histories: list[History], *, every_change: bool) -> Outcome:
    """The way nearly every batch goes: no row is refused."""
    if every_change:
        outcome = Outcome()
        for layer in layers(histories):
            outcome.add(writer.write(layer))
    else:
        outcome = writer.write([history[0] if len(history) == 1 else _newest(history) for history in histories])
        outcome.counts["superseded"] += sum(map(len, histories)) - len(histories)
    return outcome


def _newest(history: History) -> Change:
    """The row is as new as the first change of it."""
    newest = history[-1]
    return newest if newest.created == history[0].created else newest._replace(created=history[0].created)
