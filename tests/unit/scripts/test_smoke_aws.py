"""The smoke test on AWS: what it refuses, and how it compares rows. tests/e2e runs it against the local stack."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from backstream.deployment import Deployment
from scripts import smoke_aws

OUTPUTS = {
    "replay_state_machine_arn": "arn:aws:states:eu-central-1:123456789012:stateMachine:bs-replay",
    "failures_bucket": "failures",
    "table_name": "orders",
    "api_url": "https://api.example",
}
ROW = ("order-1", "merchant-1", "2", "EUR", "NEW", "1770000000", "1770000001")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name="eu-central-1")
        keys = {"p_key": "HASH", "s_key": "RANGE"}
        dynamodb.create_table(
            TableName="orders",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        )
        item = {name: {"S": text} for name, text in zip(smoke_aws.ATTRIBUTES, ROW, strict=True)}
        numbers = {"amount": {"N": "2.00"}, "created_at": {"N": ROW[5]}, "updated_at": {"N": ROW[6]}}
        dynamodb.put_item(TableName="orders", Item=item | numbers | {"s_key": {"S": "ORDER"}})
        yield Deployment(OUTPUTS)


def printing(text: str) -> smoke_aws.Commands:
    return smoke_aws.Commands(f"cat >/dev/null; printf %s {shlex.quote(text)}", None, None)


def test_var_file_or_outputs_is_required(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        smoke_aws.main([])
    assert ended.value.code == 2
    assert "--var-file --outputs" in capsys.readouterr().err


def test_stop_and_start_commands_go_together(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        smoke_aws.main(["--outputs", "file", "--stop-database", "true"])
    assert ended.value.code == 2
    assert "go together" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--var-file", "--outputs"])
def test_a_missing_file_is_wrong_usage(option: str, tmp_path: Path):
    assert smoke_aws.main([option, str(tmp_path / "none")]) == 2


def test_without_the_api_secret_nothing_is_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({name: {"value": value} for name, value in OUTPUTS.items()}))
    assert smoke_aws.main(["--outputs", str(file)]) == 2
    assert "api_auth = basic" in capsys.readouterr().err


def test_a_row_equal_to_its_item_passes(table: Deployment, capsys: pytest.CaptureFixture[str]):
    smoke_aws._compare(table, printing("\t".join(ROW).replace("\t2\t", "\t2.0000\t") + "\n"), ["order-1"])  # noqa: SLF001
    assert "MySQL     the same" in capsys.readouterr().out


def test_a_deleted_order_has_no_row(table: Deployment, capsys: pytest.CaptureFixture[str]):
    smoke_aws._compare(table, printing(""), ["order-2"])  # noqa: SLF001
    assert "no row" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "\t".join(ROW).replace("EUR", "USD")])
def test_a_row_that_differs_fails(table: Deployment, text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(smoke_aws, "ARRIVES_WITHIN", 0)
    with pytest.raises(smoke_aws.SmokeError, match="differs"):
        smoke_aws._compare(table, printing(text), ["order-1"])  # noqa: SLF001


def test_a_mysql_command_without_rows_is_named(table: Deployment):
    with pytest.raises(smoke_aws.SmokeError, match="7 tab-separated columns"):
        smoke_aws._compare(table, printing("order_id\tamount\n"), ["order-1"])  # noqa: SLF001


@pytest.mark.parametrize(("answer", "fails"), [("yes", False), ("no", True), ("", True)])
def test_a_no_fails_the_comparison(table: Deployment, answer: str, fails: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("builtins.input", lambda _: answer)
    nobody = smoke_aws.Commands(None, None, None)
    if fails:
        with pytest.raises(smoke_aws.SmokeError, match="differs"):
            smoke_aws._compare(table, nobody, ["order-1"])  # noqa: SLF001
    else:
        smoke_aws._compare(table, nobody, ["order-1"])  # noqa: SLF001


def test_nothing_is_destroyed_without_a_yes(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "no")
    monkeypatch.setattr(smoke_aws, "_terraform", lambda *_: pytest.fail("destroyed"))
    with pytest.raises(smoke_aws.SmokeError, match="not destroyed"):
        smoke_aws._destroy([])  # noqa: SLF001
    assert len(asked) == 1
