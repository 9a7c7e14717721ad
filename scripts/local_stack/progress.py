"""One line per step on stderr, with its seconds: stdout belongs to results."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scripts.local_stack.failure import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_printing = threading.Lock()


def say(line: str) -> None:
    with _printing:
        print(line, file=sys.stderr, flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Names the step in whatever goes wrong inside."""
    started = time.monotonic()
    say(f"  …    {name}")
    try:
        yield
    except StackError as error:
        raise StackError(f"{name}: {error.reason.removeprefix(f'{name}: ')}", error.log) from error
    say(f"  ok   {name} ({time.monotonic() - started:.1f} s)")


def side_by_side(*steps: Callable[[], None]) -> None:
    """Runs them all at once; the first failure is raised when all have ended, so that none is left half-way."""
    with ThreadPoolExecutor(len(steps)) as pool:
        running = [pool.submit(each) for each in steps]
    for each in running:
        each.result()
