"""TLS to the server. A certificate that cannot be trusted stops the consumer until a person corrects it."""

from __future__ import annotations

import re

import pymysql
import pytest
import trustme

from common import config
from common.database import StopError, Verdict
from common.mysql import errors
from common.mysql.settings import MySQLSettings
from tests.support.deliveries import PLAIN
from tests.support.records import record
from tests.support.tables import order

HINT = r"check MYSQL_TLS, MYSQL_CA_PEM and the server's certificate$"
# The loopback address under a name that the server's certificate does not have.
OTHER_NAME = "127.1"


@pytest.fixture
def cipher(tables):
    """The cipher of a consumer's connection; empty where it is plain."""

    def ask(connection, _target) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            return cursor.fetchone()[1]

    return lambda consumer: consumer.database.execute("asking for the cipher", ask)


def test_the_servers_certificate_is_verified_by_default(tables, new_consumer, cipher):
    consumer = new_consumer()

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}

    assert cipher(consumer)


@pytest.mark.parametrize(
    "options",
    [{"ca_pem": ""}, {"ca_pem": trustme.CA().cert_pem.bytes().decode()}, {"hostname": OTHER_NAME}],
    ids=["a private CA that is not configured", "another private CA", "another name"],
)
def test_a_certificate_that_proves_nothing_stops(options, tables, new_consumer):
    with pytest.raises(StopError, match=HINT):
        new_consumer(**options).deliver(record("a", 1))
    assert (tables.orders(), tables.sidecar()) == ([], [])


def test_a_bad_certificate_stops_new_connections(server, tables, proxy, new_consumer):
    """They work again once the parameters are corrected."""
    consumer = new_consumer(hostname=OTHER_NAME)
    with pytest.raises(StopError, match=HINT):
        consumer.deliver(record("a", 1))
    consumer.parameters.set(hostname=server.host)

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


@pytest.mark.parametrize("options", [{"ca_pem": ""}, {"hostname": OTHER_NAME}])
def test_require_encrypts_without_checking_the_certificate(options, tables, new_consumer, cipher):
    consumer = new_consumer(tls="require", **options)

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}

    assert cipher(consumer)


@pytest.mark.parametrize("tls", ["verify", "require"])
def test_a_server_without_tls_gets_no_password(*, tls, server, tables, proxy, new_consumer):
    """A party between client and server may have removed TLS from the handshake."""
    proxy.strips_tls = True
    consumer = new_consumer(port=proxy.port, username=PLAIN, tls=tls)

    with pytest.raises(StopError, match=f"MySQL error 2026: {HINT}"):
        consumer.deliver(record("a", 1))

    proxy.strips_tls = False
    consumer.database.drop()
    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


def test_off_connects_without_tls_where_the_server_allows_it(tables, new_consumer, cipher):
    consumer = new_consumer(username=PLAIN, tls="off")

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}

    assert not cipher(consumer)


@pytest.mark.parametrize(
    ("demand", "release"),
    [
        ("SET GLOBAL require_secure_transport = ON", "SET GLOBAL require_secure_transport = OFF"),
        (f"ALTER USER '{PLAIN}'@'%' REQUIRE SSL", f"ALTER USER '{PLAIN}'@'%' REQUIRE NONE"),
    ],
    ids=["server", "user"],
)
def test_off_stops_where_the_server_requires_tls(demand, release, tables, new_consumer):
    """MySQL has number 3159 for a server that demands it; MariaDB, and a user of either, deny access."""
    consumer = new_consumer(username=PLAIN, tls="off")
    tables.run(demand)
    try:
        with pytest.raises(StopError, match=r"MySQL error (3159|1045): check .*\bMYSQL_TLS\b"):
            consumer.deliver(record("a", 1))
    finally:
        tables.run(release)

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}
    assert tables.orders() == [order("a")]


def test_rds_proxy_has_an_error_number_for_missing_tls():
    rule = errors.rule(pymysql.OperationalError(3159, "This RDS Proxy requires TLS connections"))

    assert rule.verdict is Verdict.STOP
    assert re.search(HINT, rule.hint)


def test_a_ca_that_is_no_certificate_fails_at_cold_start():
    environment = {"RDS_CONNECTION_PARAM_NAME": "p", "RDS_SECRET_ARN": "s", "MYSQL_CA_PEM": "-----BEGIN-----"}

    with pytest.raises(config.ConfigError, match="MYSQL_CA_PEM must be certificates in PEM"):
        config.load(MySQLSettings, environment)
