"""The MySQL or MariaDB server binary: the one that MYSQLD names, else the one installed on this machine.

On Debian and Ubuntu a missing one is installed (root or passwordless sudo).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.local_stack.terminal import StackError

VARIABLE = "MYSQLD"
# Another program may be installing packages.
LOCK_SECONDS = 300
PACKAGES = ("mariadb-server-core", "mariadb-client-core")  # the core packages start no system service
FOLDERS = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/local/mysql/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/opt/mariadb/bin",
    "/opt/homebrew/opt/mysql/bin",
    "/usr/local/opt/mariadb/bin",
    "/usr/local/opt/mysql/bin",
)


@dataclass(frozen=True)
class ServerBinary:
    path: Path
    is_mariadb: bool

    @property
    def product(self) -> str:
        return "MariaDB" if self.is_mariadb else "MySQL"


def find_tool(*names: str) -> Path | None:
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), *FOLDERS])
    for name in names:
        found = shutil.which(name, path=search)
        if found:
            return Path(found)
    return None


def find_server() -> ServerBinary | None:
    """Raises StackError when MYSQLD names a file that is no server."""
    path = _named_server() or find_tool("mariadbd", "mysqld")
    return ServerBinary(path, is_mariadb="MariaDB" in _version(path)) if path else None


def _named_server() -> Path | None:
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    path = Path(value).absolute()  # not resolved: a server locates its files by the path it is started with
    if not path.is_file():
        raise StackError(f"{VARIABLE} is {value}, which does not exist: set it to the path of a mysqld or mariadbd")
    if not os.access(path, os.X_OK):
        raise StackError(f"{VARIABLE} is {value}, which is not executable")
    return path


def _version(path: Path) -> str:
    """The line that the server prints; both kinds print `Ver` and a number."""
    try:
        printed = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise StackError(f"{path} --version: {error.strerror}") from None
    if not re.search(r"\bVer \d+\.", printed):
        raise StackError(f"{path} --version prints no version: is it a MySQL or MariaDB server?")
    return printed


def find_client() -> Path | None:
    return find_tool("mariadb", "mysql")


def ensure_installed(log: Path) -> ServerBinary:
    """Tests run in several processes: a server that one of them is installing is found when it is whole."""
    with _one_at_a_time():
        server = find_server()
        # With MYSQLD set nothing is installed: the packages would remove an installed MySQL.
        if server is None or (find_client() is None and not os.environ.get(VARIABLE)):
            _install(log)
            server = find_server()
    if server is None:
        raise _not_installed()
    return server


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """The system releases the lock when its holder dies."""
    with Path(__file__).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _not_installed() -> StackError:
    return StackError(
        "no MySQL or MariaDB server found: install one (Debian, Ubuntu: sudo apt-get install "
        f"{' '.join(PACKAGES)}; macOS: brew install mariadb), set {VARIABLE} to the path of one, or set MYSQL_HOST, "
        "MYSQL_PORT, MYSQL_USER and MYSQL_PASSWORD to use an existing server"
    )


def _install(log: Path) -> None:
    privilege = _privilege()
    if privilege is None or shutil.which("apt-get") is None:
        raise _not_installed()
    apt_get = [*privilege, "apt-get", "-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}"]
    install = [*apt_get, "install", "-y", "--no-install-recommends", *PACKAGES]
    # Package lists may be missing or out of date: update them when the first attempt fails.
    if _succeeds(install, log):
        return
    _succeeds([*apt_get, "update"], log)
    if not _succeeds(install, log):
        raise StackError(f"apt-get could not install {' '.join(PACKAGES)}", log)


def _privilege() -> list[str] | None:
    """The prefix that runs a command as root; None when this user may not."""
    if os.geteuid() == 0:
        return ["env", "DEBIAN_FRONTEND=noninteractive"]
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"]
    return None


def _succeeds(command: list[str], log: Path) -> bool:
    with log.open("ab") as out:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False).returncode == 0
