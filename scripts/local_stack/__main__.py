"""The local stack: a database server, an emulated AWS, and Backstream deployed between them."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import ConnectionError as UnreachableError
from botocore.exceptions import HTTPClientError

from scripts.local_stack import cutover_demo, outage_demo
from scripts.local_stack.database import become_sql_client
from scripts.local_stack.emulator import no_proxy
from scripts.local_stack.settings import read_settings
from scripts.local_stack.simulation import (
    DEFAULT_MIX,
    KINDS,
    ApiOrderClient,
    OrderClient,
    Pace,
    Simulation,
    TableOrderClient,
    run,
)
from scripts.local_stack.stack import API_ACCOUNT, Stack
from scripts.local_stack.terminal import StackError, as_table, discard_stdout, say

INTERRUPTED = 130
SHOWN_FAILURES = 10
NEXT_STEPS = """
The stack is up. Next steps:
  make outputs       print addresses and names as JSON
  make mysql         open a SQL client on the database
  make simulate      change some orders
  make status        see whether changes reach MySQL; ARGS=--page serves it as a page
  make db-stop       stop the database server: an outage; make db-start ends it
  make demo-outage   watch a long outage and the replay of what failed
  make demo-cutover  watch a legacy application and the API take turns
  make down          stop everything"""

Command = Callable[[Stack, argparse.Namespace], int]


def up(stack: Stack, _: argparse.Namespace) -> int:
    started = time.monotonic()
    row = stack.up()
    print(f"\nThe order in MySQL, {time.monotonic() - started:.0f} s after the start:\n{as_table(row)}\n{NEXT_STEPS}")
    return 0


def down(stack: Stack, _: argparse.Namespace) -> int:
    stack.down()
    return 0


def outputs(stack: Stack, _: argparse.Namespace) -> int:
    print(json.dumps(stack.outputs(), indent=2), flush=True)
    return 0


def mysql(stack: Stack, _: argparse.Namespace) -> int:
    become_sql_client(stack.access)


def db_stop(stack: Stack, _: argparse.Namespace) -> int:
    stack.db_stop()
    say("MySQL is stopped; make db-start ends the outage")
    return 0


def db_start(stack: Stack, _: argparse.Namespace) -> int:
    stack.db_start()
    say("MySQL is started")
    return 0


def simulate(stack: Stack, options: argparse.Namespace) -> int:
    count = 100 if options.count is None and options.duration is None else options.count
    simulation = Simulation(options.seed, options.mix, options.merchants, options.keys)
    pace = Pace(count, options.duration, options.rate)
    summary = run(simulation, _order_client(stack, options.via), pace, options.workers)
    print(summary)
    for failure in summary.failures[:SHOWN_FAILURES]:
        say(failure)
    return 1 if summary.failures else 0


def demo_outage(stack: Stack, options: argparse.Namespace) -> int:
    return outage_demo.run_demo(stack, options.svg)


def demo_cutover(stack: Stack, options: argparse.Namespace) -> int:
    return cutover_demo.run_demo(stack, options.svg)


def _order_client(stack: Stack, via: str) -> OrderClient:
    values = stack.outputs()
    if via == "api":
        return ApiOrderClient(values["api_url"], API_ACCOUNT.user, API_ACCOUNT.password)
    return TableOrderClient(values["table_name"], values["endpoint_url"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local_stack", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")

    def add(name: str, function: Command, text: str, description: str | None = None) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(
            name, help=text, description=description or text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.set_defaults(function=function)
        return command

    add("up", up, "start everything, deploy, and follow a first order into MySQL")
    add("down", down, "stop what `up` started")
    add("outputs", outputs, "print Terraform's outputs as one JSON object")
    add("mysql", mysql, "open a SQL client on the database")
    add("db-stop", db_stop, "stop the database server")
    add("db-start", db_start, "start the database server again")
    _add_simulation_options(add("simulate", simulate, "change orders on the running stack"))
    for demo in (
        add("demo-outage", demo_outage, "show an outage of MySQL and the replay", outage_demo.__doc__),
        add("demo-cutover", demo_cutover, "show a cutover to the API and back", cutover_demo.__doc__),
    ):
        demo.add_argument("--svg", type=Path, metavar="FILE", help="also write the output as an SVG picture")
    return parser


def _add_simulation_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=float, help="changes per second; as fast as possible without it")
    parser.add_argument("--count", type=int, help="the number of changes; 100 unless a duration is given")
    parser.add_argument("--duration", type=float, help="the number of seconds")
    parser.add_argument("--mix", type=_mix, default=DEFAULT_MIX, help="create=60,update=30,delete=10")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same changes")
    parser.add_argument("--via", choices=["api", "table"], default="api", help="write to the API or to the table")
    parser.add_argument("--merchants", type=int, default=20, help="the number of merchants")
    parser.add_argument("--keys", type=int, help="change this many orders only")
    parser.add_argument("--workers", type=int, default=1, help="the number of parallel writers")


def _mix(text: str) -> dict[str, int]:
    mix = {}
    for part in text.split(","):
        kind, _, share = part.partition("=")
        if kind not in KINDS or not share.isdecimal():
            raise argparse.ArgumentTypeError(f"{part!r} is not one of {', '.join(KINDS)} with a share, as in create=60")
        mix[kind] = int(share)
    return mix


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    os.environ.update(no_proxy(os.environ))
    try:
        return int(options.function(Stack(read_settings()), options))
    except StackError as error:
        say(f"make {options.command} failed: {error}")
        return 1
    except (UnreachableError, HTTPClientError) as error:
        say(f"make {options.command} failed: the emulated AWS has stopped answering: {error}")
        say("Start it again, then run make up")
        return 1
    except BrokenPipeError:  # the reader has ended, as in `make outputs | head -1`
        discard_stdout()
        return 0
    except KeyboardInterrupt:
        say(f"\nmake {options.command} interrupted; run it again to continue")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
