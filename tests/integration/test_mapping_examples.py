"""The worked examples of docs/mapping.md on a real server."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

import pymysql
import pytest

from common import mapping as declared
from common.keys import key_text
from common.mysql import registry, schema
from common.mysql.apply import apply
from common.records import parse_records
from tests.support import examples
from tests.support.records import SOURCE, START, STREAM
from tests.support.server_texts import keep_texts
from tests.support.tables import Tables

SHOWN_TIME = f"{datetime.fromtimestamp(START, UTC):%Y-%m-%d %H:%M:%S}"
_sequences = count(1)


class Example:
    """The tables of one mapping, and a writer."""

    def __init__(self, tables: Tables, connection: pymysql.Connection[Any], mapping: declared.Mapping) -> None:
        self.tables, self.mapping, self.connection = tables, mapping, connection
        schema.create_missing(tables.admin, mapping)
        registry.register(tables.admin, mapping, SOURCE, STREAM.label)

    def write(self, *items: dict[str, Any], event: str = "MODIFY") -> None:
        batch = parse_records(
            [examples.record(self.mapping, item, next(_sequences), event) for item in items], self.mapping
        )
        assert not batch.parked
        target = schema.inspect(self.connection, self.mapping)
        self.connection.rollback()
        assert not apply(self.connection, target, batch.changes).parked

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.tables.admin.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            return [examples.shown(row) for row in cursor.fetchall()]


@pytest.fixture
def nothing(tables: Tables) -> Tables:
    tables.drop_all()
    keep_texts(tables.admin)
    return tables


def samples(mapping: str) -> list[dict[str, Any]]:
    return [sample for sample in examples.SAMPLES if sample["mapping"] == mapping]


def statement(start: str) -> str:
    """The one SQL statement of the document that starts so."""
    [found] = [block for block in examples.blocks("sql") if block.startswith(start)]
    return found.strip().rstrip(";")


@pytest.mark.parametrize("mapping", sorted({sample["mapping"] for sample in examples.SAMPLES}))
def test_the_server_returns_the_rows_that_are_shown(nothing: Tables, connect: Any, mapping: str) -> None:
    """The schema step makes the tables, and all kinds of item are written in one batch."""
    example = Example(nothing, connect(), examples.load(mapping))

    example.write(*[sample["item"] for sample in samples(mapping)])

    for sample in samples(mapping):
        assert example.rows(sample["table"]) == [sample["row"]]


def test_the_legacy_table_of_the_document_fits(nothing: Tables, connect: Any) -> None:
    nothing.run(statement("CREATE TABLE invoices"))
    example = Example(nothing, connect(), examples.load("examples/invoices"))
    [sample] = samples("examples/invoices")

    example.write(sample["item"])

    assert example.rows("invoices") == [sample["row"] | {"printed_at": None}]


def test_a_view_makes_rows_of_a_list(nothing: Tables, connect: Any) -> None:
    example = Example(nothing, connect(), examples.load("examples/carts"))
    [sample] = samples("examples/carts")

    example.write(sample["item"])
    nothing.run(statement("CREATE VIEW cart_items"))

    rows = [tuple(map(str, row)) for row in nothing.run("SELECT * FROM cart_items ORDER BY cart_id, line_no")]
    assert rows == [("c-1", "1", "kettle-2", "2"), ("c-1", "2", "cup-9", "1")]
    assert all(f"| {' | '.join(row)} |" in examples.DOCUMENT for row in rows)


@pytest.mark.parametrize("how", ["deleted", "no member any more"])
def test_a_member_who_left_is_flagged(nothing: Tables, connect: Any, how: str) -> None:
    example = Example(nothing, connect(), examples.load("examples/members"))
    [sample] = samples("examples/members")
    example.write(sample["item"])

    if how == "deleted":
        example.write(sample["item"], event="REMOVE")
    else:
        example.write(sample["item"] | {"kind": {"S": "guest"}})
    gone = example.rows("members")
    example.write(sample["item"])

    assert gone == [sample["row"] | {"is_deleted": 1, "deleted_at": SHOWN_TIME}]
    assert example.rows("members") == [sample["row"]]


def test_the_update_of_the_document_rewrites_keys(tables: Tables) -> None:
    """Ids with slashes and percent signs get the text that the writer looks for."""
    ids = ["plain", "a/b", "100%", "%2F/%", "a_b"]
    tables.run(
        *(
            "INSERT INTO replication_versions (item_key, version, deleted, source_time, token)"
            f" VALUES ('{one}', '1', 0, 0, 0)"
            for one in ids
        )
    )

    assert tables.run(statement("SELECT COUNT(*) FROM replication_versions")) == [(3,)]
    tables.run(statement("UPDATE replication_versions"))

    texts = [row[0] for row in tables.run("SELECT item_key FROM replication_versions")]
    assert sorted(f"order/{text}" for text in texts) == sorted(key_text("order", [one]) for one in ids)
