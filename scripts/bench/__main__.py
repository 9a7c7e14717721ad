"""Measure Backstream against its goals: make bench ARGS="--only writer,post --skip up".

Prints a table to stdout. Exits with 1 if a goal is missed or was not measured. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import platform
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack

from scripts.bench.environment import prepare
from scripts.bench.results import Row, missed, not_measured, table
from scripts.bench.server import Bench

Part = Callable[[Bench], Iterable[Row]]

# Module and function of each part, in the order of the table.
PARTS = {
    "writer": "writer:rows",
    "handler": "consumer:rows_of_handler",
    "metrics": "observing:rows_of_metrics",
    "tracing": "observing:rows_of_tracing",
    "versions": "versions:rows",
    "reference": "consumer:rows_of_reference",
    "round-trips": "consumer:rows_of_round_trips",
    "stale-batches": "writer:rows_of_stale_batches",
    "legacy": "legacy:rows",
    "two-writers": "two_writers:rows",
    "entities": "entities:rows",
    "verify": "verifying:rows",
    "load": "loading:rows",
    "table-growth": "table_growth:rows",
    "table-memory": "table_growth:rows_of_memory",
    "table-workers": "table_workers:rows",
    "table-rate": "table_rate:rows",
    "decoding": "decoding:rows",
    "post": "post:rows",
    "cold-start": "cold_start:rows",
    "memory": "consumer:rows_of_memory",
    "replay-speed": "replay_speed:rows",
    "replay-growth": "replay_growth:rows",
    "replay-workers": "replay_workers:rows",
    "replay-auto": "stack:rows_of_auto_replay",
    "up": "stack:rows_of_up",
}


def part_at(place: str) -> Part:
    """The part at `module:function`, imported when it runs: functions read the environment while they are imported."""

    def run(bench: Bench) -> Iterable[Row]:
        part: Part = pkgutil.resolve_name(f"scripts.bench.{place}")
        return part(bench)

    return run


def main(description: str, parts: Mapping[str, Part]) -> int:
    options = _options(description, parts)
    with ExitStack() as cleanup:
        bench = Bench(cleanup)
        rows = [row for name, part in parts.items() for row in _measure(name, part, bench, options)]
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores\n\n{table(rows)}")
    failed = missed(rows)
    if failed:
        print(f"\n{len(failed)} of {len([row for row in rows if row.goal])} goals missed", file=sys.stderr)
    return 1 if failed else 0


def _measure(name: str, part: Part, bench: Bench, options: argparse.Namespace) -> list[Row]:
    if name in options.skip or (options.only and name not in options.only):
        return [not_measured(name, "left out on request")]
    print(f"bench: {name}", file=sys.stderr, flush=True)
    rows: list[Row] = []
    try:
        rows.extend(part(bench))
    except Exception as error:  # noqa: BLE001 - the other parts are still measured
        traceback.print_exc()
        rows.append(not_measured(name, type(error).__name__))
    return rows


def _options(description: str, parts: Mapping[str, Part]) -> argparse.Namespace:
    def names(text: str) -> list[str]:
        given = text.split(",")
        unknown = set(given) - set(parts)
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown part: {', '.join(sorted(unknown))}")
        return given

    parser = argparse.ArgumentParser(prog="bench", description=description)
    parser.add_argument("--only", type=names, default=[], help=f"measure these parts of {','.join(parts)}")
    parser.add_argument("--skip", type=names, default=[], help="leave these parts out; their goals count as missed")
    return parser.parse_args()


if __name__ == "__main__":
    prepare()
    sys.exit(main((__doc__ or "").strip(), {name: part_at(place) for name, place in PARTS.items()}))
