"""DynamoDB values of all ten types, in the JSON of a stream record."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

# Control characters, spaces, quotes, combining and astral characters; no surrogates, which UTF-8 does not have.
_CHARACTERS = st.one_of(
    st.characters(min_codepoint=33, max_codepoint=126),
    st.sampled_from("\0\t\n\r\x1a '\"\\%_`#é\u0301ß\u200b\u2028\ufeff\uffff🦊𝄞\U0010ffff"),
    st.characters(exclude_categories=("Cs",)),
)


def texts(longest: int, least: int = 0) -> st.SearchStrategy[str]:
    """Texts of up to `longest` characters. Long ones repeat a short one, which costs hypothesis nothing."""
    short = st.text(_CHARACTERS, min_size=least, max_size=min(8, longest))
    some = st.text(_CHARACTERS, min_size=1, max_size=3)
    long = st.builds(
        lambda text, length: (text * longest)[:length], some, st.integers(max(least, longest - 1), longest + 1)
    )
    return st.one_of(short, short, short, long)


def base64_of(least: int, most: int) -> st.SearchStrategy[str]:
    short = st.binary(min_size=least, max_size=min(8, most))
    long = st.builds(
        lambda content, length: (content * most)[:length],
        st.binary(min_size=1, max_size=3),
        st.integers(max(least, most - 1), most),
    )
    return st.one_of(short, short, long).map(lambda content: base64.b64encode(content).decode())


@st.composite
def _numbers(draw: st.DrawFn) -> str:
    """A DynamoDB number: up to 38 digits, from 1E-130 to 9.9E+125."""
    digits = str(draw(st.one_of(st.integers(0, 999), st.integers(0, 10**17), st.integers(0, 10**38 - 1))))
    sign = draw(st.sampled_from(("", "", "-"))) if digits != "0" else ""
    point = draw(st.integers(0, len(digits) - 1))
    if point and draw(st.booleans()):
        return f"{sign}{digits[:point]}.{digits[point:]}"
    exponent = draw(st.sampled_from((None, None, None, 0, 1, -1, 3, -6, 80, -130)))
    return f"{sign}{digits}" + ("" if exponent is None else f"E{exponent:+}")


numbers = _numbers()

_names = st.one_of(
    st.sampled_from(("name", "a.b", "type", "x", "🦊", '"', "é")), texts(255, least=1).map(lambda text: text[:60])
)

_scalars: st.SearchStrategy[dict[str, Any]] = st.one_of(
    texts(30).map(lambda text: {"S": text}),
    st.sampled_from(("", "2026-01-31", "2026-01-31T12:00:00Z", "12:00:00", "Y", "1.5")).map(lambda text: {"S": text}),
    numbers.map(lambda text: {"N": text}),
    base64_of(0, 30).map(lambda text: {"B": text}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.lists(texts(9), min_size=1, max_size=3, unique=True).map(lambda items: {"SS": items}),
    st.lists(numbers, min_size=1, max_size=3, unique_by=float).map(lambda items: {"NS": items}),
    st.lists(base64_of(0, 9), min_size=1, max_size=3, unique=True).map(lambda items: {"BS": items}),
)


def _containers(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda items: {"L": items}),
        st.dictionaries(_names, inner, max_size=3).map(lambda items: {"M": items}),
    )


def _nest(value: dict[str, Any], depth: int) -> dict[str, Any]:
    for level in range(depth):
        value = {"L": [value]} if level % 2 else {"M": {"deep": value}}
    return value


# DynamoDB allows 32 levels below the item.
attributes: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.recursive(_scalars, _containers, max_leaves=6),
    st.builds(_nest, _scalars, st.integers(20, 31)),
)
