"""The documents name only what exists: tests, files, headings and make targets."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README_LINES = 120
_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)|\b(?:src|srcset|href)=\"([^\"]+)\"")
# A command starts a line, or follows `$(`, a pipe, another command or the setting of a variable.
_TARGET = re.compile(r"(?:^`?|[(|&;]|[A-Z_]+=\S*) *make (?:-\S+ )*([a-z][a-z0-9-]*)", re.MULTILINE)


def documents() -> list[Path]:
    """Markdown files of the repository; folders of tools, such as `.venv`, are left out."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(path for path in found if not any(part[0] == "." and part != ".github" for part in path.parts))


def heading_anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to headings. A repeated heading gets a number."""
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in re.findall(r"^#+ +(.+?) *$", _FENCE.sub("", text), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return anchors


def links(text: str) -> list[str]:
    """Targets of links and pictures inside the repository."""
    found = ["".join(groups) for groups in _LINK.findall(_CODE.sub("", _FENCE.sub("", text)))]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def leads_nowhere(document: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = ROOT / document.parent / name if name else ROOT / document
    if not file.exists():
        return True
    return bool(anchor) and anchor not in heading_anchors(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", documents(), ids=str)
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = links((ROOT / document).read_text(encoding="utf-8"))

    assert [target for target in targets if leads_nowhere(document, target)] == []


@pytest.mark.parametrize(
    ("target", "nowhere"),
    [
        ("README.md", False),
        ("docs/architecture.md#the-live-path", False),
        ("docs/architecture.md#no-such-heading", True),
        ("docs/no-such-file.md", True),
        ("#no-such-heading", True),
    ],
)
def test_a_broken_link_is_found(target: str, nowhere: bool) -> None:
    assert leads_nowhere(Path("README.md"), target) is nowhere


def test_every_named_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = {document: (ROOT / document).read_text(encoding="utf-8") for document in documents()}
    named = {
        (str(document), target)
        for document, text in texts.items()
        for code in _FENCE.findall(text) + _CODE.findall(text)
        for target in _TARGET.findall(code)
    }

    assert named
    assert sorted(pair for pair in named if pair[1] not in targets) == []


def test_readme_fits_two_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


_PATH = re.compile(r"`((?:lambdas|scripts|tests|terraform|statemachines|docs|\.github)/[^`\s]*)`")


@pytest.mark.parametrize("document", documents(), ids=str)
def test_every_named_file_or_folder_exists(document: Path) -> None:
    """A part in angle brackets, such as `<type>`, stands for any name."""
    named = _PATH.findall((ROOT / document).read_text(encoding="utf-8"))

    assert [path for path in named if not any(ROOT.glob(re.sub(r"<\w+>", "*", path.rstrip("/"))))] == []


def test_contributing_names_files() -> None:
    assert len(_PATH.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))) > 10


@pytest.mark.parametrize(
    "package",
    [
        "common",
        "common/mysql",
        "dlq_replayer",
        "monitor",
        "reconciler",
        "reconciler/load",
        "reconciler/verify",
        "reconciler/seed",
        "reconciler/prune",
    ],
)
def test_the_map_names_every_module(package: str) -> None:
    named = set(re.findall(r"`(\w+\.py)`", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")))
    modules = {path.name for path in (ROOT / "lambdas" / package).glob("*.py")} - {"__init__.py"}

    assert modules
    assert sorted(modules - named) == []


def test_the_map_names_every_package() -> None:
    named = set(_PATH.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")))
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "lambdas").rglob("__init__.py")}

    assert packages
    assert sorted(packages - named) == []


def test_a_line_holds_one_sentence() -> None:
    """Outside tables and code, so that a diff shows which sentence changed."""
    lines = {
        (str(document), line)
        for document in documents()
        for line in _FENCE.sub("", (ROOT / document).read_text(encoding="utf-8")).splitlines()
        if not line.startswith(("|", "    ", "<"))
    }

    assert sorted(line for line in lines if re.search(r"[a-z`)][.!?] [A-Z`]", line[1])) == []


PROVEN = ("guarantees.md", "security.md")


def proofs(document: str) -> dict[str, set[str]]:
    """By row of a table whose last column is `proof`, the tests that the row names there."""
    found: dict[str, set[str]] = {}
    in_table = False
    for line in (ROOT / "docs" / document).read_text(encoding="utf-8").splitlines():
        if line.endswith("| proof |"):
            in_table = True
        elif not line.startswith("|"):
            in_table = False
        elif in_table and not line.startswith("|---"):
            found[line] = set(re.findall(r"`(\w+)`", line.rstrip(" |").rpartition(" | ")[2]))
    return found


def written_tests() -> set[str]:
    """Names of Python tests and their modules, and of the runs of `terraform test`."""
    sources = list((ROOT / "tests").rglob("test_*.py"))
    names = {name for source in sources for name in re.findall(r"def (test_\w+)", source.read_text())}
    runs = {
        name
        for source in (ROOT / "terraform").rglob("*.tftest.hcl")
        for name in re.findall(r'^run "(\w+)"', source.read_text(), re.MULTILINE)
    }
    return names | {source.stem for source in sources} | runs


@pytest.mark.parametrize("document", PROVEN)
def test_every_test_that_a_proof_names_exists(document: str) -> None:
    named = set().union(*proofs(document).values())
    named |= set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / document).read_text(encoding="utf-8")))

    assert named
    assert sorted(named - written_tests()) == []


@pytest.mark.parametrize("document", PROVEN)
def test_every_row_names_its_proof(document: str) -> None:
    rows = proofs(document)

    assert rows
    assert [row for row, names in rows.items() if not names] == []
