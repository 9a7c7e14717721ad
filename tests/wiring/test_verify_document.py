"""docs/verify.md lists what a verification finds and what it takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from backstream import cli
from common.drift import SEED_OUTDATED, Kind
from reconciler.verify.readings import ITEM_REFUSED
from reconciler.verify.steps import VerifySteps

DOCUMENT = (Path(__file__).parents[2] / "docs" / "verify.md").read_text(encoding="utf-8")
# Options that start or follow a verification, and are no input of it.
_OF_THE_COMMAND = {"--help", "--no-wait", "--json", "--outputs", "--env", "--name", "--pipeline", "--region"}


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, each a list of cells. Words in code font are without it."""
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)[2:]
    return [[cell.strip().strip("`") for cell in row.split("|")] for row in rows]


def test_the_document_lists_each_kind_once() -> None:
    """Those of a comparison, and the two that only a verification reports."""
    kinds = [kind for kind, *_ in table("What it finds")]
    assert sorted(kinds) == sorted([*Kind, SEED_OUTDATED, ITEM_REFUSED])


def test_the_document_lists_each_field_of_the_input() -> None:
    declared = json.loads(VerifySteps.schema.read_text(encoding="utf-8"))["properties"]
    assert sorted(name for name, *_ in table("The input")) == sorted(declared)


def test_the_document_lists_each_option_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["verify", "start", "--help"])
    options = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert {option for _, option, *_ in table("The input")} == options - _OF_THE_COMMAND
