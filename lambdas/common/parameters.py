"""Connection details from SSM and credentials from Secrets Manager, cached by Powertools."""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config

from common.config import ConfigError

# Short and few: the event source mapping retries the invocation anyway.
AWS_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


class AwsParameters:
    """Cached for five minutes, Powertools' default. Raises ConfigError that names what could not be read."""

    def __init__(self, param_name: str, secret_arn: str, session: Any = boto3) -> None:
        self._param_name, self._secret_arn = param_name, secret_arn
        self._ssm = SSMProvider(boto3_client=session.client("ssm", config=AWS_CONFIG))
        self._secrets = SecretsProvider(boto3_client=session.client("secretsmanager", config=AWS_CONFIG))

    def connection(self, *, fresh: bool = False) -> str:
        try:
            return str(self._ssm.get(self._param_name, decrypt=True, force_fetch=fresh) or "")
        except GetParameterError as error:
            raise ConfigError(f"SSM parameter {self._param_name} cannot be read: {error}") from None

    def credentials(self, *, fresh: bool = False) -> str:
        try:
            return str(self._secrets.get(self._secret_arn, force_fetch=fresh) or "")
        except GetParameterError as error:
            raise ConfigError(f"secret {self._secret_arn} cannot be read: {error}") from None
