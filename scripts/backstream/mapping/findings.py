"""What a check has found, for a person and for a script."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from backstream.errors import ExitCode
from backstream.terminal import console, is_terminal, safe_text


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # the pipeline would stop, or items would be lost from the table
    WARNING = "warning"  # it works; somebody should know
    OK = "ok"


_LABEL = 9  # characters of the longest word and a space
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.OK: "bold green"}


@dataclass(frozen=True)
class Finding:
    """`subject` is what it is about, such as "order.amount"; `hint` says what to do, and may be empty."""

    severity: Severity
    subject: str
    problem: str
    hint: str = ""


def error(subject: str, problem: str, hint: str = "") -> Finding:
    return Finding(Severity.ERROR, subject, problem, hint)


def warning(subject: str, problem: str, hint: str = "") -> Finding:
    return Finding(Severity.WARNING, subject, problem, hint)


def ok(subject: str, problem: str) -> Finding:
    return Finding(Severity.OK, subject, problem)


def exit_code(findings: Sequence[Finding]) -> ExitCode:
    return ExitCode.FAILED if any(one.severity is Severity.ERROR for one in findings) else ExitCode.DONE


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    """To stdout, with the counts on stderr."""
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=2))
        return
    out = console(sys.stdout) if is_terminal(sys.stdout) else None
    for one in findings:
        lines = [f"{one.subject}: {one.problem}", *filter(None, [one.hint])]
        for number, line in enumerate(lines):
            label = f"{one.severity:<{_LABEL}}" if number == 0 else " " * _LABEL
            if out:
                out.print(safe_text(label, _STYLES[one.severity]), safe_text(line), soft_wrap=True, sep="")
            else:
                print(label + line)
    counts = Counter(one.severity for one in findings)
    print(", ".join(f"{counts[severity]} {severity}" for severity in Severity), file=sys.stderr)
