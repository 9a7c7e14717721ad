"""Builds the API from environment variables, once per cold start."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api import auth
from api.cors import REQUEST_HEADERS, SIGNED_HEADERS, Cors, origins
from api.listing import Listing
from api.orders import Orders, OrderTables
from api.routes import Access, OrdersApi
from common.config import choice, env, integer, load

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True, kw_only=True)
class ApiConfig:
    table_name: str = env("TABLE_NAME")
    idempotency_table_name: str = env("IDEMPOTENCY_TABLE_NAME")
    merchant_index_name: str = env("MERCHANT_INDEX_NAME", default="merchant_id-created_at-index")
    auth: str = env("API_AUTH", choice("basic", "iam"), default="basic")
    order_ttl_days: int = env("ORDER_TTL_DAYS", integer(1, 3650), default=3)
    idempotency_ttl_hours: int = env("IDEMPOTENCY_TTL_HOURS", integer(1, 8760), default=24)
    cors_allowed_origins: tuple[str, ...] = env("CORS_ALLOWED_ORIGINS", origins, default=())


@dataclass(frozen=True, kw_only=True)
class BasicAuthConfig(ApiConfig):
    secret_arn: str = env("API_SECRET_ARN")


def config(environ: Mapping[str, str]) -> ApiConfig:
    """Read the environment; raise one ConfigError that names every missing or bad variable."""
    return load(ApiConfig if environ.get("API_AUTH") == "iam" else BasicAuthConfig, environ)


def api(config: ApiConfig, dynamodb: DynamoDBClient, secrets: SecretsManagerClient) -> OrdersApi:
    tables = OrderTables(
        orders=config.table_name,
        idempotency=config.idempotency_table_name,
        order_ttl_seconds=config.order_ttl_days * 86_400,
        idempotency_ttl_seconds=config.idempotency_ttl_hours * 3_600,
    )
    request_headers = REQUEST_HEADERS + (SIGNED_HEADERS if config.auth == "iam" else ())
    return OrdersApi(
        Access(_authenticate(config, secrets), Cors(config.cors_allowed_origins, request_headers)),
        orders=Orders(dynamodb, tables, now, time.sleep),
        listing=Listing(dynamodb, config.table_name, config.merchant_index_name, now),
        now=now,
        new_id=lambda: str(uuid.uuid4()),
    )


def now() -> int:
    return int(time.time())


def _authenticate(config: ApiConfig, secrets: SecretsManagerClient) -> auth.Authenticate:
    if not isinstance(config, BasicAuthConfig):
        return auth.iam
    secret_arn = config.secret_arn

    def read() -> str:
        return secrets.get_secret_value(SecretId=secret_arn).get("SecretString", "")

    return auth.basic(auth.Secret(read, time.monotonic))
