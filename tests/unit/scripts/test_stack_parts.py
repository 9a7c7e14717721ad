"""Decisions of the local stack that need no running servers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scripts.local_stack.database import Account, DatabaseAccess, client_command
from scripts.local_stack.emulator import aws_environment
from scripts.local_stack.first_order import _curl, _printable
from scripts.local_stack.settings import read_settings
from scripts.local_stack.stack import STAYS, Stack, _fingerprint, _reachable, _write_outputs
from scripts.local_stack.terminal import StackError, as_table, in_parallel, step
from scripts.local_stack.terraform import Terraform


def access(**options: Any) -> DatabaseAccess:
    given = {
        "host": "db",
        "port": 3307,
        "host_for_lambda": "db",
        "database": "backstream",
        "admin": Account("admin", "secret"),
        "app": Account("app", "hidden"),
        "tls": "off",
    }
    return DatabaseAccess(**{**given, **options})


def client_called(tmp_path: Path, version: str) -> Path:
    program = tmp_path / "client"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terraform:
    """A working copy whose `terraform` exits with the code in the file `code`."""
    program = tmp_path / "terraform"
    program.write_text(f"#!/bin/sh\necho 'Error: no such thing'\nexit $(cat {tmp_path / 'code'})\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "code").write_text("0")
    terraform = Terraform(tmp_path / "home", tmp_path / "cache", "http://127.0.0.1:1")
    terraform.folder.mkdir(parents=True)
    return terraform


def test_deployed_holds_from_the_first_apply_to_forget(terraform: Terraform, tmp_path: Path):
    """An apply that fails later does not change it."""
    (tmp_path / "code").write_text("1")
    with pytest.raises(StackError, match="no such thing"):
        terraform.apply({})
    assert not terraform.deployed
    (tmp_path / "code").write_text("0")
    terraform.apply({})
    (tmp_path / "code").write_text("1")
    with pytest.raises(StackError, match="no such thing"):
        terraform.apply({})
    assert terraform.deployed
    terraform.forget()
    assert not terraform.deployed


class FailingStack(Stack):
    """Its first apply fails, later ones succeed."""

    def __init__(self, home: Path, *, deployed: bool) -> None:
        super().__init__(read_settings({"BACKSTREAM_HOME": str(home), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}))
        self.failures, self.done = [StackError("no such thing")], list[str]()
        self.settings.stack_home.mkdir(parents=True)
        if deployed:
            (self.settings.stack_home / "deployed").touch()

    def deploy(self, *, marked: bool) -> None:
        found = _fingerprint(access()) if marked else None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.emulator, "mark", lambda: found)
            self._deploy(interrupted=False)

    def _prepared_access(self) -> DatabaseAccess:
        return access()

    def _forget_deployment(self) -> None:
        self.done.append("forget")

    def _apply(self, *_: Any) -> None:
        self.done.append("apply")
        if self.failures:
            raise self.failures.pop()

    def _start_over(self) -> None:
        self.done.append("start over")


def test_a_first_deployment_that_failed_starts_over(tmp_path: Path):
    """At once, and when `up` is repeated."""
    stack = FailingStack(tmp_path, deployed=False)
    stack.deploy(marked=False)
    assert stack.done == ["forget", "apply", "start over", "apply"]
    again = FailingStack(tmp_path / "again", deployed=False)
    again.deploy(marked=True)
    assert again.done == ["apply", "start over", "apply"]


def test_a_deployment_that_fails_twice_is_an_error(tmp_path: Path):
    stack = FailingStack(tmp_path, deployed=False)
    stack.failures.append(StackError("no such thing"))
    with pytest.raises(StackError, match="no such thing"):
        stack.deploy(marked=False)


def test_a_complete_deployment_survives_a_failed_apply(tmp_path: Path):
    stack = FailingStack(tmp_path, deployed=True)
    with pytest.raises(StackError) as failed:
        stack.deploy(marked=True)
    assert (stack.done, failed.value.reason) == (["apply"], f"no such thing\n{STAYS}")


def test_api_urls_point_to_the_emulator():
    aws = "https://abc123.execute-api.us-east-1.amazonaws.com/local"
    assert _reachable(aws, "http://127.0.0.1:4566") == "http://127.0.0.1:4566/_aws/execute-api/abc123/local"


def test_the_first_order_is_printed_as_a_curl_command():
    assert _printable(_curl("http://127.0.0.1:1/api", Account("foo", "bar"))) == (
        "curl --location 'http://127.0.0.1:1/api/v1/orders' \\\n"
        "  --header 'Content-Type: application/json' \\\n"
        "  --header 'Authorization: Basic Zm9vOmJhcg==' \\\n"
        '  --data \'{"merchant_id": "merchant-102", "amount": 200.00, "currency": "INR"}\''
    )


def test_a_row_is_printed_as_a_table():
    assert as_table({"order_id": "a", "amount": "200.0000"}) == (
        "+----------+----------+\n"
        "| order_id | amount   |\n"
        "+----------+----------+\n"
        "| a        | 200.0000 |\n"
        "+----------+----------+"
    )


@pytest.mark.parametrize(
    ("version", "tls", "option"),
    [
        ("client Ver 15.1 Distrib 10.11-MariaDB", "verify", "--ssl-verify-server-cert"),
        ("client Ver 15.1 Distrib 10.11-MariaDB", "require", "--skip-ssl-verify-server-cert"),
        ("client Ver 15.1 Distrib 10.11-MariaDB", "off", "--skip-ssl"),
        ("client Ver 8.4.0 for Linux", "verify", "--ssl-mode=VERIFY_IDENTITY"),
        ("client Ver 8.4.0 for Linux", "require", "--ssl-mode=REQUIRED"),
        ("client Ver 8.4.0 for Linux", "off", "--ssl-mode=DISABLED"),
    ],
)
def test_each_sql_client_gets_its_own_tls_options(tmp_path: Path, version: str, tls: str, option: str):
    assert option in client_command(client_called(tmp_path, version), access(tls=tls), plain=True)


def test_the_password_is_not_on_the_clients_command_line(tmp_path: Path):
    command = client_command(client_called(tmp_path, "MariaDB"), access(), plain=True)
    assert "secret" not in " ".join(command)
    assert {"--batch", "--skip-column-names", "--host=db", "--port=3307", "--user=admin"} <= set(command)
    assert "--batch" not in client_command(client_called(tmp_path, "MariaDB"), access(), plain=False)


def test_another_or_emptied_database_is_another_deployment():
    prints = {
        _fingerprint(access()),
        _fingerprint(access(port=3308)),
        _fingerprint(access(database="other")),
        _fingerprint(access(app=Account("app", "made anew"))),
    }
    assert len(prints) == 4
    assert _fingerprint(access()) == _fingerprint(access())


def test_terraform_gets_nothing_of_the_users_own_account():
    mine = {"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "t", "TF_VAR_env": "prod", "TF_CLI_ARGS": "-x", "PATH": "/bin"}
    seen = aws_environment("http://127.0.0.1:4566", mine)
    assert {"AWS_PROFILE", "AWS_SESSION_TOKEN", "TF_VAR_env", "TF_CLI_ARGS"} & set(seen) == set()
    assert (seen["PATH"], seen["AWS_ENDPOINT_URL"], seen["AWS_CONFIG_FILE"]) == (
        "/bin",
        "http://127.0.0.1:4566",
        "/dev/null",
    )


def test_a_step_is_named_once_in_its_failure():
    with pytest.raises(StackError) as caught, step("terraform apply"):
        raise StackError("terraform apply: no such thing")
    assert caught.value.reason == "terraform apply: no such thing"


def test_a_failure_names_its_step_and_ends_with_its_log(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))

    def failing() -> None:
        with step("database server"):
            raise StackError("it does not answer", log)

    with pytest.raises(StackError) as caught:
        in_parallel(failing, lambda: None)
    text = str(caught.value)
    assert text.startswith("database server: it does not answer\n")
    assert "line 99" in text
    assert "line 10\n" not in text
    assert text.endswith(f"log: {log}")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Nothing runs; a file of outputs is left from an earlier stack."""
    stack = Stack(read_settings({"BACKSTREAM_HOME": str(tmp_path)}))
    _write_outputs(stack.settings.outputs_file, {"table_name": "orders"})
    return stack


def test_outputs_are_written_for_the_operators_tool(stack: Stack, tmp_path: Path):
    assert json.loads((tmp_path / "outputs.json").read_text()) == {"table_name": "orders"}
    assert [file.name for file in tmp_path.iterdir()] == ["outputs.json"]


def test_down_removes_the_outputs(stack: Stack):
    stack.down()
    assert not stack.settings.outputs_file.exists()


def test_up_removes_outputs_of_a_stack_that_was_killed(stack: Stack, monkeypatch: pytest.MonkeyPatch):
    """Before anything else: a first step that fails leaves no file that describes nothing."""

    def fail(*_: Any) -> None:
        raise StackError("no such thing")

    monkeypatch.setattr("scripts.local_stack.stack.in_parallel", fail)
    with pytest.raises(StackError, match="no such thing"):
        stack.up()
    assert not stack.settings.outputs_file.exists()


def test_outputs_of_a_stack_that_is_down_say_make_up(stack: Stack):
    with pytest.raises(StackError, match="the stack is not up: make up"):
        stack.outputs()
