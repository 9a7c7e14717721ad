"""The changes of one key, from the first to the last."""

from __future__ import annotations

import pytest

from common.changes import Change, Mark
from common.histories import coalesce, layers, newest


def change(key: str, version: str, *, created: bool = False) -> Change:
    return Change(key, version, (key,), 1, {}, created, 0, (key,), Mark.LIVE)


@pytest.mark.parametrize(("first", "last"), [(True, False), (False, True), (True, True), (False, False)])
def test_the_newest_change_is_as_new_as_the_first(first: bool, last: bool):
    """An insert with an update behind it makes a new row; a delete and an insert change one that is there."""
    history = [change("a", "1", created=first), change("a", "2", created=last)]

    assert newest(history) == change("a", "2", created=first)


def test_layers_hold_one_change_of_each_key():
    histories, repeats, _ = coalesce([change("b", "2"), change("a", "1"), change("b", "1"), change("b", "2")])

    assert [[(one.key, one.version) for one in layer] for layer in layers(histories)] == [
        [("a", "1"), ("b", "1")],
        [("b", "2")],
    ]
    assert repeats == 1
