"""Generated passwords, kept in files that only their owner can read."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def password(file: Path) -> str:
    """Made once, the same ever after."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_privately(file, secrets.token_hex(16))
    return file.read_text()


def write_privately(file: Path, text: str) -> None:
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(file)
