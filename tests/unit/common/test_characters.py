"""The fast tests of characters answer as the methods of `str` do."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from common.characters import DIGITS, PRINTABLE, only

texts = st.text(st.characters(max_codepoint=0x180) | st.sampled_from("09 ~!\x7f٣²\ud800"), max_size=20)


@given(texts)
@example("")
def test_only_ascii_digits_are_digits(text: str):
    assert only(DIGITS)(text) == all("0" <= character <= "9" for character in text)


@given(texts)
@example("")
def test_printable_text_has_no_space(text: str):
    assert only(PRINTABLE)(text) == (text.isascii() and text.isprintable() and " " not in text)
