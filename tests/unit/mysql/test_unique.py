"""The order in which rows take each other's unique values."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.mysql.unique import Cycle, Plan, RowMove, comparable, plan


def move(key: str, held: Any, wanted: Any) -> RowMove:
    """A row with one unique key of one column."""
    return RowMove(key, (None if held is None else (held,),), (None if wanted is None else (wanted,),))


def test_no_rows_make_an_empty_plan():
    assert plan([]) == Plan([], [])


def test_a_row_is_written_after_the_holder_of_its_value():
    assert plan([move("a", 1, 2), move("b", 2, 3), move("c", 3, 4)]) == Plan(["c", "b", "a"], [])


def test_a_row_that_keeps_its_value_waits_for_none():
    assert plan([move("a", 1, 1), move("b", 2, 2)]) == Plan(["a", "b"], [])


def test_nothing_is_held_by_null():
    assert plan([move("a", None, None), move("b", None, 1), move("c", 1, None)]) == Plan(["a", "c", "b"], [])


def test_a_swap_is_a_cycle():
    assert plan([move("a", 1, 2), move("b", 2, 1)]) == Plan([], [Cycle(["a"], ["b", "a"])])


def test_independent_cycles_are_planned_apart():
    made = plan([move("a", 1, 2), move("b", 2, 1), move("c", 3, 4), move("d", 4, 3), move("e", 5, 6)])

    assert made.free == ["e"]
    assert [sorted(cycle.order) for cycle in made.cycles] == [["a", "b"], ["c", "d"]]


def test_a_row_that_waits_for_a_cycle_belongs_to_it():
    (cycle,) = plan([move("a", 9, 1), move("b", 1, 2), move("c", 2, 1)]).cycles

    assert len(cycle.vacate) == 1
    assert sorted(cycle.order) == ["a", "b", "c"]


def test_each_unique_key_is_looked_at_by_itself():
    moves = [RowMove("a", ((1,), (2,)), ((1,), (1,))), RowMove("b", ((2,), (1,)), ((2,), (3,)))]

    assert plan(moves) == Plan(["b", "a"], [])


def place(moves: list[RowMove]) -> bool:
    """Whether the plan works on a table that checks each row by itself."""
    table = {m.key: list(m.held) for m in moves}
    wanted = {m.key: list(m.wanted) for m in moves}
    made = plan(moves)
    done: list[str] = []

    def write(key: str) -> bool:
        taken = [
            value is not None and any(row[i] == value for other, row in table.items() if other != key)
            for i, value in enumerate(wanted[key])
        ]
        table[key] = wanted[key]
        done.append(key)
        return not any(taken)

    results = [write(key) for key in made.free]
    for cycle in made.cycles:
        for key in cycle.vacate:
            table[key] = [None] * len(table[key])
        results += [write(key) for key in cycle.order]
    assert sorted(done) == sorted(table), "each row is written once"
    return all(results)


@st.composite
def permutations(draw: st.DrawFn) -> list[RowMove]:
    """Rows that hold distinct values of up to two keys and want distinct ones, some of them NULL."""
    n, keys = draw(st.integers(1, 12)), draw(st.integers(1, 2))

    def distinct() -> list[Any]:
        order = draw(st.permutations(range(n + 2)))[:n]
        return [(value,) if draw(st.integers(0, 5)) else None for value in order]

    held, wanted = ([distinct() for _ in range(keys)] for _ in range(2))
    return [
        RowMove(f"k{i:02}", tuple(column[i] for column in held), tuple(column[i] for column in wanted))
        for i in range(n)
    ]


@given(permutations())
def test_every_plan_goes_through(moves: list[RowMove]):
    assert place(moves)


@given(st.integers(2, 40), st.randoms(use_true_random=False))
def test_one_row_of_each_cycle_gives_up_its_value(n: int, rnd: random.Random):
    keys = list(range(n))
    rnd.shuffle(keys)
    (cycle,) = plan([move(f"k{key:02}", i, (i + 1) % n) for i, key in enumerate(keys)]).cycles

    assert len(cycle.vacate) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "A"),
        ("é", "e"),
        ("straße", "STRASSE"),
        ("a", "a  "),
        (Decimal("1.50"), Decimal("1.5")),
    ],
)
def test_values_that_collations_treat_as_equal_clash(one: Any, other: Any):
    assert comparable([one], [None]) == comparable([other], [None])


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("a", " a"), (1, 2), ("ab", "a")])
def test_values_that_differ_do_not_clash(one: Any, other: Any):
    assert comparable([one], [None]) != comparable([other], [None])


def test_a_prefix_key_is_of_the_first_characters():
    assert comparable(["abcd", "x"], [2, None]) == comparable(["abxx", "x"], [2, None])
    assert comparable(["abcd", "x"], [3, None]) != comparable(["abxx", "x"], [3, None])


def test_a_null_in_any_column_holds_nothing():
    assert comparable(["a", None], [None, None]) is None
