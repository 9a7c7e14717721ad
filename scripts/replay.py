"""Replay what failed, and look after quarantined records: python -m scripts.replay start|list|show|retry|discard.

Exit codes: 0 done, or nothing to do; 1 the replay did not get through, nothing is lost: start it again;
2 wrong usage or input, nothing was changed; 3 another replay is running; 4 done, but something waits for a person
(parked or expired records, batches that are not what they should be).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.local.aws import no_proxy
from scripts.local.failure import StackError
from scripts.ops.execution import Ended, Execution, Progress
from scripts.ops.quarantine import Quarantine
from scripts.ops.reach import Reach, UsageError, reach

DONE, FAILED, WRONG, RUNNING, ATTENTION = range(5)
_SHOWN = (
    "batches", "records", "changes", "keys", "applied", "deleted", "stale", "redelivered", "superseded", "parked",
    "expired", "settled", "left",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    os.environ.update(no_proxy(os.environ))
    try:
        return int(given.command(reach(given.outputs), given))
    except (UsageError, StackError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return WRONG
    except (ClientError, BotoCoreError) as error:
        print(f"replay: AWS refused or did not answer: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\nreplay: no longer watching; the execution goes on by itself", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outputs", metavar="FILE", help="terraform output -json of the stack, - for standard input")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(command=start)
    _add_start_options(parser)
    commands = parser.add_subparsers(title="commands")
    _add_start_options(_command(commands, "start", start, "start a replay and follow it (the default)"))
    _command(commands, "list", list_, "quarantined records with their reasons").add_argument("key", nargs="?")
    _command(commands, "show", show, "the records of a key, whole").add_argument("key")
    retry_ = _command(commands, "retry", retry, "replay the quarantined records of keys")
    retry_.add_argument("key", nargs="+")
    _command(commands, "discard", discard, "move the records of keys away").add_argument("key", nargs="+")
    return parser


def _command(commands: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(command=function, no_wait=False)
    return parser


def _add_start_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="plan only; change nothing")
    parser.add_argument("--include-quarantine", action="store_true", help="also try quarantined records again")
    parser.add_argument("--key", action="append", dest="keys", metavar="KEY", help="only this key; may be repeated")
    parser.add_argument(
        "--shard", action="append", dest="shards", metavar="ID", help="only this shard; may be repeated"
    )
    parser.add_argument("--max-batches", type=int, metavar="N")
    parser.add_argument("--concurrency", type=int, metavar="N", help="workers, one database connection each")
    parser.add_argument("--no-wait", action="store_true", help="start it and go")


def start(stack: Reach, given: argparse.Namespace) -> int:
    names = ("dry_run", "include_quarantine", "keys", "shards", "max_batches", "concurrency")
    return _run(stack, {name: value for name in names if (value := getattr(given, name, None))}, given)


def retry(stack: Reach, given: argparse.Namespace) -> int:
    return _run(stack, {"include_quarantine": True, "keys": given.key}, given)


def _run(stack: Reach, wanted: dict[str, Any], given: argparse.Namespace) -> int:
    execution = Execution.start(stack, wanted)
    print(f"execution {execution.arn}", file=sys.stderr)
    if given.no_wait:
        return DONE
    last = ""
    for progress in execution.follow():
        line = describe(progress)
        if line != last:
            print(line, file=sys.stderr)
        last = line
    ended = execution.end()
    print(json.dumps(ended.output, indent=2) if given.json else _text(ended))
    return verdict(ended)


def describe(progress: Progress) -> str:
    if not progress.drained:
        return f"  {progress.state or 'Start'}"
    left = progress.seconds_left
    eta = "" if left is None else f", about {left:.0f} s left"
    return f"  {progress.state}: {progress.drained}/{progress.splits} splits, {progress.changes:,} changes{eta}"


def verdict(ended: Ended) -> int:
    outcome, counts = ended.output.get("outcome"), ended.output.get("counts", {})
    if outcome == "already_running":
        return RUNNING
    if ended.status != "SUCCEEDED":
        return WRONG if "wrong input" in ended.cause else FAILED
    return ATTENTION if any(counts.get(name) for name in ("parked", "expired", "problems")) else DONE


def _text(ended: Ended) -> str:
    report = ended.output
    lines = [f"{ended.status.lower()}: {report.get('outcome', ended.error or 'no report').replace('_', ' ')}"]
    lines += [f"  {name:<12} {count:>10,}" for name in _SHOWN if (count := report.get("counts", {}).get(name))]
    lines += [f"  {message}" for message in (report.get("message"), ended.cause) if message]
    lines += [f"  next: {advice}" for advice in report.get("next", ())]
    lines += [f"  {name}: {link}" for name, link in report.get("links", {}).items()]
    return "\n".join(lines)


def list_(stack: Reach, given: argparse.Namespace) -> int:
    parked = list(Quarantine(stack).list(given.key))
    if given.json:
        print(json.dumps(parked, indent=2))
    else:
        for one in parked:
            print(f"{one['key'] or '(no readable key)'}  {one['version'] or ''}\n  {one['reason']}\n  {one['hint']}")
        print(f"{len(parked)} quarantined", file=sys.stderr)
    return DONE


def show(stack: Reach, given: argparse.Namespace) -> int:
    found = Quarantine(stack).show(given.key)
    if not found:
        raise UsageError(f"nothing is quarantined for key {given.key}")
    print(json.dumps(found, indent=2))
    return DONE


def discard(stack: Reach, given: argparse.Namespace) -> int:
    quarantine = Quarantine(stack)
    moved = {key: quarantine.discard(key) for key in given.key}
    if given.json:
        print(json.dumps(moved, indent=2))
    for key, names in moved.items():
        print(f"{key}: {len(names)} discarded, kept for a while under replayed/discarded/", file=sys.stderr)
    return DONE if all(moved.values()) else WRONG


if __name__ == "__main__":
    sys.exit(main())
