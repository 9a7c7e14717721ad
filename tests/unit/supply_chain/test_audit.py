"""A vulnerable package fails the audit, and an audit without an answer never passes as one with an answer."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from packaging.version import Version
from pip_audit._format import JsonFormat
from pip_audit._service import ResolvedDependency, SkippedDependency, VulnerabilityResult

from supply_chain import audit
from supply_chain.audit import (
    KNOWN_VULNERABLE,
    Answer,
    NoAnswerError,
    Vulnerability,
    ask_pip_audit,
    parse_answer,
    rounds,
)
from supply_chain.exceptions import Accepted, ExceptionsError, read_exceptions

PROOF = Vulnerability("pyyaml", "5.3", ("PYSEC-2021-142", "CVE-2020-14343"), ("5.4",))
HOLE = Vulnerability("click", "8.2.0", ("PYSEC-2026-1", "CVE-2026-1"), ())
EXCEPTION = '[[exception]]\npackage = "Click"\nid = "CVE-2026-1"\nreason = "It is not called."\nexpires = 2026-12-31\n'


class Service:
    """Answers as pip-audit does, and notes what it was asked."""

    def __init__(self, *found: Vulnerability, proof: bool = True, unknown: tuple[str, ...] = ()):
        self.found, self.proof, self.unknown = found, proof, unknown
        self.asked: list[list[audit.Release]] = []

    def __call__(self, wanted: list[audit.Release]) -> Answer:
        self.asked.append(wanted)
        if wanted == [KNOWN_VULNERABLE]:
            return Answer((PROOF,) if self.proof else (), ())
        return Answer(self.found, self.unknown)


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with three small locks and no exception."""
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    monkeypatch.setattr(audit, "EXCEPTIONS", tmp_path / "audit-exceptions.toml")
    (tmp_path / "requirements.txt").write_text("click==8.2.0 ; sys_platform == 'win32'\n")
    (tmp_path / "requirements-dev.txt").write_text("click==8.2.0\nrich[x]==15.0.0\n")
    (tmp_path / "requirements-checkov.txt").write_text("rich==15.0.0\n")
    (tmp_path / "audit-exceptions.toml").write_text("")
    return tmp_path


def test_every_release_of_all_locks_is_asked_for_once(locks: Path) -> None:
    """Whatever its marker and extras."""
    service = Service()

    assert audit.main([], service) == 0
    assert service.asked == [[KNOWN_VULNERABLE], [("click", "8.2.0"), ("rich", "15.0.0")]]


def test_two_versions_of_a_package_are_asked_for_apart() -> None:
    assert rounds([("a", "1"), ("a", "2"), ("b", "1"), ("a", "3")]) == [
        [("a", "1"), ("b", "1")],
        [("a", "2")],
        [("a", "3")],
    ]


def test_each_version_of_a_package_is_judged() -> None:
    def ask(wanted: list[audit.Release]) -> Answer:
        return Answer((HOLE,), ("gone",)) if ("click", "8.2.0") in wanted else Answer((), ())

    for wanted in ([("click", "8.1.0"), ("click", "8.2.0")], [("click", "8.2.0"), ("click", "8.3.0")]):
        assert audit.audit(wanted, ask) == Answer((HOLE,), ("gone",))


@pytest.mark.parametrize("arguments", [[], ["--allow-no-answer"]])
def test_a_vulnerability_fails_the_audit(arguments: list[str], locks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(arguments, Service(HOLE)) == 1
    assert "click 8.2.0 is vulnerable: PYSEC-2026-1, CVE-2026-1; no version fixes it" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--allow-no-answer"]])
def test_a_release_that_the_service_does_not_know_fails(
    arguments: list[str], locks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the service answers for others, the release was removed from PyPI."""
    assert audit.main(arguments, Service(unknown=("rich is not found",))) == 1
    assert "audit: rich is not found" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "code"), [([], 1), (["--allow-no-answer"], 0)])
def test_a_service_that_knows_nothing_is_no_answer(
    arguments: list[str], code: int, locks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a mirror without vulnerabilities, or one that answers for every package that it has none."""
    service = Service(proof=False)

    assert audit.main(arguments, service) == code
    assert service.asked == [[KNOWN_VULNERABLE]]
    assert "NOTHING WAS AUDITED" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "code"), [([], 1), (["--allow-no-answer"], 0)])
def test_a_service_that_fails_is_no_answer(arguments: list[str], code: int, locks: Path) -> None:
    def fail(wanted: list[audit.Release]) -> Answer:
        raise NoAnswerError("it is down")

    assert audit.main(arguments, fail) == code


@pytest.mark.parametrize("arguments", [[], ["--allow-no-answer"]])
def test_a_service_that_answers_once_must_go_on(arguments: list[str], locks: Path) -> None:
    """Else a release that makes pip-audit fail would hide every vulnerability."""

    def fail_later(wanted: list[audit.Release]) -> Answer:
        if wanted != [KNOWN_VULNERABLE]:
            raise NoAnswerError("it is down")
        return Answer((PROOF,), ())

    assert audit.main(arguments, fail_later) == 1


def test_an_accepted_vulnerability_passes(locks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (locks / "audit-exceptions.toml").write_text(EXCEPTION)

    assert audit.main([], Service(HOLE), date(2026, 12, 31)) == 0
    assert capsys.readouterr().out == "audit: releases 2, problems 0, exceptions 1\n"


@pytest.mark.parametrize(("old", "new"), [('"Click"', '"rich"'), ("CVE-2026-1", "CVE-2026-2")])
def test_an_exception_is_for_one_package_and_one_hole(old: str, new: str, locks: Path) -> None:
    (locks / "audit-exceptions.toml").write_text(EXCEPTION.replace(old, new))
    assert audit.main([], Service(HOLE), date(2026, 12, 31)) == 1


@pytest.mark.parametrize("service", [Service(), Service(HOLE), Service(proof=False)], ids=["none", "hole", "no answer"])
def test_an_expired_exception_fails(service: Service, locks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where nobody can be asked."""
    (locks / "audit-exceptions.toml").write_text(EXCEPTION)

    assert audit.main(["--allow-no-answer"], service, date(2027, 1, 1)) == 1
    assert "CVE-2026-1 of click was accepted until 2026-12-31" in capsys.readouterr().err


def test_an_exception_holds_until_the_end_of_its_day() -> None:
    accepted = Accepted("click", "CVE-2026-1", "It is not called.", date(2026, 11, 30))
    assert not accepted.has_expired(date(2026, 11, 30))
    assert accepted.has_expired(date(2026, 12, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('reason = "It is not called."\n', "", "exception 1 must have expires, id, package, reason and nothing else"),
        ("reason", "why", "must have expires, id, package, reason"),
        ("package", 'owner = "nobody"\npackage', "exception 1 must have expires, id, package, reason and nothing else"),
        ('"It is not called."', '" "', "exception 1: reason must be a text that is not empty"),
        ("2026-12-31", '"2026-12-31"', "expires must be a date"),
        ("2026-12-31", "2026-12-31T00:00:00", "expires must be a date"),
        ("[[exception]]", "[[exceptions]]", r"every table is an \[\[exception\]\]"),
        ("[[exception]]", "[[exception", "audit-exceptions.toml: "),
    ],
)
def test_an_exception_says_why_and_until_when(old: str, new: str, message: str, locks: Path) -> None:
    file = locks / "audit-exceptions.toml"
    file.write_text(EXCEPTION.replace(old, new))

    with pytest.raises(ExceptionsError, match=message):
        read_exceptions(file)
    assert audit.main(["--allow-no-answer"], Service(), date(2026, 12, 31)) == 1


def test_what_pip_audit_prints_is_read() -> None:
    """In the words of pip-audit's own formatter."""
    known = VulnerabilityResult.create(["PYSEC-2026-1", "CVE-2026-1"], "What it is.", [Version("8.3")], None)
    found = {
        ResolvedDependency("click", Version("8.2.0")): [known],
        ResolvedDependency("rich", Version("15.0.0")): [],
        SkippedDependency("own", "own is not found"): [],
    }
    assert parse_answer(JsonFormat(output_desc=True, output_aliases=True).format(found, [])) == Answer(
        (Vulnerability("click", "8.2.0", ("PYSEC-2026-1", "CVE-2026-1"), ("8.3",)),), ("own is not found",)
    )


def test_pip_audit_that_reaches_nobody_is_no_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path))
    with pytest.raises(NoAnswerError, match=r"printed no result: .*127\.0\.0\.1") as told:
        ask_pip_audit([KNOWN_VULNERABLE])
    assert "\n" not in str(told.value), "a line, and no stack trace"


@pytest.mark.parametrize("output", ["", "No known vulnerabilities found", "[]", "{}"])
def test_other_output_is_no_answer(output: str) -> None:
    with pytest.raises(NoAnswerError):
        parse_answer(output)


def test_the_exceptions_of_this_repository_can_be_read() -> None:
    assert all(accepted.reason for accepted in read_exceptions(audit.ROOT / "audit-exceptions.toml"))
