"""docs/metrics.md lists exactly what the consumer emits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pymysql
import pytest
from moto import mock_aws

from common.changes import Kind, Parked
from common.database import DatabaseError, Outcome
from common.histories import CLOCK_REASON
from common.mysql import errors
from scripts.local_stack.mariadb import MariaDB
from tests.support.emissions import documented_of, seen
from tests.support.functions import Context, FunctionWorld
from tests.support.records import TTL_IDENTITY, record, remove
from tests.support.tables import Tables

# Emitted by calls of another kind than a batch.
_HEARTBEAT = {"heartbeat_seconds"}
_FATES = ("deleted", "seeded", "stale", "redelivered", "superseded", "ignored_delete")


@pytest.fixture
def consumer(server: MariaDB, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with mock_aws():
        module = FunctionWorld(server, monkeypatch).cold_start("stream_consumer.handler")
        yield module
        module.DATABASE.drop()


def deliver(consumer: ModuleType, *records: Any) -> None:
    consumer.handler({"Records": list(records)}, Context())


def test_the_consumers_table_is_complete(consumer: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    note = record("n", 1)
    note["dynamodb"]["Keys"]["s_key"] = {"S": "NOTE"}
    deliver(consumer, record("a", 1, documented_only="x"), remove("b", 2, identity=TTL_IDENTITY), note)
    parked = [Parked("a", str(n), CLOCK_REASON, "wait", None, {}, kind) for n, kind in enumerate(Kind)]
    outcome = Outcome(Counter(_FATES), parked)
    with monkeypatch.context() as patched:
        patched.setattr("common.mysql.database.apply", lambda *_, **__: outcome)
        deliver(consumer, record("c", 3))
    for errno in errors.RULES:
        error = errors.database_error("applying", pymysql.OperationalError(errno, ""))
        monkeypatch.setattr(consumer.DATABASE, "apply", _raising(error))
        with pytest.raises(DatabaseError):
            deliver(consumer, record("d", 4))

    expected = {one for one in documented_of("consumer") if one.metric not in _HEARTBEAT}
    assert seen("consumer", capsys.readouterr().out) == expected


def _raising(error: Exception) -> Any:
    def apply(*_: Any, **__: Any) -> Outcome:
        raise error

    return apply
