"""A run in several processes (`pytest -n`): who runs what, on which ports, and what happens after an interrupt."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from scripts.local_stack import process
from tests.support import memory

TESTS = Path(__file__).parents[1]
# Modules that share plans of Terraform, which take a minute.
TOGETHER = {
    "tests/wiring/test_alarm_thresholds.py": "plans of the alarms",
    "tests/wiring/test_alarms.py": "plans of the alarms",
    "tests/wiring/test_wrong_alarms.py": "plans of the alarms",
    "tests/wiring/test_aws_constraints.py": "plans",
    "tests/wiring/test_least_privilege.py": "plans",
}
# A process waits for most of the end-to-end tests, and Terraform uses more than one core: they go well together. The
# small modules come last, so that all processes end at about the same time.
ORDER = {"e2e": 0, "wiring": 1, "unit": 3}


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
        module: str = super()._split_scope(nodeid)
        return "tests/e2e" if module.startswith("tests/e2e/") else TOGETHER.get(module, module)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ModuleScheduling:
    return ModuleScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.get(item.path.relative_to(TESTS).parts[0], 2))


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
