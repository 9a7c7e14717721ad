"""backstream status: is it keeping up, what is wrong, and what to do now."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from typing import Any, NoReturn

from rich.live import Live

from backstream.deployment import Deployment
from backstream.errors import ExitCode, UsageError
from backstream.options import count, deployment_of
from backstream.status.finding import Commands
from backstream.status.live import LiveStatus
from backstream.status.server import StatusServer
from backstream.status.text import plain_text, rich_text
from backstream.terminal import console, is_terminal

_DESCRIPTION = """\
Show whether changes reach MySQL, what is wrong, and what to do now.
The first line is the verdict. Nothing is changed, and MySQL is not asked.

Exit codes (--watch and --page end with Ctrl-C and 0):
  0    nothing waits for a person
  1    AWS did not answer, or not all of it
  2    wrong usage or input
  4    something waits for a person
"""
_NAMED = ("outputs", "env", "name", "pipeline", "region")


def add_to(commands: Any) -> None:
    text = "show whether changes reach MySQL, and what to do now"
    parser = commands.add_parser("status", help=text, description=_DESCRIPTION)
    parser.set_defaults(run=run)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--watch", action="store_true", help="refresh until Ctrl-C; with --json a line for each refresh")
    ways.add_argument("--page", action="store_true", help="serve it as a page on 127.0.0.1 and print its address")
    parser.add_argument("--port", type=count, metavar="N", help="port of the page; a free one by default")


def run(options: argparse.Namespace) -> int:
    if options.port and not options.page:
        raise UsageError("--port is the port of the page: give --page as well")
    if options.page and options.json:
        raise UsageError("the page has its JSON at /status.json: leave out --json or --page")
    deployment = deployment_of(options)
    live = LiveStatus(deployment, _commands(options, deployment))
    if options.page:
        return _serve(live, options.port or 0)
    if options.watch:
        return _watch(live, as_json=options.json)
    _print(live, as_json=options.json)
    return live.picture().verdict.level.exit_code


def _commands(options: argparse.Namespace, deployment: Deployment) -> Commands:
    """The commands to run name the deployment as this one does."""
    given = {name: value for name in _NAMED if (value := getattr(options, name))}
    named = " ".join(f"--{name} {shlex.quote(value)}" for name, value in given.items())
    return Commands(named, local=not given and bool(deployment.endpoint))


def _print(live: LiveStatus, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(live.document(), indent=2))
    elif is_terminal(sys.stdout):
        out = console(sys.stdout)
        out.print(rich_text(live.picture(), out.width))
    else:
        print(plain_text(live.picture()))


def _watch(live: LiveStatus, *, as_json: bool) -> int:
    watch = _watch_json if as_json else _watch_screen if is_terminal(sys.stdout) else _watch_lines
    try:
        watch(live)
    except KeyboardInterrupt:
        return ExitCode.DONE


def _watch_json(live: LiveStatus) -> NoReturn:
    while True:
        print(json.dumps(live.document()), flush=True)
        time.sleep(live.seconds)


def _watch_screen(live: LiveStatus) -> NoReturn:
    out = console(sys.stdout)
    with Live(console=out, screen=True, auto_refresh=False) as screen:
        while True:
            screen.update(rich_text(live.picture(), out.width), refresh=True)
            time.sleep(live.seconds)


def _watch_lines(live: LiveStatus) -> NoReturn:
    """The verdict whenever it is another one."""
    last = ""
    while True:
        picture = live.picture()
        if picture.verdict.code != last:
            print(f"{picture.now.astimezone():%H:%M:%S} {picture.verdict.headline}", flush=True)
        last = picture.verdict.code
        time.sleep(live.seconds)


def _serve(live: LiveStatus, port: int) -> int:
    with StatusServer(port, live.document) as server:
        print(f"{server.url} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return ExitCode.DONE
    return ExitCode.DONE
