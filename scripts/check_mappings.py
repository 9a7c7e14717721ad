"""Check mappings and the files of their prepare functions. `scripts/build.py` runs it.

    PYTHONPATH=lambdas:scripts python scripts/check_mappings.py <mapping.json> ...

Prints every problem with its file to stderr. Exits with 1 if there is any.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from backstream import prepare_lint

_is_plain_name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.py", re.ASCII).fullmatch


def problems(file: Path) -> list[str]:
    """What is wrong with a mapping and its prepare file, each with the name of its file."""
    try:
        declared = json.loads(file.read_bytes())
    except ValueError as error:
        return [f"{file.name}: is not JSON: {error}"]
    return _problems_of_prepare(file, declared)


def _problems_of_prepare(file: Path, declared: Any) -> list[str]:
    name = declared.get("prepare") if isinstance(declared, dict) else None
    if name is None:
        return []
    if not isinstance(name, str) or not _is_plain_name(name):
        return [f"{file.name}: prepare: name a Python file beside the mapping, such as shop.py"]
    source = file.with_name(name)
    if not source.is_file():
        return [f"{file.name}: prepare: there is no file {name} beside the mapping"]
    try:
        return [f"{file.name}: {problem}" for problem in prepare_lint.problems(source.read_text("utf-8"), name)]
    except UnicodeDecodeError:
        return [f"{file.name}: {name} is not UTF-8"]


def main() -> int:
    found = [problem for name in sys.argv[1:] for problem in problems(Path(name))]
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
