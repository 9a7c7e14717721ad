"""The handler with orders against the version before mapping files, both from event to commit.

That version comes from the history of the repository. Each version is a process with a database of its own on the same
server, and they take turns. One process may be a few percent faster than another with the same code, for example by
where its memory lies, so there are several pairs of processes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from scripts.bench.environment import ROOT
from scripts.bench.results import Row, at_least, information, not_measured
from scripts.bench.server import Bench, Endpoint
from scripts.bench.timing import self_timed

# The last version before mapping files.
BEFORE = "f53f59556adf0896b40386647a90f81f423850f3"
WORKER = Path(__file__).with_name("versions_worker.py")
# Of each pair.
REPETITIONS = {100: 41, 1000: 15}
PAIRS = 4
KINDS = [*product(("new", "known"), REPETITIONS), ("decode", 1000)]
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
    with TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        roots = {"before": Path(folder), "now": ROOT}
        pairs = [_seconds_of_pair(bench, roots, number) for number in range(PAIRS)]
    for kind, count in KINDS:
        seconds = {name: median(pair[kind, count][name] for pair in pairs) for name in roots}
        ratio = median(pair[kind, count]["before"] / pair[kind, count]["now"] for pair in pairs)
        note = f"{count / seconds['now']:,.0f} against {count / seconds['before']:,.0f} records/s"
        if kind == "decode":
            yield information("  decoding alone", f"{ratio:.2f} ({note})")
        else:
            what = f"orders, {count} {kind} keys, of the rate before declared mappings"
            yield at_least(what, ratio, GOAL, note=note)


def _seconds_of_pair(bench: Bench, roots: Mapping[str, Path], number: int) -> dict[tuple[str, int], dict[str, float]]:
    with ExitStack() as cleanup:
        workers = {
            name: cleanup.enter_context(_worker(root, bench.server.bare_database(f"{name}_{number}")))
            for name, root in roots.items()
        }
        return {
            (kind, count): self_timed(
                {name: partial(worker.seconds, kind, count) for name, worker in workers.items()}, REPETITIONS[count]
            )
            for kind, count in KINDS
        }


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
