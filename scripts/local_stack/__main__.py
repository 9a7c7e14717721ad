"""The local stack: python -m scripts.local_stack up|down|outputs|mysql|db-stop|db-start."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING

from scripts.local_stack.aws import no_proxy
from scripts.local_stack.failure import StackError
from scripts.local_stack.first_order import as_table
from scripts.local_stack.progress import say
from scripts.local_stack.settings import read_settings
from scripts.local_stack.sql_client import become_client
from scripts.local_stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable

GO_ON = """
The stack is up. How to go on:
  make outputs     addresses and names, as JSON
  make mysql       look into the database
  make simulate    change some orders
  make db-stop     stop the database, to see an outage; make db-start ends it
  make demo-outage see a long one through, and the replay that drains what failed
  make down        stop everything"""


def up(stack: Stack) -> None:
    started = time.monotonic()
    row = stack.up()
    print(f"\nThe order in MySQL, {time.monotonic() - started:.0f} s after the start:\n{as_table(row)}\n{GO_ON}")


def outputs(stack: Stack) -> None:
    print(json.dumps(stack.outputs(), indent=2), flush=True)


def mysql(stack: Stack) -> None:
    become_client(stack.access)


def db_stop(stack: Stack) -> None:
    stack.db_stop()
    say("MySQL is stopped; make db-start ends the outage")


def db_start(stack: Stack) -> None:
    stack.db_start()
    say("MySQL is started")


COMMANDS: dict[str, Callable[[Stack], None]] = {
    "up": up,
    "down": Stack.down,
    "outputs": outputs,
    "mysql": mysql,
    "db-stop": db_stop,
    "db-start": db_start,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="stack", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = parser.parse_args().command
    os.environ.update(no_proxy(os.environ))
    try:
        COMMANDS[command](Stack(read_settings()))
    except StackError as error:
        say(f"make {command} failed: {error}")
        return 1
    except BrokenPipeError:
        # Whoever reads has had enough, as in `make outputs | head -1`; keep Python from trying again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        say(f"\nmake {command} interrupted; run it again to go on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
