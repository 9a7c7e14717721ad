"""What `make checkov` makes of checkov's report: each failure is explained in its block, and nothing else is."""

from __future__ import annotations

import json

import pytest

from scripts import lint_security
from scripts.lint_security import Exemption, Failure, exemptions, failures, problems

FAILED = Failure("CKV_AWS_116", "a dead-letter queue", "main.tf", 10, 30, "aws_lambda_function.one")
REASON = "Only asynchronous calls have such a queue"
EXPLAINED = Exemption("CKV_AWS_116", "main.tf", 11, REASON)


def test_a_failure_with_a_reason_in_its_block_passes() -> None:
    assert problems([FAILED], [EXPLAINED]) == []


def test_a_failure_without_an_exception_is_reported() -> None:
    """With the place, the check, and the way out."""
    (message,) = problems([FAILED], [])
    assert message == (
        "terraform/main.tf:10: aws_lambda_function.one fails CKV_AWS_116 (a dead-letter queue). Correct it, or explain "
        "in the block why it does not apply: #checkov:skip=CKV_AWS_116:<reason>"
    )


@pytest.mark.parametrize("reason", ["", "not needed", "we skip this"])
def test_an_exception_needs_a_reason(reason: str) -> None:
    assert problems([FAILED], [EXPLAINED._replace(reason=reason)]) == [
        "terraform/main.tf:11: CKV_AWS_116 is skipped without a reason. Say why it does not apply."
    ]


def test_an_exception_that_is_not_needed_any_more_is_reported() -> None:
    assert problems([], [EXPLAINED]) == [
        "terraform/main.tf:11: the block no longer fails CKV_AWS_116. Remove the exception."
    ]


@pytest.mark.parametrize(
    "elsewhere",
    [{"line": 9}, {"line": 31}, {"file": "other.tf"}, {"check": "CKV_AWS_117"}],
    ids=["before", "after", "file", "check"],
)
def test_an_exception_covers_only_its_check_and_block(elsewhere: dict[str, object]) -> None:
    assert len(problems([FAILED], [EXPLAINED._replace(**elsewhere)])) == 2


@pytest.mark.parametrize("line", [10, 30])
def test_an_exception_may_be_anywhere_in_its_block(line: int) -> None:
    assert problems([FAILED], [EXPLAINED._replace(line=line)]) == []


def test_the_exceptions_of_a_source_are_its_comments() -> None:
    text = """resource "a" "b" {
  #checkov:skip=CKV_AWS_1:One: with a colon
  # checkov:skip=CKV2_AWS_2
  # bridgecrew:skip=CKV_AWS_3:The older spelling of it
}"""
    assert exemptions("x.tf", text) == [
        Exemption("CKV_AWS_1", "x.tf", 2, "One: with a colon"),
        Exemption("CKV2_AWS_2", "x.tf", 3, ""),
        Exemption("CKV_AWS_3", "x.tf", 4, "The older spelling of it"),
    ]


def test_a_module_that_is_called_twice_fails_once() -> None:
    calls = ["module.one.aws_x.y", 'module.pipeline["shop"].aws_x.y["key"]', "aws_x.y"]
    report = {
        "results": {
            "failed_checks": [
                {
                    "check_id": "CKV_AWS_1",
                    "check_name": "n",
                    "file_path": "/m.tf",
                    "file_line_range": [1, 2],
                    "resource": call,
                }
                for call in calls
            ]
        }
    }
    assert failures(report) == failures([report]) == {Failure("CKV_AWS_1", "n", "m.tf", 1, 2, "aws_x.y")}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Traceback",
        json.dumps({"summary": {"resource_count": 3, "parsing_errors": 1}}),
        json.dumps({"passed": 0, "failed": 0, "resource_count": 0}),
        "[]",
    ],
    ids=["nothing", "text", "unread source", "no resources", "no report"],
)
def test_a_report_that_is_not_whole_is_an_error(tmp_path, monkeypatch, answer: str) -> None:
    """It would pass otherwise, because nothing fails in it."""
    checkov = tmp_path / "checkov"
    checkov.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    checkov.chmod(0o755)
    monkeypatch.setattr(lint_security, "CHECKOV", checkov)
    with pytest.raises(RuntimeError, match="checkov"):
        lint_security.main()


def test_a_missing_checkov_is_an_error(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(lint_security, "CHECKOV", tmp_path / "checkov")
    assert lint_security.main() == 1
    assert "run `make checkov`" in capsys.readouterr().err
