"""A private MySQL or MariaDB server: its own data, port, users and certificates, all in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

from scripts.local_stack.access import Access, Account
from scripts.local_stack.certificates import Certificates
from scripts.local_stack.daemon import Daemon
from scripts.local_stack.failure import StackError
from scripts.local_stack.ports import LOOPBACK, is_free, remembered, same_or_free
from scripts.local_stack.secrets_file import password, write_privately
from scripts.local_stack.server_binary import PACKAGES, VARIABLE, ServerBinary, ensure_installed
from scripts.local_stack.waiting import poll

if TYPE_CHECKING:
    from collections.abc import Sequence

DATABASE = "backstream"
START_TIMEOUT = 60
# The mode of MySQL 8: what does not fit is an error, never rounded or truncated in silence.
SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)

# Packages have a folder built in that must exist when the server starts; nothing here reads or writes files in SQL.
_MYSQL_OPTIONS = ("--secure-file-priv=NULL",)


class MariaDB:
    """Nothing happens before `start`. Every start makes sure of the database and both accounts:
    `admin` may do everything, `app` is what Backstream's functions use."""

    host = LOOPBACK
    database = DATABASE

    def __init__(self, home: Path, options: Sequence[str] = ()) -> None:
        self.home = home.resolve()
        self.options = tuple(options)
        self.data = self.home / "data"
        self.temporary = self.home / "tmp"
        self.log = self.home / "server.log"
        self.certificates = Certificates(self.home / "certificates")
        self._port_file = self.home / "port"
        self._daemon = Daemon(self.home / "server.pid", self.log, marker=f"--datadir={self.data}")

    @property
    def port(self) -> int:
        port = remembered(self._port_file)
        if port is None:
            raise StackError("the local database server was never started: make up")
        return port

    @property
    def ca_pem(self) -> str:
        return self.certificates.authority.read_text()

    @cached_property
    def admin(self) -> Account:
        return Account("backstream_admin", password(self.home / "admin-password"))

    @cached_property
    def app(self) -> Account:
        return Account("backstream", password(self.home / "app-password"))

    @property
    def access(self) -> Access:
        return Access(
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
        """A connection over verified TLS, as the administrator unless told otherwise."""
        return self.access.connect(account, **options)

    def start(self, *, move_port: bool = True) -> None:
        """Returns when the server answers; at once where it already runs. With `move_port` it takes a new port
        when somebody else sits on its own; without, that is an error, for others have the old port in their books."""
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
            raise StackError(f"the database server does not answer{_confined()}", self.log)

    def stop(self) -> None:
        self._daemon.stop()

    def kill(self) -> None:
        """As a power cut does: no goodbye to clients, nothing flushed that was not flushed."""
        self._daemon.kill()

    def destroy(self) -> None:
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def _take_port(self, *, move_port: bool) -> None:
        if move_port:
            same_or_free(self._port_file)
        elif not is_free(self.port):
            raise StackError(f"port {self.port} of the database server is taken by another program: make up")

    def _answers(self) -> bool:
        try:
            self.connect(connect_timeout=2).close()
        except pymysql.MySQLError:
            return False
        return True

    def _initialise(self, binary: ServerBinary) -> None:
        if self.data.exists():
            _refuse_data_of_another(binary, self.data)
            return
        unfinished = self.home / "data.unfinished"  # renamed when complete: an interrupted one is never mistaken
        shutil.rmtree(unfinished, ignore_errors=True)
        with self.log.open("ab") as log:
            done = subprocess.run(
                _initialise_command(binary, unfinished), stdout=log, stderr=log, check=False, cwd=self.home
            )
        if done.returncode != 0:
            raise StackError(f"the database server could not make its data directory{_confined()}", self.log)
        unfinished.rename(self.data)

    def _command(self, binary: ServerBinary) -> list[str]:
        return [
            str(binary.path),
            "--no-defaults",
            f"--datadir={self.data}",
            *_run_as(),
            "--socket=server.sock",  # relative to the data directory: socket paths may not exceed 107 characters
            f"--tmpdir={self.temporary}",  # a server that starts clears temporary tables there, be they whose they may
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
            *_flavour_options(binary),
            *self.options,
        ]

    def _write_first_statements(self) -> None:
        # One statement per line is what both servers demand of an --init-file.
        admin, app = self.admin, self.app
        statements = [
            f"CREATE DATABASE IF NOT EXISTS `{self.database}` CHARACTER SET utf8mb4",
            f"CREATE USER IF NOT EXISTS '{admin.user}'@'%' IDENTIFIED BY '{admin.password}' REQUIRE SSL",
            f"GRANT ALL PRIVILEGES ON *.* TO '{admin.user}'@'%' WITH GRANT OPTION",
            f"CREATE USER IF NOT EXISTS '{app.user}'@'%' IDENTIFIED BY '{app.password}' REQUIRE SSL",
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `{self.database}`.* TO '{app.user}'@'%'",
            # The accounts that initialisation leaves open to every user of this machine.
            f"ALTER USER IF EXISTS 'root'@'localhost' IDENTIFIED BY '{admin.password}'",
            "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1'",
        ]
        write_privately(self.home / "first_statements.sql", "".join(f"{line};\n" for line in statements))


def _run_as() -> list[str]:
    # Both servers refuse to run as root unless root says so.
    return ["--user=root"] if os.geteuid() == 0 else []


def _confined() -> str:
    """Ubuntu's AppArmor lets its own MySQL write to /var/lib/mysql only; MariaDB is free."""
    profile = Path("/etc/apparmor.d/usr.sbin.mysqld")
    if not profile.exists():
        return ""
    return (
        f" (AppArmor may confine mysqld to its own folders: sudo apparmor_parser -R {profile} frees it until the next"
        f" boot, and MariaDB is never confined: apt-get install {' '.join(PACKAGES)})"
    )


def _refuse_data_of_another(binary: ServerBinary, data: Path) -> None:
    made_by_mariadb = not (data / "mysql.ibd").exists()  # MySQL's dictionary since 8.0
    if binary.is_mariadb != made_by_mariadb:
        maker = "MariaDB" if made_by_mariadb else "MySQL"
        raise StackError(
            f"{data} was made by {maker}, and {binary.path} is {binary.product}: name {maker}'s server with {VARIABLE},"
            " or start anew with make clean"
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


def _flavour_options(binary: ServerBinary) -> list[str]:
    if binary.is_mariadb:
        return ["--innodb-log-file-size=32M"]
    # A server that was built without the X plugin refuses the plain option.
    return ["--loose-innodb-redo-log-capacity=64M", "--loose-mysqlx=OFF", "--disable-log-bin", *_MYSQL_OPTIONS]
