"""Creates and checks the tables and registers whose changes they take, where the database is, once per deployment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pymysql.connections import Connection

from common import config, mapping
from common.mysql import registry, schema
from common.mysql.database import Database, SourceSettings
from common.mysql.errors import DatabaseError, HoldError
from common.parameters import AwsParameters
from common.telemetry import logger, traced

SETTINGS = config.load(SourceSettings)
TABLE = mapping.load()
DATABASE = Database(SETTINGS, AwsParameters(SETTINGS.param_name, SETTINGS.secret_arn), TABLE)

# One more try must fit into what is left: a connection that times out, and a statement that does.
_MARGIN_MS = 1_000 * (SETTINGS.connect_timeout + SETTINGS.read_timeout + 10)
_PAUSE_SECONDS = 5.0


@traced
def handler(_event: Any, context: Any) -> dict[str, str]:
    """`{"target": "created" | "fits", "sidecar": "created" | "fits", "source": "registered" | "renewed" | "known"}`.

    Raises with every misfit named, or with why changes of this source must not be written there.

    A new RDS Proxy takes minutes to reach its database, and Terraform does not wait for that: so this does.
    """
    try:
        answer = patiently(_prepare, lambda: context.get_remaining_time_in_millis() > _MARGIN_MS, time.sleep)
    except DatabaseError as error:
        logger.error("schema step failed", reason=str(error))
        raise
    logger.info("schema step", answer=answer)
    return answer


def _prepare() -> dict[str, str]:
    return DATABASE.run_bare(f"creating and checking {TABLE.name}", _create_and_register)


def _create_and_register(connection: Connection[Any]) -> dict[str, str]:
    answer = schema.create_missing(connection, TABLE)
    return answer | {"source": registry.register(connection, SETTINGS.source, SETTINGS.stream.label)}


def patiently(
    step: Callable[[], dict[str, str]], has_time: Callable[[], bool], pause: Callable[[float], None]
) -> dict[str, str]:
    """Run `step` until the database answers, for as long as there is time. Raises what `step` raised last."""
    while True:
        try:
            return step()
        except HoldError as error:
            if not has_time():
                raise
            logger.info("waiting for the database", reason=str(error))
            pause(_PAUSE_SECONDS)
