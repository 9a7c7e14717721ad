"""The local stack's options come from environment variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.local_stack.database import Account
from scripts.local_stack.settings import ExternalServer, read_settings
from scripts.local_stack.terminal import StackError


def test_by_default_all_state_is_in_the_repository():
    settings = read_settings({})
    assert settings.home.name == ".backstream"
    assert settings.cache == settings.home / "cache"
    assert (settings.env, settings.endpoint, settings.server) == ("local", None, None)
    assert settings.failure_destination == "sqs"
    assert settings.stack_home == settings.home / "stacks" / "ministack-local"


def test_another_emulator_gets_its_own_state_and_the_bucket():
    settings = read_settings({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/", "BACKSTREAM_HOME": "/state"})
    assert settings.endpoint == "http://127.0.0.1:4566"
    assert settings.failure_destination == "s3"
    assert settings.stack_home == Path("/state/stacks/http-127-0-0-1-4566-local")


def test_an_empty_variable_counts_as_unset():
    assert read_settings({"AWS_ENDPOINT_URL": "", "MYSQL_HOST": "", "FAILURE_DESTINATION": ""}) == read_settings({})


def test_an_external_server_is_read_with_defaults():
    assert read_settings({"MYSQL_HOST": "db"}).server == ExternalServer(
        host="db", port=3306, account=Account("root", ""), database="backstream", tls=None, host_for_lambda="db"
    )


def test_an_external_server_is_read_in_full():
    environment = {
        "MYSQL_HOST": "127.0.0.1",
        "MYSQL_PORT": "3307",
        "MYSQL_USER": "admin",
        "MYSQL_PASSWORD": "secret",
        "MYSQL_DATABASE": "orders",
        "MYSQL_TLS": "verify",
        "MYSQL_HOST_FOR_LAMBDA": "172.17.0.1",
    }
    assert read_settings(environment).server == ExternalServer(
        host="127.0.0.1",
        port=3307,
        account=Account("admin", "secret"),
        database="orders",
        tls="verify",
        host_for_lambda="172.17.0.1",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("MYSQL_PORT", "many"), ("MYSQL_TLS", "maybe"), ("FAILURE_DESTINATION", "sns")],
)
def test_an_invalid_value_is_named(name: str, value: str):
    with pytest.raises(StackError, match=f"{name} must be .*{value}"):
        read_settings({"MYSQL_HOST": "db", name: value})
