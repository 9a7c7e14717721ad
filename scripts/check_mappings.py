"""Check mappings and the files of their prepare functions. `scripts/build.py` runs it.

    PYTHONPATH=lambdas:scripts python scripts/check_mappings.py <mapping.json> ...

Prints every problem with its file to stderr. Exits with 1 if there is any. Needs jsonschema.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from backstream import prepare_lint
from common.mapping import check_file


def problems(file: Path) -> list[str]:
    """What is wrong with a mapping and its prepare file, each with the name of its file.

    A prepare file with problems is not loaded, because loading it runs it.
    """
    try:
        declared = json.loads(file.read_bytes())
    except (ValueError, OSError, RecursionError):
        return check_file(file)
    found = _problems_of_prepare(file, declared)
    return [*found, *_problems_without_prepare(file, declared)] if found else check_file(file)


def _problems_of_prepare(file: Path, declared: Any) -> list[str]:
    name = declared.get("prepare") if isinstance(declared, dict) else None
    source = file.with_name(name) if isinstance(name, str) and Path(name).name == name else None
    if source is None or not source.is_file():
        return []  # the mapping is refused for it
    try:
        return [f"{file.name}: {problem}" for problem in prepare_lint.problems(source.read_text("utf-8"), source.name)]
    except UnicodeDecodeError:
        return [f"{file.name}: {name} is not UTF-8"]


def _problems_without_prepare(file: Path, declared: dict[str, Any]) -> list[str]:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, file.name)
        copy.write_text(json.dumps({name: value for name, value in declared.items() if name != "prepare"}))
        return check_file(copy)


def main() -> int:
    found = [problem for name in sys.argv[1:] for problem in problems(Path(name))]
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
