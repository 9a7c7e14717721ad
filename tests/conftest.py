"""A real database server for each process of a run, and clean tables for each test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import pytest
from hypothesis import settings

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "tests")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Backstream")
# Terraform and its provider load large schemas: with the default, collecting garbage is a quarter of their work.
os.environ.setdefault("GOGC", "400")

from scripts.local_stack.mariadb import MariaDB
from tests.support import memory
from tests.support.connections import connections
from tests.support.parallel import (
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_sessionfinish,
    pytest_xdist_make_scheduler,
)
from tests.support.tables import Tables

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_sessionfinish",
    "pytest_xdist_make_scheduler",
]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


# A run that is terminated, by a timeout for instance, stops its servers as Ctrl-C does.
signal.signal(signal.SIGTERM, _interrupt)

# How long an example takes says nothing on a busy machine.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")


# moto gives each test a session of its own, and each session would read the descriptions of the services again: four
# fifths of the time that a client takes.
botocore.session.create_loader = cache(botocore.session.create_loader)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    server = MariaDB(memory.folder(tmp_path_factory, "mariadb"))
    server.start()
    yield server
    server.destroy()


@pytest.fixture
def connect(server: MariaDB) -> Iterator[Any]:
    with connections(server, server.app) as connect:
        yield connect


@pytest.fixture
def tables(server: MariaDB) -> Iterator[Tables]:
    """Fresh target and sidecar, with the administrator's view on them."""
    admin = server.connect(autocommit=True)
    tables = Tables(admin)
    tables.drop_all()
    tables.create()
    yield tables
    admin.close()
