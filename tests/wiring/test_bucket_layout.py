"""One module names every key of the failures bucket; Terraform names the same prefixes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import layout
from common.layout import (
    EXPIRED,
    EXPORTS,
    FAILED,
    HYDRATED,
    LOAD,
    PARKED,
    PRUNE,
    REPAIRED,
    REPLAY,
    REPLAYED,
    SEED,
    SEEDED,
    UNFINISHED,
    UNREADABLE,
    VERIFIED,
    VERIFY,
    ReplayKeys,
    RunKeys,
)  # fmt: skip
from scripts.build import ROOT
from scripts.generators.hcl import TERRAFORM, blocks

LAYOUT = ROOT / "lambdas" / "common" / "layout.py"
SOURCES = sorted({*(ROOT / "lambdas").rglob("*.py"), *(ROOT / "scripts" / "backstream").rglob("*.py")} - {LAYOUT})
PREFIXES = {value for value in vars(layout).values() if isinstance(value, str) and re.fullmatch(r"[a-z/]+/", value)}
KEYS = ReplayKeys("e")
OWN = {
    "start": KEYS.start,
    "report": KEYS.report,
    "page": KEYS.page,
    "hydrated": KEYS.hydrated,
    "expired": KEYS.expired,
    "hydrate problems": KEYS.hydrate_problems,
    "collect problems": KEYS.collect_problems("000001"),
    "settle problems": KEYS.settle_problems("000001"),
    "manifest": KEYS.manifest("000001"),
    "unreadable records": KEYS.unreadable("000001"),
    "segment": KEYS.segment(7, "000001"),
    "progress": KEYS.progress(7),
    "result": KEYS.result(7),
    "names": KEYS.names("00007/-ab"),
}
RUN = RunKeys("load", "r")
RUN_FILES = {
    "open run": layout.open_run_key("load"),
    "start": RUN.start,
    "report": RUN.report,
    "page": RUN.page,
    "lane": RUN.lane(3, 7),
    "waiting keys": RUN.waiting_part(3, 7, "0002-ab-000001"),
    "problems": RUN.problems_part(3, 7, "0003-ab-000001"),
}
FOLDERS = {key.split("/")[2] + "/" for key in (*OWN.values(), *RUN_FILES.values()) if key.count("/") > 2} | PREFIXES


def names(source: Path) -> Iterator[str]:
    """Strings of a file that are no sentences: without docstrings, and without white space.

    A log group of Lambda, /aws/lambda/<function>, begins with a slash, as no key does.
    """
    tree = ast.parse(source.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.search(r"^/|\s", node.value):
            yield node.value


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_no_other_module_spells_a_key(source: Path) -> None:
    assert [name for name in names(source) if any(folder in name for folder in FOLDERS)] == []


def test_the_check_finds_a_spelled_key(tmp_path: Path) -> None:
    (tmp_path / "spelled.py").write_text('"""Of aws/lambda/ here."""\nkey = f"{prefix}splits/{split}"\n')
    assert [name for name in names(tmp_path / "spelled.py") if name in FOLDERS] == ["splits/"]
    assert {"aws/lambda/", "quarantine/", "splits/", "begun/", "done/", "problems/"} <= FOLDERS
    assert {"load/", "lanes/", "waiting/"} <= FOLDERS


def test_the_keys_of_a_replay_stay_what_they_are() -> None:
    """A replay that is under way during an upgrade finds what it wrote."""
    assert {name: key.removeprefix("replay/e/") for name, key in OWN.items()} == {
        "start": "run.json",
        "report": "report.json",
        "page": "report.html",
        "hydrated": "hydrated/",
        "expired": "expired/",
        "hydrate problems": "problems/hydrate.json",
        "collect problems": "problems/collect-000001.json",
        "settle problems": "problems/settle-000001.json",
        "manifest": "manifest/000001.json",
        "unreadable records": "poison/000001.json",
        "segment": "splits/00007/000001.jsonl",
        "progress": "begun/00007.json",
        "result": "done/00007.json",
        "names": "named/00007/-ab.json",
    }


def test_the_keys_of_a_load_stay_what_they_are() -> None:
    """A load that was stopped before an upgrade goes on after it."""
    assert RUN_FILES == {
        "open run": "load/open.json",
        "start": "load/r/run.json",
        "report": "load/r/report.json",
        "page": "load/r/report.html",
        "lane": "load/r/lanes/0003-07.json",
        "waiting keys": "load/r/waiting/0003/07-0002-ab-000001.json",
        "problems": "load/r/problems/0003-07-0003-ab-000001.json",
    }


def test_a_stages_keys_begin_with_its_prefix() -> None:
    assert RUN.lane(3, 7).startswith(RUN.lanes_of(3))
    assert RUN.lanes_of(3).startswith(RUN.lanes)
    assert RUN.waiting_part(3, 7, "a").startswith(RUN.waiting(3))
    assert RUN.problems_part(3, 7, "0003-ab-000001").startswith(RUN.problems)


@pytest.mark.parametrize("split", [UNREADABLE, 0, 7, 1999])
def test_split_and_part_are_read_back_from_a_key(split: int) -> None:
    assert layout.split_of_result(KEYS.result(split)) == split
    part = layout.part_label(31)
    keys = (KEYS.segment(split, part), KEYS.manifest(part), KEYS.unreadable(part))
    assert {layout.part_of(key) for key in keys} == {part}


def test_only_unreadable_names_are_stored_by_part() -> None:
    unreadable, other = layout.names_file(UNREADABLE, "000001", "ab"), layout.names_file(3, "", "ab")
    assert [layout.may_name(unreadable, UNREADABLE, part) for part in ("000001", "000002")] == [True, False]
    assert [layout.may_name(other, 3, part) for part in ("000001", "000002")] == [True, True]


def test_lifecycle_rules_name_prefixes_of_the_layout() -> None:
    """What waits for a replay, a person or its next turn never expires."""
    (rules,) = blocks("resource", "aws_s3_bucket_lifecycle_configuration", "failures")
    filters = [rule["filter"][0] for rule in rules.attributes["rule"]]
    expiring = {given["prefix"] for given in filters if "prefix" in given}
    assert expiring == {REPLAYED, REPLAY, LOAD, VERIFY, EXPORTS, REPAIRED, SEED, PRUNE, UNFINISHED}
    assert not [prefix for prefix in expiring if prefix.startswith((FAILED, *PARKED, VERIFIED, SEEDED))]


def test_terraform_names_no_other_prefix() -> None:
    """Of the failures bucket, in policies and in the event that starts a replay."""
    text = "".join(file.read_text() for file in sorted(TERRAFORM.rglob("*.tf")))
    granted = set(re.findall(r"failures_bucket_arn\}/([^*\"]+)\*", text))
    assert {HYDRATED, LOAD, VERIFY, VERIFIED, EXPORTS, REPAIRED, SEED, SEEDED, PRUNE, UNFINISHED, *PARKED} <= granted
    assert granted <= PREFIXES | {layout.settled_key(EXPIRED), *layout.EVER_PARKED}
    (started_by,) = re.findall(r'object = \{ key = \[\{ prefix = "([^"]+)" \}\] \}', text)
    assert started_by == FAILED
