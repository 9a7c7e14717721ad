"""Check that an unpacked zip loads from its bytecode alone. Run by the interpreter of its runtime.

    PYTHONPATH=<unpacked zip>:<folder with boto3> python -P -S prove_bytecode.py <unpacked zip> <function package>

Checks every module's bytecode file. Then imports the function's modules, and the modules that their functions
import, and loads the mappings, with an audit hook that makes compiling a file of the zip an error.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from pathlib import Path

UNCHECKED_HASH = 0b01  # PEP 552: the bytecode has a hash of its source, which is not checked when it is loaded

# Handlers read their configuration when they are imported; nothing is called with these values.
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
    "CONSUMER_FUNCTION_NAME": "none",
    "EVENT_SOURCE_MAPPING_UUID": "none",
    "VERIFY_STATE_MACHINE_ARN": "none",
    "REPLAY_STATE_MACHINE_ARN": "none",
    "STREAM_MAXIMUM_RECORD_AGE_SECONDS": "60",
    "STREAM_ARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/none/stream/2026-01-31T00:00:00.000",
    "POWERTOOLS_SERVICE_NAME": "none",
    "POWERTOOLS_METRICS_NAMESPACE": "none",
}


def fault(source: Path) -> str | None:
    """What is wrong with a module's bytecode file; None when nothing is."""
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


class Imports(ast.NodeVisitor):
    """The modules that a source imports at any level, except under TYPE_CHECKING."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.names.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.names.add(node.module or "")


def loaded_sources(folders: tuple[Path, ...]) -> list[Path]:
    files = (Path(getattr(module, "__file__", None) or "") for module in list(sys.modules.values()))
    return sorted(file for file in files if any(folder in file.parents for folder in folders))


def import_deferred(tree: Path, package: str) -> None:
    """Imports inside functions would otherwise fail, or be slow, in the first request that needs them."""
    found = Imports()
    for source in loaded_sources((tree / package, tree / "common")):
        found.visit(ast.parse(source.read_bytes()))
    for name in sorted(found.names - {""}):
        importlib.import_module(name)


def load_mappings(names: list[str]) -> None:
    """With their prepare functions."""
    for name in names:
        importlib.import_module("common.mapping").load(name)


def import_function(tree: Path, package: str) -> None:
    mappings = sorted(file.stem for file in tree.glob("mappings/*.json"))
    os.environ.update(ENVIRONMENT | ({"MAPPING": mappings[0]} if mappings else {}))
    forbid_compiling(tree)
    loaded = next(iter(importlib.import_module(package).__path__))
    if tree not in Path(loaded).parents:
        raise ImportError(f"{package} is loaded from {loaded}, not from {tree}: put {tree} on PYTHONPATH")
    for source in sorted((tree / package).rglob("*.py")):
        name = ".".join(source.relative_to(tree).with_suffix("").parts)
        importlib.import_module(name.removesuffix(".__init__"))
    import_deferred(tree, package)
    load_mappings(mappings)


def main() -> int:
    tree, package = Path(sys.argv[1]).resolve(), sys.argv[2]
    problems = faults(tree)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    sys.dont_write_bytecode = True
    import_function(tree, package)
    return 0


if __name__ == "__main__":
    sys.exit(main())
