"""Two writers at once on the same keys: no deadlock, and every row is that of the true winner.

Each writer is a process. Both go through the same rounds in step. In a round each writes changes of most of the same
keys, with versions drawn at random, so that the winner differs from key to key. The control, `SELECT ... FOR UPDATE`
first, must come out wrong: otherwise the bench would not notice a wrong writer.
"""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.constants import ER

from common.changes import Change
from common.mysql import schema
from common.mysql.apply import apply
from common.mysql.sidecar import SIDECAR
from common.mysql.target import Targets
from common.records import parse_records
from scripts.bench.baselines import select_for_update
from scripts.bench.orders import new_keys, records, removals, to_event
from scripts.bench.results import Row
from scripts.bench.server import MAPPING, ORDER, UNSPLIT, Bench, Endpoint, Server

WRITERS = 2
ROUNDS = 40
KEYS_PER_ROUND = 200
CHANGED = 160  # of a round's keys, by each writer
ONE_DELETE_IN = 10
CONTROL_ATTEMPTS = 5
BARRIER_SECONDS = 120
ISOLATION = ("READ COMMITTED", "REPEATABLE READ")

Write = Callable[[Any, Targets, list[Change]], object]  # the connection first
Round = list[list[Change]]  # a batch for each writer


@dataclass(frozen=True)
class Result:
    conflicts: int  # deadlocks and lock timeouts
    wrong: int
    keys: int


def rows(bench: Bench) -> Iterator[Row]:
    for isolation in ISOLATION:
        keys = new_keys(ROUNDS * KEYS_PER_ROUND)
        yield _guarded("new", isolation, _write_rounds(bench.server, isolation, _apply, _rounds(keys)))
        random.shuffle(keys)
        yield _guarded("known", isolation, _write_rounds(bench.server, isolation, _apply, _rounds(keys)))
    yield _control(bench.server)


def _apply(connection: pymysql.Connection[Any], targets: Targets, batch: list[Change]) -> object:
    return apply(connection, targets, batch, statement_bytes=UNSPLIT)


def _guarded(kind: str, isolation: str, result: Result) -> Row:
    figure = f"{result.conflicts} deadlocks, {result.wrong} of {result.keys} rows wrong"
    met = not result.conflicts and not result.wrong
    return Row(f"two writers, {isolation}, {kind} keys", figure, "no deadlock, no wrong row", met)


def _control(server: Server) -> Row:
    """Upserts only: rows that it fails to delete are not the error looked for.

    It goes wrong by chance, nearly always, hence the attempts.
    """
    result = Result(0, 0, 0)
    for _ in range(CONTROL_ATTEMPTS):
        rounds = _rounds(new_keys(ROUNDS * KEYS_PER_ROUND), one_delete_in=None)
        result = _write_rounds(server, "READ COMMITTED", select_for_update, rounds)
        if result.wrong:
            break
    figure = f"{result.wrong} of {result.keys} rows wrong"
    return Row("control: SELECT ... FOR UPDATE, READ COMMITTED, new keys", figure, "wrong rows", result.wrong > 0)


def _rounds(keys: list[str], one_delete_in: int | None = ONE_DELETE_IN) -> list[Round]:
    starts = range(0, len(keys), KEYS_PER_ROUND)
    return [_round(keys[start : start + KEYS_PER_ROUND], one_delete_in) for start in starts]


def _round(keys: list[str], one_delete_in: int | None) -> Round:
    owned = [(writer, key) for writer in range(WRITERS) for key in random.sample(keys, CHANGED)]
    random.shuffle(owned)  # later ones are newer
    made = []
    for i, (_, key) in enumerate(owned):
        made += removals([key]) if one_delete_in and i % one_delete_in == 0 else records([key])
    decoded = parse_records(to_event(made)["Records"], MAPPING).changes
    return [
        [change for (owner, _), change in zip(owned, decoded, strict=True) if owner == writer]
        for writer in range(WRITERS)
    ]


def _write_rounds(server: Server, isolation: str, write: Write, rounds: list[Round]) -> Result:
    forked = multiprocessing.get_context("fork")
    barrier = forked.Barrier(WRITERS)
    with ProcessPoolExecutor(WRITERS, forked, initializer=_set_barrier, initargs=(barrier,)) as pool:
        batches = zip(*rounds, strict=True)
        writers = [pool.submit(_writer, server.endpoint, isolation, write, list(own)) for own in batches]
        conflicts = sum(writer.result() for writer in writers)
    return _compare(server, conflicts, rounds)


_barrier: Any = None


def _set_barrier(barrier: Any) -> None:
    global _barrier  # noqa: PLW0603 - a barrier reaches another process by inheritance only
    _barrier = barrier


def _writer(endpoint: Endpoint, isolation: str, write: Write, batches: list[list[Change]]) -> int:
    """The number of conflicts. After each the writer tries again, as the consumer does."""
    conflicts = 0
    with endpoint.connect(init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}") as connection:
        targets = schema.inspect(connection, MAPPING)
        connection.rollback()
        for batch in batches:
            _barrier.wait(BARRIER_SECONDS)
            while not _written(write, connection, targets, batch):
                conflicts += 1
    return conflicts


def _written(write: Write, connection: Any, targets: Targets, batch: list[Change]) -> bool:
    try:
        write(connection, targets, batch)
    except pymysql.MySQLError as error:
        if error.args[0] not in (ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT):
            raise
        connection.rollback()
        return False
    return True


def _compare(server: Server, conflicts: int, rounds: list[Round]) -> Result:
    """Every row of both tables with the newest change of its key."""
    changes = [change for batches in rounds for batch in batches for change in batch]
    winners = {change.key_values[0]: change for change in sorted(changes, key=lambda change: change.version)}
    with server.endpoint.connect() as connection, connection.cursor() as cursor:
        keys = list(winners)
        marks = ",".join(["%s"] * len(keys))
        cursor.execute(f"SELECT * FROM {ORDER.table} WHERE order_id IN ({marks})", keys)
        orders = {row[0]: row for row in cursor.fetchall()}
        cursor.execute(f"SELECT item_key, version FROM {SIDECAR} WHERE item_key IN ({marks})", keys)
        versions = dict(cursor.fetchall())
    wrong = sum(orders.get(key) != won.row or versions.get(key) != won.version for key, won in winners.items())
    return Result(conflicts, wrong, len(winners))
