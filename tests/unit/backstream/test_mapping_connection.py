"""Where `backstream mapping` gets a database's address, account and TLS settings."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

import pytest

from backstream.deployment import Deployment
from backstream.errors import UsageError
from backstream.mapping import connection
from common.config import ConfigError
from common.mysql.settings import read_credentials, read_endpoint

OUTPUTS = {
    "replay_state_machine_arn": "arn:aws:states:us-east-1:0:stateMachine:m",
    "rds_connection_param_name": "/db",
    "rds_secret_arn": "secret",
    "consumer_function_name": "consumer",
}
STORED = {"hostname": "db.internal", "port": 3307, "db": "legacy", "driver": "mysql"}
ENVIRONMENT = {"MYSQL_TLS": "require", "MYSQL_CA_PEM": ""}


class FakeClient:
    """The three reads, and which of them happened."""

    def __init__(self, stored: Any, asked: list[str]) -> None:
        self._stored, self._asked = stored, asked

    def get_parameter(self, **_: Any) -> Any:
        self._asked.append("parameter")
        return {"Parameter": {"Value": json.dumps(self._stored)}}

    def get_secret_value(self, **_: Any) -> Any:
        self._asked.append("secret")
        return {"SecretString": '{"username": "app", "password": "p"}'}

    def get_function_configuration(self, **_: Any) -> Any:
        self._asked.append("function")
        return {"Environment": {"Variables": ENVIRONMENT}}


class FakeDeployment(Deployment):
    """Its parameter holds `stored`."""

    stored: Any = STORED

    def client(self, _: str) -> Any:
        return FakeClient(self.stored, self.outputs["asked"])


def given(**values: Any) -> Namespace:
    names = ("outputs", "env", "local", "host", "port", "user", "database", "tls", "ca")
    return Namespace(**(dict.fromkeys(names) | values))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    deployment = FakeDeployment({**OUTPUTS, "asked": seen})
    monkeypatch.setattr(connection, "deployment_of", lambda _: deployment)
    return seen


def reached(**values: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Endpoint, credentials and TLS mode, as the room reads them."""
    inspector = connection.inspector_of(given(**values))
    assert inspector
    settings, parameters = inspector._settings, inspector._parameters  # noqa: SLF001
    return (
        read_endpoint(settings, parameters, fresh=False),
        read_credentials(settings, parameters, fresh=False),
        settings.tls,
    )


def test_a_deployment_is_reached_as_its_functions_reach_it(asked: list[str]):
    endpoint, credentials, tls = reached(env="prod")
    assert endpoint == STORED
    assert credentials == {"username": "app", "password": "p"}
    assert tls == "require"
    assert asked == ["function", "parameter", "secret"]


def test_an_option_overrides_what_is_stored(asked: list[str], monkeypatch: pytest.MonkeyPatch):
    """For example for a tunnel. AWS is not asked for what an option gives."""
    monkeypatch.setenv("MYSQL_PASSWORD", "mine")
    endpoint, credentials, tls = reached(local=True, host="127.0.0.1", port=3400, user="me", tls="verify")
    assert endpoint == STORED | {"hostname": "127.0.0.1", "port": 3400}
    assert credentials == {"username": "me", "password": "mine"}
    assert tls == "verify"
    assert asked == ["parameter"]


def test_options_alone_name_a_database(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MYSQL_PASSWORD", "")
    endpoint, credentials, tls = reached(host="db", user="me", database="legacy")
    assert endpoint == {"hostname": "db", "port": 3306, "db": "legacy", "driver": "mysql"}
    assert credentials == {"username": "me", "password": ""}
    assert tls == "verify"


def test_without_options_there_is_no_database():
    assert connection.inspector_of(given()) is None


def test_a_password_is_needed(monkeypatch: pytest.MonkeyPatch):
    """Without a terminal nobody can be asked."""
    monkeypatch.delenv("MYSQL_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    with pytest.raises(UsageError, match="no password for me: set MYSQL_PASSWORD"):
        reached(host="db", user="me", database="legacy")


@pytest.mark.parametrize("stored", [["no object"], {**STORED, "port": 0}])
def test_a_bad_parameter_is_named(asked: list[str], monkeypatch: pytest.MonkeyPatch, stored: Any):
    monkeypatch.setattr(FakeDeployment, "stored", stored)
    with pytest.raises(ConfigError, match="SSM parameter /db"):
        reached(env="prod")


def test_outputs_without_a_database_are_wrong_usage(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "deployment_of", lambda _: Deployment({"failures_bucket": "b"}))
    with pytest.raises(UsageError, match="outputs lack consumer_function_name"):
        connection.inspector_of(given(env="prod"))
