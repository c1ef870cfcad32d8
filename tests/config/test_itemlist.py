"""The list of line items: every kind as it is written, and every fault with its place."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.itemlist import parse_items
from costmeter.config.yamlfile import compose
from costmeter.meter.charge import Origin
from costmeter.meter.item import LineItem

CENTS = Decimal("0.023")


def parsed(text: str, source: str = "costmeter.yaml") -> tuple[tuple[LineItem, ...], list[str]]:
    """The items of a text, and its faults as people read them."""
    root, faults = compose(text, source)
    assert root is not None
    assert not faults
    items, found = parse_items(root)
    return items, [str(fault) for fault in found]


def item(kind: str, price: Decimal, **more: object) -> LineItem:
    return LineItem("x", kind, price, Origin("configured", "costmeter.yaml:1"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        pytest.param(item("path", CENTS, path="ckpt"), "path: ./ckpt, per_gb_month: 0.023", id="path"),
        pytest.param(item("gb", CENTS, amount=Decimal(500)), "gb: 500, per_gb_month: 0.023", id="gb"),
        pytest.param(item("network", CENTS, direction="sent"), "network: sent, per_gb: 0.023", id="network"),
        pytest.param(
            item("network", CENTS, interface="eth*"), "network: both, per_gb: 0.023, interface: eth*", id="interface"
        ),
        pytest.param(item("per_gpu_hour", CENTS), "per_gpu_hour: 0.023", id="licences"),
        pytest.param(item("per_hour", Decimal(85)), "per_hour: 85", id="one-person"),
        pytest.param(item("per_hour", Decimal(85), amount=Decimal("0.5")), "per_hour: 85, count: 0.5", id="half-a-day"),
        pytest.param(item("fixed", Decimal(1200)), "fixed: 1200", id="once"),
        pytest.param(item("fixed", Decimal(0)), "fixed: 0", id="nothing"),
    ],
)
def test_every_kind_of_item(expected: LineItem, text: str) -> None:
    """The key that is there says how an item is counted."""
    assert ((expected,), []) == parsed(f"[{{name: x, {text}}}]")


@pytest.mark.parametrize(
    ("expected", "path", "source"),
    [
        pytest.param("ckpt", "./ckpt", "costmeter.yaml", id="beside-the-file"),
        pytest.param("../ckpt", "ckpt", "../costmeter.yaml", id="beside-a-file-above"),
        pytest.param("/etc/costmeter/ckpt", "ckpt", "/etc/costmeter/config.yaml", id="beside-the-sites-file"),
        pytest.param("/mnt/ckpt", "/mnt/ckpt", "../costmeter.yaml", id="absolute"),
        pytest.param("ckpt", "ckpt", "COSTMETER_ITEMS", id="of-a-variable"),
    ],
)
def test_a_path_begins_where_it_is_written(expected: str, path: str, source: str) -> None:
    """Paths are relative to the folder of the file that names them; of a variable, to the working directory."""
    (found,), _ = parsed(f"[{{name: x, path: {path}, per_gb_month: 1}}]", source)
    assert expected == found.path


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        pytest.param("1:1: items: expected a list such as", "{name: x, fixed: 1}", id="no-list"),
        pytest.param("1:2: items: expected an item such as", "[x]", id="no-item"),
        pytest.param("1:2: items: an item needs a name", "[{fixed: 1}]", id="no-name"),
        pytest.param("1:9: items: name: expected one line", '[{name: "", fixed: 1}]', id="empty-name"),
        pytest.param("1:9: items: name: expected one line", '[{name: "a\\nb", fixed: 1}]', id="name-of-two-lines"),
        pytest.param("1:9: items: name: expected one line", "[{name: [a], fixed: 1}]", id="name-that-is-a-list"),
        pytest.param("1:2: items: an item needs one of path, gb, network", "[{name: x}]", id="no-kind"),
        pytest.param('1:12: items: unknown key "fixd". Did you mean "fixed"?', "[{name: x, fixd: 1}]", id="typo"),
        pytest.param(
            "1:2: items: an item is counted in one way, not by path and fixed",
            "[{name: x, path: a, fixed: 1}]",
            id="two-kinds",
        ),
        pytest.param(
            '1:22: items: unknown key "per_gb" of an item with fixed', "[{name: x, fixed: 1, per_gb: 1}]", id="stranger"
        ),
        pytest.param(
            '1:25: items: unknown key "cuont" of an item with per_hour. Did you mean "count"?',
            "[{name: x, per_hour: 1, cuont: 2}]",
            id="typo-beside-a-kind",
        ),
        pytest.param("1:2: items: per_gb is missing: a price per GB", "[{name: x, network: sent}]", id="no-price"),
        pytest.param("1:19: items: fixed: an amount of money is at least 0", "[{name: x, fixed: -1}]", id="negative"),
        pytest.param("1:19: items: fixed: expected an amount of money", "[{name: x, fixed: much}]", id="no-number"),
        pytest.param("1:19: items: fixed: expected an amount of money", "[{name: x, fixed: {}}]", id="a-mapping"),
        pytest.param(
            "1:19: items: fixed: an amount of money is at most", "[{name: x, fixed: 9999999999999}]", id="huge"
        ),
        pytest.param("1:21: items: network: expected sent or", "[{name: x, network: up, per_gb: 1}]", id="direction"),
        pytest.param("1:18: items: path: expected a file", '[{name: x, path: "", per_gb_month: 1}]', id="empty-path"),
        pytest.param("1:18: items: path: expected a file", "[{name: x, path: [], per_gb_month: 1}]", id="list-path"),
        pytest.param(
            '1:23: items: there is an item "x" already', "[{name: x, fixed: 1}, {name: x, fixed: 2}]", id="same-name"
        ),
    ],
)
def test_a_faulty_item_is_told(fault: str, text: str) -> None:
    """What is wrong is told with its place and with what could stand there."""
    _, faults = parsed(text)
    assert any(line.startswith(f"costmeter.yaml:{fault}") for line in faults), faults


def test_all_faults_are_told_at_once_and_the_rest_is_used() -> None:
    """Each faulty item is left out; every other one counts."""
    items, faults = parsed("[{name: a, fixed: 1}, {name: b, fixd: 1}, {name: c, gb: x, per_gb_month: y}, 3]")
    assert ["a"] == [each.name for each in items]
    assert 5 == len(faults)


def test_a_comma_in_a_price_makes_no_other_price() -> None:
    """In braces `0,02` is a price of 0 and a key 02: the item is left out, and not free."""
    items, faults = parsed("[{name: a, gb: 5, per_gb_month: 0,02}]")
    assert () == items
    assert [True] == ['unknown key "02" of an item with gb' in fault for fault in faults]


def test_a_list_without_end_is_cut() -> None:
    """No file makes the meter watch thousands of paths."""
    items, faults = parsed("[" + ", ".join(f"{{name: n{n}, fixed: 1}}" for n in range(120)) + "]")
    assert (100, 1) == (len(items), len(faults))


words = st.sampled_from(("name", "path", "gb", "network", "per_gb", "per_gb_month", "per_hour", "count", "fixed", "x"))
nodes = st.recursive(
    st.sampled_from(("1", "-1", "0.5", "sent", "''", "./a", "~", "1e9")),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda of: f"[{', '.join(of)}]")
        | st.dictionaries(words, inner, max_size=4).map(
            lambda of: f"{{{', '.join(f'{k}: {v}' for k, v in of.items())}}}"
        )
    ),
    max_leaves=12,
)


@given(nodes)
def test_nothing_that_is_written_breaks_the_parser(text: str) -> None:
    """Any document is items and faults, and what is an item costs something that can be said."""
    root, _ = compose(text, "costmeter.yaml")
    items, faults = parse_items(root) if root is not None else ((), ())
    assert all(fault.place.line == 1 for fault in faults)
    assert all(each.cost(10**27) >= 0 for each in items if each.kind in ("path", "gb"))
