"""A run in several processes runs each test once, a module in one process, and shares no port."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from scripts.local_stack import process
from tests.support.parallel import TESTS, TOGETHER, ModuleScheduling, pytest_configure

COLLECTED = [
    "tests/e2e/test_a.py::test_1",
    "tests/e2e/test_b.py::test_1[x]",
    "tests/e2e/test_b.py::test_2",
    "tests/unit/test_c.py::test_1",
    "tests/unit/test_c.py::test_1",
    "tests/unit/test_d.py::TestD::test_1",
    "tests/unit/test_d.py::test_2",
]


class Node:
    """A process that was told which tests to run, by their positions."""

    shutting_down = False

    def __init__(self, name: str) -> None:
        self.gateway, self.told = SimpleNamespace(id=name), list[int]()

    def send_runtest_some(self, indices: list[int]) -> None:
        self.told += indices

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.fixture
def nodes() -> tuple[Node, Node]:
    """Two processes that have run everything, the first one at the pace of the second."""
    option = SimpleNamespace(loadscopereorder=True)
    config = SimpleNamespace(option=option, getvalue=lambda _: ["popen", "popen"])
    scheduling = ModuleScheduling(config, None)
    nodes = Node("gw0"), Node("gw1")
    for node in nodes:
        scheduling.add_node(node)
        scheduling.add_node_collection(node, COLLECTED)
    scheduling.schedule()
    done = dict.fromkeys(nodes, 0)
    while any(done[node] < len(node.told) for node in nodes):
        for node in nodes:
            if done[node] < len(node.told):
                scheduling.mark_test_complete(node, node.told[done[node]])
                done[node] += 1
    return nodes


def test_every_test_runs_once_also_two_of_one_name(nodes: tuple[Node, Node]):
    assert sorted(nodes[0].told + nodes[1].told) == list(range(len(COLLECTED)))


def test_a_module_and_the_end_to_end_tests_stay_together(nodes: tuple[Node, Node]):
    """They are in the order of collection, not the module with the most tests first."""
    assert nodes[0].told[:3] == [0, 1, 2]
    assert nodes[1].told[:2] == [3, 4]
    assert sorted(told for node in nodes for told in node.told if told > 4) == [5, 6]
    assert {5, 6} <= set(nodes[0].told) or {5, 6} <= set(nodes[1].told)


@pytest.mark.parametrize("fixture", ["planned", "planned_alarms"])
def test_modules_that_share_plans_stay_together(fixture: str):
    sources = {path.name: path.read_text() for path in (TESTS / "wiring").glob("test_*.py")}
    users = {
        f"tests/wiring/{name}"
        for name, text in sources.items()
        if re.search(rf"\b{fixture}: list", text) and f"def {fixture}(" not in text
    }
    (shared,) = {TOGETHER.get(user) for user in users}
    assert shared
    assert users == {user for user, scope in TOGETHER.items() if scope == shared}


def test_two_processes_take_no_port_of_each_other(monkeypatch: pytest.MonkeyPatch):
    taken: list[set[int]] = []
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    for worker in ("gw0", "gw1"):
        monkeypatch.setattr(process, "PORTS", range(20_000, 30_000))
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        pytest_configure()
        taken.append(set(process.PORTS))
    assert taken[0].isdisjoint(taken[1])
    assert taken[0] | taken[1] == set(range(20_000, 30_000))
