"""backstream shadow against a real database server and a table."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from backstream import cli
from common.changes import Mark
from common.seeds import marked
from scripts.local_stack.database import Account
from scripts.local_stack.mariadb import MariaDB
from tests.support.records import item, record
from tests.support.tables import Tables
from tests.support.writes import Applier

TABLE = "orders"
Call = Callable[..., tuple[int, Any]]


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
            KeySchema=[
                {"AttributeName": "p_key", "KeyType": "HASH"},
                {"AttributeName": "s_key", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("p_key", "s_key")],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


@pytest.fixture
def orders(dynamodb: Any, writer: Applier) -> None:
    """Four orders in the table, which were applied to MySQL."""
    for number, key in enumerate("abcd", 1):
        dynamodb.put_item(TableName=TABLE, Item=item(key))
        writer(record(key, number, "INSERT"))


@pytest.fixture
def call(server: MariaDB, orders: None, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Call:
    """Runs `backstream shadow`; returns its exit code, and its JSON or what it says on standard error."""

    def run(*arguments: str, stdin: str = "", user: Any = server.app, as_json: bool = True) -> tuple[int, Any]:
        monkeypatch.setenv("MYSQL_PASSWORD", user.password)
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        given = ["--host", server.host, "--port", str(server.port), "--user", user.user, "--database", server.database]
        given += ["--ca", str(server.certificates.authority), "--table", TABLE, "--wait", "0.1"]
        code = cli.main(["shadow", *arguments, *given, *(["--json"] if as_json else [])])
        shown = capsys.readouterr()
        return code, json.loads(shown.out) if as_json and shown.out else shown.out + shown.err

    return run


def counts(**found: int) -> dict[str, int]:
    names = ("keys", "agreed", "agreed_later", "differs", "seed_outdated", "refused", "unsettled")
    return dict.fromkeys(names, 0) | found


def test_equal_sides_exit_with_0(call: Call, tables: Tables):
    """Keys are arguments or lines, with or without their entity; nothing is written or locked."""
    before = tables.orders(), tables.whole_sidecar()
    expected = {"counts": counts(keys=4, agreed=4), "differences": [], "refused": [], "unsettled": []}
    assert call("a", "b", "order/c", "d") == (0, expected)
    assert call(stdin="a\norder/b\n\n c \nd\na\n") == (0, expected)
    assert (tables.orders(), tables.whole_sidecar()) == before
    tables.assert_unlocked()


def test_each_difference_is_told_by_key(call: Call, tables: Tables, dynamodb: Any):
    """Kind and columns, and no values."""
    dynamodb.put_item(TableName=TABLE, Item=item("b", amount="7.25", status="secret"))
    tables.run("DELETE FROM tbl_orders WHERE order_id = 'c'")
    dynamodb.delete_item(TableName=TABLE, Key={"p_key": {"S": "d"}, "s_key": {"S": "ORDER"}})
    dynamodb.put_item(TableName=TABLE, Item=item("e", amount={"S": "secret"}))
    tables.run("INSERT INTO tbl_orders VALUES ('f', 'm', 1, 'INR', 'NEW', 1, 1)")
    code, found = call(*"abcdefg")
    assert code == 4
    assert found["differences"] == [
        {"key": "order/b", "kind": "columns_differ", "columns": ["amount", "status"]},
        {"key": "order/c", "kind": "row_missing", "columns": []},
        {"key": "order/d", "kind": "removal_lost", "columns": []},
        {"key": "order/f", "kind": "stranger", "columns": []},
    ]
    assert [one["key"] for one in found["refused"]] == ["order/e"]
    assert found["counts"] == counts(keys=7, agreed=2, differs=4, refused=1)
    assert "secret" not in json.dumps(found)


def test_values_are_shown_on_demand_only(call: Call, dynamodb: Any):
    """Exactly, as text where JSON has no such value."""
    dynamodb.put_item(TableName=TABLE, Item=item("b", amount="7.25", updated_at=5))
    _, found = call("b", "--values")
    assert found["differences"][0]["values"] == {
        "amount": {"item": "7.25", "row": "200.0000"},
        "updated_at": {"item": 5, "row": 1_770_000_000},
    }
    code, text = call("b", "--values", as_json=False)
    assert (code, text.splitlines()) == (
        4,
        [
            "differs: order/b: columns_differ (amount, updated_at)",
            '  amount: item "7.25", row "200.0000"',
            "  updated_at: item 5, row 1770000000",
            "keys                  1",
            "differs               1",
        ],
    )


def test_a_seeded_item_that_is_outdated_is_told(call: Call, tables: Tables, dynamodb: Any):
    """The legacy application has changed the row since: the next seed takes it."""
    dynamodb.put_item(TableName=TABLE, Item=marked(item("b"), "orders", "one"))
    tables.run(
        "UPDATE tbl_orders SET status = 'PAID' WHERE order_id = 'b'",
        f"UPDATE replication_versions SET deleted = {int(Mark.SEEDED)} WHERE item_key = 'b'",
    )
    code, found = call("b")
    assert (code, found["differences"]) == (4, [{"key": "order/b", "kind": "seed_outdated", "columns": ["status"]}])


def test_a_share_of_the_keys_is_compared(call: Call, monkeypatch: pytest.MonkeyPatch):
    """A sample without a key proves nothing, so it is wrong usage."""
    chances = iter([0.5, 0.009, 0.01, 0.001, *[0.5] * 4])
    monkeypatch.setattr("random.random", lambda: next(chances))
    code, found = call(*"abcd", "--sample", "0.01")
    assert (code, found["counts"]) == (0, counts(keys=2, agreed=2))
    code, text = call(*"abcd", "--sample", "0.01")
    assert (code, "no key to compare" in text) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        ([], "", "no key to compare"),
        (["a", "order/" + "x" * 70], "", "is the key of no item: give order/<order_id> or the value alone"),
        (["a", "--mapping", "no"], "", "no mapping file"),
        (["a", "--outputs", "/no/file"], "", "/no/file"),
    ],
)
def test_wrong_usage_exits_with_2(call: Call, arguments: list[str], stdin: str, says: str):
    code, text = call(*arguments, stdin=stdin)
    assert code == 2
    assert says in text


@pytest.mark.parametrize("arguments", [["--sample", "0"], ["--sample", "2"], ["--wait", "-1"], ["--wait", "nan"]])
def test_a_wrong_option_exits_with_2(call: Call, arguments: list[str]):
    with pytest.raises(SystemExit) as exit_:
        call("a", *arguments)
    assert exit_.value.code == 2


def test_a_side_that_does_not_answer_exits_with_1(call: Call, server: MariaDB, dynamodb: Any):
    code, text = call("a", user=Account(server.app.user, "wrong"))
    assert (code, "MySQL error 1045" in text) == (1, True)
    dynamodb.delete_table(TableName=TABLE)
    code, text = call("a")
    assert (code, "ResourceNotFoundException" in text) == (1, True)
