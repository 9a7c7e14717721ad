"""Background processes are found again, and nobody else's process is ever taken for ours."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts.local_stack.daemon import Daemon
from scripts.local_stack.waiting import poll

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def daemon(tmp_path: Path):
    daemon = Daemon(tmp_path / "pid", tmp_path / "log", marker=f"marker-{tmp_path}")
    yield daemon
    daemon.kill()


def test_a_started_process_is_found_by_another_command(daemon: Daemon, tmp_path: Path):
    pid = daemon.start([*SLEEPER, daemon.marker], os.environ, tmp_path)
    assert Daemon(daemon.pid_file, daemon.log, daemon.marker).pid() == pid


def test_a_stopped_process_is_gone_and_stopping_twice_is_fine(daemon: Daemon, tmp_path: Path):
    daemon.start([*SLEEPER, daemon.marker], os.environ, tmp_path)
    daemon.stop()
    assert daemon.pid() is None
    daemon.stop()


def test_after_a_reboot_the_pid_may_be_somebody_elses(daemon: Daemon):
    daemon.pid_file.write_text(f"{os.getpid()}\n")
    assert daemon.pid() is None
    daemon.stop()  # or this test would end here


@pytest.mark.parametrize("content", ["", "not a pid", "4194399"])
def test_a_pid_file_without_a_living_process_is_no_process(daemon: Daemon, content: str):
    daemon.pid_file.write_text(content)
    assert daemon.pid() is None


def test_a_process_that_died_by_itself_is_gone(daemon: Daemon, tmp_path: Path):
    daemon.start([sys.executable, "-c", "pass", daemon.marker], os.environ, tmp_path)
    assert poll(lambda: daemon.pid() is None, timeout=10)
