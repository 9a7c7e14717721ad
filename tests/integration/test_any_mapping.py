"""Any mapping and any item on a real server: what is read back is what the reference says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymysql.constants import ER

from common import mapping as declared
from common import mapping_file
from common.changes import Parked
from common.keys import entity_and_tail
from common.mysql import registry, schema
from common.mysql.apply import apply
from common.records import parse_records
from scripts.local_stack.mariadb import MariaDB
from tests.support.mapping_strategies import mappings, records, with_agreeing_removals
from tests.support.records import SOURCE, START, STREAM
from tests.support.reference_mapping import Gone, Live, Quarantined, outcomes
from tests.support.reference_types import Json, plain_text
from tests.support.server_texts import keep_texts
from tests.support.tables import Tables

Key = tuple[Any, ...]
Row = dict[str, Any]
# What only the server can refuse: two keys that are one in a collation, and JSON with more levels than it reads, which
# MariaDB refuses as a failed CHECK.
_REFUSALS = (ER.DUP_ENTRY, 4025)


class Model:
    """The rows that each entity's table must have, by key."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.entities = document["entities"]
        self.rows: dict[str, dict[Key, Row]] = {name: {} for name in self.entities}

    def apply(self, time: int, outcome: Live | Gone) -> None:
        """The next change in stream order. How changes are cut into batches makes no difference."""
        rows = self.rows[outcome.entity]
        if isinstance(outcome, Live):
            rows[outcome.key] = dict(outcome.row)
            return
        policy = self._policy(outcome)
        if policy == "delete":
            rows.pop(outcome.key, None)
        elif policy != "ignore" and outcome.key in rows:
            rows[outcome.key][policy["flag"]] = 1
            if "time" in policy:
                rows[outcome.key][policy["time"]] = f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}"

    def _policy(self, gone: Gone) -> Any:
        entity = self.entities[gone.entity]
        return entity.get("ttl", "ignore") if gone.mark == "EXPIRED" else entity.get("deletes", "delete")


class Stored:
    """The tables of one mapping on the server, and a writer."""

    def __init__(self, server: MariaDB, admin: pymysql.Connection[Any], mapping: declared.Mapping) -> None:
        self.admin, self.mapping = admin, mapping
        schema.create_missing(admin, mapping)
        registry.register(admin, mapping, SOURCE, STREAM.label)
        self.connection = server.connect()
        self.target = schema.inspect(self.connection, mapping)
        self.connection.rollback()

    def write(self, drawn: list[dict[str, Any]]) -> list[Parked]:
        batch = parse_records(drawn, self.mapping)
        return [*batch.parked, *apply(self.connection, self.target, batch.changes).parked]

    def rows(self, entity: declared.Entity) -> list[Row]:
        names = [column.name for column in entity.columns]
        with self.admin.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(f'`{name}`' for name in names)} FROM `{entity.table}`")
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture
def admin(server: MariaDB) -> Iterator[pymysql.Connection[Any]]:
    """An administrator who reads dates and times as the server prints them."""
    admin = server.connect(autocommit=True)
    keep_texts(admin)
    yield admin
    admin.close()


@st.composite
def batches(draw: st.DrawFn, document: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Two batches of records in stream order. Some are of the same item."""
    drawn = draw(st.lists(records(document), min_size=1, max_size=16))
    for number, record in enumerate(drawn):
        body = record["dynamodb"]
        if number and draw(st.booleans()):
            body["Keys"] = drawn[number - 1]["dynamodb"]["Keys"]
        for image in ("NewImage", "OldImage"):
            if image in body:
                body[image] |= body["Keys"]
        body |= {"SequenceNumber": str(8 * 10**20 + number), "ApproximateCreationDateTime": START + number}
    cut = draw(st.integers(0, len(drawn)))
    return [drawn[:cut], drawn[cut:]]


def _loaded(document: Mapping[str, Any], folder: Path) -> declared.Mapping:
    path = folder / "any.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return mapping_file.read_file(path)


def _written(
    document: Mapping[str, Any], batch: list[dict[str, Any]], parked: list[Parked]
) -> list[tuple[int, Live | Gone]]:
    """What the reference expects of a batch, less what was parked. What it expects to be parked must be there."""
    parked_of = Counter(_sequence(one.record) for one in parked)
    written = []
    for record in batch:
        for outcome in outcomes(document, record):
            if isinstance(outcome, Quarantined) or _is_refused(record, outcome, parked):
                parked_of[_sequence(record)] -= 1
            else:
                written.append((record["dynamodb"]["ApproximateCreationDateTime"], outcome))
    assert not +parked_of, "records were parked that the reference maps"
    assert not -parked_of, "records were not parked that the reference refuses"
    return written


def _is_refused(record: dict[str, Any], outcome: Live | Gone, parked: list[Parked]) -> bool:
    """Whether the server refused the row, for a reason that only it can have."""
    refused = [
        one
        for one in parked
        if one.errno is not None and one.record is record and entity_and_tail(one.key or "")[0] == outcome.entity
    ]
    assert all(one.errno in _REFUSALS for one in refused), refused
    return bool(refused)


def _sequence(record: Any) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def _comparable(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Decimals are equal however many zeros they end in, and JSON whatever its text is."""
    return sorted((name, _plain(value)) for name, value in row.items())


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return ("number", plain_text(value))
    if isinstance(value, Json):
        return ("json", repr(_plain_json(value.content)))
    return value


def _plain_json(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _plain_json(content[name]) for name in sorted(content)}
    if isinstance(content, list):
        return [_plain_json(inner) for inner in content]
    is_number = isinstance(content, int | Decimal) and not isinstance(content, bool)
    return plain_text(Decimal(content)) if is_number else content


def _read(entity: declared.Entity, row: Row) -> list[tuple[str, Any]]:
    documents = {column.name for column in entity.columns if column.type.name == "json"}
    return _comparable(
        {
            name: Json(json.loads(value, parse_int=Decimal, parse_float=Decimal))
            if name in documents and value is not None
            else value
            for name, value in row.items()
        }
    )


@settings(
    max_examples=40,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_the_server_returns_what_the_reference_says(
    server: MariaDB, admin: pymysql.Connection[Any], tmp_path: Path, data: st.DataObject
) -> None:
    """Every value is exact. What is not written is parked, and an older state that was good is written instead."""
    # The records here also remove an item twice, which DynamoDB never does. test_convergence_entities.py has an entity
    # that flags one kind of removal and ignores the other.
    document = with_agreeing_removals(data.draw(mappings(), label="mapping"))
    drawn = data.draw(batches(document), label="batches")
    Tables(admin).drop_all()
    stored, model = Stored(server, admin, _loaded(document, tmp_path)), Model(document)

    for batch in drawn:
        parked = stored.write(batch)
        for time, outcome in _written(document, batch, parked):
            model.apply(time, outcome)

    for entity in stored.mapping.entities:
        expected = sorted(map(_comparable, model.rows[entity.name].values()), key=repr)
        assert sorted((_read(entity, row) for row in stored.rows(entity)), key=repr) == expected
    stored.connection.close()
