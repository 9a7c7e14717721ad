"""Replay what failed, and look after parked records: python -m backstream.replay start|watch|list|show|retry|discard.

Exit codes: 0 done, or nothing to do; 1 the replay did not get through, nothing is lost: start it again;
2 wrong usage or input, nothing was changed; 3 another replay is running; 4 done, but something waits for a person
(quarantined, unknown or expired records, batches that are not what they should be; a deferred record waits for the next
replay); 130 no longer watched, the replay goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from backstream.execution import Ended, Execution, Progress
from backstream.quarantine import Quarantine
from backstream.reach import Reach, UsageError, reach
from common.layout import DEFERRED, DISCARDED
from scripts.local_stack.aws import no_proxy
from scripts.local_stack.failure import StackError

DONE, FAILED, WRONG, RUNNING, ATTENTION = range(5)
INTERRUPTED = 130
_FIRST = "Start"  # the state that a new execution is about to enter
_SHOWN = (
    "messages", "batches", "records", "changes", "keys", "applied", "deleted", "stale", "redelivered", "superseded",
    "ttl_delete", "other_item", "unreadable", "parked", "quarantined", "deferred", "unknown",
    "expired", "problems", "settled", "left",
)  # fmt: skip
_START = ("dry_run", "include_quarantine", "keys", "shards", "max_batches", "concurrency")


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(list(sys.argv[1:] if arguments is None else arguments))
    os.environ.update(no_proxy(os.environ))
    try:
        return int(given.command(reach(given.outputs), given))
    except (UsageError, StackError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return WRONG
    except (ClientError, BotoCoreError) as error:
        print(f"replay: AWS refused or did not answer; a replay that was started goes on: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(
            "\nreplay: no longer watching; a replay that was started goes on (watch follows it again)", file=sys.stderr
        )
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has had enough, as in `list | head -1`; keep Python from trying again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="replay",
        description=__doc__,
        epilog="What a replay may be asked for, --dry-run and more, is in: replay start --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_shared(parser, default=None)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_start_options(_command(commands, "start", start, "start a replay and follow it (the default)"))
    watch_ = _command(commands, "watch", watch, "follow a replay that was started, or print how it ended")
    watch_.add_argument("execution", nargs="?", metavar="ARN", help="the one that runs, where it is left out")
    _command(commands, "list", list_, "parked records with their reasons").add_argument("key", nargs="?")
    _command(commands, "show", show, "the records of a key, whole").add_argument("key")
    retry_ = _command(commands, "retry", retry, "replay the parked records of keys")
    retry_.add_argument("key", nargs="+")
    _add_run_options(retry_)
    _command(commands, "discard", discard, "move the records of keys away").add_argument("key", nargs="+")
    return parser.parse_args(_with_command(arguments, set(commands.choices)))


def _with_command(arguments: list[str], commands: set[str]) -> list[str]:
    """`start` where none is named. Its options stand behind it only: before `discard`, --dry-run must be refused."""
    return arguments if (commands | {"-h", "--help"}).intersection(arguments) else ["start", *arguments]


def _command(commands: Any, name: str, function: Callable[..., int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    # Without a default of its own, or it would undo what was given before the command.
    _add_shared(parser, default=argparse.SUPPRESS)
    parser.set_defaults(command=function)
    return parser


def _add_shared(parser: argparse.ArgumentParser, default: Any) -> None:
    parser.add_argument(
        "--outputs",
        metavar="FILE",
        default=default,
        help="terraform output -json of the stack, - for standard input; the local stack without it",
    )
    parser.add_argument("--json", action="store_true", default=default, help="print JSON instead of text")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", default=None, help="plan only; change nothing")
    parser.add_argument("--no-wait", action="store_true", help="start it and go")


def _add_start_options(parser: argparse.ArgumentParser) -> None:
    _add_run_options(parser)
    parser.add_argument(
        "--include-quarantine", action="store_true", default=None, help="also try quarantined records again"
    )
    parser.add_argument("--key", action="append", dest="keys", metavar="KEY", help="only this key; may be repeated")
    parser.add_argument(
        "--shard", action="append", dest="shards", metavar="ID", help="only this shard; may be repeated"
    )
    parser.add_argument("--max-batches", type=int, metavar="N", help="at most so many failed batches")
    parser.add_argument("--concurrency", type=int, metavar="N", help="workers, one database connection each")


def start(stack: Reach, given: argparse.Namespace) -> int:
    # Zero is passed on, and refused there: left out, it would mean everything.
    return _run(stack, {name: value for name in _START if (value := getattr(given, name)) is not None}, given)


def retry(stack: Reach, given: argparse.Namespace) -> int:
    _demand_parked(Quarantine(stack), given.key)
    dry = {"dry_run": True} if given.dry_run else {}
    return _run(stack, {"include_quarantine": True, "keys": list(dict.fromkeys(given.key))} | dry, given)


def _run(stack: Reach, wanted: dict[str, Any], given: argparse.Namespace) -> int:
    execution = Execution.start(stack, wanted)
    print(f"execution {execution.arn}", file=sys.stderr)
    if given.no_wait:
        if given.json:
            print(json.dumps({"execution": execution.arn}))
        return DONE
    return _followed(execution, given)


def watch(stack: Reach, given: argparse.Namespace) -> int:
    execution = Execution(stack, given.execution) if given.execution else Execution.running(stack)
    if execution is None:
        raise UsageError("no replay is running; name the ARN of one that has ended")
    return _followed(execution, given)


def _followed(execution: Execution, given: argparse.Namespace) -> int:
    follow(execution)
    ended = execution.end()
    print(json.dumps(as_json(ended), indent=2) if given.json else as_text(ended))
    return verdict(ended)


def follow(execution: Execution) -> None:
    """A line whenever it got further, until the execution has ended."""
    last: tuple[str, int] | None = None
    for progress in execution.follow():
        at = (progress.waiting or progress.state or _FIRST, progress.drained)
        if at != last:
            print(describe(progress), file=sys.stderr, flush=True)
        last = at


def describe(progress: Progress) -> str:
    if progress.waiting:
        return f"  waiting for MySQL {progress.waiting}"
    if not progress.drained:
        return f"  {progress.state or _FIRST}"
    splits = progress.drained if progress.splits is None else f"{progress.drained}/{progress.splits}"
    left = progress.seconds_left
    eta = "" if left is None else f", about {left:.0f} s left"
    return f"  {progress.state}: {splits} splits, {progress.changes:,} changes{eta}"


def verdict(ended: Ended) -> int:
    outcome, counts = ended.output.get("outcome"), ended.output.get("counts", {})
    if outcome == "already_running":
        return RUNNING
    if ended.status != "SUCCEEDED":
        return WRONG if ended.error == "WrongInput" else FAILED
    # A deferred record waits for the next replay, not for a person.
    parked = counts.get("parked", 0) - counts.get("deferred", 0)
    return ATTENTION if parked > 0 or counts.get("expired") or counts.get("problems") else DONE


def as_json(ended: Ended) -> dict[str, Any]:
    """The report, and where there is none, why."""
    return ended.output or {"status": ended.status, "error": ended.error, "cause": ended.cause}


def as_text(ended: Ended) -> str:
    report = ended.output
    lines = [f"{ended.status.lower()}: {report.get('outcome') or ended.error or 'no report'}".replace("_", " ")]
    lines += [f"  {name:<12} {count:>10,}" for name in _SHOWN if (count := report.get("counts", {}).get(name))]
    lines += [f"  expired      {_range(one)}" for one in report.get("expired", ())]
    lines += [f"  problem      {one.get('source', '')}: {one.get('problem', '')}" for one in report.get("problems", ())]
    lines += [f"  parked       {name}" for name in report.get("parked_records", ())]
    lines += [f"  {text}" for text in (report.get("message"), report.get("reason"), ended.cause) if text]
    lines += [f"  running: {report['running']}", "  next: follow it with watch"] if "running" in report else []
    lines += ["  next: start it again; nothing is lost"] if ended.status in ("ABORTED", "TIMED_OUT") else []
    lines += [f"  next: {advice}" for advice in report.get("next", ())]
    lines += [f"  {name}: {link}" for name, link in report.get("links", {}).items()]
    return "\n".join(lines)


def _range(expired: dict[str, Any]) -> str:
    return f"{expired.get('shard')}, {expired.get('first_arrival')} to {expired.get('last_arrival')}"


def list_(stack: Reach, given: argparse.Namespace) -> int:
    found = Quarantine(stack).list(given.key)
    if given.json:
        print(json.dumps(list(found), indent=2))
        return DONE
    counts = Counter(quarantined=0)
    for one in found:
        waiting = one["object"].startswith(DEFERRED)
        counts[str(one["kind"]) if waiting else "quarantined"] += 1
        # A record without a readable key is called by its object.
        print(f"{one['key'] or one['object']}  {one['version'] or ''}{_waits(one) if waiting else ''}")
        print(f"  {one['reason']}\n  {one['hint']}")
    print(", ".join(f"{count} {name}" for name, count in counts.items()), file=sys.stderr)
    return DONE


def _waits(parked: dict[str, Any]) -> str:
    """Of which kind a record under deferred/ is, and since when it waits, as far as its object says so."""
    try:
        return f"  {parked['kind']} since {datetime.fromtimestamp(parked['since'], UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (TypeError, ValueError, OverflowError, OSError):
        return f"  {parked['kind']}"


def show(stack: Reach, given: argparse.Namespace) -> int:
    found = Quarantine(stack).show(given.key)
    if not found:
        raise UsageError(f"nothing is parked for {given.key}")
    print(json.dumps(found, indent=2))
    return DONE


def discard(stack: Reach, given: argparse.Namespace) -> int:
    quarantine = Quarantine(stack)
    _demand_parked(quarantine, given.key)
    moved = {key: quarantine.discard(key) for key in given.key}
    if given.json:
        print(json.dumps(moved, indent=2))
    for key, names in moved.items():
        print(f"{key}: {len(names)} discarded, kept for a while under {DISCARDED}", file=sys.stderr)
    return DONE


def _demand_parked(quarantine: Quarantine, keys: list[str]) -> None:
    """Of each key something, before anything is touched."""
    missing = [key for key in keys if not quarantine.names(key)]
    if missing:
        raise UsageError(f"nothing is parked for {', '.join(missing)}; nothing was changed")


if __name__ == "__main__":
    sys.exit(main())
