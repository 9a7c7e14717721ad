"""Wrong passwords and parameters. The stored values are read once more; after that a person must correct them."""

from __future__ import annotations

import json

import boto3
import pytest

from common.config import ConfigError
from common.database import StopError
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from common.parameters import AwsParameters
from tests.support.deliveries import PLAIN
from tests.support.records import record
from tests.support.tables import order


@pytest.fixture
def password_of(server, tables):
    """Sets the password of an account; all are as before at the end."""
    changed = set()

    def password_of(user: str, password: str) -> None:
        changed.add(user)
        tables.run(f"ALTER USER '{user}'@'%' IDENTIFIED BY '{password}'")

    yield password_of
    for user in changed:
        tables.run(f"ALTER USER '{user}'@'%' IDENTIFIED BY '{server.app.password}'")


def test_a_wrong_password_reads_the_secret_again_then_stops(*, server, tables, consumer):
    """It stops until the secret is corrected."""
    consumer.parameters.set(password="wr0ng-Passw0rd")

    for attempt in (1, 2):
        with pytest.raises(StopError, match="MySQL error 1045: check the secret's username and password"):
            consumer.deliver(record("a", 1))
        assert consumer.parameters.fresh_reads.count("credentials") == attempt
    assert (tables.orders(), tables.sidecar()) == ([], [])
    consumer.parameters.set(password=server.app.password)

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


def test_a_rotated_password_leaves_a_connection_in_use_alone(tables, password_of, consumer):
    consumer.deliver(record("a", 1))
    password_of(PLAIN, "r0tated-Passw0rd")
    consumer.parameters.set(password="r0tated-Passw0rd")

    assert consumer.deliver(record("b", 2)) == {"upserted": 1}

    assert consumer.parameters.fresh_reads == []


def test_a_rotated_password_is_read_again(tables, password_of, proxy, consumer):
    """A new connection first tries the cached password from before the rotation."""
    consumer.deliver(record("a", 1))
    password_of(PLAIN, "r0tated-Passw0rd")
    consumer.parameters.set(password="r0tated-Passw0rd")
    proxy.reset()

    assert consumer.deliver(record("b", 2)) == {"upserted": 1}
    assert consumer.parameters.fresh_reads.count("credentials") == 1
    proxy.reset()

    assert consumer.deliver(record("c", 3)) == {"upserted": 1}
    assert consumer.parameters.fresh_reads.count("credentials") == 1


def test_a_rotation_stops_until_the_secret_has_followed(tables, password_of, proxy, consumer):
    """The database has the new password before the secret does."""
    consumer.deliver(record("a", 1))
    password_of(PLAIN, "r0tated-Passw0rd")
    proxy.reset()

    with pytest.raises(StopError, match="1045"):
        consumer.deliver(record("b", 2))
    consumer.parameters.set(password="r0tated-Passw0rd")

    assert consumer.deliver(record("b", 2)) == {"upserted": 1}
    assert tables.orders() == [order("a"), order("b")]


def test_a_password_may_hold_any_character(tables, password_of, consumer):
    password_of(PLAIN, "pä€sswörd \\\\ %")
    consumer.parameters.set(password="pä€sswörd \\ %")

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


def test_a_locked_account_stops(tables, consumer):
    tables.run(f"ALTER USER '{PLAIN}'@'%' ACCOUNT LOCK")
    try:
        with pytest.raises(StopError, match=r"MySQL error (4151|3118): check the secret's username"):
            consumer.deliver(record("a", 1))
    finally:
        tables.run(f"ALTER USER '{PLAIN}'@'%' ACCOUNT UNLOCK")

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


def test_an_account_that_needs_tls_stops_without_it(secure_login, tables, proxy, consumer):
    """MySQL takes the password of `caching_sha2_password` over TLS or encrypted, and the zips cannot encrypt it."""
    secure_login.begin()

    with pytest.raises(StopError, match=r"MySQL error 2061: .*need TLS here; set mysql_tls \(MYSQL_TLS\)"):
        consumer.deliver(record("a", 1))
    assert secure_login.fake.logins == 2
    assert consumer.parameters.fresh_reads.count("credentials") == 1, "the driver says the same of a wrong password"
    assert (tables.orders(), tables.sidecar()) == ([], [])
    secure_login.end()

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


@pytest.mark.parametrize(
    ("plugin", "errno", "hint"),
    [
        (b"sha256_password", 2061, "need TLS here"),
        (b"client_ed25519", 2059, "does not support this account"),
        (b"auth_gssapi_client", 2059, "does not support this account"),
    ],
)
def test_an_account_whose_plugin_the_driver_lacks_stops(*, plugin, errno, hint, secure_login, tables, consumer):
    secure_login.fake.plugin = plugin
    secure_login.begin()

    with pytest.raises(StopError, match=f"MySQL error {errno}: .*{hint}"):
        consumer.deliver(record("a", 1))


def test_a_missing_grant_stops_with_nothing_half_written(*, server, tables, proxy, consumer):
    """The batch applies once the grant is given."""
    tables.run(
        f"REVOKE SELECT, INSERT, UPDATE, DELETE ON `{server.database}`.* FROM '{PLAIN}'@'%'",
        f"GRANT SELECT, INSERT, UPDATE ON `{server.database}`.replication_versions TO '{PLAIN}'@'%'",
        f"GRANT SELECT, UPDATE ON `{server.database}`.replication_sources TO '{PLAIN}'@'%'",
        f"GRANT SELECT, DELETE ON `{server.database}`.tbl_orders TO '{PLAIN}'@'%'",
    )
    try:
        with pytest.raises(StopError, match=r"MySQL error (1142|1143): .*the user's grants"):
            consumer.deliver(record("a", 1))
        assert (tables.orders(), tables.sidecar()) == ([], [])
    finally:
        tables.run(
            f"REVOKE ALL ON `{server.database}`.replication_versions FROM '{PLAIN}'@'%'",
            f"REVOKE ALL ON `{server.database}`.replication_sources FROM '{PLAIN}'@'%'",
            f"REVOKE ALL ON `{server.database}`.tbl_orders FROM '{PLAIN}'@'%'",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{server.database}`.* TO '{PLAIN}'@'%'",
        )

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


def test_an_unknown_database_stops_until_it_is_corrected(*, server, tables, consumer):
    consumer.parameters.set(db="elsewhere")

    with pytest.raises(StopError, match=r"MySQL error (1044|1049)"):
        consumer.deliver(record("a", 1))
    consumer.parameters.set(db=server.database)

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


_MISTYPED = {
    "not JSON": ("hostname=db.example port=3306", "SSM parameter /orders/rds is not a JSON object"),
    "a list": ('["hostname"]', "SSM parameter /orders/rds is not a JSON object"),
    "missing fields": ('{"hostname": "db.example"}', "SSM parameter /orders/rds lacks or has a bad port, db, driver"),
    "another driver": (
        '{"hostname": "db.example", "port": 3306, "db": "orders", "driver": "postgresql"}',
        "SSM parameter /orders/rds names another driver than mysql",
    ),
    "no port": (
        '{"hostname": "db.example", "port": 0, "db": "orders", "driver": "mysql"}',
        "SSM parameter /orders/rds lacks or has a bad port",
    ),
    "a port that is a word": (
        '{"hostname": "db.example", "port": "mysql", "db": "orders", "driver": "mysql"}',
        "SSM parameter /orders/rds lacks or has a bad port",
    ),
    "a port out of range": (
        '{"hostname": "db.example", "port": "123456", "db": "orders", "driver": "mysql"}',
        "SSM parameter /orders/rds lacks or has a bad port",
    ),
    "a host name with an empty label": (
        '{"hostname": "db..example", "port": 3306, "db": "orders", "driver": "mysql"}',
        "SSM parameter /orders/rds lacks or has a bad hostname",
    ),
    "empty fields": (
        '{"hostname": "", "port": 3306, "db": " ", "driver": "mysql"}',
        "SSM parameter /orders/rds lacks or has a bad hostname, db",
    ),
}


@pytest.mark.parametrize("case", _MISTYPED)
def test_a_mistyped_parameter_is_named_with_its_fields(case, tables, consumer):
    """It is read again at the next invocation."""
    good, (bad, message) = consumer.parameters.stored_connection, _MISTYPED[case]
    consumer.parameters.stored_connection = bad

    with pytest.raises(ConfigError) as error:
        consumer.deliver(record("a", 1))
    assert str(error.value) == message
    consumer.parameters.stored_connection = good

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("hunter2", "secret arn:secret is not a JSON object"),
        ('{"username": "hunter", "password": null}', "secret arn:secret lacks or has a bad password"),
        ('{"user": "hunter", "password": "hunter2"}', "secret arn:secret lacks or has a bad username"),
    ],
)
def test_a_mistyped_secret_is_named_with_its_fields(bad, message, tables, consumer):
    """No value of the secret is told."""
    good = consumer.parameters.stored_credentials
    consumer.parameters.stored_credentials = bad

    with pytest.raises(ConfigError) as error:
        consumer.deliver(record("a", 1))
    assert str(error.value) == message
    consumer.parameters.stored_credentials = good

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}


def test_the_real_cache_keeps_no_wrong_parameter_or_secret(*, server, tables, new_consumer, s3):
    """Powertools caches for five minutes what it has read, be it right or wrong."""
    ssm, secrets = boto3.client("ssm"), boto3.client("secretsmanager")
    given = new_consumer().parameters
    consumer = new_consumer()
    consumer.database = MySQLDatabase(
        MySQLSettings(param_name="/orders/rds", secret_arn="rds", ca_pem=server.ca_pem),
        AwsParameters("/orders/rds", "rds"),
        consumer.mapping,
    )

    def fails() -> str:
        with pytest.raises((ConfigError, StopError)) as error:
            consumer.deliver(record("a", 1))
        return str(error.value)

    def put(value: str) -> None:
        ssm.put_parameter(Name="/orders/rds", Value=value, Type="SecureString", Overwrite=True)

    assert "SSM parameter /orders/rds cannot be read" in fails()
    put("{")
    assert fails() == "SSM parameter /orders/rds is not a JSON object"
    put(given.stored_connection)
    assert "secret rds cannot be read" in fails()
    secrets.create_secret(Name="rds", SecretString="{}")
    assert fails() == "secret rds lacks or has a bad username, password"
    secrets.put_secret_value(SecretId="rds", SecretString=json.dumps({"username": PLAIN, "password": "wrong"}))
    assert "MySQL error 1045" in fails()
    put(json.dumps(json.loads(given.stored_connection) | {"db": "elsewhere"}))
    secrets.put_secret_value(SecretId="rds", SecretString=given.stored_credentials)
    assert "MySQL error 104" in fails()
    put(given.stored_connection)

    assert consumer.deliver(record("a", 1)) == {"upserted": 1}
    consumer.database.drop()
