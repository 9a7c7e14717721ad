"""What commands print: progress on stderr, failures with the end of their log, a row as a table."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LAST_LINES = 12
COUNTED_EVERY = 10  # seconds
SVG_WIDTH = 100  # characters
_printing = threading.Lock()


class StackError(Exception):
    """A step of the local stack failed: the reason, what to do, and the log with the details."""

    def __init__(self, reason: str, log: Path | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log

    def __str__(self) -> str:
        if self.log is None:
            return self.reason
        return f"{self.reason}\n{last_lines(self.log)}\nlog: {self.log}"


def last_lines(log: Path, count: int = LAST_LINES) -> str:
    if not log.exists():
        return "    (the log is empty)"
    lines = log.read_text(errors="replace").splitlines()[-count:]
    return "\n".join(f"    {line}" for line in lines)


def say(line: str) -> None:
    """On stderr: stdout is for results."""
    with _printing:
        print(line, file=sys.stderr, flush=True)


def discard_stdout() -> None:
    """After a BrokenPipeError: keeps Python from writing to the closed pipe again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def step(name: str) -> Iterator[None]:
    """Prints the step and its seconds, and puts its name before any StackError raised inside."""
    started = time.monotonic()
    say(f"  …    {name}")
    try:
        yield
    except StackError as error:
        raise StackError(f"{name}: {error.reason.removeprefix(f'{name}: ')}", error.log) from error
    say(f"  ok   {name} ({time.monotonic() - started:.1f} s)")


def in_parallel(*steps: Callable[[], None]) -> None:
    """Waits until all steps have ended, then raises the first failure: no step is left half-done."""
    with ThreadPoolExecutor(len(steps)) as pool:
        running = [pool.submit(each) for each in steps]
    for each in running:
        each.result()


def as_table(row: Mapping[str, Any]) -> str:
    texts = {name: str(value) for name, value in row.items()}
    widths = {name: max(len(name), len(text)) for name, text in texts.items()}
    rule = "+" + "+".join("-" * (width + 2) for width in widths.values()) + "+"
    head = _table_line({name: name for name in texts}, widths)
    return "\n".join([rule, head, rule, _table_line(texts, widths), rule])


def _table_line(texts: Mapping[str, str], widths: Mapping[str, int]) -> str:
    return "|" + "|".join(f" {texts[name]:<{width}} " for name, width in widths.items()) + "|"


class Narrator:
    """Prints numbered steps on stdout, and records them when an SVG is wanted.

    A counting line is overwritten on a terminal; elsewhere it is printed every ten seconds.
    """

    def __init__(self, title: str, svg: Path | None = None) -> None:
        self._title = title
        self._step = 0
        self._live = sys.stdout.isatty()
        self._counted = ""
        self._counted_at = 0.0
        self._svg = svg
        self._recording = _recording_console() if svg else None

    def step(self, text: str) -> None:
        self._step += 1
        self._print(f"\n{self._step}. {text}", "bold")

    def say(self, text: str) -> None:
        self._print(f"   {text}")

    def count(self, text: str) -> None:
        self._counted = f"   {text}"
        if self._live:
            print(f"\r{self._counted:<79}", end="", flush=True)
        elif time.monotonic() - self._counted_at >= COUNTED_EVERY:
            self._counted_at = time.monotonic()
            print(self._counted, flush=True)

    def end_of_count(self) -> None:
        if self._live:
            print(flush=True)
        self._record(self._counted)

    def save(self) -> None:
        if self._recording:
            self._recording.save_svg(str(self._svg), title=self._title)

    def _print(self, text: str, style: str = "") -> None:
        print(text, flush=True)
        self._record(text, style)

    def _record(self, text: str, style: str = "") -> None:
        if self._recording:
            # A long line, such as one with an ARN, is cut: wrapped lines are hard to read.
            self._recording.print(text, style=style, markup=False, highlight=False, no_wrap=True, overflow="ellipsis")


def _recording_console() -> Any:
    from rich.console import Console  # noqa: PLC0415 - for the picture alone

    return Console(record=True, width=SVG_WIDTH, file=io.StringIO())
