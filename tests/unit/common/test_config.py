"""Configuration is checked whole at cold start: one message names every missing and every bad variable."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from common import config


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    name: str = config.env("NAME")
    mode: str = config.env("MODE", config.choice("soft", "hard"))
    size: int = config.env("SIZE", config.integer(1, 10), default=5)
    on: bool = config.env("ON", config.flag, default=False)


GOOD = {"NAME": "orders", "MODE": "soft"}


def test_defaults_fill_what_is_not_set():
    assert config.load(Settings, GOOD) == Settings(name="orders", mode="soft", size=5, on=False)


def test_every_variable_is_read():
    given = {"NAME": "orders", "MODE": "hard", "SIZE": "10", "ON": "true", "OTHER": "ignored"}

    assert config.load(Settings, given) == Settings(name="orders", mode="hard", size=10, on=True)


@pytest.mark.parametrize("name", ["NAME", "MODE"])
@pytest.mark.parametrize("given", [None, ""], ids=["absent", "empty"])
def test_each_required_variable_is_named_when_it_is_not_set(name: str, given: str | None):
    environ = GOOD | ({} if given is None else {name: given})
    if given is None:
        del environ[name]

    with pytest.raises(config.ConfigError) as refused:
        config.load(Settings, environ)

    assert str(refused.value) == f"bad configuration: {name} is not set"


def test_an_empty_variable_with_a_default_counts_as_not_set():
    assert config.load(Settings, GOOD | {"SIZE": "", "ON": ""}) == Settings(name="orders", mode="soft")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("NAME", "  ", "must not be empty"),
        ("MODE", "SOFT", "must be one of soft, hard"),
        ("SIZE", "0", "must be from 1 to 10"),
        ("SIZE", "11", "must be from 1 to 10"),
        ("SIZE", "five", "must be a whole number from 1 to 10"),
        ("SIZE", "5.0", "must be a whole number from 1 to 10"),
        ("ON", "yes", "must be true or false"),
    ],
)
def test_a_bad_value_is_refused_with_what_it_must_be(name: str, value: str, problem: str):
    with pytest.raises(config.ConfigError) as refused:
        config.load(Settings, GOOD | {name: value})

    assert str(refused.value) == f"bad configuration: {name} {problem}"


@pytest.mark.parametrize(
    ("value", "on"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("False", False), ("0", False)]
)
def test_flags_are_read_as_people_and_terraform_write_them(value: str, *, on: bool):
    assert config.load(Settings, GOOD | {"ON": value}).on is on


def test_one_message_names_all_problems_and_repeats_no_value():
    with pytest.raises(config.ConfigError) as refused:
        config.load(Settings, {"MODE": "hunter2", "SIZE": "hunter2", "ON": "hunter2"})

    assert str(refused.value) == (
        "bad configuration: NAME is not set; MODE must be one of soft, hard;"
        " SIZE must be a whole number from 1 to 10; ON must be true or false"
    )


def test_rules_over_several_variables_are_checked_too():
    @dataclass(frozen=True)
    class Pair:
        low: int = config.env("LOW", config.integer(0, 9))
        high: int = config.env("HIGH", config.integer(0, 9))

        def problems(self) -> list[str]:
            return [] if self.low < self.high else ["LOW must be below HIGH"]

    assert config.load(Pair, {"LOW": "1", "HIGH": "2"}) == Pair(1, 2)
    with pytest.raises(config.ConfigError, match=r"^bad configuration: LOW must be below HIGH$"):
        config.load(Pair, {"LOW": "2", "HIGH": "2"})


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAME", "orders")
    monkeypatch.setenv("MODE", "hard")

    assert config.load(Settings).mode == "hard"
