from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.build import ROOT
from tests.support import alarm_plans, plan_variants
from tests.support.plans import Planned, copy_configuration, plan

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Runs the build script as a user does; answers with the folder it wrote."""

    def run(*options: str, cwd: Path = ROOT) -> Path:
        out = tmp_path_factory.mktemp("build")
        command = [sys.executable, str(ROOT / "scripts" / "build.py"), "--out", str(out), *options]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return out

    return run


@pytest.fixture(scope="session")
def built(build: Build) -> Path:
    return build()


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> list[Planned]:
    """The resources of every variant of the variables, which take half a minute to plan."""
    return plan(copy_configuration(tmp_path_factory.mktemp("planned")), plan_variants.VARIANTS)


@pytest.fixture(scope="session")
def planned_alarms(tmp_path_factory: pytest.TempPathFactory) -> list[Planned]:
    """The same of the variants that alarms and dashboard have. It takes a minute."""
    return plan(copy_configuration(tmp_path_factory.mktemp("planned")), alarm_plans.VARIANTS)
