"""Clients for the emulated AWS, with credentials that are nobody's."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config

from scripts.local_stack.settings import REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREIGN = ("AWS_", "TF_VAR_", "TF_CLI_ARGS")
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # 12 digits would name an account
# An emulator on this machine is never behind a proxy. One connection per worker of the simulator is plenty.
CONFIG = Config(proxies={}, s3={"addressing_style": "path"}, max_pool_connections=32)


@lru_cache
def client(service: str, endpoint: str) -> Any:
    # The profile and the configuration files of the person at the terminal are for their own account.
    own_files = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    session = boto3.Session(
        botocore_session=botocore.session.Session(session_vars=own_files),
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    make: Any = session.client  # its stubs want the service's name as a literal
    return make(service, endpoint_url=endpoint, config=CONFIG)


def aws_environment(endpoint: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a tool that talks to the emulator: nothing of the caller's own AWS account is left."""
    own = {
        name: value for name, value in environment.items() if not name.startswith(("AWS_", "TF_VAR_", "TF_CLI_ARGS"))
    }
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    place = {"AWS_REGION": REGION, "AWS_ENDPOINT_URL": endpoint}
    return {**own, **CREDENTIALS, **files, **place, **no_proxy(environment)}


def no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Loopback addresses added to what must not go through a proxy."""
    listed = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    value = ",".join(filter(None, [listed, "127.0.0.1", "localhost"]))
    return {"NO_PROXY": value, "no_proxy": value}
