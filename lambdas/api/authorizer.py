"""API Gateway's authorizer for HTTP Basic: lets a client in, or not.

The API checks the credentials as well, and would be enough but for one header: a REST API renames the
`WWW-Authenticate` that a proxied function answers with, and a 401 must have it (RFC 9110, 11.6.1). API Gateway's own
401, which a refusal here becomes, may carry it.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from api import aws, gateway
from api.auth import Secret, basic
from api.problems import Problem
from common.config import env, load
from common.telemetry import logger, traced


@dataclass(frozen=True)
class Config:
    secret_arn: str = env("API_SECRET_ARN")


_config = load(Config, os.environ)
_secrets = aws.secrets_client()
_authenticate = basic(
    Secret(lambda: _secrets.get_secret_value(SecretId=_config.secret_arn).get("SecretString", ""), time.monotonic)
)


class Unauthorized(Exception):  # noqa: N818 - API Gateway makes a 401 of this word, and a 500 of any other
    pass


@traced
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """A policy for the whole stage, as API Gateway reuses it for every path while it is cached.

    Raises Unauthorized for missing or wrong credentials.
    """
    asked = gateway.request(event)
    try:
        username = _authenticate(asked)
    except Problem:
        logger.info("refused", request_id=asked.request_id)
        raise Unauthorized("Unauthorized") from None
    api_and_stage = "/".join(event["methodArn"].split("/")[:2])
    allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{api_and_stage}/*"}
    return {"principalId": username, "policyDocument": {"Version": "2012-10-17", "Statement": [allow]}}
