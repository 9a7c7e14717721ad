"""One stack for all end-to-end tests: its own home, ports and name, so that a stack in use is left alone."""

from __future__ import annotations

import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.local_stack.access import Account
from scripts.local_stack.given_server import drop
from scripts.local_stack.settings import read_settings
from scripts.local_stack.stack import Stack
from tests.e2e.deployed import Deployed, own_environment


def _as_by_hand(*_: object) -> None:
    raise KeyboardInterrupt


# A run that is ended from outside, by a timeout for instance, takes its servers with it as one ended with Ctrl-C does.
signal.signal(signal.SIGTERM, _as_by_hand)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """As `make up` makes it; stopped and removed at the end, also when it did not come up."""
    environment = own_environment(tmp_path_factory.mktemp("stack"), secrets.token_hex(3))
    stack = Stack(read_settings(environment))
    try:
        stack.up()
        yield Deployed(stack, environment)
    finally:
        stack.down()
        _remove_database(stack)


def _remove_database(stack: Stack) -> None:
    if stack.settings.server:
        drop(stack.access, Account(f"{stack.access.database}_app", ""))
    else:
        shutil.rmtree(stack.mariadb.data, ignore_errors=True)  # the logs beside it stay to be read
