"""Dates and times as the server prints them, rather than as Python has them."""

from __future__ import annotations

from typing import Any

import pymysql
from pymysql.constants import FIELD_TYPE

_TIMES = (FIELD_TYPE.DATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIME)


def keep_texts(connection: pymysql.Connection[Any]) -> None:
    """From now on the connection returns dates and times as text: a datetime has lost how many digits there were."""
    connection.decoders = {kind: decode for kind, decode in connection.decoders.items() if kind not in _TIMES}
