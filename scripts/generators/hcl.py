"""Terraform's files as parsed blocks."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import hcl2

TERRAFORM = Path(__file__).parents[2] / "terraform"
MODULES = tuple(sorted(folder for folder in (TERRAFORM / "modules").iterdir() if folder.is_dir()))
LABELS = {
    "data": 2,
    "locals": 0,
    "module": 1,
    "moved": 0,
    "output": 1,
    "provider": 1,
    "resource": 2,
    "terraform": 0,
    "variable": 1,
}
_OPTIONS = hcl2.SerializationOptions(with_comments=False, strip_string_quotes=True)


class Block(NamedTuple):
    """One block. An attribute that is an expression is a string in `${}`; a nested block is a list of mappings."""

    folder: Path
    kind: str
    labels: tuple[str, ...]
    attributes: dict[str, Any]


def parse(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = hcl2.loads(text, serialization_options=_OPTIONS)
    return parsed


@cache
def all_blocks(folder: Path) -> tuple[Block, ...]:
    """Every top-level block of the folder's .tf files, in the order of the files' names."""
    return tuple(
        Block(folder, kind, *_labelled(block, LABELS[kind]))
        for file in sorted(folder.glob("*.tf"))
        for kind, blocks in parse(file.read_text()).items()
        for block in blocks
    )


def blocks(kind: str, *labels: str, folder: Path | None = None) -> list[Block]:
    """All blocks of a kind whose labels begin with `labels`: of one folder, or of the root and every module."""
    folders = [folder] if folder else [TERRAFORM, *MODULES]
    return [
        block
        for searched in folders
        for block in all_blocks(searched)
        if block.kind == kind and block.labels[: len(labels)] == labels
    ]


def sections(text: str) -> dict[str, str]:
    """The section of each variable: the last comment before it that stands between two empty lines."""
    section, found = "", {}
    for comment, variable in re.findall(r'^(?:# (.+)\n\n|variable "(\w+)")', text, re.MULTILINE):
        section = comment or section
        if variable:
            found[variable] = section
    return found


def _labelled(block: dict[str, Any], count: int) -> tuple[tuple[str, ...], dict[str, Any]]:
    labels = []
    for _ in range(count):
        ((label, block),) = block.items()
        labels.append(label)
    return tuple(labels), block
