"""How the tool reaches the database: by options, or as a deployment's functions do.

The password comes from MYSQL_PASSWORD or a prompt, or from the deployment's secret, with the operator's rights.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from backstream.deployment import Deployment
from backstream.errors import UsageError
from backstream.options import deployment_of
from common.mysql.inspection import Inspector
from common.mysql.settings import MySQLSettings, Parameters

_DEFAULT_PORT = 3306
_TIMEOUT = 30  # seconds for an answer: a large schema may take a while to read


def uses_deployment(options: argparse.Namespace) -> bool:
    return bool(options.outputs or options.env or options.local)


def inspector_of(options: argparse.Namespace) -> Inspector | None:
    """A view of the database that the options name; None where they name none. Raises UsageError."""
    access = access_of(options, deployment_of(options) if uses_deployment(options) else None)
    return Inspector(*access) if access else None


def access_of(options: argparse.Namespace, deployment: Deployment | None) -> tuple[MySQLSettings, Parameters] | None:
    """How to reach the database of the options or the deployment; None where there is none. Raises UsageError."""
    if deployment or options.host:
        return _settings(options, deployment), _Parameters(options, deployment)
    if given := [f"--{name}" for name in ("port", "user", "database", "tls", "ca") if getattr(options, name)]:
        raise UsageError(f"no database for {', '.join(given)}: give --host, or --env, --outputs or --local")
    return None


def require_inspector(options: argparse.Namespace, purpose: str) -> Inspector:
    inspector = inspector_of(options)
    if inspector is None:
        raise UsageError(f"no database {purpose}: give --host, or --env, --outputs or --local")
    return inspector


class _Parameters:
    """A `common.mysql.settings.Parameters`: what an option says, else what the deployment says."""

    def __init__(self, options: argparse.Namespace, deployment: Deployment | None) -> None:
        self._options, self._deployment = options, deployment
        if not deployment and (missing := [name for name in ("user", "database") if not getattr(options, name)]):
            raise UsageError(f"--host needs --{' and --'.join(missing)}")

    def connection(self, *, fresh: bool = False) -> str:  # noqa: ARG002 - nothing is cached
        given = {"hostname": self._options.host, "port": self._options.port, "db": self._options.database}
        stored = {} if self._deployment is None else self._stored(self._deployment)
        if not isinstance(stored, dict):
            return json.dumps(stored)  # refused where it is read, with its name
        defaults = {} if self._deployment else {"port": _DEFAULT_PORT, "driver": "mysql"}
        return json.dumps(defaults | stored | {name: value for name, value in given.items() if value})

    def credentials(self, *, fresh: bool = False) -> str:  # noqa: ARG002
        if self._deployment and not self._options.user:
            secret = _output(self._deployment, "rds_secret_arn")
            found = self._deployment.client("secretsmanager").get_secret_value(SecretId=secret)
            return str(found.get("SecretString", ""))
        return json.dumps({"username": self._options.user, "password": self._password})

    @staticmethod
    def _stored(deployment: Deployment) -> Any:
        name = _output(deployment, "rds_connection_param_name")
        found = deployment.client("ssm").get_parameter(Name=name, WithDecryption=True)
        try:
            return json.loads(found["Parameter"]["Value"])
        except ValueError:
            return None

    @cached_property
    def _password(self) -> str:
        """Asked for once."""
        found = os.environ.get("MYSQL_PASSWORD")
        if found is not None:
            return found
        if not sys.stdin.isatty():
            raise UsageError(f"no password for {self._options.user}: set MYSQL_PASSWORD")
        return getpass.getpass(f"Password of {self._options.user}: ")


def _settings(options: argparse.Namespace, deployment: Deployment | None) -> MySQLSettings:
    """TLS as --tls says, else as the deployment's consumer has it, which reaches the same database."""
    environment = consumer_environment(deployment) if deployment and not options.tls else {}
    names = deployment.outputs if deployment else {}
    return MySQLSettings(
        param_name=str(names.get("rds_connection_param_name", "--host")),
        secret_arn=str(names.get("rds_secret_arn", "--user")),
        tls=options.tls or environment.get("MYSQL_TLS", "verify"),
        ca_pem=_certificates(options.ca) if options.ca else environment.get("MYSQL_CA_PEM", ""),
        read_timeout=_TIMEOUT,
    )


def consumer_environment(deployment: Deployment) -> dict[str, str]:
    """The settings of the deployment's consumer."""
    name = _output(deployment, "consumer_function_name")
    function = deployment.client("lambda").get_function_configuration(FunctionName=name)
    found: dict[str, str] = function.get("Environment", {}).get("Variables", {})
    return found


def _certificates(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the certificates of --ca: {error}") from None


def _output(deployment: Deployment, name: str) -> str:
    value = deployment.outputs.get(name)
    if not value:
        raise UsageError(f"the deployment's outputs lack {name}: name the database with --host, --user and --database")
    return str(value)
