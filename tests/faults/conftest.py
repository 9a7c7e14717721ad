"""A database server for faults, and a consumer that reaches it through a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import moto
import pymysql
import pytest

from common.mapping import Mapping
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from scripts.local_stack.mariadb import MariaDB
from tests.support import memory
from tests.support.deliveries import BUCKET, PLAIN, Consumer, FakeParameters, tells_nothing
from tests.support.fake_mysql import FakeMySQL
from tests.support.proxy import Proxy
from tests.support.tables import Rows, Tables
from tests.support.two_mappings import Items, OrderItems


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """Not the server of the other tests: here it is killed and told to refuse.

    Besides its usual accounts it has one that needs no TLS, so that the proxy can read along.
    """
    # A server that starts clears the temporary directory, which others may be using: this one has its own.
    scratch = memory.folder(tmp_path_factory, "mariadb-scratch")
    options = ["--require-secure-transport=OFF", f"--tmpdir={scratch}"]
    server = MariaDB(memory.folder(tmp_path_factory, "mariadb-to-break"), options)
    server.start()
    admin = Tables(server.connect(autocommit=True))
    admin.run(
        f"CREATE USER '{PLAIN}'@'%' IDENTIFIED BY '{server.app.password}'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{server.database}`.* TO '{PLAIN}'@'%'",
    )
    admin.admin.close()
    yield server
    server.destroy()


def observer_of(server: MariaDB, mapping: Mapping) -> MySQLDatabase:
    """A connection of its own to see what was applied."""
    values = {"hostname": server.host, "port": server.port, "db": server.database, "driver": "mysql"}
    parameters = FakeParameters(**values, username=server.admin.user, password=server.admin.password)
    return MySQLDatabase(MySQLSettings(param_name="p", secret_arn="s", ca_pem=server.ca_pem), parameters, mapping)


@pytest.fixture
def items(request: pytest.FixtureRequest, server: MariaDB, tables: Tables) -> Iterator[Items]:
    """Orders, where a test is not `over_both`."""
    kind = getattr(request, "param", OrderItems)
    observer = observer_of(server, kind.mapping)
    yield kind(tables, observer)
    observer.drop()


@pytest.fixture
def log(items: Items) -> Callable[[], Rows]:
    """(name, status) of every write to the target that was committed, in order; `deleted` for a removal."""
    items.start_log()
    return items.log


@pytest.fixture
def proxy(server: MariaDB) -> Iterator[Proxy]:
    proxy = Proxy(server.host, server.port)
    yield proxy
    proxy.close()


class SecureLogin:
    """Between `begin()` and `end()` the proxy leads to a server of `caching_sha2_password`, and the driver lacks the
    package with which it could log in there without TLS, as it does in the zips.
    """

    def __init__(self, proxy: Proxy, server: MariaDB, fake: FakeMySQL, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake, self._proxy, self._server, self._monkeypatch = fake, proxy, server, monkeypatch

    def begin(self) -> None:
        self._monkeypatch.setattr(pymysql._auth, "_have_cryptography", False)  # noqa: SLF001
        self._proxy.forward_to(self.fake.port)

    def end(self) -> None:
        self._monkeypatch.undo()
        self._proxy.forward_to(self._server.port)


@pytest.fixture
def secure_login(server: MariaDB, proxy: Proxy) -> Iterator[SecureLogin]:
    fake = FakeMySQL()
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield SecureLogin(proxy, server, fake, monkeypatch)
    fake.close()


@pytest.fixture
def s3() -> Iterator[Any]:
    with moto.mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def parked(s3: Any) -> Callable[[], list[str]]:
    """Names of what is in the quarantine."""
    return lambda: [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@pytest.fixture
def new_consumer(server: MariaDB, items: Items, s3: Any, caplog: Any, capfd: Any) -> Iterator[Any]:
    """Makes a consumer that is connected to the server as it is on AWS; options replace parameters and settings."""
    made: list[Consumer] = []

    def new_consumer(**options: Any) -> Consumer:
        values = {
            "hostname": server.host,
            "port": server.port,
            "db": server.database,
            "driver": "mysql",
            "username": server.app.user,
            "password": server.app.password,
        }
        given = {name: options.pop(name, value) for name, value in values.items()}
        settings = {"declared": items.mapping, "ca_pem": server.ca_pem, "s3": lambda: s3} | options
        made.append(Consumer(FakeParameters(**given), **settings))
        return made[-1]

    yield new_consumer
    output = caplog.text + "".join(capfd.readouterr())
    for consumer in made:
        consumer.database.drop()
        tells_nothing(output, consumer.parameters)


@pytest.fixture
def consumer(new_consumer: Any, proxy: Proxy) -> Consumer:
    """Behind the proxy, which sees each statement."""
    return new_consumer(port=proxy.port, username=PLAIN, tls="off", read_timeout=5)
