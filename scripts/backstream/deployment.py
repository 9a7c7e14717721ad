"""A deployment, known by its Terraform outputs: on AWS, LocalStack or MiniStack alike."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url

from backstream.aws import client, default_region
from backstream.errors import UsageError

DEFAULT_NAME = "backstream"
_NEEDED = ("replay_state_machine_arn", "failures_bucket")
_LOCAL = Path(".backstream", "outputs.json")
_WAYS = (
    "give --outputs FILE, or --env ENV (with --name, --pipeline and --region), or start the local stack with make up"
)


@dataclass(frozen=True)
class Deployment:
    """`outputs` are Terraform's, by name; an emulator's have an `endpoint_url`.

    The clients of an `impatient` one give up within seconds.
    """

    outputs: Mapping[str, Any]
    impatient: bool = False

    def client(self, service: str) -> Any:
        """A boto3 client of the deployment's Region. An emulator never gets the operator's credentials."""
        return client(service, self.state_machine.split(":")[3], self.endpoint, impatient=self.impatient)

    @property
    def endpoint(self) -> str | None:
        """Of the emulator; None on AWS."""
        return self.outputs.get("endpoint_url") or emulator_endpoint()

    @property
    def state_machine(self) -> str:
        return str(self.outputs["replay_state_machine_arn"])

    def job_state_machine(self, job: str) -> str:
        """Of `load`, `verify`, `seed` or `prune`. Raises UsageError for a deployment of an earlier version."""
        name = f"{job}_state_machine_arn"
        arn = self.outputs.get(name)
        if not arn:
            raise UsageError(f"the outputs lack {name}: apply this version of the deployment first")
        return str(arn)

    @property
    def bucket(self) -> str:
        return str(self.outputs["failures_bucket"])


def find_deployment(
    *,
    outputs: str | None = None,
    name: str | None = None,
    env: str | None = None,
    region: str | None = None,
    pipeline: str | None = None,
) -> Deployment:
    """By a file of outputs (`-` is standard input), by name, env, pipeline and Region, or else the local stack.

    Raises UsageError; BotoCoreError or ClientError when the stored outputs cannot be read from AWS.
    """
    if outputs and (name or env or region or pipeline):
        raise UsageError("--outputs names a deployment by itself: leave out --name, --env, --pipeline and --region")
    if outputs:
        return _read_outputs(outputs)
    if env:
        folder = f"/{name or DEFAULT_NAME}-{env}" + (f"/{pipeline}" if pipeline else "")
        return _read_parameter(f"{folder}/outputs", region or default_region())
    if name or region or pipeline:
        raise UsageError("--name, --pipeline and --region need --env")
    return _read_local_stack()


def parse_outputs(text: str, source: str) -> Deployment:
    """As `terraform output -json`, `make outputs` or the SSM parameter has them. Raises UsageError."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"cannot read outputs from {source}: {error}") from None
    if not isinstance(given, dict):
        raise UsageError(f"{source} holds no JSON object of outputs")
    # `terraform output -json` wraps each value, the others do not.
    outputs = {
        key: value["value"] if isinstance(value, dict) and "value" in value else value for key, value in given.items()
    }
    if missing := [name for name in _NEEDED if not outputs.get(name)]:
        raise UsageError(f"the outputs from {source} lack {', '.join(missing)}")
    if wrong := [name for name, is_good in _CHECKS.items() if not is_good(outputs.get(name))]:
        raise UsageError(f"the outputs from {source} have a bad {', '.join(wrong)}")
    return Deployment(outputs)


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and (is_valid_endpoint_url(value) or is_valid_ipv6_endpoint_url(value))


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "replay_state_machine_arn": lambda value: re.fullmatch(r"arn:[\w-]+:states:[\w-]+:.+", str(value)) is not None,
    "failures_bucket": lambda value: isinstance(value, str),
    "endpoint_url": lambda value: not value or _is_url(value),
}


def _read_outputs(name: str) -> Deployment:
    source = "standard input" if name == "-" else name
    try:
        text = _read_input() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read outputs from {source}: {error}") from None
    return parse_outputs(text, source)


def _read_input() -> str:
    if sys.stdin is None:  # closed by the caller
        raise OSError("it is closed")
    return sys.stdin.read()


def _read_parameter(parameter: str, region: str | None) -> Deployment:
    if region is None:
        raise UsageError(f"no Region to look up the SSM parameter {parameter} in: give --region or set AWS_REGION")
    try:
        found = client("ssm", region, emulator_endpoint()).get_parameter(Name=parameter)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        raise UsageError(
            f"no SSM parameter {parameter} in {region}: check --name, --env, --pipeline and --region, "
            "or give --outputs FILE"
        ) from None
    return parse_outputs(found["Parameter"]["Value"], f"the SSM parameter {parameter} in {region}")


def _read_local_stack() -> Deployment:
    file = _local_outputs()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the local stack's outputs from {file}: {error}") from None
    deployment = parse_outputs(text, str(file))
    # The operator did not name this file, so it must not choose where their credentials are used.
    if not deployment.outputs.get("endpoint_url"):
        raise UsageError(f"{file} is not of a local stack, it has no endpoint_url; to use it give --outputs {file}")
    return deployment


def _local_outputs() -> Path:
    """The file that `make up` writes. Raises UsageError where there is none."""
    home = os.environ.get("BACKSTREAM_HOME")
    try:
        here = Path.cwd()
    except OSError as error:
        raise UsageError(f"the working directory cannot be read ({error}): {_WAYS}") from None
    folders = (here, *here.parents)
    files = [Path(home, _LOCAL.name)] if home else [folder / _LOCAL for folder in folders]
    for file in files:
        if file.is_file():
            return file
    looked = f"there is no {files[0]} (BACKSTREAM_HOME)" if home else f"no {_LOCAL} in {here} or a folder above it"
    raise UsageError(f"no deployment is named and no local stack is up ({looked}): {_WAYS}")


def emulator_endpoint() -> str | None:
    """Of an emulator, where the environment names one. Raises UsageError."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
    if endpoint and not _is_url(endpoint):
        raise UsageError("AWS_ENDPOINT_URL must be the URL of an emulator, such as http://localhost:4566")
    return endpoint
