"""The only writer. `apply()` alone decides what is written to MySQL.

How it stays right, whatever order changes come in and whoever else writes:

1. One multi-row upsert of the sidecar `replication_versions`, keys sorted, keeps the newer version of each key
   and stamps the rows it won with this call's token. It locks every key, new ones too, until the commit.
   (`SELECT ... FOR UPDATE` first would lock nothing for a key that does not exist yet.)
2. The server's answer says whether every row won. Only if not, the rows are read back: the token tells a winner
   from a redelivery of the same version, the stored version a stale change.
3. Winners only: one multi-row upsert of the target, then one delete.
4. Commit. A loser at step 1 is a change somebody has applied already, or a newer one superseded.

A deleted key keeps its sidecar row, the tombstone, so that a late upsert cannot bring it back.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, ER, SERVER_STATUS

from common import errors
from common.changes import Change, Kind, Parked
from common.sql import chunks, literal, tuples
from common.target import CLAIM_HEAD, CLAIM_TAIL, READ_HEAD, READ_TAIL, Target

# The stream's clock has steps of one second: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html
CLOCK_SLACK_SECONDS = 2
_PACKET_OVERHEAD = 16
CLOCK_REASON = "older by version than what was applied, yet later by the stream's clock"


@dataclass
class Outcome:
    """What became of every change, by name: `upserted`, `deleted`, `stale`, `redelivered`, `superseded`
    (a later change of the same key in the same call took its place); those parked are listed whole.

    `left` holds the changes that were neither, as time ran out: all changes of the last keys, in key order.
    Everything else is committed.
    """

    counts: Counter[str] = field(default_factory=Counter)
    parked: list[Parked] = field(default_factory=list)
    left: list[Change] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.counts += other.counts
        self.parked += other.parked


def apply(
    connection: Connection[Any],
    target: Target,
    changes: Iterable[Change],
    *,
    statement_bytes: int = 15_000,
    every_change: bool = False,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Write `changes` in one transaction and commit it; calling again with the same changes writes nothing.

    Changes of one key take effect in the order of their versions; unless `every_change`, only the last of each
    key is written. A change that can never be written is returned in `parked`, the last good one before it is
    written in its place, and the rest is committed. `statement_bytes` bounds the text of a statement.

    Raises pymysql.MySQLError or OSError for anything but poison rows, with nothing written.
    """
    _demand(connection)
    histories, repeats, tripped = _histories(changes)
    writer = _Writer(connection, target, statement_bytes)
    try:
        try:
            outcome = _write_all(writer, histories, every_change=every_change)
        except pymysql.MySQLError as error:
            if errors.rule(error).verdict is not errors.Verdict.POISON:
                raise
            connection.rollback()
            outcome = _write_around_poison(writer, histories, every_change=every_change)
        connection.commit()
        outcome.parked += tripped
        outcome.counts["redelivered"] += repeats
        outcome.counts = +outcome.counts
    except BaseException:
        _rollback(connection)
        raise
    return outcome


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


def _histories(changes: Iterable[Change]) -> tuple[list[History], int, list[Parked]]:
    """The history of each key; how many changes repeated a version; what the clock contradicts.

    Sorted by key, as writers that lock keys in one order never deadlock.
    """
    changes = list(changes)
    if len({change.key for change in changes}) == len(changes):  # nearly every batch
        return [[change] for change in sorted(changes, key=itemgetter(0))], 0, []
    histories: list[History] = []
    parked: list[Parked] = []
    repeats = 0
    ordered = sorted(changes, key=itemgetter(0, 1))  # key, version
    for _, same_key in groupby(ordered, key=itemgetter(0)):
        given = list(same_key)
        if len(given) == 1:
            histories.append(given)
            continue
        distinct = list({change.version: change for change in given}.values())
        repeats += len(given) - len(distinct)
        tripped = _out_of_time(distinct)
        parked += map(_tripped, tripped)
        histories.append([change for change in distinct if change not in tripped])
    return histories, repeats, parked


def _out_of_time(changes: list[Change]) -> list[Change]:
    """Those that a change with a newer version precedes by the clock."""
    earliest, tripped = changes[-1].source_time, []
    for change in reversed(changes):
        if change.source_time > earliest + CLOCK_SLACK_SECONDS:
            tripped.append(change)
        earliest = min(earliest, change.source_time)
    return tripped


def _write_all(writer: _Writer, histories: list[History], *, every_change: bool) -> Outcome:
    """The way nearly every batch goes: nothing in it is poison."""
    if every_change:
        outcome = Outcome()
        for layer in _layers(histories):
            outcome.add(writer.write(layer))
    else:
        outcome = writer.write([history[-1] for history in histories])
        outcome.counts["superseded"] += sum(map(len, histories)) - len(histories)
    return outcome


def _layers(histories: list[History]) -> Iterator[list[Change]]:
    """The first change of every key, then the second of those that have one, and so on."""
    depth = max(map(len, histories), default=0)
    for i in range(depth):
        yield [history[i] for history in histories if i < len(history)]


def _write_around_poison(writer: _Writer, histories: list[History], *, every_change: bool) -> Outcome:
    """Find the poison rows and write the rest. Their keys fall back to the newest good change before them.

    A unique value may be freed by another change of the same batch, so the rejected get another turn as long as
    that gets one of them through.
    """
    outcome = Outcome()
    write = _write_each if every_change else _write_newest
    rejected = write(writer, histories, outcome)
    while rejected:
        again = write(writer, _histories(change for change, _ in rejected)[0], outcome)
        if len(again) == len(rejected):
            break
        rejected = again
    outcome.parked += [writer.park(change, error) for change, error in rejected]
    return outcome


def _write_newest(writer: _Writer, histories: list[History], outcome: Outcome) -> Rejected:
    """The newest good change of every key; gives back the newer ones that were rejected."""
    remaining = {history[-1].key: list(history) for history in histories}
    rejected: Rejected = []
    turn = list(remaining)
    while turn:
        refused = _bisect(writer, [remaining[key].pop() for key in turn], outcome)
        rejected += refused
        turn = [change.key for change, _ in refused if remaining[change.key]]
    outcome.counts["superseded"] += sum(len(left) for left in remaining.values())
    return rejected


def _write_each(writer: _Writer, histories: list[History], outcome: Outcome) -> Rejected:
    """Every good change of every key; gives back the rejected that no later one of their key has superseded."""
    rejected: Rejected = []
    for layer in _layers(histories):
        refused = _bisect(writer, layer, outcome)
        keys = {change.key for change in layer} - {change.key for change, _ in refused}
        outcome.parked += [writer.park(change, error) for change, error in rejected if change.key in keys]
        rejected = [(change, error) for change, error in rejected if change.key not in keys] + refused
    return rejected


Rejected = list[tuple[Change, pymysql.MySQLError]]


def _bisect(writer: _Writer, changes: list[Change], outcome: Outcome) -> Rejected:
    """Write halves of halves, each behind a savepoint; a single change that fails is rejected."""
    if not changes:
        return []
    error = writer.try_write(changes, outcome)
    if error is None:
        return []
    if len(changes) == 1:
        return [(changes[0], error)]
    middle = len(changes) // 2
    return _bisect(writer, changes[:middle], outcome) + _bisect(writer, changes[middle:], outcome)


class _Writer:
    """Writes changes with distinct, sorted keys inside the open transaction of `connection`."""

    def __init__(self, connection: Connection[Any], target: Target, statement_bytes: int) -> None:
        self.connection, self.target = connection, target
        self.limit = min(statement_bytes, target.packet_bytes - _PACKET_OVERHEAD)

    def try_write(self, changes: list[Change], outcome: Outcome) -> pymysql.MySQLError | None:
        """Write all of `changes` and count them, or, if one is poison, none, and return the error."""
        self.connection.query("SAVEPOINT changes")
        try:
            outcome.add(self.write(changes))
        except pymysql.MySQLError as error:
            if errors.rule(error).verdict is not errors.Verdict.POISON:
                raise
            self.connection.query("ROLLBACK TO SAVEPOINT changes")
            return error
        return None

    def write(self, changes: Sequence[Change]) -> Outcome:
        if not changes:
            return Outcome()
        winners, outcome = self._claim(changes)
        target = self.target
        upserts = tuples(zip(*(change.row for change in winners if change.row is not None), strict=True))
        for statement, _ in chunks(target.upsert_head, upserts, target.upsert_tail, self.limit):
            self._refuse_too_large(statement)
            self.connection.query(statement)
        deletes = [target.delete_item(change.key) for change in winners if change.row is None]
        for statement, _ in chunks(
            target.delete_head, deletes, target.delete_tail, self.limit, target.delete_separator
        ):
            self.connection.query(statement)
        outcome.counts["upserted"] += len(upserts)
        outcome.counts["deleted"] += len(deletes)
        return outcome

    def _refuse_too_large(self, statement: str) -> None:
        """As the server would, but it cuts the connection too, which looks like an outage that never ends."""
        room = self.target.packet_bytes - _PACKET_OVERHEAD
        if len(statement) > room // 4 and len(statement.encode()) > room:
            raise pymysql.OperationalError(ER.NET_PACKET_TOO_LARGE, "a row is larger than max_allowed_packet")

    def _claim(self, changes: Sequence[Change]) -> tuple[Sequence[Change], Outcome]:
        """Take the version of every key that is newer than what the sidecar holds; the rest has lost."""
        # 32 bits are plenty: a redelivery that met an equal token by chance would be written again, no more.
        token = secrets.randbits(32)
        keys, versions, rows, source_times, _ = zip(*changes, strict=True)
        deleted = [int(row is None) for row in rows]
        claims = tuples((keys, deleted, source_times, [token] * len(keys), versions))
        winners: list[Change] = []
        outcome = Outcome()
        for statement, part in chunks(CLAIM_HEAD, claims, CLAIM_TAIL, self.limit):
            claimed = changes[part]
            affected = self.connection.query(statement)
            if _all_won(affected, len(claimed), self._info()):
                winners += claimed
            else:
                winners += self._read_back(claimed, token, outcome)
        return winners, outcome

    def _info(self) -> str:
        """`Records: 3  Duplicates: 1  Warnings: 0`, or nothing for one row. The driver has no public name for it."""
        message = getattr(getattr(self.connection, "_result", None), "message", None) or b""
        return message.decode("ascii", "replace") if isinstance(message, bytes) else str(message)

    def _read_back(self, changes: Sequence[Change], token: int, outcome: Outcome) -> list[Change]:
        """The winners among `changes`; counts the redelivered and the stale, parks what trips the clock."""
        stored: dict[str, tuple[str, int, int]] = {}
        with self.connection.cursor() as cursor:
            for statement, _ in chunks(READ_HEAD, [literal(change.key) for change in changes], READ_TAIL, self.limit):
                cursor.execute(statement)
                stored.update((key, rest) for key, *rest in cursor.fetchall())
        winners = []
        for change in changes:
            version, source_time, winner = stored[change.key]
            if winner == token and version == change.version:
                winners.append(change)
            elif version == change.version:
                outcome.counts["redelivered"] += 1
            elif change.source_time > source_time + CLOCK_SLACK_SECONDS:
                outcome.parked.append(_tripped(change))
            else:
                outcome.counts["stale"] += 1
        return winners

    def park(self, change: Change, error: pymysql.MySQLError) -> Parked:
        """`change` with the server's reason: error name, column and unique key, but no value."""
        errno = errors.number(error)
        message = str(error.args[-1])
        columns = [column.name for column in self.target.table.columns if re.search(rf"\b{column.name}['`]", message)]
        guard = errno == ER.BAD_NULL_ERROR and self.target.guarded and self.target.table.key.name in columns
        if guard or errno == ER.DUP_ENTRY:
            keys = ", ".join(self.target.other_unique_keys) or "its key, but for upper and lower case"
            reason, hint = f"another row holds the same value of {keys}", errors.RULES[ER.DUP_ENTRY].hint
        else:
            on = f" on column {', '.join(columns)}" if columns else ""
            reason, hint = f"MySQL error {errno} ({_NAMES.get(errno or 0, 'unknown')}){on}", errors.rule(error).hint
        kind = Kind.DEFERRED if guard or errno in _WAITS_FOR_A_ROW else Kind.POISON
        return Parked(change.key, change.version, reason, hint, errno, change.record, kind)


_WAITS_FOR_A_ROW = (1062, 1216, 1217, 1451, 1452)
_NAMES = {number: name for name, number in vars(ER).items() if isinstance(number, int)}


def _all_won(affected: int, rows: int, info: str) -> bool:
    """Whether every row of a claim was inserted or changed, by the server's own count.

    An insert affects one row, a change two, a loser none, and `Duplicates` counts the changes: so affected less
    Duplicates is the number of winners. One row has no info string. No answer counts as no.
    Source: sql/sql_insert.cc; https://dev.mysql.com/doc/c-api/8.4/en/mysql-info.html
    """
    if rows == 1:
        return affected > 0
    match = re.search(r"Duplicates: (\d+)", info)
    return bool(match) and affected - int(match[1]) == rows  # type: ignore[index]


def _tripped(change: Change) -> Parked:
    return Parked(
        change.key,
        change.version,
        CLOCK_REASON,
        "compare the item with its row; if the row is wrong, touch the item so that a new version is written",
        None,
        change.record,
    )
