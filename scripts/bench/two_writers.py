"""Two writers at once on the same keys: no deadlock, and every row that of the true winner.

Each writer is a process. Both go through the same rounds in step; in a round each writes changes of most of the
same keys, with versions drawn at random, so who is right differs from key to key. A control does the obvious
instead, `SELECT ... FOR UPDATE` first, and must come out wrong: else the bench would not notice a writer that is.
"""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pymysql
from pymysql.constants import ER

from common.changes import Change, read
from common.mysql import schema
from common.mysql.apply import apply
from common.mysql.sidecar import SIDECAR
from common.mysql.target import Target
from scripts.bench import obvious
from scripts.bench.orders import delivered, new_keys, records, removals
from scripts.bench.rows import Row
from scripts.bench.server import TABLE, UNSPLIT, Server, Where

WRITERS = 2
ROUNDS = 40
KEYS_PER_ROUND = 200
CHANGED = 160  # of a round's keys, by each writer
ONE_DELETE_IN = 10
CONTROL_ATTEMPTS = 5
PATIENCE = 120
ISOLATION = ("READ COMMITTED", "REPEATABLE READ")

Write = Callable[..., object]
Round = list[list[Change]]  # a batch for each writer


@dataclass(frozen=True)
class Result:
    conflicts: int  # deadlocks and lock timeouts
    wrong: int
    keys: int


def rows(server: Server) -> Iterator[Row]:
    write = partial(apply, statement_bytes=UNSPLIT)
    for isolation in ISOLATION:
        keys = new_keys(ROUNDS * KEYS_PER_ROUND)
        yield _guarded("new", isolation, _together(server, isolation, write, [_round(k) for k in _parts(keys)]))
        random.shuffle(keys)
        yield _guarded("known", isolation, _together(server, isolation, write, [_round(k) for k in _parts(keys)]))
    yield _control(server)


def _guarded(kind: str, isolation: str, result: Result) -> Row:
    figure = f"{result.conflicts} deadlocks, {result.wrong} of {result.keys} rows wrong"
    met = not result.conflicts and not result.wrong
    return Row(f"two writers, {isolation}, {kind} keys", figure, "no deadlock, no wrong row", met)


def _control(server: Server) -> Row:
    """Upserts only: a row that it forgets to delete is not the mistake that is looked for. That it goes wrong
    is chance, though nearly certain, hence the attempts."""
    result = Result(0, 0, 0)
    for _ in range(CONTROL_ATTEMPTS):
        rounds = [_round(keys, one_delete_in=None) for keys in _parts(new_keys(ROUNDS * KEYS_PER_ROUND))]
        result = _together(server, "READ COMMITTED", obvious.write, rounds)
        if result.wrong:
            break
    figure = f"{result.wrong} of {result.keys} rows wrong"
    return Row("control: SELECT ... FOR UPDATE, READ COMMITTED, new keys", figure, "wrong rows", result.wrong > 0)


def _parts(keys: list[str]) -> list[list[str]]:
    return [keys[i : i + KEYS_PER_ROUND] for i in range(0, len(keys), KEYS_PER_ROUND)]


def _round(keys: list[str], one_delete_in: int | None = ONE_DELETE_IN) -> Round:
    owned = [(writer, key) for writer in range(WRITERS) for key in random.sample(keys, CHANGED)]
    random.shuffle(owned)  # later ones are newer
    made = []
    for i, (_, key) in enumerate(owned):
        made += removals([key]) if one_delete_in and i % one_delete_in == 0 else records([key])
    decoded = read(delivered(made)["Records"], TABLE).changes
    return [
        [change for (owner, _), change in zip(owned, decoded, strict=True) if owner == writer]
        for writer in range(WRITERS)
    ]


def _together(server: Server, isolation: str, write: Write, rounds: list[Round]) -> Result:
    forked = multiprocessing.get_context("fork")
    step = forked.Barrier(WRITERS)
    with ProcessPoolExecutor(WRITERS, forked, initializer=_set_step, initargs=(step,)) as pool:
        batches = zip(*rounds, strict=True)
        writers = [pool.submit(_writer, server.where, isolation, write, list(own)) for own in batches]
        conflicts = sum(writer.result() for writer in writers)
    return _judge(server, conflicts, rounds)


_step: Any = None


def _set_step(step: Any) -> None:
    global _step  # noqa: PLW0603 - a barrier reaches another process by inheritance only
    _step = step


def _writer(where: Where, isolation: str, write: Write, batches: list[list[Change]]) -> int:
    """How many conflicts it met; after each it tries again, as the consumer does."""
    conflicts = 0
    with where.connect(init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}") as connection:
        target = schema.inspect(connection, TABLE)
        connection.rollback()
        for batch in batches:
            _step.wait(PATIENCE)
            while not _written(write, connection, target, batch):
                conflicts += 1
    return conflicts


def _written(write: Write, connection: Any, target: Target, batch: list[Change]) -> bool:
    try:
        write(connection, target, batch)
    except pymysql.MySQLError as error:
        if error.args[0] not in (ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT):
            raise
        connection.rollback()
        return False
    return True


def _judge(server: Server, conflicts: int, rounds: list[Round]) -> Result:
    """Every row of both tables against the newest change of its key."""
    everything = [change for both in rounds for batch in both for change in batch]
    winners = {change.key: change for change in sorted(everything, key=lambda change: change.version)}
    with server.where.connect() as connection, connection.cursor() as cursor:
        keys = list(winners)
        marks = ",".join(["%s"] * len(keys))
        cursor.execute(f"SELECT * FROM {TABLE.name} WHERE order_id IN ({marks})", keys)
        orders = {row[0]: row for row in cursor.fetchall()}
        cursor.execute(f"SELECT item_key, version FROM {SIDECAR} WHERE item_key IN ({marks})", keys)
        versions = dict(cursor.fetchall())
    wrong = sum(orders.get(key) != won.row or versions.get(key) != won.version for key, won in winners.items())
    return Result(conflicts, wrong, len(winners))
