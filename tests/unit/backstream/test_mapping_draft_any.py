"""For any sample, the draft is a valid mapping, and its entities take the items that they were drafted from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.mapping.draft import draft
from backstream.mapping.draft_key import TableKeys
from backstream.mapping.files import render
from backstream.mapping.grouping import kinds_of
from backstream.mapping.outcomes import outcomes
from common.changes import Change, Parked
from common.mapping import KeyAttribute
from common.mapping_file import read_text
from tests.support.attribute_strategies import attributes as attribute_values
from tests.support.attribute_strategies import texts

NAMES = st.one_of(
    st.sampled_from(["type", "entity", "createdAt", "order_id", "pk_2", "GSI1PK"]), st.text(min_size=1, max_size=9)
)
# No mapping takes a key that ends with a space.
TEXTS = texts(20, least=1).filter(lambda text: not text.endswith(" "))
KEYS = {
    "S": st.one_of(
        st.builds("{}#{}".format, st.sampled_from(["ORDER", "user", "A#B", "#X"]), TEXTS),
        st.sampled_from(["PROFILE", "ORDER", "a{b}", "1", "007", "2026-01-31"]),
        TEXTS,
    ),
    "N": st.integers(-(10**12), 10**12).map(str),
    "B": st.sampled_from(["AA==", "/w==", "AAECAwQFBgcICQoLDA0ODw=="]),
}


@st.composite
def samples(draw: st.DrawFn) -> tuple[TableKeys, list[dict[str, Any]]]:
    kinds = draw(st.lists(st.sampled_from("SNB"), min_size=1, max_size=2))
    attributes = [KeyAttribute(name, kind) for name, kind in zip(("pk", "sk"), kinds, strict=False)]
    used = draw(st.lists(NAMES, max_size=4, unique=True))
    others = st.fixed_dictionaries({}, optional={name: attribute_values for name in used if name not in ("pk", "sk")})
    key = st.fixed_dictionaries(
        {one.attribute: st.fixed_dictionaries({one.type: KEYS[one.type]}) for one in attributes}
    )
    items = [a | b for a, b in draw(st.lists(st.tuples(others, key), min_size=1, max_size=12))]
    return TableKeys(*attributes), items  # type: ignore[arg-type]


@settings(max_examples=300)
@given(samples())
def test_any_sample_gives_a_mapping_of_its_items(sample: tuple[TableKeys, list[dict[str, Any]]]):
    keys, items = sample
    mapping = read_text("draft", render(draft(keys, items)), Path())
    kinds, left = kinds_of(items, keys.partition_key, keys.sort_key)
    assert sum(len(kind.items) for kind in [*kinds, *left]) == len(items)
    for name, kind in zip((entity.name for entity in mapping.entities), kinds, strict=True):
        for outcome in outcomes(mapping, kind.items).by_item:
            assert [mapping.entities[one.entity].name for one in outcome if isinstance(one, Change)] == [name], outcome
            assert not any(isinstance(one, Parked) for one in outcome)
