"""A replay in one process: real steps, a real database, and a driver that follows the state machine.

Everything that a Lambda calls goes through `Faults`, which can kill it before or after any call. What is killed is
dead: until `revive()`, all its calls fail, from any thread.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common import mapping
from common.bucket import Bucket
from common.changes import Change, Kind, Parked, Row
from common.database import ApplyOptions, StoredVersion
from common.layout import EXPIRED, FAILED, REPLAYED
from common.lock import Lock
from common.mapping import Action, Entity, Mapping
from common.mysql import registry, schema
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from common.quarantine import Quarantine, object_key
from common.records import Single, classifier
from common.stream_clock import source_time
from dlq_replayer.batches import parse_lean
from dlq_replayer.collect import Collector
from dlq_replayer.drain import Drainer
from dlq_replayer.hydrate import Hydrator
from dlq_replayer.replay import InputError, Replay
from dlq_replayer.steps import Steps
from tests.support import stock
from tests.support.aws import S3, SQS, Executions, LockTable, Streams
from tests.support.records import ARN, SOURCE, START, STREAM, TTL_IDENTITY, record
from tests.support.tables import Rows, Tables, order

BUCKET, QUEUE = "failures", "https://queue"
SHARD = "shardId-00000001573689847184-864758bb"
CHILD = "shardId-00000001573689847999-11111111"
STATE_LIMIT = 32 * 1024
_WAIT_SECONDS = 30
_MOST_CALLS = 2_000
_names = itertools.count(1)

Record = dict[str, Any]


class Killed(BaseException):
    """The execution environment is gone. No code catches it by mistake."""


class StoppedError(Exception):
    """Somebody stopped the execution, or its retries ran out."""


class ReplayClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 2, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def seconds(self) -> float:
        return self.time.timestamp()

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Faults:
    """Counts every call, and kills the process before or after one of them."""

    def __init__(self) -> None:
        self.calls = 0
        self.dead = False
        self._kill_at: dict[int, str] = {}
        self._lock = threading.Lock()

    def kill(self, call: int, moment: str = "before") -> None:
        """Die `before` or `after` the `call`-th call from now on."""
        self._kill_at[self.calls + call] = moment

    def spare(self) -> None:
        """Take back kills that are still to come."""
        self._kill_at.clear()

    def kill_none(self) -> None:
        """Forget the deaths that are still to come."""
        self._kill_at.clear()

    def revive(self) -> None:
        self.dead = False

    def call(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with self._lock:
            self.calls += 1
            moment = self._kill_at.pop(self.calls, None)
            self.dead = self.dead or moment == "before"
            if self.dead:
                raise Killed
        try:
            return work(*args, **options)
        finally:
            with self._lock:
                self.dead = self.dead or moment == "after"
                if self.dead:
                    raise Killed

    def watch(self, client: Any, *methods: str) -> Any:
        """`client`, killable at each of its methods, or at the named ones."""
        return _Mortal(self, client, methods)


class _Mortal:
    def __init__(self, faults: Faults, client: Any, methods: tuple[str, ...]) -> None:
        self._faults, self._client, self._methods = faults, client, methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name == "get_paginator":
            return lambda _: self
        if not callable(found) or (self._methods and name not in self._methods):
            return found
        return lambda *args, **options: self._faults.call(found, *args, **options)


class SwitchableServer:
    """Connection parameters of the test's server; while `down`, of a port that nothing listens on."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.down = False

    def connection(self, *, fresh: bool = False) -> str:
        port = 1 if self.down else self._server.port
        return json.dumps({"hostname": self._server.host, "port": port, "db": self._server.database, "driver": "mysql"})

    def credentials(self, *, fresh: bool = False) -> str:
        return json.dumps({"username": self._server.app.user, "password": self._server.app.password})


class LazyDatabase(MySQLDatabase):
    """A database that loses its connection while the server is down."""

    def __init__(self, server: SwitchableServer, ca_pem: str, declared: Mapping | None = None) -> None:
        self.server = server
        settings = MySQLSettings(param_name="p", secret_arn="s", ca_pem=ca_pem, connect_timeout=2)
        super().__init__(settings, server, declared or mapping.load(), source=SOURCE)
        self.before_execute: Callable[[str], None] = lambda _: None

    def execute(self, operation: str, work: Callable[..., Any]) -> Any:
        self.before_execute(operation)
        if self.server.down:
            self.drop()
        return super().execute(operation, work)


class RecordedMeter:
    """The sums of a replay's counts, and each value of its gauges."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.gauges: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def count(self, counts: AnyMapping[str, int]) -> None:
        with self._lock:
            self.counts.update(counts)

    def gauge(self, name: str, value: float, *, seconds: bool = False) -> None:
        self.gauges.setdefault(name, []).append(value)

    def progress(self, name: str, percent: float) -> None:
        self.gauges.setdefault(name, []).append(percent)


@dataclass(frozen=True)
class Dataset:
    """A mapping whose rows tell which change wrote them.

    `logged` holds, for each table, the SQL of the text of its key, and of the sequence of the change that wrote `NEW`.
    `make(stream, number, key, event)` makes a record of the `key`-th item.
    """

    mapping: Mapping
    logged: dict[str, tuple[str, str]]
    make: Callable[[int, int, int, str], Record]

    @property
    def names(self) -> list[str]:
        return [entity.table for entity in self.mapping.entities]

    def create(self, tables: Tables) -> None:
        """The tables of the mapping, and triggers that log what is written to them."""
        schema.create_missing(tables.admin, self.mapping)
        registry.register(tables.admin, self.mapping, SOURCE, STREAM.label)
        for table, (key, sequence) in self.logged.items():
            body = f"INSERT INTO target_log (item_key, seq) VALUES ({key}, {sequence})"
            # A flag is set without another sequence.
            if_newer = f"IF NOT {sequence} <=> {sequence.replace('NEW.', 'OLD.')} THEN {body}; END IF"
            tables.run(
                f"CREATE TRIGGER log_insert_{table} AFTER INSERT ON {table} FOR EACH ROW {body}",
                f"CREATE TRIGGER log_update_{table} AFTER UPDATE ON {table} FOR EACH ROW {if_newer}",
            )

    def outcomes(self, record: Record) -> list[Single]:
        """The outcome of a record for each entity that it concerns."""
        [outcome] = classifier(self.mapping)([record])
        return outcome if isinstance(outcome, list) else [outcome]


LATER_ARN = ARN.replace("2026-01-31", "2026-02-01")  # the table's stream, switched off and on again


def _order_record(stream: int, number: int, key: int, event: str) -> Record:
    """The clock grows with the sequence, and from the first stream to the second."""
    at = stream * 100 + number
    time = START + at  # unique, as the column may be
    values = {"amount": str(at), "created_at": time, "updated_at": time}
    return record("abcdef"[key], number, event, arn=[ARN, LATER_ARN][stream], time=time, **values)


def _stock_record(stream: int, number: int, key: int, event: str) -> Record:
    """An item becomes another kind with many of its changes, and every other removal is an expiry."""
    at, kind = stream * 100 + number, stock.KINDS[(number * 7 + stream + key) % 3]
    options: dict[str, Any] = {"arn": [ARN, LATER_ARN][stream], "time": START + at}
    if event == "REMOVE" and number % 2:
        options["identity"] = TTL_IDENTITY
    return stock.stock_record(stock.KEYS[key % len(stock.KEYS)], number, event, kind, **options)


# `updated_at` carries the sequence of a change, see `change()`.
_ORDERS_LOGGED = {"tbl_orders": ("CONCAT('order/', NEW.order_id)", f"(NEW.updated_at - {START})")}
ORDERS = Dataset(mapping.load(), _ORDERS_LOGGED, _order_record)
_STOCK_KEY = "CONCAT('{}/', HEX(NEW.shop), '/', NEW.line, '/', HEX(NEW.token))"
_STOCK_LOGGED = {f"stock_{name}s": (_STOCK_KEY.format(name), "NEW.seq") for name in ("sale", "lot")}
STOCK = Dataset(stock.STOCK, _STOCK_LOGGED, _stock_record)


class ReplayHarness:
    """The account in which replays run: bucket, queue, stream, lock and database."""

    def __init__(self, server: Any, tables: Tables, s3: Any = None, dataset: Dataset = ORDERS, **options: Any) -> None:
        """`options`: concurrency, every_change, mirror_ttl_deletes, database_wait_seconds."""
        self.options = {"concurrency": 2, "database_wait_seconds": 300} | options
        self.tables, self.clock, self.faults, self.meter = tables, ReplayClock(), Faults(), RecordedMeter()
        self.s3, self.streams = s3 or S3(), Streams()
        self.sqs, self.lock_table, self.executions = SQS(self.clock.seconds), LockTable(), Executions()
        self.server = SwitchableServer(server)
        self.dataset, self.source = dataset, SOURCE
        mirror = self.options.get("mirror_ttl_deletes", False)
        self.mapping = dataset.mapping.mirroring_expiry() if mirror else dataset.mapping
        self.database = LazyDatabase(self.server, server.ca_pem, self.mapping)
        self.bucket = Bucket(self.s3, BUCKET)  # the test's own eyes: never killed
        self.out_of_time: Callable[[], bool] = lambda: False
        self.queue_mode = False
        self.verifications: list[tuple[str, AnyMapping[str, Any]]] = []
        self.batches: dict[str, list[Record]] = {}
        self.pointers: dict[str, list[Record]] = {}
        self._prepare()

    def _prepare(self) -> None:
        """Empty tables that log what is written to them; a test of many harnesses creates them once."""
        names = {name for (name,) in self.tables.run("SHOW TABLES")}
        if "sidecar_log" not in names:
            self.tables.run(*_LOGS)
        if not {f"log_insert_{name}" for name in self.dataset.names} <= self._triggers():
            self.dataset.create(self.tables)
        emptied = (*self.dataset.names, "replication_versions", "sidecar_log", "target_log")
        self.tables.run("BEGIN", *(f"DELETE FROM {name}" for name in emptied), "COMMIT")

    def _triggers(self) -> set[str]:
        return {name for name, *_ in self.tables.run("SHOW TRIGGERS")}

    # what has failed

    def put_batch(self, records: list[Record], *, escaped: bool = True, key: str = "", **info: Any) -> str:
        """A failed batch in the bucket, as the event source mapping leaves it. `info` replaces parts of its pointer."""
        document = failure(records, **info)
        event = {"Records": records}
        document["payload"] = json.dumps(event) if escaped else event
        shard = document["DDBStreamBatchInfo"]["shardId"]
        key = key or f"{FAILED}e1/{shard}/2026/01/31/2026-01-31T00.00.00-{len(self.batches):06d}"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(document))
        self.batches[key] = records
        return key

    def put_quarantined(self, record: Record, reason: str = "MySQL error 1366") -> str:
        [change, *_] = self.dataset.outcomes(record)
        name = (change.key, change.version) if isinstance(change, Change | Parked) else (None, None)
        parked = Parked(*name, reason, "correct it", None, record)
        key = object_key(parked)
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(parked._asdict()))
        return key

    def put_deferred(self, record: Record, kind: Kind = Kind.DEFERRED, **stored: Any) -> str:
        """A record that waits since now. `stored` replaces parts of its object."""
        [change, *_] = self.dataset.outcomes(record)
        assert isinstance(change, Change)
        parked = Parked(change.key, change.version, "MySQL error 1452", "wait", 1452, record, kind)
        key = object_key(parked)
        document = parked._asdict() | {"since": int(self.clock.seconds())} | stored
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(document))
        return key

    def send_pointer(self, records: list[Record], **info: Any) -> str:
        """Send a pointer to the queue, and put its records into their shard where they are missing."""
        self.queue_mode = True
        document = failure(records, **info)
        pointer = document["DDBStreamBatchInfo"]
        shard = self.streams.shard(pointer["streamArn"], pointer["shardId"])
        known = {record["dynamodb"]["SequenceNumber"] for record in shard.records}
        shard.records += [record for record in records if record["dynamodb"]["SequenceNumber"] not in known]
        shard.records.sort(key=lambda record: int(record["dynamodb"]["SequenceNumber"]))
        number = self.sqs.send(json.dumps(document))
        self.pointers[number] = records
        return number

    # one Lambda

    def steps(self) -> Steps:
        s3 = self.faults.watch(self.s3)
        bucket = Bucket(s3, BUCKET)
        return Steps(
            bucket=bucket,
            collector=Collector(bucket, self.mapping, self.source),
            drainer=Drainer(
                bucket=bucket,
                mapping=self.mapping,
                source=self.source,
                database=self.faults.watch(self.database, "apply", "versions", "ping"),
                quarantine=Quarantine(lambda: s3, BUCKET, self.clock.seconds),
                options=ApplyOptions(every_change=self.options.get("every_change", False)),
                clock=self.clock,
                seconds=self.clock.seconds,
                meter=self.meter,
            ),
            hydrator=self._hydrator,
            verify=self._verify,
            lock=Lock(self.faults.watch(self.lock_table), self.executions, "lock"),
            concurrency=self.options["concurrency"],
            database_wait_seconds=self.options["database_wait_seconds"],
            out_of_time=self.out_of_time,
            meter=self.meter,
            clock=self.clock,
        )

    def _verify(self, name: str, given: AnyMapping[str, Any]) -> str:
        """Notes that a verification was asked for."""
        self.verifications.append((name, given))
        return f"execution:{name}"

    def _hydrator(self, replay: Replay) -> Hydrator | None:
        if not self.queue_mode:
            return None
        return Hydrator(
            sqs=self.faults.watch(self.sqs),
            streams=self.faults.watch(self.streams),
            queue_url=QUEUE,
            bucket=Bucket(self.faults.watch(self.s3), BUCKET),
            source=self.source,
            replay=replay,
        )

    def replay(self, given: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        return ReplayExecution(self, given, **options).resume()

    # what a person sees

    def rows(self) -> dict[str, Rows]:
        """The rows of each table as the mapping has them, in any order."""
        return {entity.table: self._rows(entity) for entity in self.mapping.entities}

    def _rows(self, entity: Entity) -> Rows:
        names = ", ".join(column.name for column in entity.columns)
        rows = self.tables.run(f"SELECT {names} FROM {entity.table}")
        return [tuple(str(value) if isinstance(value, datetime) else value for value in row) for row in rows]

    def assert_last_states(self, records: Iterable[Record]) -> None:
        expected, found = last_rows(records, self.mapping), self.rows()
        for table, rows in expected.items():
            assert sorted(rows, key=repr) == sorted(found[table], key=repr), table

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.s3.objects if key.startswith(prefix))

    def left(self) -> list[str]:
        return self.keys(FAILED)

    def written(self, key: str | None = None) -> list[tuple[str, int, int]]:
        """(key, sequence, deleted) each time that the sidecar took a version, in the order of the commits."""
        rows = self.tables.run(f"SELECT {_KEY_TEXT}, version, deleted FROM sidecar_log ORDER BY id")
        return [(k, int(v.rpartition("_")[2]) % 10**20, d) for k, v, d in rows if key in (None, k)]

    # what must never happen

    def check(self) -> None:
        """A batch is gone only when all of it is accounted for; a message only when its records are in the bucket;
        no key was ever seen going back, and nothing was written twice."""
        stored = self._stored()
        for key, records in self.batches.items():
            if key not in self.s3.objects:
                assert REPLAYED + key in self.s3.objects, f"{key} has vanished"
                lost = [self._name(record) for record in records if not self._accounted(record, stored)]
                assert not lost, f"{key} was settled without {lost}"
        saved = self._saved() if self.pointers else set()
        for number, records in self.pointers.items():
            if number not in self.sqs.messages and not any(number in key for key in self.keys(EXPIRED)):
                lost = [self._name(r) for r in records if _id(r) not in saved and not self._accounted(r, stored)]
                assert not lost, f"message {number} was deleted without {lost}"
        self._check_order()

    def _stored(self) -> dict[str, StoredVersion]:
        columns = "version, source_time, COALESCE(kept_delete, ''), COALESCE(kept_expiry, '')"
        rows = self.tables.run(f"SELECT {_KEY_TEXT}, {columns} FROM replication_versions")
        return {key: StoredVersion(*stored) for key, *stored in rows}

    def _check_order(self) -> None:
        newest: dict[str, str] = {}
        # An empty version locks a key whose rows are refused, and never outlives its transaction.
        claims = f"SELECT {_KEY_TEXT} AS k, version FROM sidecar_log WHERE version <> '' ORDER BY k, id"
        for key, version in self.tables.run(claims):
            assert newest.get(key, "") < version, f"{key} went back to, or was written twice at, {version}"
            newest[key] = version
        back: dict[str, int] = {}
        for key, number in self.tables.run("SELECT item_key, seq FROM target_log ORDER BY item_key, id"):
            assert back.get(key, -1) < number, f"the row of {key} went back to {number}"
            back[key] = number

    def _accounted(self, record: Record, stored: dict[str, StoredVersion]) -> bool:
        return all(self._is_accounted(one, record, stored) for one in self.dataset.outcomes(record))

    def _is_accounted(self, outcome: Single, record: Record, stored: dict[str, StoredVersion]) -> bool:
        if isinstance(outcome, str):
            return True  # skipped for a reason
        key, version = outcome.key, outcome.version
        parked = outcome if isinstance(outcome, Parked) else Parked(key, version, "", "", None, record)
        names = [object_key(parked._replace(kind=kind)) for kind in (Kind.POISON, Kind.DEFERRED)]
        if any(name in self.s3.objects or REPLAYED + name in self.s3.objects for name in names):
            return True
        if key is None or version is None or key not in stored:
            return False
        newest = stored[key].version
        if isinstance(outcome, Change) and leaves_row(outcome, self.mapping):
            newest = max(newest, stored[key].kept(outcome.mark))
        # An unreadable record that is later by the clock, or has no time, is parked whatever its version.
        applied_at = stored[key].source_time
        is_later = isinstance(outcome, Parked) and (source_time(record) or applied_at + 3) > applied_at + 2
        return newest >= version and not is_later

    def _saved(self) -> set[tuple[str, str]]:
        """Every record that any hydrated object of the bucket holds."""
        return {
            _id(record)
            for key in self.s3.objects
            if "/hydrated/" in key
            for record in parse_lean(self.s3.body(key), SOURCE).records
        }

    @staticmethod
    def _name(record: Record) -> str:
        return f"{json.dumps(record['dynamodb']['Keys'])}@{int(record['dynamodb']['SequenceNumber']) % 10**20}"


def _id(record: Record) -> tuple[str, str]:
    return record["eventSourceARN"], record["dynamodb"]["SequenceNumber"]


def leaves_row(change: Change, mapping: Mapping) -> bool:
    """Whether it is a removal that the entity ignores or flags."""
    if change.row is not None:
        return False
    return mapping.entities[change.entity].removal(change.mark).action is not Action.DELETE


# The text of a key, from its name in the sidecar: `mapping.entity rest`, or the key of an order.
_KEY_TEXT = (
    "IF(LOCATE(' ', item_key), CONCAT(SUBSTRING_INDEX(SUBSTRING_INDEX(item_key, ' ', 1), '.', -1), '/',"
    " SUBSTRING_INDEX(item_key, ' ', -1)), CONCAT('order/', item_key))"
)
_LOG_VERSION = "INSERT INTO sidecar_log (item_key, version, deleted)"
_NEW = "NEW.item_key, NEW.version, NEW.deleted"
_NUMBERED = "(id BIGINT AUTO_INCREMENT PRIMARY KEY,"
_LOGS = (
    (f"CREATE TABLE sidecar_log {_NUMBERED} item_key VARCHAR(255), version VARCHAR(160), deleted INT)"),
    f"CREATE TABLE target_log {_NUMBERED} item_key VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin, seq BIGINT)",
    # a key that is only locked has no version yet
    (
        "CREATE TRIGGER log_claim AFTER INSERT ON replication_versions FOR EACH ROW"
        f" {_LOG_VERSION} SELECT {_NEW} FROM DUAL WHERE NEW.version <> ''"
    ),
    (
        "CREATE TRIGGER log_newer AFTER UPDATE ON replication_versions FOR EACH ROW"
        f" {_LOG_VERSION} SELECT {_NEW} FROM DUAL WHERE NEW.version <> OLD.version"
    ),
)


def failure(records: list[Record], **info: Any) -> dict[str, Any]:
    """What Lambda says of a failed batch, without its payload."""
    numbers = sorted((record["dynamodb"]["SequenceNumber"] for record in records), key=int) or ["8" + "0" * 20]
    arn = records[0]["eventSourceARN"] if records else ARN
    pointer = {
        "shardId": SHARD,
        "startSequenceNumber": numbers[0],
        "endSequenceNumber": numbers[-1],
        "approximateArrivalOfFirstRecord": "2026-01-31T00:00:00Z",
        "approximateArrivalOfLastRecord": "2026-01-31T00:05:00Z",
        "batchSize": len(records),
        "streamArn": arn,
    }
    return {
        "requestContext": {"requestId": "r", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 1},
        "version": "1.0",
        "timestamp": "2026-01-31T00:10:00.000Z",
        "DDBStreamBatchInfo": pointer | info,
    }


def last_states(records: Iterable[Record], mapping: Mapping = ORDERS.mapping) -> Rows:
    """The rows of the first entity that MySQL must have at the end: the last good state of each key."""
    return last_rows(records, mapping)[mapping.entities[0].table]


def last_rows(records: Iterable[Record], mapping: Mapping) -> dict[str, Rows]:
    """The rows of each table that MySQL must have at the end, in the order of their keys.

    A key has the row of its last good change, and the flag of a removal that is newer.
    """
    newest: dict[str, Change] = {}
    removed: dict[str, Change] = {}
    for outcome in classifier(mapping)(records):
        for one in outcome if isinstance(outcome, list) else [outcome]:
            if isinstance(one, Change):
                last = removed if leaves_row(one, mapping) else newest
                if one.key not in last or last[one.key].version < one.version:
                    last[one.key] = one
    rows: dict[str, Rows] = {entity.table: [] for entity in mapping.entities}
    for key in sorted(newest):
        change = newest[key]
        if change.row is not None:
            entity = mapping.entities[change.entity]
            rows[entity.table].append(_flagged(change.row, change, removed.get(key), entity))
    return rows


def _flagged(row: Row, change: Change, removal: Change | None, entity: Entity) -> Row:
    if removal is None or removal.version < change.version:
        return row
    action = entity.removal(removal.mark)
    at = f"{datetime.fromtimestamp(removal.source_time, UTC):%Y-%m-%d %H:%M:%S}"
    values = {action.flag: 1, action.time: at}
    return tuple(values.get(column.name, old) for column, old in zip(entity.columns, row, strict=True))


def change(key: str, sequence: int, **options: Any) -> Record:
    """A record whose row holds its sequence, so that a row that goes back is noticed."""
    return record(key, sequence, **({"amount": str(sequence), "updated_at": START + sequence} | options))


def applied(key: str, sequence: int, **values: Any) -> tuple[Any, ...]:
    """The row of `change(key, sequence)`."""
    return order(key, **({"amount": str(sequence), "updated_at": START + sequence} | values))


class ReplayExecution:
    """One execution of the state machine: `resume()` starts it, or redrives it where it stopped.

    A killed Lambda is tried again from the state before it, `retries` times a state, as the definition says.
    """

    def __init__(
        self,
        harness: ReplayHarness,
        given: Any = None,
        *,
        retries: int = 6,
        name: str = "",
        rng: random.Random | None = None,
    ) -> None:
        self.harness, self.retries, self.rng = harness, retries, rng
        self.name = name or f"e{next(_names):04d}"
        self.arn = f"arn:aws:states:us-east-1:123456789012:execution:backstream-dev-replay:{self.name}"
        self.action: str | None = "start"
        self.state: dict[str, Any] = {
            "name": self.name,
            "arn": self.arn,
            "started": harness.clock().isoformat(),
            "input": {} if given is None else given,
        }
        self.lanes: list[dict[str, Any]] = []
        self.crashes = 0
        self.trail: list[str] = []
        self.on_wait: Callable[[], None] = lambda: None
        self.before: Callable[[str], None] = lambda _: None

    def resume(self) -> dict[str, Any]:
        self.harness.executions.status[self.arn] = "RUNNING"
        while self.action:
            self.step()
        self.harness.executions.status[self.arn] = "SUCCEEDED"
        self.harness.check()
        return self.state

    def stop(self) -> None:
        self.harness.executions.status[self.arn] = "ABORTED"

    def until(self, action: str) -> ReplayExecution:
        """Go on until `action` is next."""
        self.harness.executions.status[self.arn] = "RUNNING"
        while self.action != action:
            self.step()
        return self

    def step(self) -> None:
        """One state of the state machine; of the lanes, all of them to their ends."""
        assert self.action
        self.before(self.action)
        if self.action == "drain":
            self._drain()
        else:
            self._follow(self._task(self.action, self.state))

    def _task(self, action: str, state: dict[str, Any]) -> dict[str, Any]:
        """One Lambda, tried again where it dies."""
        text = json.dumps(state)
        assert len(text) < STATE_LIMIT, f"{len(text)} bytes go into {action}"
        for _ in range(self.retries + 1):
            try:
                self.trail.append(action)
                assert len(self.trail) < _MOST_CALLS, "it does not come to an end"
                result = self.harness.steps().step(action, json.loads(text))
            except Killed:
                self.crashes += 1
                self.harness.faults.revive()
                self.harness.database.drop()
                self.harness.clock.advance(200)  # past the visibility of what the dead one had received
                self.harness.check()
                continue
            except InputError as error:
                return {"outcome": "wrong_input", "message": str(error)}
            written = json.dumps(result)
            # the report is bounded by what Step Functions takes, every other state by far less
            assert len(written) < (256 * 1024 if action == "report" else STATE_LIMIT), f"{action}: {len(written)} bytes"
            return json.loads(written)
        self.stop()
        raise StoppedError(action)

    def _follow(self, result: dict[str, Any]) -> None:
        action, outcome = self.action, result["outcome"]
        if outcome == "down":
            self._wait()
        ways: dict[tuple[str, str], str | None] = {
            ("start", "go"): "hydrate",
            ("hydrate", "more"): "hydrate",
            ("hydrate", "done"): "check",
            ("check", "up"): "collect",
            ("check", "down"): "hydrate",
            ("check", "gave_up"): "report",
            ("collect", "more"): "collect",
            ("collect", "done"): "plan",
            ("plan", "more"): "plan",
            ("plan", "nothing"): "report",
            ("plan", "planned"): "report",
            ("plan", "go"): "drain",
            ("settle", "more"): "settle",
            ("settle", "done"): "report",
        }
        self.action, self.state = ways.get((action or "", outcome)), result
        self.lanes = result.get("lanes", []) if self.action == "drain" else []

    def _drain(self) -> None:
        """Run every lane to its end, one call at a time, in an order that `rng` shuffles."""
        while waiting := [i for i, lane in enumerate(self.lanes) if lane.get("outcome") not in ("done", "gave_up")]:
            turn = self.rng.choice(waiting) if self.rng else waiting[0]
            self.lanes[turn] = self._task("drain", self.lanes[turn])
            if self.lanes[turn]["outcome"] == "waiting":
                self._wait()
        self.action, self.state = "settle", self.state | {"drained": self.lanes}

    def _wait(self) -> None:
        self.on_wait()
        self.harness.clock.advance(_WAIT_SECONDS)
