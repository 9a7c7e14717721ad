"""The reconciler's own handler on a table, a bucket and a server of ours, led by the state machine's definition.

Run by itself, it takes one step, or a whole execution where the action is `run`, and prints the seconds, the peak
memory and the next state or the report:

python -m scripts.bench.reconciler <file with the endpoint> <file of the table> <folder of the bucket> <job> <action>
<state as JSON>
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common.bucket import Bucket
from common.database import Database
from common.mysql.database import MySQLDatabase
from reconciler import handler as function
from reconciler.table import Table
from scripts.bench.environment import ROOT, LambdaContext
from scripts.bench.failures_bucket import FolderBucket
from scripts.bench.own_process import called_with, peak_memory
from scripts.bench.quiet import quiet
from scripts.bench.replayer import LocalExecution, NoLock, State, first_state
from scripts.bench.server import MAPPING, UNSPLIT, Endpoint, FixedParameters
from scripts.bench.stored_table import NAME, StoredTable

TIMEOUT_SECONDS = 300  # as terraform/modules/pipeline has it
RUN = "run"
# So many that the rate sets no limit.
UNLIMITED = 1_000_000


class _UpToDate:
    """In place of the consumer's metrics: it is not behind."""

    @staticmethod
    def seconds() -> float:
        return 0.0

    reported = proven = seconds


@dataclass(frozen=True)
class Worker:
    """A warm environment: the first step that needs a connection makes it, the later ones use it.

    `timeout` is that of a call, in seconds.
    """

    job: str
    table: StoredTable
    bucket: FolderBucket
    database: Database
    client: Any
    timeout: float = TIMEOUT_SECONDS

    def __call__(self, action: str, state: State) -> State:
        event = json.loads(json.dumps({"job": self.job, "action": action, "state": state}))
        bucket, database = Bucket(self.bucket, "failures"), self.database
        around: dict[str, Any] = {
            "BUCKET": bucket,
            "DATABASE": database,
            "TABLE": Table(self.client, NAME),
            "LAG": _UpToDate,
            "LOADER": replace(function.LOADER, database=database),
            "READINGS": replace(function.READINGS, database=database),
            "LOCK": NoLock(),
            "_consumer_state": lambda: "Enabled",
        }
        with quiet(), patch.multiple(function, **around):
            done: State = function.handler(event, LambdaContext(self.timeout))
        return done

    def output(self, **given: object) -> State:
        """The report of an execution that completes. Raises RuntimeError."""
        return self.execution().output(first_state(read_units_per_second=UNLIMITED, **given))

    def execution(self) -> LocalExecution:
        return LocalExecution(self, definition(self.job), may_wait=True)


def definition(job: str) -> Path:
    return ROOT / "statemachines" / f"{job}.asl.json"


def worker(job: str, table: StoredTable, bucket: FolderBucket, endpoint: Endpoint) -> Worker:
    settings, parameters = function.SETTINGS, FixedParameters(endpoint)
    database = MySQLDatabase(settings, parameters, MAPPING, source=settings.source, statement_bytes=UNSPLIT)
    return Worker(job, table, bucket, database, table.client())


def main() -> None:
    endpoint, (file, folder, job, action, text) = called_with()
    own, state = worker(job, StoredTable(Path(file)), FolderBucket(Path(folder)), endpoint), json.loads(text)
    own.database.ping()
    execution = own.execution()
    started = time.perf_counter()
    done = execution.output(state) if action == RUN else own(action, state)
    answer = {
        "seconds": time.perf_counter() - started,
        "peak": peak_memory(),
        "transitions": execution.transitions,
        "state": done,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
