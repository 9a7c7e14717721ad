"""A background process that survives the command that started it, and is found again by a pid file."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.local_stack.waiting import poll

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The process itself notes its pid before it becomes the server: no moment is left in which its starter can be
# killed and the server be forgotten.
RECORD_PID = 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"'


@dataclass(frozen=True)
class Daemon:
    """Identified by its pid and by `marker`, a word of its command line: after a reboot the pid in the file
    may be somebody else's, and nobody else's process is ever signalled."""

    pid_file: Path
    log: Path
    marker: str

    def start(self, command: Sequence[str], env: Mapping[str, str], folder: Path) -> int:
        process = self.launch(command, env, folder)
        process.returncode = 0  # not a child to be waited for: it outlives this process
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
        poll(lambda: process.poll() is not None or self.pid() == process.pid, timeout=5, interval=0.005)
        return process

    def pid(self) -> int | None:
        """The pid of the running process; None where it is gone or the pid has passed to another one."""
        try:
            pid = int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if self.marker in command_line(pid) else None

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
                os.killpg(pid, number)  # it leads its own session: its helpers go with it


def command_line(pid: int) -> str:
    """The command line of a living process, else nothing."""
    _reap(pid)
    if not Path("/proc/self").exists():
        ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        return subprocess.run(ps, capture_output=True, text=True, check=False).stdout
    # It reads empty for a moment while a process becomes another program, and for good when it has died.
    return poll(lambda: _proc_command_line(pid), timeout=0.05, interval=0.01)


def _proc_command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _reap(pid: int) -> None:
    # A dead child stays in the process table until its parent, which may be us, has asked.
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
