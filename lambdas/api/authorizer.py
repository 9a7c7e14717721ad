"""API Gateway's authorizer for HTTP Basic.

The API function checks the credentials too, but API Gateway renames the `WWW-Authenticate` header of its response,
and a 401 must have that header (RFC 9110, 11.6.1). When this authorizer refuses a client, API Gateway sends its own
401, which keeps the header.
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
class AuthorizerConfig:
    secret_arn: str = env("API_SECRET_ARN")


_config = load(AuthorizerConfig, os.environ)
_secrets = aws.secrets_client()
_authenticate = basic(
    Secret(lambda: _secrets.get_secret_value(SecretId=_config.secret_arn).get("SecretString", ""), time.monotonic)
)


class Unauthorized(Exception):  # noqa: N818 - API Gateway sends a 401 for exactly this message, and a 500 for any other
    pass


@traced
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Return a policy for the whole stage: API Gateway caches it and reuses it for every path.

    Raises Unauthorized if the credentials are missing or wrong.
    """
    request = gateway.parse_event(event)
    try:
        username = _authenticate(request)
    except Problem:
        logger.info("credentials refused", request_id=request.request_id)
        raise Unauthorized("Unauthorized") from None
    api_and_stage = "/".join(event["methodArn"].split("/")[:2])
    allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{api_and_stage}/*"}
    return {"principalId": username, "policyDocument": {"Version": "2012-10-17", "Statement": [allow]}}
