"""Terraform's files as text blocks. `terraform fmt` makes the shape sure: a top-level block ends with a bare `}`."""

from __future__ import annotations

import re
from typing import NamedTuple

from scripts.build import ROOT

TERRAFORM = ROOT / "terraform"


class Block(NamedTuple):
    file: str
    kind: str
    labels: tuple[str, ...]
    body: str


def blocks(kind: str, *labels: str) -> list[Block]:
    """All blocks of a kind whose labels begin with `labels`."""
    found = []
    for file in sorted(TERRAFORM.glob("*.tf")):
        for head, body in re.findall(
            r"^(\w+(?: \"[^\"]+\")*) \{\n(.*?)^\}", file.read_text(), re.MULTILINE | re.DOTALL
        ):
            own_kind, *own = head.split(" ")
            own_labels = tuple(label.strip('"') for label in own)
            if own_kind == kind and own_labels[: len(labels)] == labels:
                found.append(Block(file.name, own_kind, own_labels, body))
    return found


def lists(block: Block, attribute: str) -> list[list[str]]:
    """Every list of strings that is given to `attribute` anywhere in the block, without its comments."""
    found = re.findall(rf"^\s*{attribute}\s*=\s*\[(.*?)\]", block.body, re.MULTILINE | re.DOTALL)
    return [re.findall(r'"((?:[^"\\]|\\.)*)"', inside) for inside in found]
