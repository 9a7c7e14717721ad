"""Clients that give up before API Gateway does, and what their errors mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.session import get_session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

# Three attempts of three seconds and two pauses of at most one and two: twelve of the gateway's 29 seconds.
# Every parameter is built here from checked values, so botocore's own check would only cost time.
CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 3},
    parameter_validation=False,
    tcp_keepalive=True,
)

UNAVAILABLE = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "ProvisionedThroughputExceeded",  # as a cancellation reason
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingError",  # as a cancellation reason
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
CONDITION_FAILED = "ConditionalCheckFailedException"
CANCELED = "TransactionCanceledException"
IN_TRANSACTION = "TransactionConflictException"


def clients() -> tuple[DynamoDBClient, SecretsManagerClient]:
    """Make both from one botocore session: boto3 would add a fifth to the cold start and nothing used here."""
    session: Any = get_session()
    return (
        session.create_client("dynamodb", config=CONFIG),
        session.create_client("secretsmanager", config=CONFIG),
    )


def secrets_client() -> SecretsManagerClient:
    session: Any = get_session()
    client: SecretsManagerClient = session.create_client("secretsmanager", config=CONFIG)
    return client


def code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def reasons(error: ClientError) -> set[str]:
    """Why a transaction was cancelled, one code per action that was not fine."""
    listed: Any = error.response.get("CancellationReasons") or []
    return {str(reason.get("Code", "None")) for reason in listed} - {"None"}


def unavailable(error: Exception) -> bool:
    """Tell whether trying later can help: throttled, out of order or out of reach."""
    if isinstance(error, ClientError):
        return bool(UNAVAILABLE & {code(error), *reasons(error)}) or _server_side(error)
    return isinstance(error, HTTPClientError | BotoConnectionError)


def _server_side(error: ClientError) -> bool:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500  # noqa: PLR2004


def retried(error: ClientError) -> bool:
    """Tell whether an earlier attempt of the same call may have been carried out and its answer lost."""
    return error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
