"""The small decisions of the local stack."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from scripts.local_stack.access import Access, Account
from scripts.local_stack.aws import aws_environment
from scripts.local_stack.failure import StackError
from scripts.local_stack.first_order import _curl, _printable, as_table
from scripts.local_stack.ports import LOOPBACK, free_port, is_free, remember, same_or_free
from scripts.local_stack.progress import side_by_side, step
from scripts.local_stack.settings import read_settings
from scripts.local_stack.sql_client import client_command
from scripts.local_stack.stack import STAYS, Stack, _fingerprint, _reachable
from scripts.local_stack.terraform import Terraform


def access(**options: Any) -> Access:
    given = {
        "host": "db",
        "port": 3307,
        "host_for_lambda": "db",
        "database": "backstream",
        "admin": Account("admin", "secret"),
        "app": Account("app", "hidden"),
        "tls": "off",
    }
    return Access(**{**given, **options})


def client_called(tmp_path: Path, version: str) -> Path:
    program = tmp_path / "client"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terraform:
    """A working copy, whose program ends with the code in the file `code`."""
    program = tmp_path / "terraform"
    program.write_text(f"#!/bin/sh\necho 'Error: no such thing'\nexit $(cat {tmp_path / 'code'})\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "code").write_text("0")
    terraform = Terraform(tmp_path / "home", tmp_path / "cache", "http://127.0.0.1:1")
    terraform.folder.mkdir(parents=True)
    return terraform


def test_deployed_from_the_first_good_apply_until_forgotten(terraform: Terraform, tmp_path: Path):
    """A later apply that fails leaves it there."""
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
    """Whose next apply fails, and the one after that does not."""

    def __init__(self, home: Path, *, deployed: bool) -> None:
        super().__init__(read_settings({"BACKSTREAM_HOME": str(home), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}))
        self.failures, self.done = [StackError("no such thing")], list[str]()
        self.settings.stack_home.mkdir(parents=True)
        if deployed:
            (self.settings.stack_home / "deployed").touch()

    def apply_again(self) -> None:
        self._apply_or_start_over(access(), "mark")

    def _apply(self, *_: Any) -> None:
        self.done.append("apply")
        if self.failures:
            raise self.failures.pop()

    def _start_over(self) -> None:
        self.done.append("start over")


def test_a_first_deployment_that_failed_starts_over(tmp_path: Path):
    stack = FailingStack(tmp_path, deployed=False)
    stack.apply_again()
    assert stack.done == ["apply", "start over", "apply"]


def test_a_complete_deployment_survives_a_failed_apply(tmp_path: Path):
    stack = FailingStack(tmp_path, deployed=True)
    with pytest.raises(StackError) as failed:
        stack.apply_again()
    assert (stack.done, failed.value.reason) == (["apply"], f"no such thing\n{STAYS}")


def test_an_api_is_reached_at_the_emulator():
    aws = "https://abc123.execute-api.us-east-1.amazonaws.com/local"
    assert _reachable(aws, "http://127.0.0.1:4566") == "http://127.0.0.1:4566/_aws/execute-api/abc123/local"


def test_the_first_order_is_shown_as_one_would_type_it():
    assert _printable(_curl("http://127.0.0.1:1/api", Account("foo", "bar"))) == (
        "curl --location 'http://127.0.0.1:1/api/v1/orders' \\\n"
        "  --header 'Content-Type: application/json' \\\n"
        "  --header 'Authorization: Basic Zm9vOmJhcg==' \\\n"
        '  --data \'{"merchant_id": "merchant-102", "amount": 200.00, "currency": "INR"}\''
    )


def test_a_row_is_shown_as_a_table():
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
def test_each_sql_client_is_told_about_tls_in_its_own_words(tmp_path: Path, version: str, tls: str, option: str):
    assert option in client_command(client_called(tmp_path, version), access(tls=tls), plain=True)


def test_the_sql_client_gets_no_password_on_its_command_line(tmp_path: Path):
    command = client_command(client_called(tmp_path, "MariaDB"), access(), plain=True)
    assert "secret" not in " ".join(command)
    assert {"--batch", "--skip-column-names", "--host=db", "--port=3307", "--user=admin"} <= set(command)
    assert "--batch" not in client_command(client_called(tmp_path, "MariaDB"), access(), plain=False)


def test_another_database_or_an_emptied_one_is_another_deployment():
    prints = {
        _fingerprint(access()),
        _fingerprint(access(port=3308)),
        _fingerprint(access(database="other")),
        _fingerprint(access(app=Account("app", "made anew"))),
    }
    assert len(prints) == 4
    assert _fingerprint(access()) == _fingerprint(access())


def test_terraform_sees_nothing_of_the_callers_own_account():
    mine = {"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "t", "TF_VAR_env": "prod", "TF_CLI_ARGS": "-x", "PATH": "/bin"}
    seen = aws_environment("http://127.0.0.1:4566", mine)
    assert {"AWS_PROFILE", "AWS_SESSION_TOKEN", "TF_VAR_env", "TF_CLI_ARGS"} & set(seen) == set()
    assert (seen["PATH"], seen["AWS_ENDPOINT_URL"], seen["AWS_CONFIG_FILE"]) == (
        "/bin",
        "http://127.0.0.1:4566",
        "/dev/null",
    )


def test_a_port_is_kept_until_somebody_else_takes_it(tmp_path: Path):
    file = tmp_path / "port"
    port = remember(file, free_port())
    assert same_or_free(file) == port
    with socket.socket() as taken:
        taken.bind((LOOPBACK, port))
        taken.listen()
        assert not is_free(port)
        assert same_or_free(file) != port


def test_a_failure_that_names_its_step_is_not_named_twice():
    with pytest.raises(StackError) as caught, step("terraform apply"):
        raise StackError("terraform apply: no such thing")
    assert caught.value.reason == "terraform apply: no such thing"


def test_a_failure_names_its_step_and_shows_the_end_of_its_log(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))

    def failing() -> None:
        with step("database server"):
            raise StackError("it does not answer", log)

    with pytest.raises(StackError) as caught:
        side_by_side(failing, lambda: None)
    text = str(caught.value)
    assert text.startswith("database server: it does not answer\n")
    assert "line 99" in text
    assert "line 10\n" not in text
    assert text.endswith(f"log: {log}")
