"""A run in several processes (`pytest -n`): who runs what, on which ports, and what happens after an interrupt."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from scripts.local_stack import process
from tests.support import memory


class ModuleScheduling(LoadFileScheduling):
    """A process that is free takes the next module, and runs it in its order.

    The end-to-end tests share one stack, so they stay together.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # in the order of collection, not the largest number of tests first

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Schemathesis gives all tests of one function the same name, of which only one would be run."""
        seen = Counter[str]()
        unique = []
        for name in collection:
            unique.append(f"{name} ({seen[name]})" if name in seen else name)
            seen[name] += 1
        super().add_node_collection(node, unique)

    def _split_scope(self, nodeid: str) -> str:
        return "tests/e2e" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ModuleScheduling:
    return ModuleScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The end-to-end tests come first and the small modules last, so that all processes end at about the same time."""
    items.sort(key=lambda item: "/tests/unit/" in item.path.as_posix())


def pytest_configure() -> None:
    """Processes that look for a free port at the same time never find the same one."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        memory.begin()
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    process.PORTS = process.PORTS[number % count :: count]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stops the servers of processes that could not do so: xdist kills a process ten seconds after an interrupt."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    for folder in (session.config._tmp_path_factory.getbasetemp(), *memory.roots()):  # noqa: SLF001
        for pid_file in folder.rglob("*.pid"):
            process.Daemon(pid_file, pid_file.with_suffix(".log"), marker=str(pid_file.parent)).stop(timeout=5)
    memory.end()
