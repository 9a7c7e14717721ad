"""MYSQLD names the server binary; its version decides the options it is started with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.local_stack import server_binary
from scripts.local_stack.mariadb import SQL_MODE, MariaDB
from scripts.local_stack.terminal import StackError

MYSQL = "/usr/sbin/mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)"
UBUNTU = "/usr/sbin/mysqld  Ver 8.0.40-0ubuntu0.24.04.1 for Linux on x86_64 ((Ubuntu))"
MARIADB = "/opt/mysqld  Ver 10.11.6-MariaDB for debian-linux-gnu on x86_64 (Debian 12)"
AS_ROOT = ["--user=root"] if os.geteuid() == 0 else []

# Records its options, creates the data directory as the real server does, and ends.
PROGRAM = """#!/bin/sh
if [ "$1" = --version ]; then echo '{version}'; exit; fi
echo "$@" >> '{calls}'
for option; do
    case $option in --datadir=*) mkdir -p "${{option#*=}}" && touch "${{option#*=}}/mysql.ibd" ;; esac
done
"""


def program(folder: Path, version: str) -> Path:
    path = folder / "mysqld"
    path.write_text(PROGRAM.format(version=version, calls=folder / "calls"))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("version", "is_mariadb"), [(MYSQL, False), (UBUNTU, False), (MARIADB, True)])
def test_the_version_of_the_named_server_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, *, is_mariadb: bool
):
    named = program(tmp_path, version)
    monkeypatch.setenv("MYSQLD", str(named))

    assert server_binary.find_server() == server_binary.ServerBinary(named, is_mariadb)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MYSQLD", raising=False)
    found = server_binary.find_server()
    monkeypatch.setenv("MYSQLD", "")

    assert server_binary.find_server() == found


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The server is started in its own folder."""
    named = program(tmp_path, MYSQL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MYSQLD", "./mysqld")

    assert server_binary.find_server() == server_binary.ServerBinary(named, is_mariadb=False)


def test_a_path_that_is_no_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The server installed on the machine is not used instead."""
    plain = tmp_path / "plain"
    plain.write_text("no program")
    broken = program(tmp_path, "usage: something else")
    nothing = tmp_path / "nothing"
    nothing.write_text("\0")
    nothing.chmod(0o755)
    refusals = {
        tmp_path / "absent": f"MYSQLD is {tmp_path}/absent, which does not exist",
        tmp_path: f"MYSQLD is {tmp_path}, which does not exist",
        plain: f"MYSQLD is {plain}, which is not executable",
        broken: f"{broken} --version prints no version",
        nothing: f"{nothing} --version: Exec format error",
    }
    for path, refusal in refusals.items():
        monkeypatch.setenv("MYSQLD", str(path))
        with pytest.raises(StackError) as refused:
            MariaDB(tmp_path / "home").start()
        assert str(refused.value).startswith(refusal)


def test_with_a_named_server_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The packages of MariaDB would remove a MySQL; only `make mysql` needs a client."""
    named = program(tmp_path, MYSQL)
    monkeypatch.setenv("MYSQLD", str(named))
    monkeypatch.setattr(server_binary, "find_tool", lambda *_: None)
    monkeypatch.setattr(server_binary, "_install", lambda _: pytest.fail("something was installed"))

    assert server_binary.ensure_installed(tmp_path / "log").path == named


def test_mysql_is_started_with_its_own_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MYSQLD", str(program(tmp_path, MYSQL)))
    server = MariaDB(tmp_path / "home", ["--max-connections=5"])

    with pytest.raises(StackError, match="does not answer"):
        server.start()

    home, key = server.home, server.certificates
    assert (tmp_path / "calls").read_text().splitlines() == [
        " ".join(options)
        for options in (
            [
                *("--no-defaults", "--initialize-insecure", f"--datadir={home}/data.unfinished", *AS_ROOT),
                "--secure-file-priv=NULL",
            ],
            [
                *("--no-defaults", f"--datadir={home}/data", *AS_ROOT, "--socket=server.sock", f"--tmpdir={home}/tmp"),
                *("--bind-address=127.0.0.1", f"--port={server.port}", f"--init-file={home}/first_statements.sql"),
                *(f"--ssl-ca={key.authority}", f"--ssl-cert={key.certificate}", f"--ssl-key={key.key}"),
                *("--require-secure-transport=ON", f"--sql-mode={SQL_MODE}", "--character-set-server=utf8mb4"),
                *("--skip-name-resolve", "--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=64M"),
                *("--loose-innodb-redo-log-capacity=64M", "--loose-mysqlx=OFF", "--disable-log-bin"),
                *("--secure-file-priv=NULL", "--max-connections=5"),
            ],
        )
    ]
    server.destroy()


@pytest.mark.parametrize(
    ("version", "created_by", "told"),
    [
        (MARIADB, "MySQL", "was created by MySQL, and {} is MariaDB: set MYSQLD to a MySQL server"),
        (MYSQL, "MariaDB", "was created by MariaDB, and {} is MySQL: set MYSQLD to a MariaDB server"),
    ],
)
def test_data_of_the_other_product_is_refused(
    *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, created_by: str, told: str
):
    named = program(tmp_path, version)
    monkeypatch.setenv("MYSQLD", str(named))
    server = MariaDB(tmp_path / "home")
    server.data.mkdir(parents=True)
    if created_by == "MySQL":
        (server.data / "mysql.ibd").touch()

    with pytest.raises(StackError) as refused:
        server.start()

    assert told.format(named) in str(refused.value)
    assert not (tmp_path / "calls").exists()
