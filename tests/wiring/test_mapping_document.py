"""docs/mapping.md shows the files, items and rows that work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from backstream import prepare_lint
from common import mapping as declared
from common.mysql import registry, sidecar
from common.records import parse_records
from tests.support import examples


@pytest.mark.parametrize("file", examples.FILES, ids=lambda file: file.stem)
def test_the_document_shows_each_mapping_file(file: Path) -> None:
    assert file.read_text(encoding="utf-8") in examples.blocks("json")


@pytest.mark.parametrize("file", examples.FILES, ids=lambda file: file.stem)
def test_the_build_accepts_each_example(file: Path) -> None:
    assert declared.check_file(file) == []


def test_every_entity_of_an_example_has_a_sample() -> None:
    entities = {
        (str(file.relative_to(examples.ROOT / "mappings").with_suffix("")), name)
        for file in examples.FILES
        for name in json.loads(file.read_text(encoding="utf-8"))["entities"]
    }

    assert {(sample["mapping"], sample["entity"]) for sample in examples.SAMPLES} == entities


@pytest.mark.parametrize("sample", examples.SAMPLES, ids=lambda sample: sample["table"])
def test_the_document_shows_each_sample(sample: dict[str, Any]) -> None:
    shown = [json.loads(block) for block in examples.blocks("json")]

    assert sample["item"] in shown
    assert sample["row"] in shown


@pytest.mark.parametrize("sample", examples.SAMPLES, ids=lambda sample: sample["table"])
def test_each_sample_becomes_the_row_that_is_shown(sample: dict[str, Any]) -> None:
    mapping = examples.load(sample["mapping"])

    batch = parse_records([examples.record(mapping, sample["item"], 1)], mapping)

    [change] = batch.changes
    entity = mapping.entities[change.entity]
    assert change.row is not None
    row = dict(zip([column.name for column in entity.columns], change.row, strict=True))
    assert (entity.name, entity.table) == (sample["entity"], sample["table"])
    assert row == examples.exact(row, sample["row"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("INV/2026/01017", "the same row as INV/2026/1017"),
        ("INV/2026", "no number"),
        ("INV/1980/1", "a year too early"),
    ],
)
def test_an_invoice_whose_key_does_not_fit_is_poison(text: str, reason: str) -> None:
    mapping = examples.load("examples/invoices")
    [sample] = [one for one in examples.SAMPLES if one["table"] == "invoices"]
    item = sample["item"] | {"invoice": {"S": text}}

    batch = parse_records([examples.record(mapping, item, 1)], mapping)

    assert len(batch.parked) == 1, reason


def test_the_document_lists_the_modules_of_a_prepare_file() -> None:
    [line] = re.findall(r"^- It may import these modules, and no others: (.+)\.$", examples.DOCUMENT, re.MULTILINE)

    assert re.findall(r"`([^`]+)`", line) == sorted(prepare_lint.MODULES)


def test_the_document_shows_the_migration_of_the_sidecar() -> None:
    statements = [" ".join(block.split()).rstrip(";") for block in examples.blocks("sql")]

    assert sidecar.TABLE.migration in statements
    assert registry.SOURCES_TABLE.migration in statements
    assert f"ALTER TABLE {registry.SOURCES} DROP KEY {registry.FORMER_KEY}" in statements


def test_the_prepare_function_of_the_document_works() -> None:
    [text] = examples.blocks("python")
    functions: dict[str, Any] = {}
    exec(text, functions)

    item = {"pk": "1", "first_name": "Ada", "last_name": "Byron"}
    assert functions["prepare"](item)["name"] == "Ada Byron"
    assert functions["prepare"](item | {"archived": True}) is None
