"""Spans: the parts of an invocation that a trace shows. Code that makes spans gets the function, and no tracer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

# Gives the context of a part with this name. It takes no values: a trace must not hold any.
Span = Callable[[str], AbstractContextManager[None]]

OFF: AbstractContextManager[None] = nullcontext()


def no_span(_name: str) -> AbstractContextManager[None]:
    """The spans of code that no trace shows."""
    return OFF
