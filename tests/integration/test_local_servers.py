"""Only programs of this machine reach the local servers, and only their owner reads their passwords."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from scripts.local_stack.database import stored_password
from scripts.local_stack.emulator import MiniStack
from scripts.local_stack.mariadb import MariaDB
from scripts.local_stack.process import LOOPBACK

# An address of this machine that only a server on every interface answers.
OTHER = "127.0.0.2"


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_the_check_finds_a_server_on_every_interface():
    with socket.create_server(("", 0)) as everywhere:
        assert answers(LOOPBACK, everywhere.getsockname()[1])
        if not answers(OTHER, everywhere.getsockname()[1]):
            pytest.skip(f"this system has no {OTHER}")


def test_the_database_listens_on_the_loopback_address(server: MariaDB):
    assert (answers(LOOPBACK, server.port), answers(OTHER, server.port)) == (True, False)


def test_the_emulator_listens_on_the_loopback_address(tmp_path: Path):
    emulator = MiniStack(tmp_path / "emulator")
    emulator.start_fresh()
    port = int(emulator.url.rpartition(":")[2])
    try:
        assert (answers(LOOPBACK, port), answers(OTHER, port)) == (True, False)
    finally:
        emulator.stop()


def test_the_key_of_the_server_is_for_its_owner_only(server: MariaDB):
    assert mode(server.certificates.key) == 0o600


def test_a_stored_password_is_for_its_owner_only(server: MariaDB, tmp_path: Path):
    """Also in the statements that create the accounts."""
    password = stored_password(tmp_path / "new")
    files = [tmp_path / "new", *(server.home / name for name in ("admin-password", "app-password"))]

    assert {mode(file) for file in [*files, server.home / "first_statements.sql"]} == {0o600}
    assert stored_password(tmp_path / "new") == password
    assert len({file.read_text() for file in files}) == 3
