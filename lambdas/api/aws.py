"""AWS clients with timeouts below API Gateway's, and the classification of their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.session import get_session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

# Three attempts of 3 s and two pauses of at most 1 s and 2 s: 12 s in all. API Gateway times out after 29 s.
# botocore need not validate parameters: the API builds them from validated values.
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
    """Create both from one botocore session: boto3 would make the cold start a fifth longer."""
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
    """Codes of the actions that made DynamoDB cancel a transaction."""
    listed: Any = error.response.get("CancellationReasons") or []
    return {str(reason.get("Code", "None")) for reason in listed} - {"None"}


def unavailable(error: Exception) -> bool:
    """Tell whether a later retry can succeed: the service is throttled, failing or unreachable."""
    if isinstance(error, ClientError):
        return bool(UNAVAILABLE & {code(error), *reasons(error)}) or _server_side(error)
    return isinstance(error, HTTPClientError | BotoConnectionError)


def _server_side(error: ClientError) -> bool:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500  # noqa: PLR2004


def retried(error: ClientError) -> bool:
    """Tell whether botocore retried the call, so that an earlier attempt may have succeeded."""
    return error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
