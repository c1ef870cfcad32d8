"""Line items in the journal: written and read, folded as they come, and nothing to an older reader."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.line import decode, encode, seal
from costmeter.ledger.query import begin, fold_all
from costmeter.ledger.record import Items, Usage
from costmeter.meter.charge import Origin
from costmeter.meter.item import Direction, ItemKind, LineItem
from tests.samples import BEGAN_UTC_NS, HOUR, footer, header, instants, prices, words

KINDS: tuple[ItemKind, ...] = ("path", "gb", "network", "per_gpu_hour", "per_hour", "fixed")
DIRECTIONS: tuple[Direction, ...] = ("sent", "received", "both")


@st.composite
def items(draw: st.DrawFn) -> LineItem:
    """An item as the configuration makes it: only what its kind needs."""
    kind = draw(st.sampled_from(KINDS))
    is_path, is_network, has_amount = kind == "path", kind == "network", kind in ("gb", "per_hour")
    return LineItem(
        draw(words),
        kind,
        draw(prices),
        draw(st.builds(Origin, words, words)),
        draw(prices) if has_amount else Decimal(1),
        draw(words) if is_path else "",
        draw(st.sampled_from(DIRECTIONS)) if is_network else "both",
        draw(words) if is_network else "",
    )


usages = st.builds(
    Usage,
    instants,
    st.dictionaries(words, st.integers(0, 2**90), max_size=3),
    st.dictionaries(words, words, max_size=3),
)


@given(st.lists(items(), max_size=3).map(lambda of: Items(tuple(of))) | usages)
def test_items_and_usage_are_read_as_they_were_written(record: Items | Usage) -> None:
    """Every kind, price and name survives, and quantities of any size: a petabyte for a year is 3e31 byte-ns."""
    assert record == decode(encode(record))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"type": "usage", "utc_ns": 1}, id="no-quantities"),
        pytest.param({"type": "usage", "utc_ns": 1, "used": {"x": 1.5}}, id="a-fraction"),
        pytest.param({"type": "usage", "utc_ns": 1, "used": {"x": -1}}, id="negative"),
        pytest.param({"type": "usage", "utc_ns": 1, "used": {"x": True}}, id="a-truth"),
        pytest.param({"type": "usage", "utc_ns": 1, "used": {}, "notes": {"x": 1}}, id="a-note-that-is-a-number"),
        pytest.param({"type": "items", "items": [{"name": "x"}]}, id="half-an-item"),
        pytest.param(
            {"type": "items", "items": [{"name": "x", "kind": "loan", "price": "1", "origin": ["a", "b"]}]}, id="kind"
        ),
        pytest.param(
            {"type": "items", "items": [{"name": "x", "kind": "gb", "price": "much", "origin": ["a", "b"]}]}, id="price"
        ),
    ],
)
def test_a_line_that_is_none_is_refused(body: dict[str, object]) -> None:
    """What is no use of an item is reported like any garbled line, and not counted."""
    with pytest.raises(ValueError, match="record lacks or garbles"):
        decode(seal(body))


def test_the_last_usage_counts() -> None:
    """Quantities are since the spawn, so that a journal that lost any of these lines but the last says the same."""
    of = Items((LineItem("ckpt", "path", Decimal(1), Origin("configured", "x")),))
    uses = [Usage(BEGAN_UTC_NS + minute, {"ckpt": minute}) for minute in (1, 2, 3)]
    whole = fold_all(begin(header()), [of, *uses, footer(HOUR)])
    assert whole == fold_all(begin(header()), [of, uses[2], footer(HOUR)])
    assert {"ckpt": 3} == whole.use().used


def test_a_part_without_items_has_none() -> None:
    """Journals of older versions fold as they did."""
    old = fold_all(begin(header()), [footer(HOUR)])
    assert ((), None) == (old.items, old.usage)
    assert (HOUR, 0) == (old.use().length_ns, old.use().gpu_nanoseconds)
