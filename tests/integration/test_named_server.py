"""The server that MYSQLD names is the one that is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.local_stack import server_binary
from scripts.local_stack.mariadb import MariaDB


def test_the_named_server_is_started_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    binary = server_binary.find_server()
    assert binary is not None
    monkeypatch.setattr(server_binary, "find_tool", lambda *_: None)  # nothing else would be found
    monkeypatch.setenv("MYSQLD", str(binary.path))
    server = MariaDB(tmp_path / "named")
    try:
        for _ in range(2):
            server.start()
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT VERSION()")
                assert ("MariaDB" in cursor.fetchone()[0]) == binary.is_mariadb
            server.stop()
    finally:
        server.destroy()
