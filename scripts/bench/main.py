"""One run: the parts that were asked for, the table, the exit code."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import traceback
from contextlib import ExitStack

from scripts.bench.parts import PARTS, Bench
from scripts.bench.rows import Row, missed, not_measured
from scripts.bench.table import table


def main(description: str) -> int:
    options = _options(description)
    with ExitStack() as cleanup:
        bench = Bench(cleanup)
        rows = [row for part in PARTS for row in _measure(part, bench, options)]
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores\n\n{table(rows)}")
    lost = missed(rows)
    if lost:
        print(f"\n{len(lost)} of {len([row for row in rows if row.goal])} goals missed", file=sys.stderr)
    return 1 if lost else 0


def _measure(part: str, bench: Bench, options: argparse.Namespace) -> list[Row]:
    if part in options.skip or (options.only and part not in options.only):
        return [not_measured(part, "left out on request")]
    print(f"bench: {part}", file=sys.stderr, flush=True)
    rows: list[Row] = []
    try:
        rows.extend(PARTS[part](bench))
    except Exception as error:  # noqa: BLE001 - the other parts are still worth measuring
        traceback.print_exc()
        rows.append(not_measured(part, type(error).__name__))
    return rows


def _options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=description)
    parser.add_argument("--only", type=_parts, default=[], help=f"some of {','.join(PARTS)}")
    parser.add_argument("--skip", type=_parts, default=[], help="the same; what is left out counts as missed")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return parts
