"""Creates and checks the tables; runs where the database is, once per deployment."""

from __future__ import annotations

from typing import Any

from common import config, mapping, schema
from common.errors import DatabaseError
from common.mysql import Database, MySQLSettings
from common.parameters import AwsParameters
from common.telemetry import logger, traced

SETTINGS = config.load(MySQLSettings)
TABLE = mapping.load()
DATABASE = Database(SETTINGS, AwsParameters(SETTINGS.param_name, SETTINGS.secret_arn), TABLE)


@traced
def handler(_event: Any, _context: Any) -> dict[str, str]:
    """`{"target": "created" | "fits", "sidecar": "created" | "fits"}`; raises with every misfit named."""
    try:
        answer = DATABASE.run_bare(
            f"creating and checking {TABLE.name}", lambda link: schema.create_missing(link, TABLE)
        )
    except DatabaseError as error:
        logger.error("schema step failed", reason=str(error))
        raise
    logger.info("schema step", answer=answer)
    return answer
