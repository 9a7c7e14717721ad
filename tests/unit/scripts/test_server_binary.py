"""MYSQLD names the server binary; its version decides the options it is started with."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scripts.local_stack import server_binary
from scripts.local_stack.mariadb import SQL_MODE, MariaDB
from scripts.local_stack.terminal import StackError

MYSQL = "/usr/sbin/mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)"
UBUNTU = "/usr/sbin/mysqld  Ver 8.0.40-0ubuntu0.24.04.1 for Linux on x86_64 ((Ubuntu))"
MARIADB = "/opt/mysqld  Ver 10.11.6-MariaDB for debian-linux-gnu on x86_64 (Debian 12)"
DEADLINE = 30
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


def test_a_server_that_is_being_installed_is_not_used_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two processes of a test run may find no server at the same time."""
    half, whole = (server_binary.ServerBinary(tmp_path / name, is_mariadb=True) for name in ("half", "whole"))
    found: list[server_binary.ServerBinary | None] = [None]
    installing, second_is_there, tries = threading.Event(), threading.Event(), itertools.count()
    flock = fcntl.flock

    def install(_: Path) -> None:
        found[0] = half
        installing.set()
        second_is_there.wait(DEADLINE)
        found[0] = whole

    def locked(*arguments: Any) -> None:
        if next(tries):
            second_is_there.set()
        flock(*arguments)

    monkeypatch.setattr(server_binary, "find_server", lambda: found[0])
    monkeypatch.setattr(server_binary, "find_client", lambda: tmp_path)
    monkeypatch.setattr(server_binary, "_install", install)
    monkeypatch.setattr(fcntl, "flock", locked)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(server_binary.ensure_installed, tmp_path / "log")
        assert installing.wait(DEADLINE)
        second = pool.submit(server_binary.ensure_installed, tmp_path / "log")
        second.add_done_callback(lambda _: second_is_there.set())

        assert [first.result(DEADLINE), second.result(DEADLINE)] == [whole, whole]


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
                *("--secure-file-priv=NULL", f"--tmpdir={home}/tmp"),
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


def test_each_server_is_created_in_its_own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A starting server removes all temporary tables in its folder, also those of another one's initialisation."""
    folder = tmp_path / "bin"
    folder.mkdir()
    shutil.copy(program(tmp_path, MARIADB), folder / "mariadbd")
    shutil.copy(program(tmp_path, MARIADB), folder / "mariadb-install-db")
    monkeypatch.setenv("MYSQLD", str(folder / "mariadbd"))
    servers = [MariaDB(tmp_path / name) for name in ("one", "two")]

    for server in servers:
        with pytest.raises(StackError, match="does not answer"):
            server.start()

    calls = [line for line in (tmp_path / "calls").read_text().splitlines() if "data.unfinished" in line]
    assert [call.rpartition(" ")[2] for call in calls] == [f"--tmpdir={server.temporary}" for server in servers]
    for server in servers:
        server.destroy()


@pytest.mark.parametrize("first", ["2026 0 [ERROR] no space", "ERROR: no space"])
def test_a_failed_initialisation_says_what_failed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str):
    """MariaDB ends its log with more general advice than the end of a log shows."""
    named = program(tmp_path, MYSQL)
    errors = f"printf '{first}\\n0 [ERROR] Aborting\\n%040d\\n' 0"
    named.write_text(named.read_text().replace("for option;", f"{errors}; exit 1\nfor option;"))
    monkeypatch.setenv("MYSQLD", str(named))

    with pytest.raises(StackError) as failed:
        MariaDB(tmp_path / "home").start()

    assert failed.value.reason.startswith("the database server could not create its data directory: no space")
