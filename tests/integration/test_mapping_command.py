"""backstream mapping against a real database server, with hostile legacy tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

import check_mappings
from backstream import cli
from scripts.local_stack.mariadb import MariaDB
from tests.support.tables import Tables

TABLE = "shop"
MAPPING: dict[str, Any] = {
    "partition_key": {"attribute": "pk", "type": "string"},
    "ttl_attribute": "expires",
    "entities": {
        "order": {
            "target": {
                "table": "orders",
                "key": {"partition_key": "ORDER#{order_id}"},
                "key_columns": [{"column": "order_id", "type": "string", "length": 40}],
            },
            "columns": [
                {"column": "amount", "from": ["amount"], "type": "decimal", "precision": 12, "scale": 2},
                {"column": "note", "from": ["note"], "type": "string", "length": 20, "absent": "null"},
            ],
            "deletes": {"flag": "is_deleted", "time": "deleted_at"},
        }
    },
}
KEY = "order_id VARCHAR(40) COLLATE utf8mb4_bin NOT NULL"
AMOUNT, NOTE = "amount DECIMAL(12,2) NOT NULL", "note VARCHAR(20)"
FLAGS = "is_deleted TINYINT(1) NOT NULL, deleted_at DATETIME"
PRIMARY = "PRIMARY KEY (order_id)"
FITTING = (KEY, AMOUNT, NOTE, FLAGS, PRIMARY)

Call = Callable[..., tuple[int, str]]


def ddl(*parts: str, engine: str = "InnoDB", without: str = "") -> str:
    kept = [part for part in (*FITTING, *parts) if part != without]
    return f"CREATE TABLE orders ({', '.join(kept)}) ENGINE={engine}"


@pytest.fixture
def tables(server: MariaDB) -> Iterator[Tables]:
    admin = server.connect(autocommit=True)
    tables = Tables(admin)
    tables.drop_all()
    yield tables
    tables.drop_all()
    admin.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(MAPPING))
    return path


@pytest.fixture
def call(server: MariaDB, tables: Tables, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Call:
    """Runs `backstream mapping`, against the server unless `database` is false."""

    def run(*arguments: str, database: bool = True, user: Any = server.admin) -> tuple[int, str]:
        monkeypatch.setenv("MYSQL_PASSWORD", user.password)
        given = ["--host", server.host, "--port", str(server.port), "--user", user.user, "--database", server.database]
        given += ["--ca", str(server.certificates.authority)]
        code = cli.main(["mapping", *arguments, *(given if database else ())])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1")
        client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        client.update_time_to_live(
            TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
        )
        yield client


def put(client: Any, key: str, **attributes: Any) -> None:
    client.put_item(TableName=TABLE, Item={"pk": {"S": key}} | attributes)


# check


def test_a_fitting_table_is_ok(call: Call, tables: Tables, file: Path):
    tables.run(ddl())
    code, shown = call("check", str(file))
    assert code == 0, shown
    assert "ok       order: table orders fits" in shown


def test_a_missing_table_is_a_warning(call: Call, file: Path):
    """The schema step creates it."""
    code, shown = call("check", str(file))
    assert code == 0, shown
    assert "warning  order: table orders does not exist" in shown


@pytest.mark.parametrize(
    ("statements", "finding"),
    [
        ([ddl(without=NOTE)], "error    order: table orders: column note is missing"),
        ([ddl("NOTE VARCHAR(20)", without=NOTE)], "column note is called NOTE; write it so in the mapping"),
        ([ddl("note VARCHAR(5)", without=NOTE)], "column note is varchar(5); the mapping needs a text of at least 20"),
        ([ddl("note VARCHAR(20) NOT NULL", without=NOTE)], "column note is NOT NULL, but the mapping allows null"),
        (
            [ddl("amount DECIMAL(10,1)", without=AMOUNT)],
            "column amount is decimal(10,1); the mapping needs DECIMAL(12,2)",
        ),
        ([ddl("amount DOUBLE", without=AMOUNT)], "column amount is double"),
        ([ddl("site INT NOT NULL")], "column site is NOT NULL without a default, and the mapping does not fill it"),
        ([ddl("note VARCHAR(20) AS (order_id)", without=NOTE)], "column note is generated by the server"),
        (
            [ddl("order_id VARCHAR(40) COLLATE utf8mb4_general_ci NOT NULL", without=KEY)],
            "column order_id is varchar(40); the mapping needs a collation that ends in _bin",
        ),
        ([ddl(engine="MyISAM")], "its engine is MyISAM"),
        ([ddl(without=PRIMARY)], "error    order: table orders: column order_id is neither the primary key nor"),
        (
            [f"CREATE TABLE old ({', '.join(FITTING)})", "CREATE VIEW orders AS SELECT * FROM old"],
            "its engine is a view",
        ),
    ],
)
def test_what_would_stop_the_pipeline_is_an_error(
    call: Call, tables: Tables, file: Path, statements: list[str], finding: str
):
    tables.run(*statements)
    code, shown = call("check", str(file))
    assert code == 1, shown
    assert finding in shown


@pytest.mark.parametrize(
    ("statements", "finding"),
    [
        (
            [ddl("note VARCHAR(20) CHARACTER SET latin1", without=NOTE)],
            "warning  order.note: its character set latin1 does not hold every character",
        ),
        ([ddl("UNIQUE KEY u (note)")], "warning  order: table orders has another unique key, u on note"),
        (
            [
                "CREATE TABLE notes (note VARCHAR(20) PRIMARY KEY)",
                ddl("CONSTRAINT f FOREIGN KEY (note) REFERENCES notes (note)"),
            ],
            "warning  order: foreign key f: table orders refers to notes",
        ),
        (
            [ddl(), f"CREATE TABLE line ({KEY}, CONSTRAINT f FOREIGN KEY (order_id) REFERENCES orders (order_id))"],
            "",  # rows are flagged, not deleted: nothing to know
        ),
        (
            [ddl(), "CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW SET NEW.note = 'x'"],
            "warning  order: trigger t (BEFORE UPDATE)",
        ),
        ([ddl("id INT AUTO_INCREMENT UNIQUE")], "warning  order.id: is AUTO_INCREMENT: the server numbers new rows"),
    ],
)  # fmt: skip
def test_what_works_but_surprises_is_a_warning(
    call: Call, tables: Tables, file: Path, statements: list[str], finding: str
):
    tables.run(*statements)
    code, shown = call("check", str(file))
    assert code == 0, shown
    assert finding in shown
    assert finding or "0 warning" in shown


def test_children_matter_where_rows_are_deleted(call: Call, tables: Tables, tmp_path: Path):
    tables.run(
        ddl(without=FLAGS),
        f"CREATE TABLE line ({KEY}, CONSTRAINT f FOREIGN KEY (order_id) REFERENCES orders (order_id))",
    )
    file = tmp_path / "shop.json"
    order = {**MAPPING["entities"]["order"], "deletes": "delete"}
    file.write_text(json.dumps({**MAPPING, "entities": {"order": order}}))
    code, shown = call("check", str(file))
    assert code == 0, shown
    assert "foreign key f: table line refers to orders\n         a delete is deferred" in shown


def test_hidden_triggers_are_a_warning(call: Call, tables: Tables, file: Path, server: MariaDB):
    tables.run(ddl())
    _, shown = call("check", str(file), user=server.app)
    assert "the account may not see the triggers of orders" in shown


def test_an_old_sidecar_is_an_error(call: Call, tables: Tables, file: Path):
    tables.run(ddl(), "CREATE TABLE replication_versions (item_key VARCHAR(64) PRIMARY KEY)")
    code, shown = call("check", str(file))
    assert code == 1
    assert "error    replication_versions: it is of version 0.1.0: migrate the sidecar first" in shown
    code, shown = call("ddl", str(file), "--sidecar")
    assert "ALTER TABLE replication_versions ADD COLUMN kept_delete" in shown
    assert "CREATE TABLE IF NOT EXISTS replication_entities" in shown


def test_an_invalid_file_is_an_error(call: Call, tmp_path: Path):
    """The database is not asked."""
    file = tmp_path / "shop.json"
    file.write_text(json.dumps({**MAPPING, "entities": {}}))
    code, shown = call("check", str(file), database=False)
    assert code == 1
    assert f"error    {file}: shop.json: entities: is empty" in shown


def test_a_file_that_cannot_be_parsed_is_an_error(call: Call, tmp_path: Path):
    """Also for the build, which may meet a folder with the name of a mapping."""
    file, folder = tmp_path / "shop.json", tmp_path / "folder.json"
    file.write_text("[" * 100_000)
    folder.mkdir()
    code, shown = call("check", str(file), database=False)
    assert code == 1
    assert "shop.json: is nested too deeply" in shown
    assert check_mappings.problems(file) == ["shop.json: is nested too deeply"]
    assert check_mappings.problems(folder) == ["folder.json: cannot be read: Is a directory"]


def test_the_prepare_file_is_checked_before_it_runs(call: Call, tmp_path: Path):
    """As the build does."""
    file, mark = tmp_path / "shop.json", tmp_path / "ran"
    order = {**MAPPING["entities"]["order"], "deletes": "delete"}
    file.write_text(json.dumps({**MAPPING, "entities": {"order": order}, "prepare": "shop.py"}))
    file.with_name("shop.py").write_text(f"open({str(mark)!r}, 'w')\n\ndef prepare(item):\n    return item\n")
    code, shown = call("check", str(file), database=False)
    assert code == 1
    assert "shop.py, line 1: open is not allowed" in shown
    assert not mark.exists()
    file.with_name("shop.py").write_text("def prepare(item):\n    return item\n")
    assert call("check", str(file), database=False)[0] == 0


def test_items_are_checked_against_tables(call: Call, tables: Tables, file: Path, dynamodb: Any):
    """What the mapping refuses, what the table refuses, and what is not mapped."""
    tables.run(ddl("CHECK (amount > 0)", "note VARCHAR(20) CHARACTER SET ascii", without=NOTE))
    put(dynamodb, "ORDER#1", amount={"N": "1"}, note={"S": "é"}, colour={"S": "red"})
    put(dynamodb, "ORDER#2", amount={"N": "1.001"})
    put(dynamodb, "CUSTOMER#1")
    code, shown = call("check", str(file), "--table", TABLE)
    assert code == 1
    assert "ok       order: 1 of 3 items become rows of orders" in shown
    assert "error    items: 1 would be quarantined: attribute amount does not fit DECIMAL(12,2)" in shown
    assert "1 of 3 match no entity" in shown
    assert "warning  order.colour: is an attribute that is not mapped" in shown
    assert "error    order: 1 rows would be quarantined: MySQL error 1366" in shown
    for value in ("é", "red", "1.001"):
        assert value not in shown


def test_findings_are_printed_as_json(call: Call, tables: Tables, file: Path, capsys: Any):
    tables.run(ddl(without=NOTE))
    code = cli.main(["mapping", "check", str(file), "--json"])
    assert code == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["severity"], found["subject"]) == ("ok", str(file))


# ddl


def test_ddl_without_a_database_creates_every_table(call: Call, tables: Tables, file: Path):
    code, shown = call("ddl", str(file), "--sidecar", database=False)
    assert code == 0
    tables.run(*(statement for statement in shown.split(";\n") if statement.strip()))
    assert call("check", str(file))[1].startswith(f"ok       {file}")
    assert "fits" in call("check", str(file))[1]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (ddl(), ""),
        (ddl(without=NOTE), "ALTER TABLE `orders` ADD COLUMN `note` VARCHAR(20) NULL;"),
        (
            ddl("note VARCHAR(5) CHARACTER SET latin1 NOT NULL DEFAULT 'x' COMMENT 'a, b'", without=NOTE),
            "`note` VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci NULL DEFAULT 'x' COMMENT 'a, b';",
        ),
        (ddl("amount DECIMAL(10,4) NOT NULL", without=AMOUNT), "MODIFY COLUMN `amount` DECIMAL(14,4) NOT NULL;"),
        (
            ddl("order_id VARCHAR(50) COLLATE utf8mb4_general_ci NOT NULL", without=KEY),
            "MODIFY COLUMN `order_id` VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL;",
        ),
        (ddl(without=PRIMARY), "ALTER TABLE `orders` ADD PRIMARY KEY (`order_id`);"),
        (ddl("id INT PRIMARY KEY", without=PRIMARY), "ALTER TABLE `orders` ADD UNIQUE KEY (`order_id`);"),
    ],
)  # fmt: skip
def test_ddl_makes_an_existing_table_fit(call: Call, tables: Tables, file: Path, statement: str, expected: str):
    """Without narrowing or changing anything else. The statements run, and then the table fits."""
    tables.run(statement)
    code, shown = call("ddl", str(file))
    assert code == 0
    assert expected in shown
    tables.run(*(line for line in shown.splitlines() if line.startswith("ALTER")))
    if "id INT" not in statement:
        assert call("check", str(file))[0] == 0
    assert call("ddl", str(file))[1] == "nothing is missing or too narrow\n"


def test_a_conversion_is_left_to_a_person(call: Call, tables: Tables, file: Path):
    tables.run(ddl("amount VARCHAR(20)", without=AMOUNT))
    _, shown = call("ddl", str(file))
    assert "-- orders.amount is varchar(20); the mapping needs DECIMAL(12,2) or wider" in shown
    assert "ALTER" not in shown


def test_a_column_in_another_spelling_is_not_added(call: Call, tables: Tables, file: Path):
    """To the server it is the same column: it would refuse the statement, or make a second key."""
    tables.run(ddl(KEY.replace("order_id", "Order_Id"), NOTE.upper()).replace(f"{KEY}, ", "").replace(f"{NOTE}, ", ""))
    _, shown = call("ddl", str(file))
    assert "-- orders.order_id is called Order_Id: write it so in the mapping" in shown
    assert "-- orders.note is called NOTE: write it so in the mapping" in shown
    assert "ALTER" not in shown


# draft


def test_a_draft_like_a_legacy_table_fits_it(call: Call, tables: Tables, dynamodb: Any, tmp_path: Path):
    """The draft passes the check against the same table and the same items."""
    tables.run(ddl("seen TIMESTAMP NULL", "Colour ENUM('red', 'blue')", "id INT AUTO_INCREMENT UNIQUE"))
    for n in range(30):
        put(
            dynamodb,
            f"ORDER#{n}",
            amount={"N": "1.5"},
            note={"S": "x"},
            colour={"S": "red"},
            expires={"N": "2000000000"},
        )
    output = tmp_path / "mappings" / "drafted.json"
    code, shown = call("draft", "--table", TABLE, "--like", "orders", "--output", str(output))
    assert code == 0, shown
    assert "read 30 items of shop" in shown
    declared = json.loads(output.read_text())
    ((_, entity),) = declared["entities"].items()
    assert declared["ttl_attribute"] == "expires"
    assert entity["target"]["table"] == "orders"
    assert [column["column"] for column in entity["columns"]] == ["amount", "note", "Colour"]
    assert "column is_deleted is NOT NULL without a default" in entity["comment"]
    entity["deletes"] = {"flag": "is_deleted"}
    output.write_text(json.dumps(declared))
    code, shown = call("check", str(output), "--table", TABLE)
    assert code == 0, shown
    assert "30 of 30 items become rows of orders" in shown


def test_a_draft_replaces_no_file(call: Call, dynamodb: Any, tmp_path: Path):
    output = tmp_path / "shop.json"
    output.write_text("mine")
    code, shown = call("draft", "--table", TABLE, "--output", str(output), database=False)
    assert code == 2
    assert "a draft overwrites nothing" in shown
    assert output.read_text() == "mine"


def test_a_sample_comes_from_every_segment(call: Call, dynamodb: Any, tmp_path: Path):
    """It stops at the size that was asked for."""
    for n in range(60):
        put(dynamodb, f"ORDER#{n}")
    output = tmp_path / "shop.json"
    code, shown = call("draft", "--table", TABLE, "--sample", "20", "--output", str(output), database=False)
    assert code == 0, shown
    assert "read 20 items of shop" in shown


# explain


def test_explain_shows_the_row_and_what_removals_do(call: Call, file: Path, dynamodb: Any):
    put(dynamodb, "ORDER#1", amount={"N": "1.5"}, colour={"S": "red"})
    code, shown = call("explain", str(file), "--table", TABLE, "--key", '{"pk": "ORDER#1"}', database=False)
    assert code == 0, shown
    assert shown.splitlines() == [
        "entity    order",
        "key       order/1",
        "table     orders",
        '  order_id    "1"',
        "  amount      1.5",
        "  note        NULL",
        "  is_deleted  0",
        "  deleted_at  NULL",
        "delete    sets is_deleted to 1, deleted_at to its time",
        "expiry    leaves the row of orders as it is",
        "unmapped  colour",
    ]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ('{"pk": "ORDER#1", "amount": "x"}', "no row of key order/1: attribute amount has the wrong type"),
        ('{"pk": "ORDER#1"}', "attribute amount is missing"),
        ('{"pk": "CUSTOMER#1"}', "order: pk does not start with ORDER#"),
        ('{"other": 1}', "the record lacks pk"),
    ],
)
def test_explain_says_why_there_is_no_row(call: Call, file: Path, tmp_path: Path, item: str, said: str):
    source = tmp_path / "item.json"
    source.write_text(item)
    code, shown = call("explain", str(file), "--item", str(source), database=False)
    assert code == 1
    assert said in shown


# how a database is named


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "db"], "--host needs --user and --database"),
        (["--user", "me"], "no database for --user: give --host, or --env, --outputs or --local"),
        (
            ["--host", "db", "--user", "me", "--database", "d", "--ca", "absent.pem"],
            "cannot read the certificates of --ca",
        ),
    ],
)
def test_an_incomplete_database_is_wrong_usage(call: Call, file: Path, arguments: list[str], said: str):
    code, shown = call("check", str(file), *arguments, database=False)
    assert code == 2
    assert said in shown


def test_a_server_that_does_not_answer_is_one_line(call: Call, file: Path):
    given = ["--host", "127.0.0.1", "--port", "9", "--user", "me", "--database", "d"]
    code, shown = call("check", str(file), *given, database=False)
    assert code == 1
    assert shown == (
        "backstream: inspecting the table orders: MySQL error 2003: the database is down or unreachable;"
        " changes wait until it answers\n"
    )


# several tables, and keys of every kind

CHILD_MAPPING: dict[str, Any] = {
    "partition_key": {"attribute": "shop", "type": "number"},
    "sort_key": {"attribute": "digest", "type": "binary"},
    "entities": {
        name: {
            "when": {"attribute": {"path": ["type"], "equals": name}},
            "target": {
                "table": f"{name}s",
                "key": {"partition_key": "{shop}", "sort_key": "{digest}"},
                "key_columns": [
                    {"column": "shop", "type": "int"},
                    {"column": "digest", "type": "binary", "length": 8},
                ],
            },
            "columns": [{"column": "note", "from": ["note"], "type": "string", "length": 20, "absent": "null"}],
        }
        for name in ("child", "parent")
    },
}


@pytest.fixture
def two_tables(tmp_path: Path, tables: Tables) -> Path:
    columns = "shop INT NOT NULL, digest VARBINARY(8) NOT NULL, note VARCHAR(20), PRIMARY KEY (shop, digest)"
    tables.run(*(f"CREATE TABLE {name} ({columns})" for name in ("parents", "childs")))
    file = tmp_path / "family.json"
    file.write_text(json.dumps(CHILD_MAPPING))
    return file


REFERENCE = "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY (shop, digest) REFERENCES {} (shop, digest)"


def test_parents_are_written_first(call: Call, tables: Tables, two_tables: Path):
    tables.run(REFERENCE.format("childs", "up", "parents"))
    code, shown = call("check", str(two_tables))
    assert code == 0, shown
    assert "ok       family: parents are written first, and children deleted first" in shown
    assert "warning  child: foreign key up: table childs refers to parents" in shown
    assert "warning  parent: foreign key up: table childs refers to parents" in shown


def test_a_cycle_of_tables_is_a_warning(call: Call, tables: Tables, two_tables: Path):
    tables.run(REFERENCE.format("childs", "up", "parents"), REFERENCE.format("parents", "down", "childs"))
    code, shown = call("check", str(two_tables))
    assert code == 0, shown
    assert "warning  family: the tables childs, parents refer to each other in a cycle" in shown


def test_a_table_of_another_entity_is_an_error(call: Call, tables: Tables, two_tables: Path):
    call("ddl", str(two_tables), "--sidecar")
    tables.run(
        "CREATE TABLE replication_entities (entity VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,"
        " target_table VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin UNIQUE)",
        "INSERT INTO replication_entities VALUES ('other.thing', 'parents'), ('family.child', 'childs')",
    )
    code, shown = call("check", str(two_tables))
    assert code == 1
    assert "error    parents: the entity other.thing writes this table" in shown
    assert "childs: the entity" not in shown


def test_another_table_of_a_known_entity_is_an_error(call: Call, tables: Tables, two_tables: Path):
    """The schema step refuses it, because the stored versions are those of the rows in the former table."""
    tables.run(
        "CREATE TABLE replication_entities (entity VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,"
        " target_table VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin UNIQUE)",
        "INSERT INTO replication_entities VALUES ('family.child', 'children'), ('family.parent', 'parents')",
    )
    code, shown = call("check", str(two_tables))
    assert code == 1
    assert "error    child: the entity wrote the table children until now" in shown
    assert "parent: the entity" not in shown


def test_number_and_binary_keys_are_explained(call: Call, two_tables: Path, tmp_path: Path):
    item = tmp_path / "item.json"
    item.write_text('{"shop": {"N": "7"}, "digest": {"B": "AP8="}, "type": {"S": "parent"}}')
    code, shown = call("explain", str(two_tables), "--item", str(item), "--json", database=False)
    assert code == 0, shown
    (found,) = json.loads(shown)
    assert (found["entity"], found["key"]) == ("parent", "parent/7/00ff")
    assert found["row"] == {"shop": 7, "digest": "0x00ff", "note": None}
    assert found["expiry"] == "items of this mapping do not expire"


def test_a_draft_of_number_and_binary_keys_maps_its_sample(call: Call, tables: Tables, dynamodb: Any, tmp_path: Path):
    """Every sampled item becomes a row of the tables that ddl prints."""
    dynamodb.create_table(
        TableName="family",
        KeySchema=[{"AttributeName": "shop", "KeyType": "HASH"}, {"AttributeName": "digest", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "shop", "AttributeType": "N"},
            {"AttributeName": "digest", "AttributeType": "B"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for n in range(12):
        key = {"shop": {"N": str(n)}, "digest": {"B": bytes([n])}}
        values = {
            "type": {"S": ("user", "group")[n % 2]},
            "when": {"S": "2026-01-31T00:00:00.5Z"},
            "tags": {"NS": ["1"]},
        }
        dynamodb.put_item(TableName="family", Item=key | values)
    output = tmp_path / "family.json"
    code, shown = call("draft", "--table", "family", "--output", str(output), database=False)
    assert code == 0, shown
    _, statements = call("ddl", str(output), database=False)
    tables.run(*(one for one in statements.split(";\n") if one.strip()))
    code, shown = call("check", str(output), "--table", "family")
    assert code == 0, shown
    assert "6 of 12 items become rows of users" in shown
    assert "6 of 12 items become rows of groups" in shown
