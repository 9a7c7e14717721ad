"""What a job will take, how far it is, and how it ended, for a person and for a script."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from backstream.errors import ExitCode
from backstream.execution import ExecutionResult
from backstream.job_execution import JobExecution, JobStatus
from backstream.terminal import console, is_terminal, safe_text

_STYLES = {ExitCode.DONE: "bold green", ExitCode.NEEDS_ATTENTION: "bold yellow"}


def exit_code(result: ExecutionResult, attention: tuple[str, ...]) -> ExitCode:
    """`attention` are the counts that need a person."""
    report = result.report
    if report.get("outcome") == "already_running":
        return ExitCode.ALREADY_RUNNING
    if result.status != "SUCCEEDED":
        return ExitCode.USAGE if result.error in ("WrongInput", "NotReady") else ExitCode.FAILED
    counts = report.get("counts", {})
    return ExitCode.NEEDS_ATTENTION if any(counts.get(name) for name in attention) else ExitCode.DONE


def follow(execution: JobExecution) -> None:
    """Print the estimate, then the progress, until the execution has ended: one line on a terminal, else many."""
    estimated, last = False, ""
    live = is_terminal(sys.stderr)
    for status in execution.follow():
        if status.estimate and not estimated:
            estimated = True
            for line in estimate_lines(status.estimate):
                print(f"  {line}", file=sys.stderr)
        line = progress_line(status)
        if status.estimate and line != last:
            print(f"\r\x1b[K  {line}" if live else f"  {line}", file=sys.stderr, end="" if live else "\n", flush=True)
            last = line
    if live and last:
        print(file=sys.stderr)


def estimate_lines(estimate: dict[str, Any]) -> list[str]:
    """The table's size is DynamoDB's, which it updates about every six hours. The numbers of rows are MySQL's."""
    if "sidecar_rows" in estimate:
        return [f"about {estimate['sidecar_rows']:,} rows in the sidecar (MySQL's figure, all mappings)"]
    if "write_units" in estimate:
        return _estimate_of_seed(estimate)
    scans = "" if estimate["scans"] == 1 else f" in {estimate['scans']} scans"
    if not estimate["items"]:
        return ["the table's size is not known yet: DynamoDB updates it about every six hours"]
    return [
        f"about {estimate['items']:,} items, {estimate['bytes']:,} bytes (DynamoDB's figures, up to six hours old)",
        f"about {estimate['read_units']:,} read units{scans}, {_cost(estimate)}",
        f"about {estimate['minutes']:,} minutes at {estimate['rate']:,g} read units a second",
    ]


def _estimate_of_seed(estimate: dict[str, Any]) -> list[str]:
    return [
        f"about {estimate['items']:,} rows, {estimate['bytes']:,} bytes (MySQL's figures)",
        f"at most about {estimate['write_units']:,} write units, {_cost(estimate)}",
        f"about {estimate['minutes']:,} minutes at {estimate['rate']:,g} write units a second",
    ]


def _cost(estimate: dict[str, Any]) -> str:
    return f"about {estimate['dollars']:.2f} USD (us-east-1)" if estimate["dollars"] else "within what is provisioned"


def progress_line(status: JobStatus) -> str:
    left = status.seconds_left
    remains = "" if left is None or not left else f", about {left / 60:,.1f} minutes left"
    rate = f", {status.units_per_second:,.0f} a second" if status.units_per_second else ""
    items, units = _words(status.estimate or {})
    return f"{status.items:,} {items}, {status.units:,.0f} {units}{rate}{remains}"


def _words(estimate: dict[str, Any]) -> tuple[str, str]:
    """What a job walks over, and what it consumes."""
    if "sidecar_rows" in estimate:
        return "rows", "deleted"
    return ("rows", "units") if "write_units" in estimate else ("items", "read units")


Details = Callable[[dict[str, Any]], Iterator[str]]


def print_report(result: ExecutionResult, code: ExitCode, details: Details, *, as_json: bool) -> None:
    """To stdout: as JSON, or as lines. `details` gives the lines of what only this job's report has."""
    if as_json:
        found = result.report or {"status": result.status, "error": result.error, "cause": result.cause}
        print(json.dumps(found, indent=2))
        return
    lines = list(_lines(result, details))
    if not is_terminal(sys.stdout):
        print("\n".join((_heading(result), *(f"  {line}" for line in lines))))
        return
    out = console(sys.stdout)
    out.print(safe_text(_heading(result), _STYLES.get(code, "bold red")))
    for line in lines:
        out.print(safe_text(f"  {line}"), soft_wrap=True)


def _heading(result: ExecutionResult) -> str:
    outcome = result.report.get("outcome") or result.error or "no report"
    return f"{result.status.lower()}: {outcome}".replace("_", " ")


def _lines(result: ExecutionResult, details: Details) -> Iterator[str]:
    report = result.report
    if report.get("outcome") == "planned":
        yield from estimate_lines(report["estimate"])
    for name, count in report.get("counts", {}).items():
        if count:
            yield f"{name.replace('_', ' '):<18} {count:>12,}"
    for name in ("read_units", "units"):
        if report.get(name):
            yield f"{name.replace('_', ' '):<18} {report[name]:>12,.0f}"
    yield from details(report)
    yield from (text for text in (report.get("message"), report.get("reason"), result.cause) if text)
    if "running" in report:
        yield f"running: {report['running']}"
        yield "next: follow it with watch"
    if result.status in ("ABORTED", "TIMED_OUT"):
        yield "next: start it again; it goes on where it was"
    yield from (f"next: {advice}" for advice in report.get("next", ()))
    yield from (f"{name}: {link}" for name, link in report.get("links", {}).items())
