"""What all commands share: options, completion, and what the tool may import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backstream import __version__, cli
from backstream.commands import COMMANDS, replay
from scripts.build import ROOT

SHELLS = ["bash", "zsh", "fish"]
# All that the wheel's dependencies bring. Everything else must not be needed.
BLOCKED = ["pymysql", "msgspec", "jsonschema", "aws_lambda_powertools", "aws_xray_sdk", "certifi", "trustme", "moto"]
BLOCKED += ["scripts", "tests", "api", "stream_consumer", "dlq_replayer"]


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Of each started replay."""
    seen: list[Any] = []
    monkeypatch.setattr(replay, "deployment_of", seen.append)
    monkeypatch.setattr(replay, "_start", lambda *_: 0)
    return seen


@pytest.mark.parametrize(
    "arguments",
    [
        ["--outputs", "list", "replay"],
        ["replay", "--outputs", "list"],
        ["replay", "--outputs", "list", "start"],
        ["replay", "start", "--outputs", "list"],
        ["--outputs", "other", "replay", "start", "--outputs", "list"],
    ],
)
def test_shared_options_stand_anywhere(options: list[Any], arguments: list[str]):
    """The last one wins. A value that is also the name of a command is a value."""
    assert cli.main(arguments) == 0
    assert [(one.outputs, one.json) for one in options] == [("list", None)]


def test_a_key_may_be_named_like_a_command(options: list[Any]):
    assert cli.main(["replay", "--key", "list"]) == 0
    assert options[0].keys == ["list"]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--version"], f"backstream {__version__}"),
        (["--help"], "completion"),
        (["replay", "--help"], "Exit codes:"),
        (["status", "--help"], "Exit codes (--watch and --page end with Ctrl-C and 0):"),
        (["replay", "start", "--help"], "--max-batches"),
        (["mapping", "--help"], "Nothing is changed"),
        (["mapping", "draft", "--help"], "--like"),
        (["replay", "--dry-run", "--help"], "--max-batches"),
    ],
)
def test_help_and_version_end_with_zero(capsys: Any, arguments: list[str], shown: str):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_command_and_option(capsys: Any, shell: str):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (
        "replay",
        "watch",
        "discard",
        "outputs",
        "include-quarantine",
        "mapping",
        "explain",
        "like",
        "sidecar",
    ):
        assert word in script


def test_bash_completes_commands_and_options(capsys: Any):
    cli.main(["completion", "bash"])
    script = capsys.readouterr().out

    def complete(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        code = (
            f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _shtab_backstream; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        command = ["bash", "--norc", "-c", f"{script}\n{code}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert complete("backstream", "rep") == ["replay"]
    assert complete("backstream", "status", "--pa") == ["--page"]
    assert complete("backstream", "replay", "wa") == ["watch"]
    assert complete("backstream", "replay", "start", "--dry") == ["--dry-run"]
    assert complete("backstream", "mapping", "dr") == ["draft"]
    assert complete("backstream", "mapping", "ddl", "--side") == ["--sidecar"]


def test_the_tool_needs_its_own_dependencies_only():
    """No function package, no other script, and nothing that only the functions or the tests install."""
    code = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED})); import backstream.cli"
    path = os.pathsep.join(str(ROOT / name) for name in ("scripts", "lambdas"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path("/"),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_command_says_how_to_run_it():
    parser = cli.build_parser()
    parsed = [
        parser.parse_args(arguments)
        for arguments in (
            ["status"],
            ["replay"],
            ["load"],
            ["verify"],
            ["seed"],
            ["prune"],
            ["shadow", "8f14"],
            ["mapping", "ddl", "orders"],
            ["completion", "bash"],
        )
    ]
    assert len(parsed) == len(COMMANDS)
    assert all(callable(one.run) for one in parsed)
