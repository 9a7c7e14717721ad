"""Creates and checks the tables and registers the source of the changes, once per deployment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common import config
from common.database import DatabaseError, HoldError
from common.mysql.database import MySQLDatabase
from common.mysql.settings import MySQLSettings
from common.parameters import AwsParameters
from common.pipeline import SourceSettings
from common.telemetry import logger, traced

Answer = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SchemaStepSettings(SourceSettings, MySQLSettings):
    """The environment of the schema step."""


SETTINGS = config.load(SchemaStepSettings)
MAPPING = SETTINGS.load_mapping()
DATABASE = MySQLDatabase(
    SETTINGS, AwsParameters(SETTINGS.param_name, SETTINGS.secret_arn), MAPPING, source=SETTINGS.source
)

# One more try must fit into what is left: a connection that times out, and a statement that does.
_MARGIN_MS = 1_000 * (SETTINGS.connect_timeout + SETTINGS.read_timeout + 10)
_PAUSE_SECONDS = 5.0


@traced
def handler(_event: Any, context: Any) -> Answer:
    """`{"target": "created" | "fits", "sidecar": "created" | "fits", "source": "registered" | "renewed" | "known"}`.

    And `warnings`, a list of texts: server settings with which a committed change may be lost. They stop nothing.

    Raises DatabaseError, with every mismatch named, or why changes of this source must not be written there.

    Waits for the database: a new RDS Proxy takes minutes to reach it, and Terraform does not wait.
    """
    try:
        answer = patiently(_prepare, lambda: context.get_remaining_time_in_millis() > _MARGIN_MS, time.sleep)
    except DatabaseError as error:
        logger.error("schema step failed", reason=str(error))
        raise
    logger.info("schema step", answer=answer)
    for warning in answer["warnings"]:
        logger.warning("committed changes may be lost", reason=warning)
    return answer


def _prepare() -> Answer:
    return {**DATABASE.prepare(SETTINGS.stream.label), "warnings": DATABASE.durability_warnings()}


def patiently(step: Callable[[], Answer], has_time: Callable[[], bool], pause: Callable[[float], None]) -> Answer:
    """Run `step` until the database answers, while there is time. Raises the last error of `step`."""
    while True:
        try:
            return step()
        except HoldError as error:
            if not has_time():
                raise
            logger.info("waiting for the database", reason=str(error))
            pause(_PAUSE_SECONDS)
