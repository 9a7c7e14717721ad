"""backstream replay: replay failed batches, and see to parked records."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from backstream.deployment import Deployment
from backstream.errors import ExitCode, UsageError
from backstream.execution import Execution
from backstream.options import deployment_of
from backstream.parked import ParkedRecords
from backstream.progress import follow
from backstream.report import exit_code, print_report
from backstream.terminal import console, is_terminal, safe_text
from common.layout import DEFERRED, DISCARDED, current_key

_DESCRIPTION = """\
Replay failed batches in per-key order, and see to parked records.
Changes that MySQL has already passed are skipped.

Exit codes:
  0    done, or nothing to do
  1    the replay failed, or AWS did not answer; nothing is lost, start it again
  2    wrong usage or input; nothing was changed
  3    another replay is running
  4    done, but something waits for a person: quarantined, unknown or expired records, or problems
       (a deferred record waits for the next replay)
  130  interrupted; a replay that was started goes on
"""
_EPILOG = """\
A key is <entity>/<value>, as in order/8f14: the mapping names the entities, and list prints the keys.
list, show, retry and discard also take the value alone, as in 8f14, if one entity has it parked.

Without a subcommand, replay starts a replay. Its options: backstream replay start --help
"""
_START = ("dry_run", "include_quarantine", "keys", "shards", "max_batches", "concurrency")
_KEY_FORM = "a key is <entity>/<value>, with a value for each key column, as list prints it"
_PAGE = 50  # records of one table on a terminal
_USUAL_KEY = len("order/") + 36  # it must stay in one piece to be copied


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "replay", help="replay failed batches, and see to parked records", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.default_command = "start"
    subcommands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_start_options(_add(subcommands, "start", start, "start a replay and follow it (the default)"))
    watch_ = _add(subcommands, "watch", watch, "follow a replay, or print how it ended")
    watch_.add_argument("execution", nargs="?", metavar="ARN", help="the execution; without it the running one")
    _add(subcommands, "list", list_, "list parked records with their reasons").add_argument("key", nargs="?")
    _add(subcommands, "show", show, "print the records of a key, with row values").add_argument("key")
    retry_ = _add(subcommands, "retry", retry, "replay the parked records of keys")
    retry_.add_argument("key", nargs="+")
    _add_run_options(retry_)
    _add(subcommands, "discard", discard, "move the parked records of keys away").add_argument("key", nargs="+")


def _add(subcommands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subcommands.add_parser(name, help=text, description=f"{text.capitalize()}.")
    parser.set_defaults(run=run)
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", default=None, help="plan only; change nothing")
    parser.add_argument("--no-wait", action="store_true", help="start the replay and do not follow it")


def _add_start_options(parser: argparse.ArgumentParser) -> None:
    _add_run_options(parser)
    parser.add_argument(
        "--include-quarantine", action="store_true", default=None, help="also try quarantined records again"
    )
    parser.add_argument(
        "--key", action="append", dest="keys", metavar="KEY", help="only this key, as in order/8f14; may be repeated"
    )
    parser.add_argument(
        "--shard", action="append", dest="shards", metavar="ID", help="only this shard; may be repeated"
    )
    parser.add_argument("--max-batches", type=int, metavar="N", help="at most N failed batches")
    parser.add_argument("--concurrency", type=int, metavar="N", help="workers, one database connection each")


def start(options: argparse.Namespace) -> int:
    # Zero is passed on, and refused by the replay: left out, it would mean everything.
    replay_input = {name: value for name in _START if (value := getattr(options, name)) is not None}
    return _start(deployment_of(options), replay_input, options)


def retry(options: argparse.Namespace) -> int:
    deployment = deployment_of(options)
    keys = list(dict.fromkeys(map(current_key, _parked_keys(ParkedRecords(deployment), options.key))))
    replay_input = {"include_quarantine": True, "keys": keys} | ({"dry_run": True} if options.dry_run else {})
    return _start(deployment, replay_input, options)


def _start(deployment: Deployment, replay_input: dict[str, Any], options: argparse.Namespace) -> int:
    execution = Execution.start(deployment, replay_input)
    print(f"execution {execution.arn}", file=sys.stderr)
    if options.no_wait:
        if options.json:
            print(json.dumps({"execution": execution.arn}))
        return ExitCode.DONE
    return _follow(execution, options)


def watch(options: argparse.Namespace) -> int:
    deployment = deployment_of(options)
    execution = Execution(deployment, options.execution) if options.execution else Execution.running(deployment)
    if execution is None:
        raise UsageError("no replay is running; to see how one ended, give its ARN")
    return _follow(execution, options)


def _follow(execution: Execution, options: argparse.Namespace) -> int:
    follow(execution)
    result = execution.result()
    print_report(result, as_json=options.json)
    return exit_code(result)


def list_(options: argparse.Namespace) -> int:
    parked = ParkedRecords(deployment_of(options))
    key = parked.keys_of([options.key])[0] if options.key else None
    counts = Counter(quarantined=0)
    counted = _count(parked.describe(key), counts)
    if options.json:
        print(json.dumps(list(counted), indent=2))
    elif is_terminal(sys.stdout):
        _print_tables(counted)
    else:
        _print_lines(counted)
    if key and not counts.total():
        print(f"{_nothing(key)}; {_KEY_FORM}", file=sys.stderr)
    elif not options.json:
        print(", ".join(f"{count} {kind}" for kind, count in counts.items()), file=sys.stderr)
    return ExitCode.DONE


def _count(found: Iterable[dict[str, Any]], counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for parked in found:
        counts[str(parked["kind"]) if _waits(parked) else "quarantined"] += 1
        yield parked


def _print_lines(found: Iterable[dict[str, Any]]) -> None:
    for parked in found:
        waiting = f"  {_waiting(parked)}" if _waits(parked) else ""
        print(f"{_name(parked)}  {parked['version'] or ''}{waiting}")
        print(f"  {parked['reason']}\n  {parked['hint']}")


def _print_tables(found: Iterator[dict[str, Any]]) -> None:
    """A page at a time, so that the first records show while the others are read. All pages have the same columns."""
    out = console(sys.stdout)
    first = True
    while page := list(islice(found, _PAGE)):
        table = Table(box=SIMPLE_HEAD if first else None, expand=True, show_header=first, padding=(0, 1, 1, 1))
        table.add_column("record", width=_USUAL_KEY, overflow="fold")
        table.add_column("state", ratio=2, overflow="fold")
        table.add_column("reason", ratio=5, overflow="fold")
        for parked in page:
            name = Text("\n").join((safe_text(_name(parked), "bold"), safe_text(parked["version"] or "", "dim")))
            state = safe_text(_waiting(parked) if _waits(parked) else "quarantined")
            reason = Text("\n").join((safe_text(str(parked["reason"])), safe_text(str(parked["hint"]), "dim")))
            table.add_row(name, state, reason)
        out.print(table)
        first = False


def _name(parked: dict[str, Any]) -> str:
    """A record with no readable key is addressed by its object's name."""
    return str(parked["key"] or parked["object"])


def _waits(parked: dict[str, Any]) -> bool:
    """For the next replay, not for a person."""
    return bool(parked["object"].startswith(DEFERRED))


def _waiting(parked: dict[str, Any]) -> str:
    """The kind of a record under deferred/, and since when it waits, if its object says so."""
    try:
        return f"{parked['kind']} since {datetime.fromtimestamp(parked['since'], UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (TypeError, ValueError, OverflowError, OSError):
        return str(parked["kind"])


def show(options: argparse.Namespace) -> int:
    parked = ParkedRecords(deployment_of(options))
    (key,) = parked.keys_of([options.key])
    found = parked.show(key)
    if not found:
        raise UsageError(f"{_nothing(key)}; {_KEY_FORM}")
    print(json.dumps(found, indent=2))
    return ExitCode.DONE


def discard(options: argparse.Namespace) -> int:
    parked = ParkedRecords(deployment_of(options))
    moved = {key: parked.discard(key) for key in _parked_keys(parked, options.key)}
    if options.json:
        print(json.dumps(moved, indent=2))
    for key, names in moved.items():
        print(f"{key}: {len(names)} discarded, kept for a while under {DISCARDED}", file=sys.stderr)
    return ExitCode.DONE


def _parked_keys(parked: ParkedRecords, texts: list[str]) -> list[str]:
    """Keys with at least one record each, before anything is changed."""
    keys = parked.keys_of(texts)
    missing = [key for key in keys if not parked.names(key)]
    if missing:
        raise UsageError(f"{_nothing(', '.join(missing))}; {_KEY_FORM}; nothing was changed")
    return keys


def _nothing(key: str) -> str:
    return f"nothing is parked for {key}"
