"""A plan: asked, completed by settings and facts, refused with what to type; every figure says where it is from."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costmeter.config.layers import load_settings
from costmeter.config.settings import Settings
from costmeter.errors import UsageError
from costmeter.planning.plan import Plan, plan
from costmeter.planning.request import Request

EVERYWHERE: Mapping[str, str] = {"XDG_CONFIG_DIRS": "/nowhere", "XDG_CONFIG_HOME": "/nowhere", "HOME": "/nowhere"}


def settings(flags: Mapping[str, str] | None = None, text: str = "", folder: Path | None = None) -> Settings:
    """The settings of these flags, over a project file where there is a folder for one."""
    if folder is not None:
        (folder / "costmeter.yaml").write_text(text)
    return load_settings(None, flags or {}, EVERYWHERE, str(folder or "/"), strict=True).settings


#: A machine is 55.04 an hour, whatever is in it.
PER_INSTANCE = settings({"gpu": "{price: {per_instance_hour: 55.04}}"})


def planned(flags: Mapping[str, str] | None = None, **asked: Any) -> Plan:
    return plan(Request(**asked), settings(flags), 0)


def origins(made: Plan) -> dict[str, tuple[str, str]]:
    return {one.name: (one.value, one.origin) for one in made.assumptions}


def test_a_rented_node_by_hand() -> None:
    """8 H100 for 12 h at 2.49: 239.04 USD; (700 × 85 % + 900 / 8) × 1.2 × 96 h = 81.504 kWh; at 380 g: 30,971.52 g."""
    flags = {"gpu.price": "2.49", "electricity.pue": "1.2", "carbon.intensity": "380"}
    made = planned(flags, gpu="h100", count=8, hours=Decimal(12), host_watts=Decimal(900), purchase=Decimal(30_000))
    one = made.one_run
    assert (Decimal("239.04"), Decimal("81.504"), Decimal("30971.52")) == (
        one.cost,
        one.energy_kwh,
        one.emissions_grams,
    )
    assert made.break_even is not None
    assert 12_562 == round(made.break_even.busy_hours)


def test_runs_and_buffer_stand_beside_one_run() -> None:
    """20 runs cost 20 times as much, and 15 % more with the reserve; the figures of one run stay."""
    made = planned({"gpu.price": "2"}, gpu="h100", hours=Decimal(1), runs=20, buffer=Decimal("0.15"))
    assert (Decimal(2), Decimal(40), Decimal(46)) == (made.one_run.cost, made.all_runs.cost, made.with_buffer.cost)


def test_owned_gpus_cost_capital_and_electricity() -> None:
    """35,040 / (4 × 8,760) = 1.00 an hour, and 0.6 kW × 0.20 = 0.12: 10 h cost 11.20."""
    flags = {"gpu.billing": "owned", "gpu.owned.purchase": "35040", "electricity.price": "0.20"}
    made = planned(flags, gpu="h100", hours=Decimal(10), watts=Decimal(600))
    assert {"capital": Decimal(10), "electricity": Decimal("1.2")} == dict(made.one_run.components or ())
    assert made.break_even is None


def test_the_settings_that_make_the_capital_are_named() -> None:
    """(20,000 - 1,000) / 35,040 + 20,000 × 0.1 / 8,760 = 0.770547945205 an hour, and as much again at half the use."""
    flags = {"billing": "owned", "owned.purchase": "20000", "owned.residual": "1000"}
    flags |= {"owned.maintenance_per_year": "0.1", "owned.expected_use": "0.5"}
    made = planned({f"gpu.{name}": text for name, text in flags.items()}, gpu="h100", hours=Decimal(1))
    components = dict(made.one_run.components or ())
    assert [Decimal("0.770547945205")] * 2 == [round(components[name], 12) for name in ("capital", "idle_share")]
    said = origins(made)
    assert ("20000 USD per GPU", "configured: --purchase") == said["purchase"]
    assert ("1000 USD", "the setting gpu.owned.residual") == said["residual value"]
    assert ("4 years", "the setting gpu.owned.life_years") == said["life"]
    assert ("10 % of the purchase a year", "the setting gpu.owned.maintenance_per_year") == said["maintenance"]
    assert ("50 % of the hours", "the setting gpu.owned.expected_use") == said["expected use"]


def test_prices_by_index_are_for_gpus_that_are_there(tmp_path: Path) -> None:
    """4 GPUs at 2 and 4 at 4 say nothing of 8 planned ones: the list price stands, and that the others do not.

    A price that all blocks share, as --price is, leaves nothing to say.
    """
    text = "gpu: [{match: {index: 0-3}, price: 2}, {match: {index: 4-7}, price: 4}]\n"
    asked = Request(gpu="h100", count=8, hours=Decimal(1))
    said = origins(plan(asked, settings(None, text, tmp_path), 0))
    assert said["GPU price"][1].startswith("list price")
    assert ("by index or UUID", "not used: they are for GPUs that are there") == said["other prices"]
    given = plan(asked, settings({"gpu.price": "3"}, text, tmp_path), 0)
    assert Decimal(24) == given.one_run.cost
    assert "other prices" not in origins(given)


def test_a_mean_does_not_speak_of_held_values(tmp_path: Path) -> None:
    """0.1 and 0.3 with a day between them are 0.2, and no value is held for the day."""
    rows = [f"2026-01-0{day}T00:00Z,2026-01-0{day}T01:00Z,{price},USD/kWh" for day, price in ((1, 0.1), (2, 0.3))]
    (tmp_path / "p.csv").write_text("\n".join(["start_utc,end_utc,value,unit", *rows]) + "\n")
    text = "gpu: {billing: owned, owned: {purchase: 20000}}\nelectricity: {price: p.csv}\n"
    value, origin = origins(plan(Request(gpu="h100", hours=Decimal(1)), settings(None, text, tmp_path), 0))[
        "electricity"
    ]
    assert "0.2 USD/kWh" == value
    assert origin.startswith("configured: mean of the series, 2026-01-01T00:00Z to 2026-01-02T01:00Z; ")
    assert "held" not in origin
    assert "used" not in origin


def test_a_machine_of_one_gpu_is_priced_whole() -> None:
    """One GPU, said or assumed, has a machine to itself: 55.04 an hour, and all of the host's 800 W."""
    for count in (None, 1):
        made = plan(Request(gpu="h100", count=count, hours=Decimal(1), host_watts=Decimal(800)), PER_INSTANCE, 0)
        assert Decimal("55.04") == made.one_run.cost
        assert Decimal("1.395") == made.one_run.energy_kwh
        assert "800 W for each GPU" == origins(made)["host power"][0]
    eight = plan(Request(gpu="h100", count=8, hours=Decimal(1)), PER_INSTANCE, 0)
    assert Decimal("55.04") == eight.one_run.cost


def test_one_gpu_of_a_machine_of_eight_bears_an_eighth_of_it() -> None:
    """Where the price is shared by 8 so is the host: 55.04 / 8, and (700 W × 85 % + 1,000 W / 8) × 10 h = 7.2 kWh."""
    site = settings({"gpu": "{price: {per_instance_hour: 55.04, gpus: 8}}"})
    made = plan(Request(gpu="h100", count=1, hours=Decimal(10), host_watts=Decimal(1000)), site, 0)
    assert (Decimal("68.8"), Decimal("7.2")) == (made.one_run.cost, made.one_run.energy_kwh)
    assert "1000 W for each 8 GPUs" == origins(made)["host power"][0]


def test_a_tariff_by_the_hour_is_averaged_and_named(tmp_path: Path) -> None:
    """12 h at 0.30 and 12 h at 0.10 come to 0.20 per kWh, called a mean of the coming year."""
    text = (
        "timezone: UTC\ngpu: {billing: owned, owned: {purchase: 35040}}\nelectricity: {price: {windows: ["
        '{hours: ["00:00-12:00"], price_per_kwh: 0.30}, {hours: other, price_per_kwh: 0.10}]}}\n'
    )
    made = plan(Request(gpu="h100", hours=Decimal(10), watts=Decimal(1_000)), settings(None, text, tmp_path), 0)
    assert Decimal(2) == dict(made.one_run.components or ())["electricity"]
    value, origin = origins(made)["electricity"]
    assert "0.2 USD/kWh" == value
    assert "mean of the coming year" in origin
    assert "costmeter.yaml:3" in origin


def test_every_default_says_that_it_is_one() -> None:
    """Without settings: a list price with its month, the limit of the model, an assumed load, the world's grid."""
    said = origins(planned(gpu="h100", count=8, flops=Decimal("1e21")))
    assert said["GPU price"][1].startswith("list price 20")
    assert ("700 W", "power limit of H100-80GB-SXM5") == said["GPU power"]
    assert ("85 %", "assumed; set --load or --watts") == said["load"]
    assert ("40 %", "assumed; set --mfu or --tflops") == said["MFU"]
    assert "40 % of 989.4 TFLOPS (tensor bf16, dense) of H100-80GB-SXM5" == said["achieved"][1]
    assert "world average" in said["carbon"][1]
    assert "not counted" == said["host power"][0]
    assert "it fits H100-80GB-PCIe" in said["GPU"][1]


def test_embodied_carbon_stands_apart() -> None:
    """An A100's 150 kg over 4 years are 4.28 g an hour, and no part of the emissions of its energy."""
    made = planned({"carbon.intensity": "100"}, gpu="a100", gpu_hours=Decimal(1_000), watts=Decimal(400))
    assert Decimal(40_000) == made.one_run.emissions_grams
    assert made.one_run.embodied_grams is not None
    assert Decimal("4281") == round(made.one_run.embodied_grams)
    assert "4.28 g/GPU-h, beside the emissions" == origins(made)["embodied carbon"][0]


def test_a_price_and_watts_need_no_model() -> None:
    """Any accelerator can be estimated from its own figures: nobody's embodied carbon and no break-even."""
    made = planned({"gpu.price": "3.22"}, gpu_hours=Decimal(100), watts=Decimal(200))
    assert (Decimal("322"), Decimal(20)) == (made.one_run.cost, made.one_run.energy_kwh)
    assert (None, None) == (made.one_run.embodied_grams, made.work.hours)
    assert "set --purchase" in made.no_break_even


def test_what_nobody_knows_is_missing_and_says_what_to_set() -> None:
    """No model, no price, no watts: no cost and no energy, and each says which flag would bring it."""
    made = planned(gpu_hours=Decimal(100))
    assert (None, None) == (made.one_run.cost, made.one_run.energy_kwh)
    said = origins(made)
    assert "set --gpu or --price" in said["GPU price"][1]
    assert "set --watts" in said["power"][1]


def test_a_model_without_list_price_has_no_cost_but_energy() -> None:
    """A card nobody rents out costs nothing known; its energy is."""
    made = planned(gpu="gtx 1080 ti", hours=Decimal(10), load=Decimal("0.8"))
    assert (None, Decimal(2)) == (made.one_run.cost, made.one_run.energy_kwh)


def test_list_prices_serve_no_other_currency() -> None:
    """In EUR neither the list price nor the price of a card in USD is used."""
    made = planned({"currency": "EUR"}, gpu="h100", hours=Decimal(1))
    assert ("EUR", None, None) == (made.currency, made.one_run.cost, made.break_even)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param({}, "how much work?", id="nothing"),
        pytest.param({"hours": 3, "flops": 4}, "--hours and --flops each say how much work", id="two-ways"),
        pytest.param({"params": 3}, "--params needs the tokens", id="half-a-way"),
        pytest.param({"tokens": 3}, "--tokens needs the parameters", id="the-other-half"),
        pytest.param({"hours": 3, "mfu": 1, "tflops": 5}, "--mfu and --tflops", id="two-speeds"),
        pytest.param({"hours": 3, "mfu": "1.5"}, "--mfu 1.5: expected a share of at most 1", id="more-than-all"),
        pytest.param({"hours": 3, "mfu": 40}, "did you mean 40%?", id="percent-forgotten"),
        pytest.param({"hours": 3, "load": 85}, "did you mean 85%?", id="load-in-percent"),
        pytest.param({"hours": 0}, "--hours 0: expected more than 0", id="no-time"),
        pytest.param({"hours": 3, "count": 0}, "--count 0: expected more than 0", id="no-gpus"),
        pytest.param({"hours": 3, "buffer": 15}, "--buffer 15: expected a share", id="buffer-in-percent"),
        pytest.param({"flops": 3}, "--tflops 400", id="speed-of-what"),
        pytest.param({"flops": 3, "gpu": "h1000"}, 'no GPU model "h1000"', id="unknown-model"),
    ],
)
def test_nonsense_is_refused_with_what_to_type(asked: dict[str, Any], said: str) -> None:
    """Contradictions, missing pieces and impossible values name the flag and the way out."""
    numbers = {name: value if name in ("gpu", "count") else Decimal(value) for name, value in asked.items()}
    with pytest.raises(UsageError) as refusal:
        planned(None, **numbers)
    assert said in f"{refusal.value.message}\n{refusal.value.hint}"


def test_all_complaints_come_at_once() -> None:
    """Three mistakes are three lines."""
    with pytest.raises(UsageError) as refusal:
        planned(None, params=Decimal(1), mfu=Decimal(2), watts=Decimal(0))
    assert 3 == len(refusal.value.message.splitlines())
