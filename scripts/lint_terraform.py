"""Checks Terraform's format and validity without an account, a backend or state."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.local_stack.emulator import aws_environment
from scripts.local_stack.settings import read_settings
from scripts.local_stack.terminal import StackError
from scripts.local_stack.terraform import SOURCE, advice, copy_configuration, plugin_cache


def main() -> int:
    formatted = subprocess.run(["terraform", "fmt", "-check", "-diff", "-recursive", SOURCE], check=False)
    with tempfile.TemporaryDirectory() as scratch:
        return formatted.returncode or _validate(Path(scratch, "terraform"))


def _validate(folder: Path) -> int:
    """In a copy: nothing is downloaded into the sources."""
    try:
        copy_configuration(folder)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    shutil.copytree(SOURCE / "tests", folder / "tests")
    for command in (["init", "-backend=false"], ["validate"]):
        code = _quietly(["terraform", *command, "-no-color"], folder)
        if code:
            return code
    return 0


def _quietly(command: list[str], folder: Path) -> int:
    environment = {**aws_environment("", os.environ), **plugin_cache(read_settings().cache)}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        print(done.stdout + advice(done.stdout))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
