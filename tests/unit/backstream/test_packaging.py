"""`pip install .` brings a tool that runs with its own dependencies only."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from backstream import __version__
from scripts.build import ROOT

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_"))}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=Path("/"),
        env=CLEAN,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    asked = run(sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder / "index", "hatchling")
    if asked.returncode:
        pytest.skip(f"pip reaches no package index: {asked.stderr.strip()[-300:]}")
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands in a fresh venv."""
    venv = tmp_path_factory.mktemp("venv")
    made = run(sys.executable, "-m", "venv", venv)
    assert made.returncode == 0, made.stderr
    done = run(venv / "bin" / "python", "-m", "pip", "install", "--no-compile", wheel)
    assert done.returncode == 0, done.stderr
    return venv / "bin"


def test_the_wheel_holds_the_tool_and_common_only(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"backstream", "common"}
    assert {"backstream/commands/replay.py", "backstream/status/page.html", "common/layout.py"} <= set(names)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--version"], f"backstream {__version__}"),
        (["--help"], "replay"),
        (["replay", "--help"], "Exit codes:"),
        (["replay", "start", "--help"], "--max-batches"),
        (["mapping", "--help"], "Exit codes:"),
        (["shadow", "--help"], "Exit codes:"),
        (["completion", "zsh"], "#compdef backstream"),
    ],
)
def test_the_installed_command_runs(installed: Path, arguments: list[str], shown: str):
    done = run(installed / "backstream", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert shown in done.stdout


def test_the_installed_command_reads_a_deployment(installed: Path, tmp_path: Path):
    """It gets as far as AWS, here a closed port, so everything that a command imports is there."""
    outputs = tmp_path / "outputs.json"
    machine = "arn:aws:states:us-east-1:000000000000:stateMachine:m"
    outputs.write_text(
        f'{{"replay_state_machine_arn": "{machine}", "failures_bucket": "b", "endpoint_url": "http://127.0.0.1:9"}}'
    )
    done = run(installed / "backstream", "replay", "list", "--outputs", outputs)
    assert done.returncode == 1
    assert "AWS refused or did not answer" in done.stderr


def test_mapping_says_which_packages_it_needs(installed: Path):
    """The replay commands do without them."""
    done = run(installed / "backstream", "mapping", "ddl", ROOT / "mappings" / "orders.json")
    assert done.returncode == 2
    assert "backstream mapping needs the package" in done.stderr
    assert "pip install '.[mapping]'" in done.stderr


def test_mapping_needs_its_own_extra_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory):
    venv = tmp_path_factory.mktemp("extra")
    run(sys.executable, "-m", "venv", venv)
    done = run(venv / "bin" / "python", "-m", "pip", "install", "--no-compile", f"{wheel}[mapping]")
    assert done.returncode == 0, done.stderr
    for command in ("check", "ddl"):
        done = run(venv / "bin" / "backstream", "mapping", command, ROOT / "mappings" / "orders.json")
        assert done.returncode == 0, done.stderr
    assert "CREATE TABLE IF NOT EXISTS `tbl_orders`" in done.stdout
