"""Lets Terraform find its provider in a local mirror, where a machine has one."""

from __future__ import annotations

import os
from pathlib import Path

REGISTRY = "registry.terraform.io"


def find_mirror() -> Path | None:
    """`TF_PLUGIN_MIRROR`, or a folder `tf-plugins` directly below any top-level directory."""
    named = os.environ.get("TF_PLUGIN_MIRROR")
    candidates = [Path(named)] if named else sorted(Path("/").glob("*/tf-plugins"))
    return next((folder for folder in candidates if (folder / REGISTRY).is_dir()), None)


def link_mirror(directory: Path) -> None:
    """Make a mirror the source of providers for the Terraform configuration in `directory`.

    `terraform.d/plugins` is one of Terraform's implied mirror directories: providers in it are taken from
    there and all others from the registry, so nothing has to be configured. Without a mirror nothing changes.
    """
    mirror = find_mirror()
    link = directory / "terraform.d" / "plugins"
    if mirror and not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(mirror, target_is_directory=True)
