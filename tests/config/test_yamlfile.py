"""The YAML loader: text stays text, places are right, and nothing it is given makes it fall over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.yamlfile import Mapping, Scalar, compose, load, plain
from costmeter.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("country: NO", {"country": "NO"}, id="norway"),
        pytest.param("price: 2.490", {"price": "2.490"}, id="digits-kept"),
        pytest.param("at: 16:00", {"at": "16:00"}, id="no-sexagesimal"),
        pytest.param("a: 0x1F\nb: 1_000\nc: ~", {"a": "0x1F", "b": "1_000", "c": "~"}, id="no-implicit-types"),
        pytest.param("a:\nb: ''", {"a": "", "b": ""}, id="empty-values"),
        pytest.param("- {x: [1, 2]}\n- y", [{"x": ["1", "2"]}, "y"], id="nesting"),
        pytest.param("a: &p {x: 1}\nb: *p", {"a": {"x": "1"}, "b": {"x": "1"}}, id="anchor"),
        pytest.param("", {}, id="empty"),
        pytest.param("# nothing here\n", {}, id="comment-only"),
        pytest.param("\ufeffa: 1", {"a": "1"}, id="byte-order-mark"),
        pytest.param("a: 1\r\nb: 2\r\n", {"a": "1", "b": "2"}, id="windows-line-ends"),
        pytest.param("---\na: 1\n...\n", {"a": "1"}, id="one-explicit-document"),
        pytest.param('a: "b: [c"', {"a": "b: [c"}, id="quoted"),
    ],
)
def test_scalars_are_text(text: str, expected: object) -> None:
    """A document becomes dict, list and str; nothing is guessed to be a number, a date or a truth."""
    assert expected == load(text, "x.yaml")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(
            "a: 1\nb: [1, 2", "x.yaml:2:4: not valid YAML: while parsing a flow sequence from here", id="open-bracket"
        ),
        pytest.param("a: 1\n\tb: 2", "x.yaml:2:1: not valid YAML", id="tab"),
        pytest.param("a: 1\nb: 2\n  a: 3", "x.yaml:3:", id="bad-indent"),
        pytest.param("a: 1\nb: 2\na: 3", 'x.yaml:3:1: key "a" again; it is already on line 1', id="duplicate"),
        pytest.param("x: {a: 1, a: 2}", 'x.yaml:1:11: key "a" again', id="duplicate-in-flow"),
        pytest.param("a: 1\n---\nb: 2", "x.yaml:2:1: a second document", id="two-documents"),
        pytest.param("a: &x\n  - *x", 'x.yaml:2:5: alias "*x" stands inside itself', id="recursive-alias"),
        pytest.param("a: *x", "x.yaml:1:4: ", id="alias-without-anchor"),
        pytest.param("a: !!python/object:os.system x", "x.yaml:1:4: tag", id="python-tag"),
        pytest.param("a: !mine 1", "x.yaml:1:4: tag", id="own-tag"),
        pytest.param("a: &p {x: 1}\n<<: *p", "x.yaml:2:1: merge key", id="merge-key"),
        pytest.param("[1]: 2", "x.yaml:1:1: a key must be a word", id="list-as-key"),
        pytest.param("a: 1\nb: \x07", "x.yaml:2:", id="control-character"),
        pytest.param("a: " + "[" * 60 + "]" * 60, "x.yaml:1:54: nested deeper than 50", id="deep"),
        pytest.param("[" * 100_000, "x.yaml:1:", id="very-deep"),
        pytest.param("%YAML 9.9\n---\na: 1", "x.yaml:1:1: not valid YAML", id="other-version"),
    ],
)
def test_faults_name_file_line_and_column(text: str, fault: str) -> None:
    """Each kind of bad YAML is refused with its place."""
    with pytest.raises(ConfigError) as caught:
        load(text, "x.yaml")
    assert any(line.startswith(fault) for line in caught.value.faults), caught.value.faults


def test_aliases_cannot_stand_for_a_billion_values() -> None:
    """Nine lines of nested aliases are refused before they are unfolded."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="more than 200000 values"):
        load("\n".join(lines), "bomb.yaml")


def test_several_duplicates_are_reported_together_and_the_first_value_is_kept() -> None:
    """Faults that leave the document readable are collected; the first of two values stands."""
    root, faults = compose("a: 1\na: 2\nb: 1\nb: 2", "x.yaml")
    assert [fault.place.line for fault in faults] == [2, 4]
    assert isinstance(root, Mapping)
    assert [value.text for _, value in root.entries if isinstance(value, Scalar)] == ["1", "1"]


def test_nodes_know_their_places() -> None:
    """Keys and values carry the line and column people count, from 1."""
    root, _ = compose("gpu:\n  price: 2.49\n", "costmeter.yaml")
    assert isinstance(root, Mapping)
    _, section = root.entries[0]
    assert isinstance(section, Mapping)
    key, value = section.entries[0]
    assert (str(key.place), str(value.place)) == ("costmeter.yaml:2:3", "costmeter.yaml:2:10")


@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text("[]{}:,-&*!|>'\"#%@` \n\tab1", max_size=60))
def test_no_text_makes_it_fall_over(text: str) -> None:
    """Any text is either read or refused with faults that name the file."""
    root, faults = compose(text, "any.yaml")
    assert all(str(fault).startswith("any.yaml:") for fault in faults)
    assert root is None or plain(root) is not None


_WORDS = st.text("abcxyz019.:-", min_size=1, max_size=8)
_DOCUMENTS = st.recursive(
    _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(_DOCUMENTS)
def test_what_is_written_is_what_is_read(document: object) -> None:
    """A document of quoted texts comes back as it was (an empty one is an empty dict)."""
    assert document == load(_written(document), "x.yaml")


def _written(document: object) -> str:
    if isinstance(document, list):
        return f"[{', '.join(map(_written, document))}]"
    if isinstance(document, dict):
        return f"{{{', '.join(f'{_written(key)}: {_written(value)}' for key, value in document.items())}}}"
    return f'"{document}"'
