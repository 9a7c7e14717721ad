"""Background processes, the ports they listen on, a wait with a deadline, and the lock of the stack."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from scripts.local_stack.terminal import StackError, say

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
# Below the range that systems use for outgoing connections: a restarted server finds its port still free.
PORTS = range(20_000, 30_000)
ATTEMPTS = 100
# The process writes its own pid before it becomes the server: a starter that is killed never loses a server.
RECORD_PID = 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"'


def poll(condition: Callable[[], T], timeout: float, interval: float = 0.05) -> T:
    """The first truthy answer of `condition`, or its last answer after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer or time.monotonic() >= deadline:
            return answer
        time.sleep(interval)


@contextmanager
def stack_lock(home: Path) -> Iterator[None]:
    """One command at a time changes the stack. The system releases the lock when its holder dies."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make command is changing this stack: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set it too: a port with only closed connections on it counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    for port in random.SystemRandom().sample(PORTS, ATTEMPTS):
        if is_free(port):
            return port
    raise StackError(f"no free port found between {PORTS.start} and {PORTS.stop - 1}")


def stored_port(file: Path) -> int | None:
    return int(file.read_text()) if file.exists() else None


def store_port(file: Path, port: int) -> int:
    file.write_text(f"{port}\n")
    return port


def same_or_free_port(file: Path) -> int:
    """The stored port where it is still free, so that addresses keep working; else a new one, which is stored."""
    last = stored_port(file)
    return last if last is not None and is_free(last) else store_port(file, free_port())


@dataclass(frozen=True)
class Daemon:
    """A background process that outlives the command that started it.

    It is identified by the pid in its file and by `marker`, a part of its command line. After a reboot the pid may
    belong to another process, which must not be signalled.
    """

    pid_file: Path
    log: Path
    marker: str

    def start(self, command: Sequence[str], env: Mapping[str, str], folder: Path) -> int:
        process = self.launch(command, env, folder)
        process.returncode = 0  # keeps Popen from warning about a child that is still running
        return process.pid

    def launch(self, command: Sequence[str], env: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", RECORD_PID, str(self.pid_file), *command],
                cwd=folder,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # Without reaping: the exit code of a process that ends at once is for the caller's wait().
        poll(lambda: process.poll() is not None or self._is_recorded(process.pid), timeout=5, interval=0.005)
        return process

    def pid(self) -> int | None:
        """The pid of the running process; None when it has ended or another process has its pid."""
        pid = self._recorded()
        return pid if pid is not None and self.marker in command_line(pid) else None

    def _recorded(self) -> int | None:
        try:
            return int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _is_recorded(self, pid: int) -> bool:
        return self._recorded() == pid and self.marker in _command_line(pid)

    def stop(self, timeout: float = 30) -> None:
        self._signal(signal.SIGTERM)
        poll(lambda: self.pid() is None, timeout)
        self.kill()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        poll(lambda: self.pid() is None, timeout=10)
        self.pid_file.unlink(missing_ok=True)

    def interrupt(self) -> None:
        self._signal(signal.SIGINT)

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)  # it leads its own session: its child processes get the signal too


def command_line(pid: int) -> str:
    """The command line of a running process; empty when it has ended."""
    _reap(pid)
    return _command_line(pid)


def _command_line(pid: int) -> str:
    if not Path("/proc/self").exists():
        ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        return subprocess.run(ps, capture_output=True, text=True, check=False).stdout
    # Empty for a moment while a process executes another program, and for good when it has ended.
    return poll(lambda: _proc_command_line(pid), timeout=0.05, interval=0.01)


def _proc_command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _reap(pid: int) -> None:
    # An ended child keeps its process table entry until its parent, which may be this process, waits for it.
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
