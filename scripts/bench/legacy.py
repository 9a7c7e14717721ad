"""Tables as legacy databases have them: the writer's rate on one, and the cost of refused rows.

The hostile table has a surrogate AUTO_INCREMENT key, a case-insensitive unique business key, a second unique key, a
foreign key, an ENUM, a CHECK, and triggers that write an audit table. It is compared with a plain table of as many
rows, in statements of 15,000 bytes and unsplit. Refused rows are measured 1 ms away, as each costs round trips.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from statistics import median
from typing import Any

import pymysql

from common.changes import Change
from common.mysql import schema
from common.mysql.apply import apply
from common.mysql.target import Targets
from scripts.bench.delay_proxy import delayed
from scripts.bench.orders import changes, new_keys
from scripts.bench.results import Row, at_least, at_most, information
from scripts.bench.server import MAPPING, ORDER, SPLIT, UNSPLIT, Bench, Endpoint, Server
from scripts.bench.timing import interleaved

KNOWN, COUNT, REPETITIONS = 20_000, 1_000, 25
ROUND_TRIP = 0.001
POISON_REPETITIONS = 5

HOSTILE = (
    "CREATE TABLE merchants (id VARCHAR(64) NOT NULL PRIMARY KEY) ENGINE=InnoDB CHARSET=utf8mb4",
    "INSERT INTO merchants VALUES " + ",".join(f"('merchant-{i}')" for i in range(1000)),
    """CREATE TABLE tbl_orders (
      id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
      order_id VARCHAR(64) CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci NOT NULL, UNIQUE KEY (order_id),
      merchant_id VARCHAR(64) NOT NULL, FOREIGN KEY (merchant_id) REFERENCES merchants (id),
      amount DECIMAL(19,4) NOT NULL, CHECK (amount >= 0),
      currency VARCHAR(3) NOT NULL,
      status ENUM('NEW', 'PAID', 'SHIPPED') NOT NULL,
      created_at BIGINT NULL, UNIQUE KEY (created_at),
      updated_at BIGINT NOT NULL,
      note VARCHAR(80) NULL
    ) ENGINE=InnoDB CHARSET=utf8mb4""",
    "CREATE TABLE audit (id BIGINT AUTO_INCREMENT PRIMARY KEY, event VARCHAR(6), order_id VARCHAR(64)) ENGINE=InnoDB",
    "CREATE TRIGGER keep BEFORE UPDATE ON tbl_orders FOR EACH ROW SET NEW.order_id = OLD.order_id",
    "CREATE TRIGGER log AFTER UPDATE ON tbl_orders FOR EACH ROW INSERT INTO audit (event) VALUES ('update')",
)
# A column's change, and the value that it refuses. The server names the row; it does not; the row is not sent.
REFUSALS: dict[str, tuple[str, Callable[[Change], Change]]] = {
    "out of range": ("MODIFY amount DECIMAL(12,4) NOT NULL", lambda c: _replace(c, "amount", Decimal(10**9))),
    "by a CHECK": ("ADD CHECK (amount >= 0)", lambda c: _replace(c, "amount", Decimal(-1))),
    "not in the ENUM": ("MODIFY status ENUM('NEW','PAID','SHIPPED') NOT NULL", lambda c: _replace(c, "status", "LOST")),
}
_PLACES = {column.name: i for i, column in enumerate(ORDER.columns)}


def rows(bench: Bench) -> Iterator[Row]:
    yield from _hostile(bench.server)
    for number, (kind, (alter, poison)) in enumerate(REFUSALS.items()):
        endpoint = _table(bench.server, f"refused_{number}")
        yield from _refused(endpoint, kind, alter, poison)


def _hostile(server: Server) -> Iterator[Row]:
    plain, hostile = _table(server, "plain"), _table(server, "hostile", *HOSTILE)
    keys = {name: _fill(endpoint) for name, endpoint in (("plain", plain), ("hostile", hostile))}
    for limit, what in ((UNSPLIT, ""), (SPLIT, f"  the same in statements of {SPLIT:,} bytes")):
        with plain.connect() as one, hostile.connect() as other:
            variants = {
                name: partial(_write, connection, schema.inspect(connection, MAPPING), keys[name], limit)
                for name, connection in (("plain", one), ("hostile", other))
            }
            seconds = interleaved(variants, REPETITIONS)
        ratio, rate = seconds["plain"] / seconds["hostile"], f"{COUNT / seconds['hostile']:,.0f} records/s"
        if what:
            yield information(what, f"{ratio:.2f} ({rate})")
        else:
            yield at_least(f"{COUNT} known keys of a hostile table, of the plain table's rate", ratio, 0.6, note=rate)


def _write(connection: pymysql.Connection[Any], targets: Targets, keys: list[str], limit: int) -> Callable[[], object]:
    given = _with_fixed_columns(changes(MAPPING, random.sample(keys, COUNT)))
    return partial(apply, connection, targets, given, statement_bytes=limit)


def _refused(endpoint: Endpoint, kind: str, alter: str, poison: Callable[[Change], Change]) -> Iterator[Row]:
    keys = _fill(endpoint)[:COUNT]
    with endpoint.connect() as admin:
        admin.query(f"ALTER TABLE tbl_orders {alter}")
    with delayed(endpoint, ROUND_TRIP) as distant, distant.connect() as connection:
        targets = schema.describe(connection, MAPPING)
        connection.rollback()

        def measure(refused: int) -> float:
            given = changes(MAPPING, keys)
            step = COUNT // refused if refused else COUNT + 1
            given = [poison(change) if i % step == step - 1 else change for i, change in enumerate(given)]
            started = time.perf_counter()
            outcome = apply(connection, targets, given, statement_bytes=SPLIT)
            taken = time.perf_counter() - started
            if len(outcome.parked) != refused:
                raise AssertionError(f"{len(outcome.parked)} parked, {refused} expected")
            return taken

        clean, some, everything = (
            median(measure(refused) for _ in range(POISON_REPETITIONS)) for refused in (0, 10, COUNT)
        )
    yield at_most(f"{COUNT} of {COUNT} rows refused, {kind}, 1 ms away", everything, 5, " s")
    bound = 2 * clean + 0.1
    yield at_most(
        f"10 of {COUNT} rows refused, {kind}, 1 ms away: of two clean batches and 100 ms",
        some / bound,
        1,
        note=f"{1000 * some:.0f} ms, clean {1000 * clean:.0f} ms",
    )


def _table(server: Server, name: str, *statements: str) -> Endpoint:
    endpoint = server.empty_database(name)
    if statements:
        with endpoint.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE tbl_orders")
            for statement in statements:
                cursor.execute(statement)
    return endpoint


def _fill(endpoint: Endpoint) -> list[str]:
    keys = new_keys(KNOWN)
    with endpoint.connect() as connection:
        targets = schema.inspect(connection, MAPPING)
        for start in range(0, KNOWN, 5_000):
            apply(
                connection,
                targets,
                _with_fixed_columns(changes(MAPPING, keys[start : start + 5_000])),
                statement_bytes=UNSPLIT,
            )
    return keys


def _with_fixed_columns(given: list[Change]) -> list[Change]:
    """The merchant and the creation time of an order never change. The latter is the second unique key."""
    keys = (str(change.key_values[0]) for change in given)
    numbers = (int(key[:8] + key[9:13], 16) for key in keys)
    return [
        _replace(_replace(change, "created_at", number), "merchant_id", f"merchant-{number % 1000}")
        for change, number in zip(given, numbers, strict=True)
    ]


def _replace(change: Change, column: str, value: object) -> Change:
    row = list(change.row or ())
    row[_PLACES[column]] = value  # type: ignore[call-overload]
    return change._replace(row=tuple(row))
