"""Lambda entry point of the API; clients and configuration are created once, at cold start."""

from __future__ import annotations

import os
from typing import Any

from api import aws, bootstrap
from api.app import serve
from common.telemetry import traced

_api = bootstrap.api(bootstrap.config(os.environ), *aws.clients())


@traced
def handler(event: Any, context: Any) -> dict[str, Any]:
    return serve(_api, event, getattr(context, "aws_request_id", ""))
