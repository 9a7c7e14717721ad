"""The environment of a function as one frozen object, checked whole at cold start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, TypeVar

C = TypeVar("C")


class ConfigError(Exception):
    """The environment lacks a required variable or holds a bad value; names every one of them."""


def text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def flag(value: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[value.strip().lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError(f"must be a whole number from {low} to {high}") from None
        if not low <= number <= high:
            raise ValueError(f"must be from {low} to {high}")
        return number

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return parse


def env(name: str, parse: Callable[[str], Any] = text, **default: Any) -> Any:
    """A dataclass field read from the environment variable `name`; required unless `default=` is given."""
    return field(metadata={"env": name, "parse": parse}, **default)


def load(cls: type[C], environ: Mapping[str, str] | None = None) -> C:
    """Build `cls`, a dataclass whose fields were declared with `env()`.

    An empty variable counts as absent, as Terraform and shells write "not set" that way. A class may add
    rules over several fields in a `problems()` method that returns a list of messages.

    Raises:
        ConfigError: one message that names every missing and every bad variable; values are not repeated.

    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: list[str] = []
    for item in fields(cls):  # type: ignore[arg-type]
        name, raw = item.metadata["env"], environ.get(item.metadata["env"], "")
        if raw:
            try:
                values[item.name] = item.metadata["parse"](raw)
            except ValueError as error:
                problems.append(f"{name} {error}")
        elif item.default is MISSING:
            problems.append(f"{name} is not set")
    if not problems:
        config = cls(**values)
        problems = list(getattr(config, "problems", list)())
        if not problems:
            return config
    raise ConfigError("bad configuration: " + "; ".join(problems))
