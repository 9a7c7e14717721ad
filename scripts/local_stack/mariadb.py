"""A private MySQL or MariaDB server, with its data, port, accounts and certificates in one folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pymysql

from scripts.local_stack.database import (
    DATABASE,
    Account,
    Certificates,
    DatabaseAccess,
    stored_password,
    write_privately,
)
from scripts.local_stack.process import LOOPBACK, Daemon, is_free, poll, same_or_free_port, stored_port
from scripts.local_stack.server_binary import PACKAGES, VARIABLE, ServerBinary, ensure_installed
from scripts.local_stack.terminal import StackError

START_TIMEOUT = 60
# MySQL 8's mode: a value that does not fit is an error, and is never silently rounded or truncated.
SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)

# A statement of the initialisation that fails is reported without brackets.
_ERROR = re.compile(r"(?:^ERROR: |\[ERROR\] )(.+)", re.MULTILINE)
# Distribution packages compile in a folder that must exist at start. No SQL here reads or writes files.
_MYSQL_OPTIONS = ("--secure-file-priv=NULL",)


class MariaDB:
    """The constructor starts nothing. Every `start` creates the database and both accounts where they are missing:
    `admin` has all rights, `app` is the account of Backstream's functions."""

    host = LOOPBACK
    database = DATABASE

    def __init__(self, home: Path, options: Sequence[str] = ()) -> None:
        self.home = home.resolve()
        self.options = tuple(options)
        self.data = self.home / "data"
        self.temporary = self.home / "tmp"  # its own: a starting server removes all temporary tables there
        self.log = self.home / "server.log"
        self.certificates = Certificates(self.home / "certificates")
        self._port_file = self.home / "port"
        self._daemon = Daemon(self.home / "server.pid", self.log, marker=f"--datadir={self.data}")

    @property
    def port(self) -> int:
        port = stored_port(self._port_file)
        if port is None:
            raise StackError("the local database server has never been started: make up")
        return port

    @property
    def ca_pem(self) -> str:
        return self.certificates.authority.read_text()

    @cached_property
    def admin(self) -> Account:
        return Account("backstream_admin", stored_password(self.home / "admin-password"))

    @cached_property
    def app(self) -> Account:
        return Account("backstream", stored_password(self.home / "app-password"))

    @property
    def access(self) -> DatabaseAccess:
        return DatabaseAccess(
            host=self.host,
            port=self.port,
            host_for_lambda=self.host,
            database=self.database,
            admin=self.admin,
            app=self.app,
            tls="verify",
            ca=self.certificates.authority,
        )

    @property
    def running(self) -> bool:
        return self._daemon.pid() is not None

    def connect(self, account: Account | None = None, **options: Any) -> pymysql.Connection[Any]:
        """A connection over verified TLS, as the administrator unless `account` is given."""
        return self.access.connect(account, **options)

    def start(self, *, move_port: bool = True) -> None:
        """Returns when the server answers; at once when it already runs.

        When another program listens on its port, it takes a new one with `move_port`, and raises StackError without:
        a deployed stack has the old port in its configuration.
        """
        if not self.running:
            self.temporary.mkdir(parents=True, exist_ok=True)
            binary = ensure_installed(self.home / "install.log")
            self.certificates.ensure()
            self._initialise(binary)
            self._take_port(move_port=move_port)
            self._write_first_statements()
            self._daemon.start(self._command(binary), os.environ, self.home)
        poll(lambda: self._answers() or not self.running, START_TIMEOUT)
        if not self._answers():
            raise StackError(f"the database server does not answer{_apparmor_hint()}", self.log)

    def stop(self) -> None:
        self._daemon.stop()

    def kill(self) -> None:
        """SIGKILL, as in a power cut: no connection is closed and nothing is flushed."""
        self._daemon.kill()

    def destroy(self) -> None:
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def _take_port(self, *, move_port: bool) -> None:
        if move_port:
            same_or_free_port(self._port_file)
        elif not is_free(self.port):
            raise StackError(
                f"port {self.port} of the database server is used by another program: make up moves the server"
            )

    def _answers(self) -> bool:
        try:
            self.connect(connect_timeout=2).close()
        except pymysql.MySQLError:
            return False
        return True

    def _initialise(self, binary: ServerBinary) -> None:
        if self.data.exists():
            _require_same_product(binary, self.data)
            return
        unfinished = self.home / "data.unfinished"  # renamed when complete: an interrupted one is not used
        shutil.rmtree(unfinished, ignore_errors=True)
        with self.log.open("ab") as log:
            done = subprocess.run(
                [*_initialise_command(binary, unfinished), f"--tmpdir={self.temporary}"],
                stdout=log,
                stderr=log,
                check=False,
                cwd=self.home,
            )
        if done.returncode != 0:
            reason = f"the database server could not create its data directory{_first_error(self.log)}"
            raise StackError(f"{reason}{_apparmor_hint()}", self.log)
        unfinished.rename(self.data)

    def _command(self, binary: ServerBinary) -> list[str]:
        return [
            str(binary.path),
            "--no-defaults",
            f"--datadir={self.data}",
            *_run_as(),
            "--socket=server.sock",  # relative to the data directory: socket paths may not exceed 107 characters
            f"--tmpdir={self.temporary}",
            f"--bind-address={self.host}",
            f"--port={self.port}",
            f"--init-file={self.home / 'first_statements.sql'}",
            f"--ssl-ca={self.certificates.authority}",
            f"--ssl-cert={self.certificates.certificate}",
            f"--ssl-key={self.certificates.key}",
            "--require-secure-transport=ON",
            f"--sql-mode={SQL_MODE}",
            "--character-set-server=utf8mb4",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=64M",
            *_product_options(binary),
            *self.options,
        ]

    def _write_first_statements(self) -> None:
        # Both servers read an --init-file line by line: one statement a line.
        admin, app = self.admin, self.app
        statements = [
            f"CREATE DATABASE IF NOT EXISTS `{self.database}` CHARACTER SET utf8mb4",
            f"CREATE USER IF NOT EXISTS '{admin.user}'@'%' IDENTIFIED BY '{admin.password}' REQUIRE SSL",
            f"GRANT ALL PRIVILEGES ON *.* TO '{admin.user}'@'%' WITH GRANT OPTION",
            f"CREATE USER IF NOT EXISTS '{app.user}'@'%' IDENTIFIED BY '{app.password}' REQUIRE SSL",
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `{self.database}`.* TO '{app.user}'@'%'",
            # Initialisation leaves these accounts open to every user of this machine.
            f"ALTER USER IF EXISTS 'root'@'localhost' IDENTIFIED BY '{admin.password}'",
            "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1'",
        ]
        write_privately(self.home / "first_statements.sql", "".join(f"{line};\n" for line in statements))


def _run_as() -> list[str]:
    # As root both servers start only with this option.
    return ["--user=root"] if os.geteuid() == 0 else []


def _first_error(log: Path) -> str:
    """What failed first. The log goes on with pages of general advice."""
    first = _ERROR.search(log.read_text(errors="replace"))
    return f": {first[1]}" if first else ""


def _apparmor_hint() -> str:
    """Advice for Ubuntu, whose AppArmor profile lets MySQL write to /var/lib/mysql only; MariaDB has none."""
    profile = Path("/etc/apparmor.d/usr.sbin.mysqld")
    if not profile.exists():
        return ""
    return (
        f" (AppArmor may confine mysqld to its own folders: sudo apparmor_parser -R {profile} unloads the profile"
        f" until the next boot; MariaDB has no profile: apt-get install {' '.join(PACKAGES)})"
    )


def _require_same_product(binary: ServerBinary, data: Path) -> None:
    created_by_mariadb = not (data / "mysql.ibd").exists()  # MySQL's dictionary since 8.0
    if binary.is_mariadb != created_by_mariadb:
        maker = "MariaDB" if created_by_mariadb else "MySQL"
        raise StackError(
            f"{data} was created by {maker}, and {binary.path} is {binary.product}: set {VARIABLE} to a {maker} server,"
            " or remove the data with make clean"
        )


def _initialise_command(binary: ServerBinary, data: Path) -> list[str]:
    if not binary.is_mariadb:
        return [
            str(binary.path),
            "--no-defaults",
            "--initialize-insecure",
            f"--datadir={data}",
            *_run_as(),
            *_MYSQL_OPTIONS,
        ]
    return [
        str(_install_db(binary)),
        "--no-defaults",
        f"--datadir={data}",
        *_run_as(),
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--innodb-log-file-size=32M",
    ]


def _install_db(binary: ServerBinary) -> Path:
    name = "mariadb-install-db"
    beside = [binary.path.parent, binary.path.parent.parent / "bin", binary.path.resolve().parent.parent / "bin"]
    for folder in beside:
        if (folder / name).exists():
            return folder / name
    raise StackError(f"{name} is missing next to {binary.path}: is the server's installation complete?")


def _product_options(binary: ServerBinary) -> list[str]:
    if binary.is_mariadb:
        return ["--innodb-log-file-size=32M"]
    # Without the prefix a server built without the X plugin does not start.
    return ["--loose-innodb-redo-log-capacity=64M", "--loose-mysqlx=OFF", "--disable-log-bin", *_MYSQL_OPTIONS]
