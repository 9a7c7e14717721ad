"""Cold starts: a fresh interpreter, from the first import to ready for the first event.

Measured inside the process, so that the interpreter's own start, which is Lambda's, is left out of both sides.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from scripts.bench.environment import VARIABLES
from scripts.bench.rows import Row, at_most, exactly, information
from scripts.bench.timing import own_clocks
from scripts.bench.zips import Deployed

REPETITIONS = 15
FUNCTIONS = {"api": "API", "stream_consumer": "consumer"}

# The environment as Lambda makes it: the function's folder, then the runtime's, no site-packages.
TIMED = """
import sys, time
sys.dont_write_bytecode = True
sys.path[:0] = {path!r}
started = time.perf_counter()
{work}
print(time.perf_counter() - started)
print("aws_xray_sdk" in sys.modules)
"""
BOTO3 = 'import boto3; boto3.client("dynamodb")'


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        deployed = Deployed(Path(scratch))
        yield from _starts(deployed)
        for package, name in FUNCTIONS.items():
            loaded = _run(deployed, _ready(package), deployed.function(package))[1] == "True"
            yield exactly(f"{name}: X-Ray SDK loaded without a trace", "yes" if loaded else "no", "no")


def _starts(deployed: Deployed) -> Iterator[Row]:
    ways = {"boto3": partial(_seconds, deployed, BOTO3)}
    for package in FUNCTIONS:
        for bytecode in (True, False):
            folder = deployed.function(package, bytecode=bytecode)
            ways[f"{package} {bytecode}"] = partial(_seconds, deployed, _ready(package), folder)
    seconds = own_clocks(ways, REPETITIONS)
    for package, name in FUNCTIONS.items():
        own, source = seconds[f"{package} True"], seconds[f"{package} False"]
        note = f"{1000 * own:.0f} ms against {1000 * seconds['boto3']:.0f} ms"
        ratio = own / seconds["boto3"]
        yield at_most(f"cold start of the {name}, against boto3 and a client", ratio, 1.8, " times", note)
        yield information("  the same without the zip's bytecode", f"{source / own:.1f} times as long")


def _ready(package: str) -> str:
    return f"import {package}.handler"


def _seconds(deployed: Deployed, work: str, folder: Path | None = None) -> float:
    return float(_run(deployed, work, folder)[0])


def _run(deployed: Deployed, work: str, folder: Path | None) -> list[str]:
    path = [str(part) for part in (folder, deployed.runtime) if part]
    command = [deployed.interpreter, "-I", "-S", "-c", TIMED.format(path=path, work=work)]
    environment = {**VARIABLES, "PATH": os.environ["PATH"], "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()
