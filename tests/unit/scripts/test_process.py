"""Daemons are found again by other commands, other processes are never signalled, and ports are kept."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.local_stack.process import LOOPBACK, Daemon, free_port, is_free, poll, same_or_free_port, store_port

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def daemon(tmp_path: Path):
    daemon = Daemon(tmp_path / "pid", tmp_path / "log", marker=f"marker-{tmp_path}")
    yield daemon
    daemon.kill()


def test_a_started_process_is_found_by_another_command(daemon: Daemon, tmp_path: Path):
    pid = daemon.start([*SLEEPER, daemon.marker], os.environ, tmp_path)
    assert Daemon(daemon.pid_file, daemon.log, daemon.marker).pid() == pid


def test_stopping_a_process_twice_is_fine(daemon: Daemon, tmp_path: Path):
    daemon.start([*SLEEPER, daemon.marker], os.environ, tmp_path)
    daemon.stop()
    assert daemon.pid() is None
    daemon.stop()


def test_another_process_with_the_same_pid_is_not_signalled(daemon: Daemon):
    """After a reboot the pid in the file may belong to another process."""
    daemon.pid_file.write_text(f"{os.getpid()}\n")
    assert daemon.pid() is None
    daemon.stop()  # a signal would end this test run


@pytest.mark.parametrize("content", ["", "not a pid", "4194399"])
def test_a_pid_file_without_a_running_process_gives_no_pid(daemon: Daemon, content: str):
    daemon.pid_file.write_text(content)
    assert daemon.pid() is None


def test_a_process_that_ended_by_itself_has_no_pid(daemon: Daemon, tmp_path: Path):
    daemon.start([sys.executable, "-c", "pass", daemon.marker], os.environ, tmp_path)
    assert poll(lambda: daemon.pid() is None, timeout=10)


def test_the_exit_code_of_a_process_that_ends_at_once_is_kept(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It ends after it was found running, and before its pid is looked up: a failed `terraform apply` looked done."""
    found_running = subprocess.Popen.poll

    def ended_since(process: subprocess.Popen[bytes]) -> int | None:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        monkeypatch.setattr(subprocess.Popen, "poll", found_running)
        return None

    monkeypatch.setattr(subprocess.Popen, "poll", ended_since)
    process = daemon.launch([sys.executable, "-c", "raise SystemExit(3)"], os.environ, tmp_path)

    assert process.wait() == 3


def test_a_port_is_kept_until_another_program_uses_it(tmp_path: Path):
    file = tmp_path / "port"
    port = store_port(file, free_port())
    assert same_or_free_port(file) == port
    with socket.socket() as taken:
        taken.bind((LOOPBACK, port))
        taken.listen()
        assert not is_free(port)
        assert same_or_free_port(file) != port
