"""Cold start: the environment is validated, and nothing unused is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from api import bootstrap
from common.config import ConfigError

REQUIRED = {
    "TABLE_NAME": "orders",
    "IDEMPOTENCY_TABLE_NAME": "idempotency",
    "API_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:1:secret:api",
}


def test_only_variables_without_a_default_are_required():
    config = bootstrap.config(REQUIRED)
    assert (config.merchant_index_name, config.auth) == ("merchant_id-created_at-index", "basic")
    assert (config.order_ttl_days, config.idempotency_ttl_hours) == (3, 24)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_variable_is_named(name):
    with pytest.raises(ConfigError, match=f"{name} is not set"):
        bootstrap.config({key: value for key, value in REQUIRED.items() if key != name})


def test_every_missing_or_bad_variable_is_named_at_once():
    with pytest.raises(ConfigError) as raised:
        bootstrap.config({"ORDER_TTL_DAYS": "0", "IDEMPOTENCY_TTL_HOURS": "many", "API_AUTH": "none"})
    for name in [*REQUIRED, "ORDER_TTL_DAYS", "IDEMPOTENCY_TTL_HOURS", "API_AUTH"]:
        assert name in str(raised.value)


def test_iam_needs_no_secret():
    config = bootstrap.config({"TABLE_NAME": "a", "IDEMPOTENCY_TABLE_NAME": "b", "API_AUTH": "iam"})
    assert not hasattr(config, "secret_arn")


def start(environ: dict[str, str], code: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(path for path in sys.path if path)
    base = {"PYTHONPATH": paths, "AWS_DEFAULT_REGION": "eu-west-1"}
    return subprocess.run([sys.executable, "-c", code], env=base | environ, capture_output=True, text=True, check=False)


def test_a_bad_environment_fails_the_cold_start():
    ended = start({}, "import api.handler")
    assert ended.returncode == 1
    assert all(name in ended.stderr.splitlines()[-1] for name in REQUIRED)


def test_a_cold_start_needs_no_network_and_no_unused_library():
    ended = start(
        REQUIRED,
        "import sys, api.handler; print(*set(sys.modules) &"
        " {'aws_xray_sdk', 'boto3', 'pymysql', 'aws_lambda_powertools.utilities.parameters'})",
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stderr
