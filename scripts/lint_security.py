"""Runs checkov on the Terraform sources, and compares what fails with the exceptions that the sources declare.

An exception is a comment in the block that fails: `#checkov:skip=CKV_AWS_116:Why the check does not apply`. checkov
accepts one without a reason, and does not tell when one is not needed any more. So it runs on a copy without these
comments, and every failure needs an exception, and every exception a failure.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.local_stack.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCE = REPOSITORY / "terraform"
CHECKOV = REPOSITORY / ".venv-checkov" / "bin" / "checkov"
LEAST_WORDS = 4  # of a reason
_SKIP = re.compile(r"#\s*(?:checkov|bridgecrew):skip=(\w+)(?::(.*))?")


class Failure(NamedTuple):
    """A check that a block fails. `first` and `last` are its lines, counted from 1."""

    check: str
    name: str
    file: str
    first: int
    last: int
    resource: str


class Exemption(NamedTuple):
    check: str
    file: str
    line: int
    reason: str


def exemptions(file: str, text: str) -> list[Exemption]:
    """The exceptions that a source declares, in its order."""
    return [
        Exemption(found[1], file, line, (found[2] or "").strip())
        for line, content in enumerate(text.splitlines(), start=1)
        for found in _SKIP.finditer(content)
    ]


def failures(report: Any) -> set[Failure]:
    """What fails in checkov's JSON report. A module that is called several times fails once."""
    reports = report if isinstance(report, list) else [report]
    return {
        Failure(
            failed["check_id"],
            failed["check_name"],
            failed["file_path"].lstrip("/"),
            failed["file_line_range"][0],
            failed["file_line_range"][1],
            re.sub(r'^(module\.\w+(\["[^"]*"\])?\.)*|\[.*', "", failed["resource"]),
        )
        for one in reports
        for failed in one["results"]["failed_checks"]
    }


def problems(failed: Iterable[Failure], exempted: Iterable[Exemption]) -> list[str]:
    """Messages, one for each failure without an exception, and for each exception without a failure or a reason."""
    failed, exempted = sorted(failed), sorted(exempted, key=lambda one: (one.file, one.line))
    return [
        *(
            f"terraform/{one.file}:{one.first}: {one.resource} fails {one.check} ({one.name}). Correct it, or explain "
            f"in the block why it does not apply: #checkov:skip={one.check}:<reason>"
            for one in failed
            if not any(_covers(skip, one) for skip in exempted)
        ),
        *(
            f"terraform/{skip.file}:{skip.line}: the block no longer fails {skip.check}. Remove the exception."
            for skip in exempted
            if not any(_covers(skip, one) for one in failed)
        ),
        *(
            f"terraform/{skip.file}:{skip.line}: {skip.check} is skipped without a reason. Say why it does not apply."
            for skip in exempted
            if len(skip.reason.split()) < LEAST_WORDS
        ),
    ]


def _covers(skip: Exemption, failed: Failure) -> bool:
    return (skip.check, skip.file) == (failed.check, failed.file) and failed.first <= skip.line <= failed.last


def main() -> int:
    """Print the problems. Return the exit code: 0 when there is none."""
    if not CHECKOV.exists():
        print(f"{CHECKOV} does not exist: run `make checkov`, which installs it", file=sys.stderr)
        return 1
    sources = {str(path.relative_to(SOURCE)): path.read_text() for path in sorted(SOURCE.rglob("*.tf"))}
    found = problems(
        failures(_report(sources)), [one for file, text in sources.items() for one in exemptions(file, text)]
    )
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


def _report(sources: dict[str, str]) -> Any:
    """Checkov's report on the sources without their exceptions. Raises RuntimeError when checkov gives none."""
    with tempfile.TemporaryDirectory() as scratch:
        for file, text in sources.items():
            copy = Path(scratch, "terraform", file)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(_SKIP.sub("#", text))
        # checkov reads a configuration from the home and the current folder. --skip-download: it needs no network.
        command = [
            str(CHECKOV),
            "-d",
            "terraform",
            "--framework",
            "terraform",
            "--skip-download",
            "--compact",
            "-o",
            "json",
        ]
        done = subprocess.run(
            command, cwd=scratch, env={**os.environ, "HOME": scratch}, capture_output=True, text=True, check=False
        )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"checkov gave no report (exit code {done.returncode}): {done.stderr[-2000:]}") from None
    _require_whole(report)
    return report


def _require_whole(report: Any) -> None:
    """Raises RuntimeError where checkov could not read a source, or found nothing to check."""
    summary = report.get("summary", {}) if isinstance(report, dict) else {}
    if not summary.get("resource_count") or summary.get("parsing_errors"):
        raise RuntimeError(f"checkov did not read all of terraform/: {summary or report}")


if __name__ == "__main__":
    sys.exit(main())
