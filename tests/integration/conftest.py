from __future__ import annotations

from typing import Any

import pytest

from tests.support.tables import Tables
from tests.support.writes import Applier, WriteLog


@pytest.fixture
def writer(connect: Any, tables: Tables) -> Applier:
    return Applier(connect())


@pytest.fixture
def log(tables: Tables) -> WriteLog:
    return WriteLog(tables)
