"""The handler with orders against the version before mappings were declared in full, both from event to commit.

That version comes from the history of the repository. Each version is a process with a database of its own on the same
server, and they take turns.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.bench.environment import ROOT
from scripts.bench.results import Row, at_least, information, not_measured
from scripts.bench.server import Bench, Endpoint
from scripts.bench.timing import self_timed

# The last version that had the one mapping of orders.
BEFORE = "f53f59556adf0896b40386647a90f81f423850f3"
WORKER = Path(__file__).with_name("versions_worker.py")
REPETITIONS = {100: 121, 1000: 41}
GOAL = 0.95


class Worker:
    """A process with one version's code. It answers each line, `<kind> <count>`, with the seconds that it took."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def seconds(self, kind: str, count: int) -> float:
        assert self._process.stdin and self._process.stdout  # noqa: S101, PT018 - both are pipes
        self._process.stdin.write(f"{kind} {count}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


def rows(bench: Bench) -> Iterator[Row]:
    archive = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        yield not_measured("orders, of the rate before declared mappings", f"the history lacks {BEFORE[:7]}")
        return
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(TemporaryDirectory())
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        workers = {
            name: cleanup.enter_context(_worker(root, bench.server.bare_database(f"version_{name}")))
            for name, root in (("before", Path(folder)), ("now", ROOT))
        }
        for count, repetitions in REPETITIONS.items():
            for kind in ("new", "known"):
                yield _compared(workers, kind, count, repetitions, f"orders, {count} {kind} keys")
        row = _compared(workers, "decode", 1000, REPETITIONS[1000], "  decoding alone")
        yield information(row.what, row.figure)


def _compared(workers: dict[str, Worker], kind: str, count: int, repetitions: int, what: str) -> Row:
    times = {name: partial(worker.seconds, kind, count) for name, worker in workers.items()}
    seconds = self_timed(times, repetitions)
    note = f"{count / seconds['now']:,.0f} against {count / seconds['before']:,.0f} records/s"
    ratio = seconds["before"] / seconds["now"]
    return at_least(f"{what}, of the rate before declared mappings", ratio, GOAL, note=note)


@contextmanager
def _worker(root: Path, endpoint: Endpoint) -> Iterator[Worker]:
    path = os.pathsep.join(str(root / name) for name in ("", "lambdas", "scripts"))
    with subprocess.Popen(
        [sys.executable, "-P", str(WORKER), json.dumps(dataclasses.asdict(endpoint))],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Worker(process)
