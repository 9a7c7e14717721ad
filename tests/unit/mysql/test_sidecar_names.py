"""The name of a key in the sidecar: one for each mapping, entity and key."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from common.keys import key_text, key_texts
from common.mysql.sidecar import names

scopes = st.sampled_from([("orders", "order"), ("orders", "line"), ("shop", "order"), ("a" * 31, "b" * 32)])
texts = st.text(st.sampled_from("orders.ordshplin /%é\0"), min_size=1, max_size=30) | st.text(min_size=1, max_size=300)
keys = st.tuples(scopes, st.lists(texts, min_size=1, max_size=3))


def name(key: Any) -> str:
    (mapping, entity), values = key
    [found] = names(mapping, [key_text(entity, values)])
    return found


@given(keys, keys)
def test_two_keys_have_two_names(one: Any, other: Any):
    assert (name(one) == name(other)) == (one == other)


@given(keys)
@example((("a" * 31, "b" * 32), ["c" * 300]))
def test_every_name_fits_the_column(key: Any):
    """VARCHAR(255) of ASCII; a comparison would ignore a space at the end."""
    assert name(key).isascii()
    assert len(name(key)) <= 255
    assert not name(key).endswith(" ")


def test_an_order_is_named_by_its_key():
    """As in the sidecar of version 0.1.0, so that its rows need no rewriting."""
    keys = [*key_texts("line", [["1", "2"]]), *key_texts("order", [["1", "2"]])]
    assert names("orders", keys) == ["orders.line 1", "orders.line 2", "1", "2"]
    assert names("shop", keys) == ["shop.line 1", "shop.line 2", "shop.order 1", "shop.order 2"]
