"""One stack for all end-to-end tests, with its own home, ports and name: a stack in use is not touched."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.local_stack.database import Account
from scripts.local_stack.external_server import drop
from scripts.local_stack.settings import read_settings
from scripts.local_stack.stack import Stack
from tests.e2e.deployed import Deployed, own_environment
from tests.e2e.second_pipeline import SecondPipeline

# These verify, and a verification waits for minutes after the consumer has failed, so they come before the outages.
VERIFYING = ("test_cutover.py", "test_reconcile.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    own = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in own:
        item.add_marker("e2e")
    ordered = sorted(own, key=lambda item: item.path.name not in VERIFYING)
    places = [place for place, item in enumerate(items) if item in own]
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A stack as `make up` deploys it; stopped and removed at the end, also when `up` fails."""
    environment = own_environment(tmp_path_factory.mktemp("stack"), secrets.token_hex(3))
    stack = Stack(read_settings(environment))
    try:
        stack.up()
        yield Deployed(stack, environment)
    finally:
        stack.down()
        _remove_database(stack)


@pytest.fixture(scope="session")
def shop(stack: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondPipeline]:
    """A second pipeline into the database of the stack."""
    pipeline = SecondPipeline(stack, tmp_path_factory.mktemp("shop"))
    try:
        pipeline.deploy()
        yield pipeline
    finally:
        pipeline.remove()


def _remove_database(stack: Stack) -> None:
    if stack.settings.server:
        drop(stack.access, Account(f"{stack.access.database}_app", ""))
    else:
        shutil.rmtree(stack.mariadb.data, ignore_errors=True)  # the logs stay
