"""Look up known vulnerabilities of every locked package with pip-audit.

    python -m supply_chain.audit                     fail also when the service does not answer
    python -m supply_chain.audit --allow-no-answer   say that nothing was audited, and go on

pip-audit alone reports no vulnerability when its service knows none of the packages, as behind a mirror without that
data. So the service is asked first for a package whose vulnerabilities are known.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from supply_chain.exceptions import Accepted, ExceptionsError, read_exceptions
from supply_chain.lock import LOCKED, ROOT, LockError, parse_lock

EXCEPTIONS = ROOT / "audit-exceptions.toml"
# CVE-2020-1747 and CVE-2020-14343. It is asked for and never installed.
KNOWN_VULNERABLE = ("pyyaml", "5.3")

Release = tuple[str, str]  # normalised name and version


class NoAnswerError(Exception):
    """The service told nothing; the message says what it did instead."""


@dataclass(frozen=True)
class Vulnerability:
    """What the service knows of one release. `ids` are all its names; `fixed_in` may be empty."""

    package: str
    version: str
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        fix = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no version fixes it"
        return f"{self.package} {self.version} is vulnerable: {', '.join(self.ids)}; {fix}"


@dataclass(frozen=True)
class Answer:
    """`unknown` are releases that the service does not know, in the service's words."""

    vulnerabilities: tuple[Vulnerability, ...]
    unknown: tuple[str, ...]


Ask = Callable[[list[Release]], Answer]


def releases() -> list[Release]:
    """Every release in a lock, whatever its marker: each is installed somewhere. Raises LockError."""
    pins = [pin for lock in LOCKED.values() for pin in parse_lock((ROOT / lock).read_text())]
    return sorted({(pin.name, pin.version) for pin in pins})


def rounds(wanted: Iterable[Release]) -> list[list[Release]]:
    """pip-audit takes one version of a package at a time: later versions go into later rounds."""
    found: list[dict[str, str]] = []
    for name, version in wanted:
        free = next((one for one in found if name not in one), None)
        if free is None:
            found.append(free := {})
        free[name] = version
    return [list(one.items()) for one in found]


def parse_answer(output: str) -> Answer:
    """The JSON of pip-audit. Raises NoAnswerError for anything else."""
    try:
        dependencies = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError) as error:
        raise NoAnswerError("pip-audit printed no result") from error
    found = [
        Vulnerability(one["name"], one["version"], (each["id"], *each["aliases"]), tuple(each["fix_versions"]))
        for one in dependencies
        for each in one.get("vulns", [])
    ]
    return Answer(tuple(found), tuple(one["skip_reason"] for one in dependencies if "skip_reason" in one))


def ask_pip_audit(wanted: list[Release]) -> Answer:
    """Raises NoAnswerError."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{name}=={version}\n" for name, version in wanted)
        file.flush()
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "--format",
            "json",
            "--aliases",
            "on",
            "--progress-spinner",
            "off",
        ]
        command += ["--disable-pip", "--no-deps", "--requirement", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return parse_answer(done.stdout)
    except NoAnswerError as error:
        reason = done.stderr.rstrip().rpartition("\n")[2]  # the rest is a stack trace
        raise NoAnswerError(f"{error}: {reason}") from error


def require_answers(ask: Ask) -> None:
    """Raises NoAnswerError, also when the service does not know what it must know."""
    if not ask([KNOWN_VULNERABLE]).vulnerabilities:
        raise NoAnswerError(f"the service knows no vulnerability of {' '.join(KNOWN_VULNERABLE)}, which has some")


def audit(wanted: list[Release], ask: Ask) -> Answer:
    """Raises NoAnswerError."""
    answers = [ask(some) for some in rounds(wanted)]
    return Answer(
        tuple(found for answer in answers for found in answer.vulnerabilities),
        tuple(unknown for answer in answers for unknown in answer.unknown),
    )


def expired(accepted: Iterable[Accepted], today: date) -> list[str]:
    return [
        f"{one.id} of {one.package} was accepted until {one.expires}: update the package, or renew the exception"
        for one in accepted
        if one.has_expired(today)
    ]


def problems(answer: Answer, accepted: Iterable[Accepted]) -> list[str]:
    """What makes an audit fail: vulnerabilities without an exception, and what could not be audited."""
    accepted = list(accepted)
    return [
        *(
            str(found)
            for found in answer.vulnerabilities
            if not any(one.covers(found.package, found.ids) for one in accepted)
        ),
        *answer.unknown,
    ]


def main(arguments: list[str] | None = None, ask: Ask = ask_pip_audit, today: date | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--allow-no-answer", action="store_true", help="go on when the service does not answer")
    lenient = parser.parse_args(arguments).allow_no_answer
    found: list[str] = []
    try:
        accepted, wanted = read_exceptions(EXCEPTIONS), releases()
        found += expired(accepted, today or datetime.now(UTC).date())
        require_answers(ask)
        lenient = False  # a service that has answered once must answer for every release
        found += problems(audit(wanted, ask), accepted)
        print(f"audit: releases {len(wanted)}, problems {len(found)}, exceptions {len(accepted)}")
    except (ExceptionsError, LockError) as error:
        found.append(str(error))
    except NoAnswerError as error:
        print(f"audit: NOTHING WAS AUDITED: {error}", file=sys.stderr)
        found += [] if lenient else ["no answer: run it where PyPI itself can be reached"]
    for problem in found:
        print(f"audit: {problem}", file=sys.stderr)
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())
