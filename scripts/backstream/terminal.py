"""What a terminal shows in place of plain lines. A pipe gets plain lines, whatever the environment says."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.text import Text


def is_terminal(stream: TextIO) -> bool:
    """Decided by the stream alone: with FORCE_COLOR, rich would treat a pipe as a terminal."""
    return stream.isatty()


def console(stream: TextIO) -> Console:
    return Console(file=stream, highlight=False)


def safe_text(value: str, style: str = "") -> Text:
    """Text without markup and control characters: a key may hold either."""
    printable = "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in value)
    return Text(printable, style=style, overflow="fold")
