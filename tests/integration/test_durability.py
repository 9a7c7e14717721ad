"""Settings of a server with which a committed change may be lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.mysql.database import MySQLDatabase
from common.mysql.durability import warnings_of
from common.mysql.settings import MySQLSettings
from scripts.local_stack.mariadb import MariaDB
from tests.support.deliveries import FakeParameters
from tests.support.writes import MAPPING

MYSQL = {
    "version": "8.4.5", "innodb_flush_log_at_trx_commit": "1", "sync_binlog": "1", "log_bin": "ON",
}  # fmt: skip
MARIADB = MYSQL | {"version": "10.11.19-MariaDB-log"}
AURORA_2 = MYSQL | {"version": "5.7.44", "aurora_version": "2.12.5"}
AURORA_3 = MYSQL | {"version": "8.0.39", "aurora_version": "3.08.2"}


def named(variables: dict[str, str], **changed: Any) -> list[str]:
    """The settings that are warned of."""
    return [warning.partition(" is ")[0] for warning in warnings_of(variables | changed)]


@pytest.mark.parametrize(
    ("server", "durable"),
    [(MYSQL, {"1"}), (MARIADB, {"1", "3"}), (AURORA_2, {"1"}), (AURORA_3, {"1", "2"})],
    ids=["mysql", "mariadb", "aurora 2", "aurora 3"],
)
def test_a_commit_must_wait_for_the_redo_log(server: dict[str, str], durable: set[str]) -> None:
    """Each kind of server has its own values for that."""
    name = "innodb_flush_log_at_trx_commit"
    assert {value for value in "0123" if not named(server, **{name: value})} == durable
    assert {tuple(named(server, **{name: value})) for value in set("0123") - durable} == {(name,)}


@pytest.mark.parametrize("server", [MYSQL, MARIADB], ids=["mysql", "mariadb"])
@pytest.mark.parametrize("value", ["0", "100"])
def test_a_commit_must_wait_for_the_binary_log(server: dict[str, str], value: str) -> None:
    """Where it is on. A recovery takes back what the binary log lacks."""
    assert named(server, sync_binlog=value) == ["sync_binlog"]
    assert named(server, sync_binlog=value, log_bin="OFF") == []
    assert named(server, sync_binlog=value, innodb_flush_log_at_trx_commit="0") == [
        "innodb_flush_log_at_trx_commit",
        "sync_binlog",
    ]


@pytest.mark.parametrize("server", [AURORA_2, AURORA_3], ids=["aurora 2", "aurora 3"])
def test_aurora_recovers_without_the_binary_log(server: dict[str, str]) -> None:
    assert named(server, sync_binlog="0") == []


def test_a_warning_says_what_may_happen_and_what_to_do() -> None:
    """A cluster of Aurora loses changes when it fails over."""
    lost = "innodb_flush_log_at_trx_commit is 0: a committed change may be lost when the database"
    to_do = "set it to 1 in the parameter group or the server's options, then apply again"
    assert list(warnings_of(MYSQL | {"innodb_flush_log_at_trx_commit": "0"})) == [f"{lost} crashes; {to_do}"]
    assert list(warnings_of(AURORA_3 | {"innodb_flush_log_at_trx_commit": "0"})) == [
        f"{lost} fails over or restarts; {to_do}"
    ]


def test_a_servers_own_settings_are_read(tmp_path: Path) -> None:
    """By the account of the functions, which has no right on the server as a whole."""
    server = MariaDB(tmp_path / "lossy", ["--log-bin", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2"])
    server.start()
    try:
        endpoint = {"hostname": server.host, "port": server.port, "db": server.database, "driver": "mysql"}
        parameters = FakeParameters(**endpoint, username=server.app.user, password=server.app.password)
        database = MySQLDatabase(
            MySQLSettings(param_name="p", secret_arn="s", ca_pem=server.ca_pem), parameters, MAPPING
        )
        found = database.durability_warnings()
    finally:
        server.destroy()
    assert [warning.partition(":")[0] for warning in found] == [
        "innodb_flush_log_at_trx_commit is 2",
        "sync_binlog is 0 and the binary log is on",
    ]
