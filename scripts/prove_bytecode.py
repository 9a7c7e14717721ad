"""Run by the runtime's own interpreter: does an unpacked zip load from its bytecode, all of it?

    python -I -S prove_bytecode.py <unpacked zip> <function package> <folder with boto3>

Checks every module's cached file, then imports the function's modules while any compilation of a file of the
zip is an error.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

UNCHECKED_HASH = 0b01  # PEP 552: made from a hash of the source, which is not looked at when loading

# Configuration is read when a handler is loaded; nothing is called with it here.
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "TABLE_NAME": "none",
    "IDEMPOTENCY_TABLE_NAME": "none",
    "API_SECRET_ARN": "none",
    "RDS_CONNECTION_PARAM_NAME": "none",
    "RDS_SECRET_ARN": "none",
    "FAILURES_BUCKET": "none",
    "LOCK_TABLE_NAME": "none",
    "FAILURES_QUEUE_URL": "none",
    "POWERTOOLS_SERVICE_NAME": "none",
    "POWERTOOLS_METRICS_NAMESPACE": "none",
}


def fault(source: Path) -> str | None:
    """What is wrong with a module's cached file."""
    cached = Path(importlib.util.cache_from_source(str(source)))
    if not cached.is_file():
        return "has no bytecode for this interpreter"
    head = cached.read_bytes()[:16]
    if head[:4] != importlib.util.MAGIC_NUMBER:
        return "has bytecode of another interpreter"
    if int.from_bytes(head[4:8], "little") != UNCHECKED_HASH:
        return "has bytecode that is checked against its source's time"
    if head[8:16] != importlib.util.source_hash(source.read_bytes()):
        return "has bytecode of another source"
    return None


def faults(tree: Path) -> list[str]:
    found = ((source.relative_to(tree), fault(source)) for source in sorted(tree.rglob("*.py")))
    return [f"{name} {problem}" for name, problem in found if problem]


def forbid_compiling(tree: Path) -> None:
    def watch(event: str, details: tuple[object, ...]) -> None:
        if event == "compile" and str(details[1]).startswith(str(tree)):
            raise ImportError(f"{details[1]} was compiled although its bytecode is in the zip")

    sys.addaudithook(watch)


def import_function(tree: Path, package: str, runtime: str) -> None:
    sys.path[:0] = [str(tree), runtime]
    os.environ.update(ENVIRONMENT)
    forbid_compiling(tree)
    for source in sorted((tree / package).rglob("*.py")):
        name = ".".join(source.relative_to(tree).with_suffix("").parts)
        importlib.import_module(name.removesuffix(".__init__"))


def main() -> int:
    tree, package, runtime = Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3]
    problems = faults(tree)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    sys.dont_write_bytecode = True
    import_function(tree, package, runtime)
    return 0


if __name__ == "__main__":
    sys.exit(main())
