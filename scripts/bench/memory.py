"""Peak memory of a consumer that takes 10,000 records at once, in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.bench.environment import ROOT
from scripts.bench.orders import new_keys, records
from scripts.bench.rows import Row, at_most
from scripts.bench.server import UNSPLIT, Server

COUNT = 10_000
GOAL = 256
MEGABYTE = 1 << 20


def rows(server: Server) -> Iterator[Row]:
    for what, statement_bytes in (("unsplit", UNSPLIT), ("in statements of 15,000 bytes", 15_000)):
        with tempfile.TemporaryDirectory() as scratch:
            peak, size = _peak(server, Path(scratch), statement_bytes)
        note = f"{size / COUNT:.0f} bytes per record"
        yield at_most(f"peak memory of the consumer, {COUNT:,} records {what}", peak / MEGABYTE, GOAL, " MB", note)


def _peak(server: Server, folder: Path, statement_bytes: int) -> tuple[int, int]:
    event, where = folder / "event.json", folder / "where.json"
    event.write_text(json.dumps({"Records": records(new_keys(COUNT))}))
    where.write_text(json.dumps(dataclasses.asdict(server.where)))
    command = [sys.executable, "-m", "scripts.bench.consume_once", str(where), str(event), str(statement_bytes)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    answer = json.loads(done.stdout)
    if answer["counts"] != {"upserted": COUNT}:
        raise RuntimeError(f"the consumer did not write all records: {answer['counts']}")
    return answer["peak"], event.stat().st_size
