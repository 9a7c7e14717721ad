"""The end of a replay, for a person and for a script."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from backstream.errors import ExitCode
from backstream.execution import ExecutionResult
from backstream.terminal import console, is_terminal, safe_text

_SHOWN = (
    "messages", "batches", "records", "changes", "keys", "applied", "deleted", "seeded", "stale", "redelivered",
    "superseded", "ttl_delete", "ignored_delete", "unmapped_item", "unreadable", "parked", "quarantined", "deferred",
    "unknown", "expired", "problems", "settled", "left",
)  # fmt: skip
_STYLES = {ExitCode.DONE: "bold green", ExitCode.NEEDS_ATTENTION: "bold yellow"}


def exit_code(result: ExecutionResult) -> ExitCode:
    counts = result.report.get("counts", {})
    if result.report.get("outcome") == "already_running":
        return ExitCode.ALREADY_RUNNING
    if result.status != "SUCCEEDED":
        return ExitCode.USAGE if result.error == "WrongInput" else ExitCode.FAILED
    # A deferred record waits for the next replay, not for a person.
    needs_attention = counts.get("parked", 0) > counts.get("deferred", 0)
    if needs_attention or counts.get("expired") or counts.get("problems"):
        return ExitCode.NEEDS_ATTENTION
    return ExitCode.DONE


def print_report(result: ExecutionResult, *, as_json: bool) -> None:
    """To stdout: as JSON, as a table on a terminal, else as lines."""
    if as_json:
        print(json.dumps(json_report(result), indent=2))
    elif is_terminal(sys.stdout):
        _print_table(result)
    else:
        print(text_report(result))


def json_report(result: ExecutionResult) -> dict[str, Any]:
    """The report, or why there is none."""
    return result.report or {"status": result.status, "error": result.error, "cause": result.cause}


def text_report(result: ExecutionResult) -> str:
    counts = (f"  {name:<12} {count:>10,}" for name, count in _counts(result))
    return "\n".join((_heading(result), *counts, *(f"  {line}" for line in _details(result))))


def _print_table(result: ExecutionResult) -> None:
    out = console(sys.stdout)
    out.print(safe_text(_heading(result), _STYLES.get(exit_code(result), "bold red")))
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, count in _counts(result):
        table.add_row(f"  {name}", f"{count:,}")
    out.print(table)
    for line in _details(result):
        out.print(safe_text(f"  {line}"), soft_wrap=True)


def _heading(result: ExecutionResult) -> str:
    outcome = result.report.get("outcome") or result.error or "no report"
    return f"{result.status.lower()}: {outcome}".replace("_", " ")


def _counts(result: ExecutionResult) -> Iterator[tuple[str, int]]:
    counts = result.report.get("counts", {})
    return ((name, counts[name]) for name in _SHOWN if counts.get(name))


def _details(result: ExecutionResult) -> Iterator[str]:
    report = result.report
    for one in report.get("expired", ()):
        yield f"expired      {one.get('shard')}, {one.get('first_arrival')} to {one.get('last_arrival')}"
    for one in report.get("problems", ()):
        yield f"problem      {one.get('source', '')}: {one.get('problem', '')}"
    for name in report.get("parked_records", ()):
        yield f"parked       {name}"
    yield from (text for text in (report.get("message"), report.get("reason"), result.cause) if text)
    if "running" in report:
        yield f"running: {report['running']}"
        yield "next: follow it with watch"
    if result.status in ("ABORTED", "TIMED_OUT"):
        yield "next: start it again; nothing is lost"
    yield from (f"next: {advice}" for advice in report.get("next", ()))
    yield from (f"{name}: {link}" for name, link in report.get("links", {}).items())
