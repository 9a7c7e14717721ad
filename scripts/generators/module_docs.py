"""Generates the tables of requirements, inputs and outputs in the README.md of each Terraform module.

They have the format and the markers of `terraform-docs markdown table`.
Run `python -m scripts.generators` to write them.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

from scripts.generators.hcl import MODULES, Block, blocks

BEGIN, END = "<!-- BEGIN_TF_DOCS -->", "<!-- END_TF_DOCS -->"


@dataclass(frozen=True)
class ModuleReadme:
    folder: Path

    @property
    def OUTPUT(self) -> Path:  # noqa: N802 - the name that every generator has
        return self.folder / "README.md"

    def render(self) -> str:
        """Return the content of OUTPUT: its text with new tables between the markers."""
        before, rest = self.OUTPUT.read_text(encoding="utf-8").split(BEGIN)
        return f"{before}{BEGIN}\n{tables(self.folder)}{END}{rest.split(END)[1]}"


GENERATORS = [ModuleReadme(folder) for folder in MODULES]


def tables(folder: Path) -> str:
    (settings,) = blocks("terraform", folder=folder)
    (providers,) = settings.attributes["required_providers"]
    versions = {"terraform": settings.attributes["required_version"], "aws": providers["aws"]["version"]}
    parts = [
        _table(
            "Requirements", ("Name", "Version"), [[name, html.escape(version)] for name, version in versions.items()]
        ),
        _table("Inputs", ("Name", "Description", "Type", "Default", "Required"), _inputs(folder)),
        _table("Outputs", ("Name", "Description"), _outputs(folder)),
    ]
    return "\n".join(parts)


def _inputs(folder: Path) -> list[list[str]]:
    """Required ones first, then by name, as terraform-docs sorts them."""
    types = {block.labels[0]: block for block in blocks("variable", folder=folder)}
    ordered = sorted(types.values(), key=lambda block: ("default" in block.attributes, block.labels[0]))
    return [_input(block, (folder / "variables.tf").read_text(encoding="utf-8")) for block in ordered]


def _input(block: Block, source: str) -> list[str]:
    (name,), given = block.labels, block.attributes
    default = _code(json.dumps(given["default"], indent=2)) if "default" in given else "n/a"
    return [
        name,
        _cell(given["description"]),
        _code(_type(name, source)),
        default,
        "no" if "default" in given else "yes",
    ]


def _outputs(folder: Path) -> list[list[str]]:
    return [[block.labels[0], _cell(block.attributes["description"])] for block in blocks("output", folder=folder)]


def _type(name: str, source: str) -> str:
    """The type as the source has it: the parser changes the layout of objects."""
    found = re.search(
        rf'^variable "{name}" {{\n.*?^  type += (.+?)\n(?=  \w|\n|}}\n)', source, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise ValueError(f"no type of {name} in variables.tf")
    return found[1]


def _code(text: str) -> str:
    """Markdown code in one line; text with several lines as HTML."""
    if "\n" not in text:
        return f"`{text}`"
    return f"<pre>{_cell(html.escape(text, quote=False)).replace(chr(10), '<br/>')}</pre>"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(title: str, names: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [names, [":---:" if name == "Required" else "---" for name in names], *rows]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)
