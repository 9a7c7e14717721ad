"""The options of the local stack, read from environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.local_stack.database import DATABASE, Account
from scripts.local_stack.terminal import StackError

REPOSITORY = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
TLS_MODES = ("verify", "require", "off")
DESTINATIONS = ("s3", "sqs")
DEFAULT_MYSQL_PORT = 3306


@dataclass(frozen=True)
class ExternalServer:
    """A MySQL server that the stack does not run: MYSQL_HOST and its related variables."""

    host: str
    port: int
    account: Account
    database: str
    tls: str | None
    host_for_lambda: str


@dataclass(frozen=True)
class StackSettings:
    home: Path
    cache: Path
    env: str
    endpoint: str | None
    server: ExternalServer | None
    failure_destination: str

    @property
    def stack_home(self) -> Path:
        """One folder for each emulator and env: deployments never share Terraform state."""
        return self.home / "stacks" / re.sub(r"\W+", "-", f"{self.endpoint or 'ministack'} {self.env}")

    @property
    def build_folder(self) -> Path:
        """Apart from build/: `make build` does not change what a running apply reads."""
        return self.stack_home / "work" / "build"

    @property
    def outputs_file(self) -> Path:
        """The outputs of the stack that `make up` brought up last; the operator's tool reads it."""
        return self.home / "outputs.json"


def read_settings(environment: Mapping[str, str] = os.environ) -> StackSettings:
    endpoint = environment.get("AWS_ENDPOINT_URL") or None
    default_home = REPOSITORY / ".backstream"
    return StackSettings(
        home=Path(environment.get("BACKSTREAM_HOME") or default_home).resolve(),
        cache=Path(environment.get("BACKSTREAM_CACHE") or default_home / "cache").resolve(),
        env=environment.get("BACKSTREAM_ENV") or "local",
        endpoint=endpoint.rstrip("/") if endpoint else None,
        server=_external_server(environment),
        # MiniStack delivers failures to a queue only. The bucket holds whole events and is the default on AWS.
        failure_destination=_choice(environment, "FAILURE_DESTINATION", DESTINATIONS, "s3" if endpoint else "sqs"),
    )


def _external_server(environment: Mapping[str, str]) -> ExternalServer | None:
    host = environment.get("MYSQL_HOST")
    if not host:
        return None
    return ExternalServer(
        host=host,
        port=_port(environment.get("MYSQL_PORT") or str(DEFAULT_MYSQL_PORT)),
        account=Account(environment.get("MYSQL_USER") or "root", environment.get("MYSQL_PASSWORD", "")),
        database=environment.get("MYSQL_DATABASE") or DATABASE,
        tls=_choice(environment, "MYSQL_TLS", TLS_MODES, "") or None,
        # Inside a function's container 127.0.0.1 is the container: there the server has another name.
        host_for_lambda=environment.get("MYSQL_HOST_FOR_LAMBDA") or host,
    )


def _port(text: str) -> int:
    if not text.isdecimal():
        raise StackError(f"MYSQL_PORT must be a number, not {text!r}")
    return int(text)


def _choice(environment: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = environment.get(name) or default
    if value and value not in allowed:
        raise StackError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return value
