"""Texts written into YAML read back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from costmeter.config.quoting import plain, quoted
from costmeter.config.yamlfile import Mapping, Scalar, compose

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXTS)
@example("NO")
@example("b20.yaml")
@example('a "b" \\ {c}: #d, [e]')
@example("\x7f\x85\u2028\ufeff\0")
def test_a_text_reads_back_anywhere(text: str) -> None:
    """With quotes or without, after a colon or between braces, a text is the same text to the loader."""
    for written in (plain(text), quoted(text)):
        for document in (f"a: {written}", f"{{a: {written}, b: c}}"):
            root, faults = compose(document, "c.yaml")
            assert () == faults
            assert isinstance(root, Mapping)
            value = root.entries[0][1]
            assert isinstance(value, Scalar)
            assert text == value.text


@pytest.mark.parametrize("text", ["b20.yaml", "DE", "0.12", "gcp/us-east1", "eGRID-CAMX"])
def test_ordinary_names_need_no_quotes(text: str) -> None:
    """What people type every day stays as they type it."""
    assert text == plain(text)
