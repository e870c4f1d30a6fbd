"""Texts made fit for terminals, databases and spreadsheets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.machine.texts import cell, clean, storable


@pytest.mark.parametrize(
    "formula", ["=1+1", "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"]
)
def test_what_a_spreadsheet_would_compute_gets_a_quote(formula):
    assert cell(formula) == f"'{formula}"


@pytest.mark.parametrize("text", ["-1", "+3.5", "-1e-5", ".5", "cat", "a=b", "", "1-2", "'=1", "café"])
def test_numbers_and_other_texts_stay(text):
    assert cell(text) == text


@given(st.text(st.characters(codec=None)))
def test_every_text_can_be_cleaned_and_stored_and_none_is_changed_twice(text):
    assert clean(text).isprintable()
    assert clean(clean(text)) == clean(text)
    assert "\0" not in storable(text)
    storable(text).encode("utf-8")
    assert storable(storable(text)) == storable(text)
