"""The AWS provider for the tests of Terraform: downloaded once, and started once for many plans."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.local_stack.settings import read_settings
from scripts.local_stack.terraform import link_mirror, plugin_cache


def environment() -> dict[str, str]:
    """Without the user's AWS settings and Terraform variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}


def run_terraform(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        ["terraform", *arguments],
        cwd=folder,
        env=environment() if env is None else env,
        capture_output=True,
        text=True,
        check=False,
    )
    # `-verbose` prints the whole schema of the provider with every plan, so only the errors are shown of that.
    shown = [line for line in done.stdout.splitlines() if "rror" in line[:200]] if "-json" in arguments else done.stdout
    assert done.returncode == 0, f"{shown}\n{done.stderr}"
    return done.stdout


def initialise(folder: Path, *options: str) -> None:
    """Takes the provider that `make lint` or an earlier test has downloaded."""
    link_mirror(folder)
    cached = plugin_cache(read_settings({}).cache)
    # Terraform does not lock this folder itself.
    with Path(cached["TF_PLUGIN_CACHE_DIR"], "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_terraform(folder, "init", "-lockfile=readonly", "-no-color", *options, env=environment() | cached)


@contextmanager
def running_provider(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which Terraform takes this process. In `folder`, which is initialised.

    Terraform starts the provider two or three times for each `run` of a test otherwise, which is a third of the work.
    Source: https://developer.hashicorp.com/terraform/plugin/debugging#running-terraform-with-a-provider-in-debug-mode
    """
    (binary,) = (folder / ".terraform" / "providers").glob("*/*/aws/*/*/terraform-provider-aws*")
    command, unread = [str(binary), "-debug"], subprocess.DEVNULL
    with subprocess.Popen(
        command, env=environment(), stdin=unread, stdout=subprocess.PIPE, stderr=unread, text=True
    ) as provider:
        try:
            yield environment() | {"TF_REATTACH_PROVIDERS": _address(provider)}
        finally:
            provider.send_signal(signal.SIGINT)


def _address(provider: subprocess.Popen[str]) -> str:
    assert provider.stdout
    for line in provider.stdout:
        if found := re.search(r"TF_REATTACH_PROVIDERS='(.+)'", line):
            return found[1]
    raise AssertionError("the provider has not started")
