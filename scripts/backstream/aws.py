"""Clients for AWS, and for an emulator of it."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

# More than the threads that read or move objects at a time.
_POOL = 32
# An emulator needs no proxy and serves no bucket under a host name of its own.
_EMULATOR = Config(proxies={}, s3={"addressing_style": "path"}, max_pool_connections=_POOL)
# For a picture of now: a source that does not answer within seconds is shown as unknown.
_IMPATIENT = Config(connect_timeout=3, read_timeout=8, retries={"total_max_attempts": 2})
# Neither the operator's profile nor their configuration files apply to an emulator.
_NO_FILES = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}


def client(service: str, region: str, endpoint: str | None, *, impatient: bool = False) -> Any:
    """A boto3 client with the operator's credentials, or of the emulator at `endpoint` with test credentials.

    An `impatient` one gives up within seconds.
    """
    if endpoint:
        return _emulator_client(service, region, endpoint, impatient=impatient)
    make: Any = boto3.Session(region_name=region).client  # its stubs accept a literal only
    config = Config(max_pool_connections=_POOL)
    return make(service, config=config.merge(_IMPATIENT) if impatient else config)


@lru_cache
def _emulator_client(service: str, region: str, endpoint: str, *, impatient: bool) -> Any:
    session = boto3.Session(
        botocore_session=botocore.session.Session(session_vars=_NO_FILES),
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - real credentials must not reach an emulator
    )
    make: Any = session.client
    return make(service, endpoint_url=endpoint, config=_EMULATOR.merge(_IMPATIENT) if impatient else _EMULATOR)


def default_region() -> str | None:
    """From the environment or the operator's profile, as the AWS CLI finds it."""
    return os.environ.get("AWS_REGION") or boto3.Session().region_name
