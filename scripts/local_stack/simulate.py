"""Changes orders on the running stack, as in make simulate ARGS="--rate 20 --count 1000 --via table"."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from scripts.local_stack.failure import StackError
from scripts.local_stack.settings import read_settings
from scripts.local_stack.simulation import DEFAULT_MIX, KINDS, Pace, Simulation, run
from scripts.local_stack.stack import API_ACCOUNT, Stack
from scripts.local_stack.write_targets import ApiTarget, TableTarget

if TYPE_CHECKING:
    from scripts.local_stack.simulation import Target


def main() -> int:
    options = _parse_options()
    try:
        target = _target(options.via)
    except StackError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 1
    simulation = Simulation(options.seed, options.mix, options.merchants, options.keys)
    pace = Pace(options.count, options.duration, options.rate)
    summary = run(simulation, target, pace, options.workers)
    print(summary)
    for failure in summary.failures[:10]:
        print(failure, file=sys.stderr)
    return 1 if summary.failures else 0


def _target(via: str) -> Target:
    outputs = Stack(read_settings()).outputs()
    if via == "api":
        return ApiTarget(outputs["api_url"], API_ACCOUNT.user, API_ACCOUNT.password)
    return TableTarget(outputs["table_name"], outputs["endpoint_url"])


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--rate", type=float, help="changes per second; as fast as possible without it")
    parser.add_argument("--count", type=int, help="how many changes; 100 unless a duration is given")
    parser.add_argument("--duration", type=float, help="for how many seconds")
    parser.add_argument("--mix", type=_mix, default=DEFAULT_MIX, help="create=60,update=30,delete=10")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same changes")
    parser.add_argument("--via", choices=["api", "table"], default="api")
    parser.add_argument("--merchants", type=int, default=20)
    parser.add_argument("--keys", type=int, help="put all changes on this many orders")
    parser.add_argument("--workers", type=int, default=1, help="how many write at once")
    options = parser.parse_args()
    if options.count is None and options.duration is None:
        options.count = 100
    return options


def _mix(text: str) -> dict[str, int]:
    mix = {}
    for part in text.split(","):
        kind, _, share = part.partition("=")
        if kind not in KINDS or not share.isdecimal():
            raise argparse.ArgumentTypeError(f"{part!r} is not one of {', '.join(KINDS)} with a share, as in create=60")
        mix[kind] = int(share)
    return mix


if __name__ == "__main__":
    sys.exit(main())
