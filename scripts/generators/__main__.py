"""Write every generated file, or check that each is current.

Exit codes: 0 done; 1 with --check, a file is not current.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol

from scripts import generators


class Generator(Protocol):
    """A module of this package, or an object in the `GENERATORS` of one."""

    @property
    def OUTPUT(self) -> Path: ...  # noqa: N802 - a constant of most generators

    def render(self) -> str: ...


def find_generators(package: ModuleType = generators) -> list[Generator]:
    """The modules of `package` that have `OUTPUT`, the Path of a file, and `render()`, which returns its text.

    A module for several files has a list `GENERATORS` of such objects instead.
    """
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__) if found.name != "__main__")
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    found = [one for module in modules for one in getattr(module, "GENERATORS", [module])]
    return [one for one in found if hasattr(one, "OUTPUT") and hasattr(one, "render")]


def is_current(generator: Generator) -> bool:
    output = generator.OUTPUT
    return output.exists() and output.read_text(encoding="utf-8") == generator.render()


def check(found: Sequence[Generator]) -> int:
    stale = [generator.OUTPUT for generator in found if not is_current(generator)]
    for output in stale:
        print(f"{output} is not current: run make generate", file=sys.stderr)
    return 1 if stale else 0


def write(found: Sequence[Generator]) -> int:
    for generator in found:
        if not is_current(generator):
            generator.OUTPUT.write_text(generator.render(), encoding="utf-8")
            print(f"wrote {generator.OUTPUT}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="generators", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    options = parser.parse_args(arguments)
    return check(find_generators()) if options.check else write(find_generators())


if __name__ == "__main__":
    sys.exit(main())
