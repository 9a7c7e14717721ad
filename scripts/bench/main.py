"""One run: the parts that were asked for, the table, the exit code."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import traceback
from collections.abc import Mapping
from contextlib import ExitStack

from scripts.bench.rows import Row, missed, not_measured
from scripts.bench.shared import Bench, Part
from scripts.bench.table import table


def main(description: str, parts: Mapping[str, Part]) -> int:
    options = _options(description, parts)
    with ExitStack() as cleanup:
        bench = Bench(cleanup)
        rows = [row for name, part in parts.items() for row in _measure(name, part, bench, options)]
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores\n\n{table(rows)}")
    lost = missed(rows)
    if lost:
        print(f"\n{len(lost)} of {len([row for row in rows if row.goal])} goals missed", file=sys.stderr)
    return 1 if lost else 0


def _measure(name: str, part: Part, bench: Bench, options: argparse.Namespace) -> list[Row]:
    if name in options.skip or (options.only and name not in options.only):
        return [not_measured(name, "left out on request")]
    print(f"bench: {name}", file=sys.stderr, flush=True)
    rows: list[Row] = []
    try:
        rows.extend(part(bench))
    except Exception as error:  # noqa: BLE001 - the other parts are still worth measuring
        traceback.print_exc()
        rows.append(not_measured(name, type(error).__name__))
    return rows


def _options(description: str, parts: Mapping[str, Part]) -> argparse.Namespace:
    def some(text: str) -> list[str]:
        names = text.split(",")
        unknown = set(names) - set(parts)
        if unknown:
            raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
        return names

    parser = argparse.ArgumentParser(prog="bench", description=description)
    parser.add_argument("--only", type=some, default=[], help=f"some of {','.join(parts)}")
    parser.add_argument("--skip", type=some, default=[], help="the same; what is left out counts as missed")
    return parser.parse_args()
