"""The schema step creates what is absent, leaves what exists untouched, and says exactly what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pymysql.constants import CLIENT

from common.database import SchemaMismatchError
from common.mysql import schema
from common.mysql.columns import enum_values
from common.mysql.sql import literal
from common.mysql.target import KeyColumn, Target, UniqueKey
from tests.support.tables import Tables, without_width
from tests.support.writes import MAPPING, ORDER

VACANT = (("merchant_id", "text"), ("status", "text"))
CREATED, FITS = "created", "fits"
ORDERS = """CREATE TABLE tbl_orders (
  order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  merchant_id VARCHAR(64) NOT NULL,
  amount DECIMAL(19,4) NOT NULL,
  currency VARCHAR(3) NOT NULL,
  status VARCHAR(32) NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"""


@pytest.fixture
def nothing(tables: Tables) -> Tables:
    tables.drop_all()
    return tables


@pytest.fixture
def step(connect: Any, nothing: Tables) -> Callable[[], dict[str, str]]:
    """As the function does it, with an account that may not alter or drop."""
    return lambda: schema.create_missing(connect(), MAPPING)


def ddl(tables: Tables) -> list[tuple[Any, ...]]:
    names = tables.run("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1")
    return [tables.run(f"SHOW CREATE TABLE `{name}`")[0] for (name,) in names]


def columns(tables: Tables, table: str) -> list[tuple[Any, ...]]:
    rows = tables.run(
        "SELECT COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE, COLUMN_KEY FROM information_schema.COLUMNS"
        f" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION"
    )
    return [(name, without_width(kind), *rest) for name, kind, *rest in rows]


def problems_of(error: pytest.ExceptionInfo[SchemaMismatchError]) -> list[str]:
    assert "; ".join(error.value.problems) in str(error.value)
    return [without_width(problem) for problem in error.value.problems]


def test_both_tables_are_created_where_there_are_none(step: Any, nothing: Tables):
    assert step() == {"target": CREATED, "sidecar": CREATED}

    assert [row[:2] + row[3:] for row in columns(nothing, "tbl_orders")] == [
        ("order_id", "varchar(64)", "NO", "PRI"),
        ("merchant_id", "varchar(64)", "NO", ""),
        ("amount", "decimal(19,4)", "NO", ""),
        ("currency", "varchar(3)", "NO", ""),
        ("status", "varchar(32)", "NO", ""),
        ("created_at", "bigint", "NO", ""),
        ("updated_at", "bigint", "NO", ""),
    ]
    assert columns(nothing, "tbl_orders")[0][2] == "ascii_bin", "'a' and 'A' are two orders"
    assert columns(nothing, "replication_versions") == [
        ("item_key", "varchar(255)", "ascii_bin", "NO", "PRI"),
        ("version", "varchar(160)", "ascii_bin", "NO", ""),
        ("deleted", "tinyint", None, "NO", ""),
        ("source_time", "bigint", None, "NO", ""),
        ("token", "int unsigned", None, "NO", ""),
        ("kept_delete", "varchar(160)", "ascii_bin", "YES", ""),
        ("kept_delete_time", "bigint", None, "YES", ""),
        ("kept_expiry", "varchar(160)", "ascii_bin", "YES", ""),
        ("kept_expiry_time", "bigint", None, "YES", ""),
    ]


def test_a_second_run_finds_that_they_fit_and_changes_nothing(step: Any, nothing: Tables):
    step()
    before = ddl(nothing)

    assert step() == {"target": FITS, "sidecar": FITS}
    assert ddl(nothing) == before


def test_a_legacy_table_that_exists_is_left_untouched(step: Any, nothing: Tables):
    nothing.run(ORDERS, "INSERT INTO tbl_orders VALUES ('a', 'm', 1, 'INR', 'NEW', 1, 1)")
    before = ddl(nothing), nothing.orders()

    assert step() == {"target": FITS, "sidecar": CREATED}
    assert (ddl(nothing)[3:], nothing.orders()) == before


def test_two_deployments_at_once_do_no_harm(connect: Any, nothing: Tables):
    connections = [connect() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda connection: schema.create_missing(connection, MAPPING), connections))

    assert len(ddl(nothing)) == 4
    assert {answer["target"] for answer in answers} <= {CREATED, FITS}


@pytest.mark.parametrize(
    "changes",
    [
        "",
        "MODIFY merchant_id VARCHAR(255) NOT NULL, MODIFY status TEXT NOT NULL",
        "MODIFY amount DECIMAL(38,10) NOT NULL",
        "MODIFY created_at INT UNSIGNED NOT NULL",
        "MODIFY status ENUM('NEW', 'PAID') NOT NULL",
        "MODIFY status VARCHAR(32) NULL",
        "MODIFY merchant_id CHAR(64) CHARACTER SET latin1 NOT NULL",
        "ADD COLUMN note VARCHAR(10) NULL",
        "ADD COLUMN seen INT NOT NULL DEFAULT 0",
        "ADD COLUMN twice DECIMAL(20,4) AS (amount * 2) STORED",
        "ADD COLUMN changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
        "DROP PRIMARY KEY, ADD COLUMN id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, ADD UNIQUE KEY (order_id)",
    ],
)
def test_a_table_that_holds_every_mapped_value_fits(step: Any, nothing: Tables, changes: str):
    nothing.run(ORDERS, f"ALTER TABLE tbl_orders {changes}")

    assert step()["target"] == FITS


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ("DROP COLUMN status", "column status is missing"),
        (
            "MODIFY status VARCHAR(31) NOT NULL",
            "column status is varchar(31); the mapping needs a text of at least 32 characters",
        ),
        ("MODIFY status INT NOT NULL", "column status is int; the mapping needs a text of at least 32 characters"),
        (
            "MODIFY order_id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL",
            "column order_id is varchar(36); the mapping needs a text of at least 64 characters",
        ),
        ("MODIFY amount FLOAT NOT NULL", "column amount is float; the mapping needs DECIMAL(19,4) or wider"),
        ("MODIFY amount DOUBLE NOT NULL", "column amount is double; the mapping needs DECIMAL(19,4) or wider"),
        (
            "MODIFY amount DECIMAL(18,4) NOT NULL",
            "column amount is decimal(18,4); the mapping needs DECIMAL(19,4) or wider",
        ),
        (
            "MODIFY amount DECIMAL(19,2) NOT NULL",
            "column amount is decimal(19,2); the mapping needs DECIMAL(19,4) or wider",
        ),
        (
            "MODIFY amount DECIMAL(19,5) NOT NULL",
            "column amount is decimal(19,5); the mapping needs DECIMAL(19,4) or wider",
        ),
        (
            "MODIFY created_at DATETIME NOT NULL",
            "column created_at is datetime; the mapping needs a column of whole numbers from 0 to 99999999999",
        ),
        (
            "MODIFY created_at SMALLINT NOT NULL",
            "column created_at is smallint; the mapping needs a column of whole numbers from 0 to 99999999999",
        ),
        (
            "ADD COLUMN tax INT NOT NULL",
            "column tax is NOT NULL without a default, and the mapping does not fill it",
        ),
        ("DROP PRIMARY KEY", "column order_id is neither the primary key nor a unique key by itself"),
        (
            "DROP PRIMARY KEY, ADD PRIMARY KEY (order_id, merchant_id)",
            "column order_id is neither the primary key nor a unique key by itself",
        ),
        (
            "DROP PRIMARY KEY, ADD UNIQUE KEY (order_id(8))",
            "column order_id is neither the primary key nor a unique key by itself",
        ),
        ("ENGINE=MyISAM", "its engine is MyISAM; only InnoDB commits all tables together"),
    ],
)
def test_each_mismatch_is_named_and_no_table_is_touched(step: Any, nothing: Tables, changes: str, problem: str):
    """Each mismatch is named, and nothing is created or changed."""
    nothing.run(ORDERS, f"ALTER TABLE tbl_orders {changes}")
    before = ddl(nothing)

    with pytest.raises(SchemaMismatchError) as refused:
        step()

    assert problems_of(refused) == [problem]
    assert ddl(nothing) == before


def test_all_mismatches_are_named_in_one_message(step: Any, nothing: Tables):
    nothing.run(
        ORDERS,
        "ALTER TABLE tbl_orders DROP COLUMN currency, MODIFY amount FLOAT NOT NULL, ADD COLUMN tax INT NOT NULL,"
        " DROP PRIMARY KEY, ENGINE=MyISAM",
    )

    with pytest.raises(SchemaMismatchError) as refused:
        step()

    assert str(refused.value) == (
        "table tbl_orders does not fit the mapping: its engine is MyISAM; only InnoDB commits all tables together;"
        " column amount is float; the mapping needs DECIMAL(19,4) or wider; column currency is missing;"
        " column tax is NOT NULL without a default, and the mapping does not fill it;"
        " column order_id is neither the primary key nor a unique key by itself"
    )


def test_a_view_is_no_table(step: Any, nothing: Tables):
    nothing.run(ORDERS.replace("tbl_orders", "real_orders"), "CREATE VIEW tbl_orders AS SELECT * FROM real_orders")

    with pytest.raises(SchemaMismatchError) as refused:
        step()

    assert problems_of(refused)[0] == "its engine is a view; only InnoDB commits all tables together"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ("DROP COLUMN token", "column token is missing"),
        ("DROP COLUMN kept_expiry", "column kept_expiry is missing"),
        (
            "MODIFY item_key VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
            "column item_key must have the collation ascii_bin",
        ),
        (
            "MODIFY version VARCHAR(160) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL",
            "column version must have the collation ascii_bin",
        ),
        ("DROP PRIMARY KEY", "its primary key is not (item_key)"),
        ("DROP PRIMARY KEY, ADD UNIQUE KEY one (item_key)", "its primary key is not (item_key)"),
        ("ENGINE=MyISAM", "its engine is MyISAM; only InnoDB commits all tables together"),
        (
            "MODIFY version VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL",
            "column version is varchar(20); it needs at least 160 characters",
        ),
    ],
)
def test_an_unfit_sidecar_is_named_before_anything_is_made(step: Any, nothing: Tables, changes: str, problem: str):
    """The target is not created either."""
    step()
    nothing.run("DROP TABLE tbl_orders", f"ALTER TABLE replication_versions {changes}")
    before = ddl(nothing)

    with pytest.raises(SchemaMismatchError) as refused:
        step()

    assert str(refused.value).startswith("table replication_versions does not fit")
    assert problems_of(refused) == [problem]
    assert ddl(nothing) == before


@pytest.mark.parametrize("missing", ["tbl_orders", "replication_versions", "replication_sources"])
def test_the_consumer_stops_where_a_table_is_missing(step: Any, nothing: Tables, connect: Any, missing: str):
    step()
    nothing.run(f"DROP TABLE {missing}")

    with pytest.raises(SchemaMismatchError, match=f"table {missing} .* it does not exist; run the schema step"):
        schema.inspect(connect(), MAPPING)


def test_wrong_row_counts_are_refused_and_nothing_is_left(connect: Any, nothing: Tables):
    """A proxy may set the flag on its own connections. The writer finds its winners by these counts."""
    lying = connect(client_flag=CLIENT.FOUND_ROWS)
    with pytest.raises(SchemaMismatchError, match="CLIENT_FOUND_ROWS"):
        schema.create_missing(lying, MAPPING)
    assert nothing.sidecar() == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ("", {}),
        (
            "ADD UNIQUE KEY u2 (status), ADD UNIQUE KEY u1 (merchant_id, created_at)",
            {
                "other_unique_keys": (
                    UniqueKey("u1", ("merchant_id", "created_at"), (None, None)),
                    UniqueKey("u2", ("status",), (None,)),
                ),
                "is_plain": False,
            },
        ),
        (
            "ADD UNIQUE KEY u (status(4))",
            {"other_unique_keys": (UniqueKey("u", ("status",), (4,)),), "is_plain": False},
        ),
        ("ADD KEY k (status)", {}),
        (
            "MODIFY order_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL",
            {"key": (KeyColumn("order_id", "text", "utf8mb4", "utf8mb4_unicode_ci"),), "is_plain": False},
        ),
        (
            "DROP PRIMARY KEY, ADD COLUMN id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, ADD UNIQUE KEY u (order_id)",
            {"own_keys": ("u",), "ordered_by": "u", "numbered_keys": ("PRIMARY",), "is_plain": False},
        ),
        ("ADD COLUMN note TEXT NULL", {"is_plain": False}),
        ("MODIFY status VARCHAR(32) NULL", {"vacant": (*VACANT[:1], ("status", "null"))}),
    ],
)
def test_what_the_writer_must_know_of_a_table_is_found(
    step: Any, nothing: Tables, connect: Any, changes: str, found: dict[str, Any]
):
    nothing.run(ORDERS, f"ALTER TABLE tbl_orders {changes}" if changes else "DO 0")
    step()

    [(packet_bytes, version)] = nothing.run("SELECT @@GLOBAL.max_allowed_packet, @@version")
    row_word = "" if "MariaDB" in version else "ROW"
    expected = Target(ORDER, (KeyColumn("order_id"),), row_word=row_word, vacant=VACANT)
    targets = schema.inspect(connect(), MAPPING)
    assert targets.tables == (replace(expected, **found),)
    assert targets.packet_bytes == packet_bytes


def test_a_generated_column_in_the_mapping_is_a_mismatch(step: Any, nothing: Tables, connect: Any):
    nothing.run(ORDERS, "ALTER TABLE tbl_orders DROP status, ADD status VARCHAR(32) AS (CONCAT('S', currency))")

    with pytest.raises(SchemaMismatchError, match="column status is generated by the server"):
        step()


@pytest.mark.parametrize(
    ("column_type", "members"),
    [
        ("enum('a','B')", {"a", "B"}),
        ("enum('it''s','x,y','')", {"it's", "x,y", ""}),
        (r"enum('a\\b','c\nd')", {"a\\b", "c\nd"}),
    ],
)
def test_the_values_of_an_enum_are_read_from_its_type(column_type: str, members: set[str]):
    assert enum_values(column_type) == members


def test_the_values_of_an_enum_are_those_that_the_server_has(nothing: Tables, step: Any, connect: Any):
    values = ["a", "it's", "x,y", 'q"', "back\\slash", "new\nline", "é", "%"]
    listed = ", ".join(map(literal, values))
    nothing.run(ORDERS, f"ALTER TABLE tbl_orders MODIFY status ENUM({listed}) NOT NULL")
    step()

    [check] = schema.inspect(connect(), MAPPING).tables[0].checks

    assert [value for value in [*values, "A", "1", "", "it''s"] if check.fits(value)] == values
