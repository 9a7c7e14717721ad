"""The classifier against the reference: any mapping, any item."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import mapping as declared
from common import mapping_file
from common.changes import Change, Mark, Parked
from common.keys import entity_and_tail
from common.records import classifier
from tests.support.mapping_strategies import mappings, records, with_agreeing_removals
from tests.support.reference_mapping import Gone, Live, Outcome, Quarantined, outcomes
from tests.support.reference_types import is_same

_numbers = count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mappings")


def load(document: Mapping[str, Any], folder: Path) -> declared.Mapping:
    """What the build and a cold start make of the file. Raises MappingError."""
    path = folder / f"any{next(_numbers)}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert declared.check_file(path) == []
    return mapping_file.read_file(path)


def outcomes_of(mapping: declared.Mapping, classified: Any) -> list[Outcome]:
    """The classifier's answer in the words of the reference."""
    singles = classified if isinstance(classified, list) else [classified]
    return [_outcome(mapping, single) for single in singles if not isinstance(single, str)]


def _outcome(mapping: declared.Mapping, single: Change | Parked) -> Outcome:
    if isinstance(single, Parked):
        return Quarantined(entity_and_tail(single.key)[0] if single.key else "", single.reason)
    entity = mapping.entities[single.entity]
    assert entity_and_tail(single.key)[0] == entity.name
    if single.row is None:
        return Gone(entity.name, tuple(single.key_values), single.mark.name)
    assert single.mark is Mark.LIVE
    names = [column.name for column in entity.columns]
    return Live(entity.name, tuple(single.key_values), dict(zip(names, single.row, strict=True)))


def agree(expected: Outcome, actual: Outcome) -> bool:
    """The wording of a reason may differ. The entity is unknown if the key cannot be read."""
    if type(expected) is not type(actual):
        return False
    if isinstance(expected, Quarantined):
        return actual.entity in ("", expected.entity)
    if expected.entity != actual.entity or not _all_agree(expected.key, actual.key):
        return False
    if isinstance(expected, Gone):
        return expected.mark == actual.mark
    return list(expected.row) == list(actual.row) and _all_agree(expected.row.values(), actual.row.values())


def _all_agree(expected: Iterable[Any], actual: Iterable[Any]) -> bool:
    return all(is_same(one, other) for one, other in zip(expected, actual, strict=True))


def assert_as_the_reference_says(document: Mapping[str, Any], drawn: list[dict[str, Any]], folder: Path) -> None:
    mapping = load(document, folder)

    classified = [outcomes_of(mapping, outcome) for outcome in classifier(mapping)(drawn)]

    expected = [outcomes(document, record) for record in drawn]
    assert len(classified) == len(expected)
    for ours, theirs in zip(expected, classified, strict=True):
        assert len(ours) == len(theirs), (ours, theirs)
        assert all(any(agree(one, other) for other in theirs) for one in ours), (ours, theirs)


PROPERTY = settings(print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@PROPERTY
@given(data=st.data())
def test_any_item_becomes_what_the_reference_says(folder: Path, data: st.DataObject) -> None:
    """Each record of a batch is its row, a removal, quarantined, or of no entity."""
    document = data.draw(mappings(), label="mapping")
    drawn = data.draw(st.lists(records(document), min_size=1, max_size=4), label="records")

    assert_as_the_reference_says(document, drawn, folder)


@PROPERTY
@given(data=st.data())
def test_a_prepare_that_returns_its_item_changes_nothing(folder: Path, data: st.DataObject) -> None:
    """Every value survives the conversion to plain Python and back."""
    (folder / "identity.py").write_text("def prepare(item):\n    return item\n", encoding="utf-8")
    document = with_agreeing_removals(data.draw(mappings(), label="mapping")) | {"prepare": "identity.py"}
    drawn = data.draw(st.lists(records(document), min_size=1, max_size=4), label="records")

    assert_as_the_reference_says(document, drawn, folder)
