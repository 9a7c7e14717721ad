"""Runs `terraform test`: the wiring, with a mocked provider and no account."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hcl_blocks import TERRAFORM

from scripts.build import ROOT
from scripts.local.terraform import NEIGHBOURS
from scripts.tf_mirror import link_mirror

# The first version that mocks providers; the configuration itself needs 1.5.
MOCKS_SINCE = (1, 7)


def version() -> tuple[int, ...]:
    if not shutil.which("terraform"):
        return (0,)
    done = subprocess.run(["terraform", "version", "-json"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in json.loads(done.stdout)["terraform_version"].split("-")[0].split("."))


def terraform(folder: Path, *arguments: str) -> None:
    # Nothing of the user's: neither an emulator nor variables.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(version() < MOCKS_SINCE, reason="terraform test mocks providers from Terraform 1.7 on")
def test_the_wiring_holds(tmp_path: Path) -> None:
    """In a copy: Terraform leaves nothing in the sources."""
    folder = tmp_path / "terraform"
    shutil.copytree(TERRAFORM / "tests", folder / "tests")
    for source in TERRAFORM.glob("*.tf"):
        shutil.copy(source, folder)
    for neighbour in NEIGHBOURS:
        (tmp_path / neighbour).symlink_to(ROOT / neighbour)
    link_mirror(folder)
    terraform(folder, "init", "-backend=false")
    terraform(folder, "validate")
    terraform(folder, "test")
