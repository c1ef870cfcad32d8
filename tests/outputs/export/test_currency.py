"""Files in another currency: which words change, and which only look like it."""

import pytest

from costmeter.outputs.export.canonical import canonical
from costmeter.outputs.export.currency import in_currency


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        pytest.param("costmeter_gpu_cost_usd_total", "EUR", "costmeter_gpu_cost_eur_total", id="counter"),
        pytest.param("costmeter_gpu_price_usd_per_hour", "SEK", "costmeter_gpu_price_sek_per_hour", id="gauge"),
        pytest.param("run:costmeter_cost_usd:rate5m", "EUR", "run:costmeter_cost_eur:rate5m", id="recorded"),
        pytest.param('{"unit": "currencyUSD"}', "EUR", '{"unit": "currencyEUR"}', id="unit"),
        pytest.param('{"unit": "currencyUSD"}', "AUD", '{"unit": "currency:AUD "}', id="unit-that-grafana-lacks"),
        pytest.param("currency:financial:$", "GBP", "currency:financial:£", id="full-figures"),
        pytest.param("above $5 an hour", "EUR", "above €5 an hour", id="sign"),
        pytest.param("above $5 an hour", "SEK", "above SEK 5 an hour", id="sign-that-has-none"),
        pytest.param('${{ $value | printf "%.2f" }}/h', "EUR", '€{{ $value | printf "%.2f" }}/h', id="template"),
        pytest.param("idle USD/h, in dollars", "EUR", "idle EUR/h, in EUR", id="words"),
        pytest.param("rate(x[$__rate_interval])", "EUR", "rate(x[$__rate_interval])", id="variable"),
        pytest.param("{{ $labels.user }} ${datasource}", "EUR", "{{ $labels.user }} ${datasource}", id="labels"),
        pytest.param('label_replace(a, "b", "$1", "c", "(.*)")', "EUR", None, id="group"),
        pytest.param(
            '"expr": "label_replace(a, \\"b\\", \\"$1\\", \\"c\\", \\".\\")"', "EUR", None, id="group-in-json"
        ),
        pytest.param("replacement: $1", "EUR", None, id="relabelling"),
        pytest.param("a_usdx_total", "EUR", None, id="another-word"),
        pytest.param("currencyUSD $5 USD _usd_total", "USD", None, id="the-same"),
    ],
)
def test_money_is_written_in_the_currency(text: str, currency: str, expected: str | None) -> None:
    """Names, units, signs and words of money change; variables, labels and groups stay (None: all stays)."""
    assert (text if expected is None else expected) == in_currency(text, currency)


@pytest.mark.parametrize("path", sorted(canonical()))
def test_nothing_of_dollars_is_left(path: str) -> None:
    """No file keeps a dollar in Swedish crowns, but where list prices are said to be in USD."""
    text = in_currency(canonical()[path], "SEK").lower()

    assert [word for word in ("usd", "dollar", "us$") if word in text] == []
