"""The grammar: every kind of value, right and wrong, each refusal with its place and a way out."""

import random
import re
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.config.grammar import keys
from costmeter.config.settings import HostPower, Settings
from costmeter.meter.activity import IdleRule
from costmeter.meter.budget import Budget
from tests.config.writing import H100, read
from tests.depth import examples

WHOLE = """\
currency: USD
timezone: America/Los_Angeles
gpu:
  billing: owned
  price: 2.49
  owned: {purchase: 30000, residual: 3000, life_years: 4, expected_use: 0.7, maintenance_per_year: 0.05}
electricity:
  price:
    windows:
      - {name: peak, days: weekday, hours: ["16:00-21:00"], price_per_kwh: 0.30}
      - {days: [sat, sunday], hours: ["22:00-06:00", "12:00-13:30"], price_per_kwh: -0.02}
      - {hours: other, price_per_kwh: 0.12}
  pue: 1.2
carbon: {intensity: 380, embodied: auto}
host: {power: 350}
idle: {utilization_below: 0.1, spin_power_below: 0.3}
budget: {amount: 500, warn_at: [0.8, 0.5], on_exceed: stop}
labels: {project: llm, team: nlp}
"""


def test_a_whole_file_comes_out_typed() -> None:
    """Every key of the grammar arrives in the settings, exact and typed."""
    got, faults = read(WHOLE)
    assert faults == []
    assert got.timezone == ZoneInfo("America/Los_Angeles")
    assert got.host == HostPower("watts", Decimal(350))
    assert got.idle == IdleRule(0.1, 0.3)
    assert got.budgets == (Budget(Decimal(500), (Decimal("0.5"), Decimal("0.8")), "stop"),)
    assert got.labels == {"project": "llm", "team": "nlp"}
    rates = got.book.at(1_780_358_400 * 10**9, [H100])  # 2026-06-01 17:00 in Los Angeles, a Monday
    assert rates.electricity_per_kwh == Decimal("0.30")
    assert (rates.pue, rates.carbon_grams_per_kwh) == (Decimal("1.2"), Decimal(380))
    assert [component for component, _ in rates.devices["GPU-0"].hourly] == ["capital", "idle_share"]
    assert rates.origins["electricity.price"].detail == "c.yaml:9"
    assert rates.origins["gpu.price"].detail == "c.yaml:6"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(
            "gpu: {price: abc}",
            '1:14: gpu.price: expected a price per GPU-hour such as 2.49, not "abc"',
            id="no-number",
        ),
        pytest.param(
            "electricity: {tariff: b20.yaml}",
            '1:15: unknown key "tariff" in electricity. Write it as  price: {tariff: …}',
            id="a-form-without-its-key",
        ),
        pytest.param(
            "carbon: {zone: DE}",
            '1:10: unknown key "zone" in carbon. Write it as  intensity: {zone: …}',
            id="a-zone-without-its-key",
        ),
        pytest.param(
            "currency: EUR\nenergy: []",
            "2:1: energy: this is a tariff file, not settings; use it as  electricity: {price: {tariff: c.yaml}}",
            id="a-tariff",
        ),
        pytest.param(
            "gpu: {price: 2}\nenergy: 1", '2:1: unknown key "energy"', id="a-stray-key-makes-no-tariff-of-settings"
        ),
        pytest.param(
            "gpu: {commitment: {from: 0001-01-01}}",
            "1:26: gpu.commitment.from: expected a day such as 2026-01-31, of the years 1970 to 2199",
            id="day-of-another-age",
        ),
        pytest.param(
            "gpu: {commitment: {to: 2026-02-30}}",
            '1:24: gpu.commitment.to: expected a day such as 2026-01-31, not "2026-02-30"',
            id="no-such-day",
        ),
        pytest.param(
            "gpu: {price: NaN}", '1:14: gpu.price: expected a price per GPU-hour such as 2.49, not "NaN"', id="nan"
        ),
        pytest.param("gpu: {price: Infinity}", "1:14: gpu.price: expected a price", id="infinity"),
        pytest.param("gpu: {price: 1e99999}", "1:14: gpu.price: expected a price", id="absurd-exponent"),
        pytest.param("gpu: {price: 1_000}", "1:14: gpu.price: expected a price", id="underscore"),
        pytest.param(
            "gpu: {price: '2,49'}",
            '1:14: gpu.price: expected a price per GPU-hour such as 2.49, not "2,49". Did you mean "2.49"?',
            id="comma",
        ),
        pytest.param(
            "gpu: {owned: {purchase: '30,000'}}",
            '1:25: gpu.owned.purchase: expected an amount of money such as 30000, not "30,000". Did you mean "30000"?',
            id="thousands",
        ),
        pytest.param("gpu: {price: -1}", "1:14: gpu.price: a price per GPU-hour is at least 0, not -1", id="negative"),
        pytest.param(
            "gpu: {price: [1]}", "1:14: gpu.price: expected a price per GPU-hour such as 2.49, not a list", id="list"
        ),
        pytest.param(
            "gpu: {price: {catalog: aws/p5.48xlarg/us-east-1}}",
            '1:24: gpu.price.catalog: no instance "p5.48xlarg" of aws in the catalogue. Did you mean "p5.48xlarge"',
            id="catalog",
        ),
        pytest.param(
            "gpu: {price: {catalog: [aws]}}",
            "1:24: gpu.price.catalog: expected a key such as aws/p5.48xlarge/us-east-1/on_demand, not a list",
            id="catalog-list",
        ),
        pytest.param(
            "gpu: {price: {catalog: aws/p5.48xlarge/us-east-1/spot}}",
            "1:24: gpu.price.catalog: aws/p5.48xlarge/us-east-1 has no spot price in the catalogue; it has on_demand",
            id="catalog-kind",
        ),
        pytest.param(
            "gpu: {price: b20.yaml}",
            "1:14: gpu.price: expected a price per GPU-hour such as 2.49 or {per_instance_hour: …} or {windows: …} or "
            '{catalog: …} or {series: …}, not "b20.yaml"',
            id="tariff-for-a-gpu",
        ),
        pytest.param(
            "gpu: {price: {tariff: b20.yaml}}", "1:14: gpu.price: expected a price per GPU-hour", id="tariff-for-gpus"
        ),
        pytest.param("gpu: {price: {}}", "1:14: gpu.price: expected a price per GPU-hour", id="price-of-nothing"),
        pytest.param(
            "electricity: {price: {tariff: a.yaml, plans: x}}",
            '1:39: electricity.price: unknown key "plans". Did you mean "plan"?',
            id="tariff-key",
        ),
        pytest.param(
            "electricity: {price: {tariff: []}}",
            "1:31: electricity.price.tariff: expected a file such as b20.yaml, or a list of them, not an empty list",
            id="no-tariffs",
        ),
        pytest.param(
            "electricity: {price: {tariff: [{a: b}]}}",
            "1:32: electricity.price.tariff: expected a file such as b20.yaml, or a list of them, not keys and values",
            id="tariff-mapping",
        ),
        pytest.param(
            "electricity: {price: {tariff: a.yaml, tier: 0}}",
            "1:45: electricity.price.tier: a tier is at least 1, not 0",
            id="tier-0",
        ),
        pytest.param(
            "electricity: {price: {tariff: a.yaml, tier: [1]}}",
            "1:45: electricity.price.tier: expected last, or a tier such as 2, not a list",
            id="tier-list",
        ),
        pytest.param(
            "electricity: {price: {tariff: a.yaml, plan: ''}}",
            "1:45: electricity.price.plan: expected the id of a plan, or a list of them, not nothing",
            id="plan-empty",
        ),
        pytest.param(
            "electricity: {price: {catalog: x}}",
            "1:22: electricity.price: expected a price per kWh such as 0.12 or {tariff: …} or {windows: …} or "
            "{series: …}, not {catalog: …}",
            id="catalogue-of-electricity",
        ),
        pytest.param(
            "electricity: {price: {series: a.csv, gpus: 8}}",
            '1:38: electricity.price: unknown key "gpus". Known here: series',
            id="shared-electricity",
        ),
        pytest.param(
            "gpu: {price: {series: a.csv, gpus: 0}}", "1:36: gpu.price.gpus: a number of GPUs is at least", id="shares"
        ),
        pytest.param(
            "carbon: {intensity: {zone: US-XX}}",
            '1:28: carbon.intensity.zone: no zone "US-XX". Did you mean "US-TX"?',
            id="zone",
        ),
        pytest.param(
            "carbon: {intensity: {zone: Georgia}}",
            '1:28: carbon.intensity.zone: "Georgia" is several zones; write GE or US-GA',
            id="zone-of-two-names",
        ),
        pytest.param(
            "carbon: {intensity: {zone: DE, scope: stack}}",
            '1:39: carbon.intensity.scope: expected lifecycle or direct, not "stack"',
            id="scope",
        ),
        pytest.param(
            "carbon: {market: {zone: AT}}",
            '1:25: carbon.market.zone: the table has no market-based residual mix of "AT": every kWh there',
            id="market-of-austria",
        ),
        pytest.param(
            "carbon: {intensity: {zone: eGRID-CAMX}, market: {zone: DE}}",
            "1:49: carbon.market: counts lifecycle emissions, carbon.intensity direct ones",
            id="scopes-mixed",
        ),
        pytest.param(
            "carbon: {market: {zone: eGRID-CAMX}}",
            "1:18: carbon.market: counts direct emissions, carbon.intensity lifecycle ones",
            id="scope-of-the-default",
        ),
        pytest.param(
            "currency: EUR\ngpu: {price: {catalog: aws/p5.48xlarge/us-east-1}}",
            "2:14: gpu.price: the catalogue is in USD, not EUR; nothing is converted",
            id="catalogue-currency",
        ),
        pytest.param(
            "gpu: {commitment: {gpus: 8, from: 2026-01-01}}",
            "1:26: gpu.commitment: needs gpus, price, from and to; missing: price, to",
            id="half-a-commitment",
        ),
        pytest.param(
            "gpu: {commitment: {gpus: 8, price: 1, from: 2026-02-01, to: 2026-01-01}}",
            "1:61: gpu.commitment.to: 2026-01-01 is not after 2026-02-01",
            id="commitment-backwards",
        ),
        pytest.param(
            "gpu: {commitment: {from: 2026-02-30}}",
            '1:26: gpu.commitment.from: expected a day such as 2026-01-31, not "2026-02-30"',
            id="no-such-day",
        ),
        pytest.param(
            "gpu: {commitment: {from: 1 May}}",
            '1:26: gpu.commitment.from: expected a day such as 2026-01-31, not "1 May"',
            id="no-day",
        ),
        pytest.param(
            "gpu: {price: {per_instance_hour: x}}",
            "1:34: gpu.price.per_instance_hour: expected a price per hour",
            id="instance",
        ),
        pytest.param(
            "gpu: {price: {per_instance_hour: 8, gpus: 1.5}}",
            "1:43: gpu.price.gpus: a number of GPUs is whole",
            id="part-of-a-gpu",
        ),
        pytest.param(
            "gpu: {price: {per_instance_hour: 8, gpus: 0}}",
            "1:43: gpu.price.gpus: a number of GPUs is at least 1",
            id="no-gpus",
        ),
        pytest.param(
            "gpu: {price: {per_instance: 8}}",
            "1:14: gpu.price: expected a price per GPU-hour such as 2.49 or {per_instance_hour: …} or {windows: …} or "
            '{catalog: …} or {series: …}, not "per_instance". Did you mean "per_instance_hour"?',
            id="price-key",
        ),
        pytest.param("gpu: {price: {gpus: 8}}", "1:14: gpu.price: expected a price per GPU-hour", id="price-without"),
        pytest.param(
            "gpu: {billing: Owned}",
            '1:16: gpu.billing: expected rental or owned, not "Owned". Did you mean "owned"?',
            id="choice-case",
        ),
        pytest.param("gpu: {billing: [owned]}", "1:16: gpu.billing: expected one word, not a list", id="choice-list"),
        pytest.param(
            "gpu: {owned: {purchase: 5}}", "1:25: gpu.owned is set and gpu.billing is not owned", id="owned-unsaid"
        ),
        pytest.param(
            "gpu: {billing: owned}", "1:16: gpu.billing: owned needs gpu.owned.purchase", id="owned-without-purchase"
        ),
        pytest.param(
            "gpu: {billing: owned, owned: {purchase: 5, residual: 9}}",
            "1:54: gpu.owned.residual: 9 is more than the purchase, 5",
            id="residual",
        ),
        pytest.param(
            "gpu: {owned: {expected_use: 70%}}",
            '1:29: gpu.owned.expected_use: expected a share of the hours such as 0.7, not "70%". Did you mean "0.7"?',
            id="percent",
        ),
        pytest.param(
            "gpu: {owned: {expected_use: 0}}",
            "1:29: gpu.owned.expected_use: a share of the hours is more than 0",
            id="zero-use",
        ),
        pytest.param(
            "gpu: {owned: {life_years: 0}}",
            "1:27: gpu.owned.life_years: a number of years is more than 0",
            id="zero-life",
        ),
        pytest.param(
            "gpu: {price: 1, colour: red}",
            '1:17: unknown key "colour" in gpu. Known here: match, billing, price, owned',
            id="unknown-in-section",
        ),
        pytest.param(
            "gpu: {match: {model: x}, price: 1}", '1:15: unknown key "model" in gpu.match', id="unknown-match"
        ),
        pytest.param(
            "gpu: {match: {index: a-b}, price: 1}",
            '1:22: gpu.match.index: expected GPU numbers such as 0-3,6, not "a-b"',
            id="index",
        ),
        pytest.param(
            "gpu:\n- {price: 1}\n- {price: 2}",
            "3:3: gpu: the block before this one fits every GPU",
            id="unreachable-block",
        ),
        pytest.param("electricity: {pue: 0.9}", "1:20: electricity.pue: a PUE is at least 1, not 0.9", id="pue"),
        pytest.param("electricity: 0.12", '1:14: electricity: expected keys (price, pue), not "0.12"', id="section"),
        pytest.param(
            "idle: {utilization_below: 5}",
            "1:27: idle.utilization_below: a utilization from 0 to 1 is at most 1, not 5",
            id="ratio",
        ),
        pytest.param(
            "host: {power: lots}", '1:15: host.power: expected auto, none, or watts such as 350, not "lots"', id="words"
        ),
        pytest.param(
            "budget: {warn_at: 0.5}",
            '1:19: budget.warn_at: expected a list such as [0.5, 0.8], not "0.5"',
            id="no-list",
        ),
        pytest.param("budget: {on_exceed: stop}", "1:21: budget: an amount is missing", id="budget-without-amount"),
        pytest.param(
            "currency: usd",
            '1:11: currency: expected three capital letters such as USD, not "usd". Did you mean "USD"?',
            id="currency",
        ),
        pytest.param(
            "currency: Dollars",
            '1:11: currency: expected three capital letters such as USD, not "Dollars"',
            id="currency-name",
        ),
        pytest.param(
            "timezone: Europe/Berln",
            '1:11: timezone: no time zone "Europe/Berln". Did you mean "Europe/Berlin"?',
            id="zone-typo",
        ),
        pytest.param(
            "timezone: Kathmandu", '1:11: timezone: no time zone "Kathmandu". Did you mean "Asia/Kathmandu"?', id="city"
        ),
        pytest.param("timezone: ../etc/passwd", '1:11: timezone: no time zone "../etc/passwd"', id="zone-path"),
        pytest.param("timezone: Europe", '1:11: timezone: no time zone "Europe"', id="zone-folder"),
        pytest.param("labels: {a b: c}", '1:10: labels: "a b" is no name', id="label-name"),
        pytest.param("labels: {a: [c]}", "1:13: labels.a: expected a text, not a list", id="label-list"),
        pytest.param('labels: {a: "b\\nc"}', "1:13: labels.a: expected one line", id="label-lines"),
        pytest.param("labels: x", '1:9: labels: expected names and texts, not "x"', id="labels"),
        pytest.param("tarrif: 1", '1:1: unknown key "tarrif". Known here: currency', id="unknown"),
        pytest.param(
            "elektricity: {pue: 1}", '1:1: unknown key "elektricity". Did you mean "electricity"?', id="misspelt"
        ),
    ],
)
def test_each_fault_says_where_and_what_to_write(text: str, fault: str) -> None:
    """A refusal names file, line and column, the setting, what was expected, and the nearest right word."""
    _, faults = read(text)
    assert len(faults) == 1
    assert faults[0].startswith(f"c.yaml:{fault}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("host: {power: auto}", HostPower("auto"), id="auto"),
        pytest.param("host: {power: none}", HostPower("none"), id="none"),
        pytest.param("host: {power: 0}", HostPower("watts", Decimal(0)), id="zero-watts"),
        pytest.param("host: {power: }", HostPower("auto"), id="empty-is-not-set"),
    ],
)
def test_host_power_is_a_word_or_watts(text: str, expected: HostPower) -> None:
    """`auto`, `none` and watts are three things; a key without a value is not set."""
    assert (expected, []) == (read(text)[0].host, read(text)[1])


def test_no_embodied_carbon_is_a_choice() -> None:
    """`embodied: none` is zero by configuration, not for lack of a figure."""
    rates = read("carbon: {embodied: none}")[0].book.at(0, [H100])
    assert rates.devices["GPU-0"].embodied_grams_per_hour == 0
    assert rates.origins["carbon.embodied"].word == "configured"


def test_a_faulty_match_drops_its_block() -> None:
    """A block whose match cannot be read would fit every GPU without it, so it fits none."""
    got, faults = read("gpu:\n- {match: {index: x}, price: 99}\n")
    assert len(faults) == 1
    assert dict(got.book.at(0, [H100]).devices["GPU-0"].hourly) == {"rental": Decimal("3.39")}


def test_one_block_may_say_which_gpus_it_is_for() -> None:
    """A single block with a match is a list of one."""
    got, faults = read("gpu: {match: {index: '1-3, 7'}, price: 9}")
    assert faults == []
    assert got.book.gpus[0].match.indexes == frozenset((1, 2, 3, 7))


def test_all_faults_come_at_once() -> None:
    """Three mistakes are three lines, not one at a time."""
    _, faults = read("currency: x\ngpu: {price: y}\nlables: {}\n")
    assert [fault.split(":")[1] for fault in faults] == ["1", "2", "3"]


def test_every_key_has_a_default_and_a_meaning() -> None:
    """The grammar can be listed: each setting by its dotted name with a default and a sentence."""
    listed = dict(keys())
    assert {"currency", "gpu.price", "gpu.owned.expected_use", "budget.warn_at"} <= set(listed)
    assert all(key.default and key.meaning.endswith(".") for key in listed.values())


def _mutated(text: str, seed: int) -> str:
    """The text with a few characters changed, taken out, repeated or moved."""
    dice, characters = random.Random(seed), list(text)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(characters))
        how = dice.randrange(4)
        if how == 0:
            characters[at] = dice.choice("[]{}:,-&*!|>'\"#%@ \n\t0a\x00é")
        elif how == 1:
            del characters[at : at + dice.randint(1, 12)]
        elif how == 2:
            characters[at:at] = characters[at : at + dice.randint(1, 40)]
        else:
            characters[at:at] = dice.choice(["\n", ": ", "- ", "{", "9" * 30, "e9", "-", "%", "NaN"])
    return "".join(characters) or " "


@examples(150)
@given(st.integers(0, 2**32))
def test_no_mutation_of_a_valid_file_falls_over(seed: int) -> None:
    """A damaged file gives settings and faults; each fault names the file and a line, on one line."""
    got, faults = read(_mutated(WHOLE, seed))
    assert isinstance(got, Settings)
    assert all(re.match(r"c\.yaml:\d+:\d+: \S", fault) and "\n" not in fault for fault in faults)
    rates = got.book.at(1_780_000_000 * 10**9, [H100])
    assert all(amount >= 0 for _, amount in rates.devices["GPU-0"].hourly)
