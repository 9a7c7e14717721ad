"""The tables of version 0.1.0: the schema step says what to run, and nothing that was applied is lost."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from common.database import SchemaMismatchError
from common.mysql import registry, schema, sidecar
from tests.support.item_tables import mapping_of
from tests.support.records import SOURCE, START, STREAM, record, remove
from tests.support.shop import SHOP
from tests.support.tables import Tables, order
from tests.support.writes import MAPPING, Applier, changes_of

# As that version created them, and the statements that it sends.
OLD_SIDECAR = """CREATE TABLE replication_versions (
  item_key VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'key of the item, one row each',
  version VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'stream label _ digits _ sequence number',
  deleted TINYINT NOT NULL COMMENT '1: a tombstone, the item is gone',
  source_time BIGINT NOT NULL COMMENT 'clock of the stream, epoch seconds',
  token INT UNSIGNED NOT NULL COMMENT 'tells a writer which rows it won',
  PRIMARY KEY (item_key)
) ENGINE=InnoDB COMMENT='Backstream: the version of each key that was applied last'"""
OLD_SOURCES = """CREATE TABLE replication_sources (
  generation INT NOT NULL COMMENT 'stream_generation of the deployment',
  table_arn VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'DynamoDB table of the changes',
  stream_label VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'its stream that was deployed last',
  registered_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (generation)
) ENGINE=InnoDB COMMENT='Backstream: where the versions come from'"""
_OLD_NEWER = "IF(VALUES(version) > version, VALUES({0}), {0})"
OLD_CLAIM = (
    "INSERT INTO replication_versions (item_key, deleted, source_time, token, version) VALUES {0}"
    " ON DUPLICATE KEY UPDATE "
    + ", ".join(f"{name} = {_OLD_NEWER.format(name)}" for name in ("deleted", "source_time", "token", "version"))
)
OLD_READ = "SELECT item_key, version, source_time, token FROM replication_versions WHERE item_key IN ({0}) FOR UPDATE"


def version(n: int) -> str:
    [change] = changes_of(record("any", n))
    return change.version


def migrate(tables: Tables, connect: Any) -> int:
    """Run what the schema step says until it says nothing. Returns the number of statements."""
    for count in range(5):
        try:
            schema.create_missing(connect(), MAPPING)
        except SchemaMismatchError as error:
            [statement] = re.findall(r"ALTER TABLE .*", str(error))
            tables.run(statement)
        else:
            return count
    raise AssertionError("it is never content")


@pytest.fixture
def old(tables: Tables) -> Tables:
    """The tables of version 0.1.0: a live order, a deleted one, and their source."""
    tables.run("DROP TABLE replication_versions, replication_sources, replication_entities", OLD_SIDECAR, OLD_SOURCES)
    tables.run(
        f"INSERT INTO replication_sources VALUES (0, '{SOURCE.table_arn}', '{STREAM.label}', '2026-01-01 00:00:00')",
        OLD_CLAIM.format(f"('live', 0, {START}, 7, '{version(5)}'), ('gone', 1, {START}, 7, '{version(5)}')"),
        "INSERT INTO tbl_orders VALUES ('live', 'merchant-102', 200, 'INR', 'OLD', 1, 1)",
    )
    return tables


@pytest.mark.parametrize("table", ["replication_versions", "replication_sources"])
def test_the_schema_step_and_the_consumer_name_the_statement(old: Tables, connect: Any, table: str):
    if table == "replication_sources":
        old.run("DROP TABLE replication_versions")
    before = old.run("SHOW TABLES")

    with pytest.raises(SchemaMismatchError, match=rf"table {table} .* version 0\.1\.0: .*ALTER TABLE {table}"):
        schema.create_missing(connect(), MAPPING)
    if table == "replication_versions":
        with pytest.raises(SchemaMismatchError, match=r"version 0\.1\.0"):
            schema.inspect(connect(), MAPPING)

    assert old.run("SHOW TABLES") == before


def test_the_new_code_goes_on_from_the_stored_versions(old: Tables, connect: Any):
    assert migrate(old, connect) == 2
    assert registry.register(connect(), MAPPING, SOURCE, STREAM.label) == "known"
    writer = Applier(connect())

    assert writer(record("live", 4), record("gone", 4)).counts == Counter(stale=2)
    assert writer(remove("gone", 5)).counts == Counter(redelivered=1)
    assert writer(record("live", 6), record("new", 1)).counts == Counter(upserted=2)

    assert old.orders() == [order("live"), order("new")]
    assert [key for key, *_ in old.sidecar()] == ["gone", "live", "new"]


def test_the_old_statements_work_on_migrated_tables(old: Tables, connect: Any):
    """So migrate first, then deploy. Going back needs no migration."""
    migrate(old, connect)
    Applier(connect())(record("new", 6))

    old.run(
        OLD_CLAIM.format(f"('live', 0, 2, 8, '{version(7)}'), ('new', 1, 2, 8, '{version(5)}'), ('x', 0, 2, 8, 'v')")
    )

    found = old.run(OLD_READ.format("'gone', 'live', 'new', 'x'"))
    assert [(key, stored, token == 8) for key, stored, _, token in sorted(found)] == [
        ("gone", version(5), False),
        ("live", version(7), True),
        ("new", version(6), False),
        ("x", "v", True),
    ]
    assert old.run("SELECT generation, table_arn FROM replication_sources") == [(0, SOURCE.table_arn)]
    old.run("INSERT INTO replication_sources (generation, table_arn, stream_label) VALUES (1, 'arn', 'label')")
    assert old.run("SELECT mapping FROM replication_sources") == [("orders",), ("orders",)]


def unique_keys(tables: Tables, table: str) -> list[str]:
    """The columns of each unique key, as version 0.1.0 reads them at every connection."""
    return [
        columns
        for (columns,) in tables.run(
            "SELECT GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX) FROM information_schema.STATISTICS"
            f" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}' AND NON_UNIQUE = 0 GROUP BY INDEX_NAME"
        )
    ]


def test_the_old_code_finds_its_keys_on_migrated_tables(old: Tables, connect: Any):
    """It stops on a table whose key column is not unique by itself."""
    migrate(old, connect)
    assert unique_keys(old, "replication_versions") == ["item_key"]
    assert "generation" in unique_keys(old, "replication_sources")


def test_a_second_mapping_is_told_to_drop_the_former_key(old: Tables, connect: Any):
    migrate(old, connect)
    shop = mapping_of("shop", SHOP)
    before = old.run("SELECT * FROM replication_sources")

    with pytest.raises(SchemaMismatchError) as refused:
        registry.register(connect(), shop, SOURCE, STREAM.label)

    assert old.run("SELECT * FROM replication_sources") == before
    [statement] = re.findall(r"ALTER TABLE .*", str(refused.value))
    old.run(statement)
    assert registry.register(connect(), shop, SOURCE, STREAM.label) == "registered"
    assert registry.register(connect(), MAPPING, SOURCE, STREAM.label) == "known"


def test_the_migration_of_the_sidecar_rewrites_no_row(old: Tables):
    """It takes no longer for a large table. The server refuses INSTANT if it must rewrite rows."""
    old.run(f"{sidecar.TABLE.migration}, ALGORITHM=INSTANT")


def test_a_second_migration_is_not_asked_for(old: Tables, connect: Any):
    migrate(old, connect)
    assert migrate(old, connect) == 0
