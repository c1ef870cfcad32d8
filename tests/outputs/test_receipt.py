"""The receipt as data: the public contract, key by key, and sums that hold in it."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from costmeter import __version__
from costmeter.ledger.query import Part, Run, begin, fold_all
from costmeter.ledger.record import Header, Mark, RatesChange, Record
from costmeter.meter.charge import DeviceRates, Origin
from costmeter.meter.slot import Quantities
from costmeter.outputs.figures import plain
from costmeter.outputs.receipt import receipt, timestamp
from tests.depth import examples
from tests.outputs import runs
from tests.outputs.runs import one, repriced
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    MINUTE,
    SECOND,
    devices,
    footer,
    header,
    held,
    owned,
    rates,
    rates_from_start,
    recordings,
    rental,
    silent,
    uuids,
)

CONTRACT = {
    "": {
        "schema", "simulated", "currency", "run", "cost", "energy", "emissions", "gpu_seconds",
        "unmeasured_gpu_seconds", "idle_reasons", "idle_costs", "devices", "phases", "progress", "sunk", "budget",
        "budgets", "items", "full_cost", "provenance", "meter",
    },
    "run": {
        "id", "part", "imported", "name", "labels", "command", "outcome", "exit_code", "signal", "started_at",
        "ended_at", "seconds", "hosts",
    },
    "cost": {"total", "components", "states", "phases"},
    "cost.states": {"busy", "idle", "unknown"},
    "energy": {"total_joules", "gpu_joules", "host_joules", "overhead_joules", "total_kwh", "methods", "bands", "band"},
    "emissions": {"total_grams", "operational_grams", "embodied_grams", "market_grams"},
    "gpu_seconds": {"busy", "idle", "unknown"},
    "progress": {
        "steps", "tokens", "from_steps", "from_tokens", "loss", "of_steps", "cost_per_step", "cost_per_million_tokens",
        "projected",
    },
    "sunk": {"total", "lost_since_checkpoint", "reason", "checkpoints", "last_checkpoint_at", "redone"},
    "meter": {"version", "cpu_seconds", "readings", "faults"},
}  # fmt: skip
DEVICE = {
    "uuid", "index", "name", "scope", "mig", "joules", "method", "seconds", "unmeasured_seconds", "mean_utilization",
    "cost",
}  # fmt: skip
KINDS = ("provenance", "origins")
ALL_RUNS = [
    pytest.param(run(), id=run.__name__)
    for run in (
        *(runs.healthy, runs.failed, runs.owned, runs.no_driver, runs.none_held),
        *(runs.nodes, runs.interrupted, runs.simulated, runs.reloaded, runs.divided),
        *(runs.beside, runs.moving, runs.unpriced),
        *(runs.trained, runs.broke_off, runs.resumed, runs.going_on),
    )
]


def at(of: dict[str, Any], path: str) -> Any:
    for name in filter(None, path.split(".")):
        of = of[name]
    return of


# The contract


@pytest.mark.parametrize("run", ALL_RUNS)
@pytest.mark.parametrize("path", [pytest.param(path, id=path or "receipt") for path in CONTRACT])
def test_every_key_of_the_contract_is_there(run: Run, path: str) -> None:
    """Whatever happened to the run, no key that scripts rely on is missing."""
    assert CONTRACT[path] <= set(at(receipt(run), path))


@pytest.mark.parametrize("run", ALL_RUNS)
def test_every_device_has_every_key(run: Run) -> None:
    """Devices are rows of one shape, in the order of their indices."""
    rows = receipt(run)["devices"]
    assert all(DEVICE == set(row) for row in rows)
    assert sorted(row["index"] for row in rows) == [row["index"] for row in rows]


@pytest.mark.parametrize("run", ALL_RUNS)
def test_a_receipt_is_json(run: Run) -> None:
    """Every value has a JSON type, and none is NaN or infinite."""
    of = receipt(run)
    assert of == json.loads(json.dumps(of, allow_nan=False))


@pytest.mark.parametrize("run", ALL_RUNS)
def test_every_word_of_provenance_is_one_of_four(run: Run) -> None:
    """A figure is measured, estimated, configured or a list price with its date; the total says which."""
    words = receipt(run)["provenance"]
    assert all(
        word in ("measured", "estimated", "configured") or word.startswith("list price 20") for word in words.values()
    )
    assert "cost.total" in words


# The worked example


def test_a_healthy_run_value_by_value() -> None:
    """The run of `runs.healthy`, whose docstring has the sums."""
    of = receipt(runs.healthy())
    assert {
        "schema": "costmeter.receipt/1",
        "simulated": False,
        "currency": "USD",
        "unmeasured_gpu_seconds": 0.0,
        "idle_reasons": {"unexplained": 10_420.0},
        "budget": None,
    } == {
        name: of[name]
        for name in ("schema", "simulated", "currency", "unmeasured_gpu_seconds", "idle_reasons", "budget")
    }
    assert {
        "id": "r-0123456789ab",
        "part": None,
        "imported": None,
        "name": "sft-llama",
        "labels": {"project": "llm", "team": "nlp"},
        "command": ["torchrun", "--nproc-per-node=8", "train.py"],
        "outcome": "ok",
        "exit_code": 0,
        "signal": None,
        "started_at": "2026-11-22T14:03:00.000Z",
        "ended_at": "2026-11-22T17:15:07.000Z",
        "seconds": 11_527.0,
        "hosts": ["gpu01"],
    } == of["run"]
    assert Decimal("63.7827") == Decimal(of["cost"]["total"]).quantize(Decimal("0.0001"))
    assert {"busy": 81_796.0, "idle": 10_420.0, "unknown": 0.0} == of["gpu_seconds"]
    assert {"counter": 56_448_000.0} == of["energy"]["methods"]
    assert (56_448_000.0, 10_374_300.0) == (of["energy"]["gpu_joules"], of["energy"]["host_joules"])
    assert (56_448_000 + 10_374_300) * 0.2 == pytest.approx(of["energy"]["overhead_joules"], rel=1e-12)
    assert of["energy"]["total_kwh"] == pytest.approx(22.27410, abs=1e-5)
    assert of["emissions"]["operational_grams"] == pytest.approx(22.27410 * 380, abs=1e-2)
    assert of["emissions"]["embodied_grams"] == pytest.approx(25.6156 * 4.68, abs=1e-2)
    assert {"version": __version__, "cpu_seconds": 9.3716, "readings": 1_200, "faults": []}.items() <= of[
        "meter"
    ].items()
    assert [11_527.0] * 8 == [row["seconds"] for row in of["devices"]]


def test_a_failed_run_says_what_failed() -> None:
    """Outcome, exit code, the faults with their device and time, and the silent time as unknown and unmeasured."""
    of = receipt(runs.failed())
    assert ("failed", 1) == (of["run"]["outcome"], of["run"]["exit_code"])
    first = of["meter"]["faults"][0]
    assert ("2026-11-22T14:33:00.000Z", runs.EIGHT[3].uuid) == (first["at"], first["device"])
    assert 7 == len(of["meter"]["faults"])
    assert 960.0 == of["gpu_seconds"]["unknown"] == of["unmeasured_gpu_seconds"]


def test_a_run_without_driver_cost_nothing_and_says_why() -> None:
    """No device, no rates: the zero of every sum, and the reason as the provenance of the total."""
    of = receipt(runs.no_driver())
    assert ("0", [], {}) == (of["cost"]["total"], of["devices"], of["energy"]["methods"])
    assert "no NVIDIA driver" in of["origins"]["cost.total"]


@pytest.mark.parametrize(("node_gpus", "said"), [(8, "none of the node's 8 GPUs"), (1, "none of the node's 1 GPU")])
def test_a_run_that_held_no_gpu_says_how_many_there_were(node_gpus: int, said: str) -> None:
    """GPUs that the run was not given are not called missing."""
    of = receipt(Run((runs.part(header(), held([], node_gpus), footer(MINUTE)),)))
    assert f"nothing was metered: the run held {said}" == of["origins"]["cost.total"]


def test_a_killed_run_is_interrupted() -> None:
    """Without a footer nobody knows how the run ended; while its meter lives, it is running."""
    run = runs.interrupted()
    assert ("interrupted", None, None) == tuple(
        receipt(run)["run"][name] for name in ("outcome", "exit_code", "signal")
    )
    assert "running" == receipt(run, is_live=lambda _: True)["run"]["outcome"]


def test_gpus_of_different_prices_share_the_least_certain_origin() -> None:
    """Where one GPU's price is configured and another's a list price, the total is no better than the list."""
    of = receipt(runs.interrupted())
    assert "list price 2026-05" == of["provenance"]["cost.total"]


@pytest.mark.parametrize(
    ("expected", "of"),
    [
        pytest.param("measured", runs.healthy(), id="counter"),
        pytest.param("estimated", runs.no_driver(), id="nothing-measured"),
    ],
)
def test_energy_is_measured_only_where_it_was(expected: str, of: Run) -> None:
    """A run without a reading does not call its energy measured."""
    assert expected == receipt(of)["provenance"].get("energy.gpu_joules", "estimated")


@pytest.mark.parametrize(
    ("expected", "of"),
    [
        pytest.param(({"counter": 0.01}, 0.01), runs.healthy(), id="counter"),
        pytest.param(
            ({"counter": 0.01, "power": 0.05}, 0.0242857), runs.interrupted(), id="nine-of-fourteen-by-counter"
        ),
        pytest.param(({"counter": 0.01, "estimated": 0.5}, 0.0476923), runs.simulated(), id="150-of-1950-J-estimated"),
        pytest.param(({}, None), runs.no_driver(), id="nothing"),
    ],
)
def test_energy_has_the_band_of_its_methods(expected: tuple[dict[str, float], float | None], of: Run) -> None:
    """Counter ±1 %, power ±5 %, estimated ±50 %, weighted by joules.

    (9 × 1 % + 5 × 5 %) / 14 = 2.43 %; (1,800 × 1 % + 150 × 50 %) / 1,950 = 4.77 %.
    """
    energy = receipt(of)["energy"]
    assert expected == (energy["bands"], energy["band"] and pytest.approx(energy["band"], abs=1e-7))


def test_a_device_has_the_method_that_found_most_of_its_energy() -> None:
    """Not what the probe hoped for: a counter that froze early leaves power, a GPU lost from the start nothing."""
    part = runs.healthy().parts[0]
    by_power = Quantities(busy_nanoseconds=MINUTE, busy_microjoules=10, counter_microjoules=4, power_microjoules=6)
    of = {uuid: silent(MINUTE) for uuid in part.devices} | {runs.EIGHT[0].uuid: by_power}
    rows = receipt(
        Run((fold_all(begin(part.header), [held(runs.EIGHT), rates_from_start(runs.RENTED), runs.entry(of, MINUTE)]),))
    )["devices"]
    assert ["power", *[None] * 7] == [row["method"] for row in rows]


def test_a_device_says_what_it_is_of() -> None:
    """A MIG instance has its board and slices, a Grace module its scope; any other device is a GPU of its own."""
    rows = receipt(runs.divided())["devices"]
    board = runs.EIGHT[0].uuid
    assert [(board, 3, 7), (board, 1, 7), (board, 1, 7), None] == [
        row["mig"] and (row["mig"]["board"], row["mig"]["slices"], row["mig"]["of"]) for row in rows
    ]
    assert ["gpu", "gpu", "gpu", "module"] == [row["scope"] for row in rows]


# Sums


@examples(20)
@given(recordings())
def test_parts_sum_to_the_whole(recording: tuple[tuple[str, ...], list[Record]]) -> None:
    """Components, states and devices each sum to the total to the last digit, as text in JSON."""
    (first, *rest) = recording[1]
    assert isinstance(first, Header)
    of = receipt(Run((fold_all(begin(first), rest),)))
    total = Decimal(of["cost"]["total"])
    assert total == sum(map(Decimal, of["cost"]["components"].values()))
    assert total == sum(map(Decimal, of["cost"]["states"].values()))
    assert total == sum(Decimal(row["cost"]) for row in of["devices"])
    energy = of["energy"]
    assert energy["total_joules"] == pytest.approx(
        sum(energy[f"{part}_joules"] for part in ("gpu", "host", "overhead"))
    )
    assert energy["gpu_joules"] == pytest.approx(sum(energy["methods"].values()))
    assert energy["gpu_joules"] == pytest.approx(sum(row["joules"] for row in of["devices"]))
    assert sum(of["gpu_seconds"].values()) == pytest.approx(sum(row["seconds"] for row in of["devices"]))


@examples(20)
@given(recordings())
def test_amounts_are_written_without_an_exponent(recording: tuple[tuple[str, ...], list[Record]]) -> None:
    """Every amount is digits with at most one point and a sign: what any other program reads."""
    (first, *rest) = recording[1]
    assert isinstance(first, Header)
    of = receipt(Run((fold_all(begin(first), rest),)))
    amounts = [of["cost"]["total"], *of["cost"]["components"].values(), *(row["cost"] for row in of["devices"])]
    assert all(set(amount) <= set("-.0123456789") for amount in amounts)


@pytest.mark.parametrize(
    ("expected", "amount"),
    [
        pytest.param("0.0000001", "1E-7", id="small"),
        pytest.param("0.000000000000", "0E-12", id="zero-of-the-quantum"),
        pytest.param("1000", "1E+3", id="large"),
        pytest.param("2.50", "2.50", id="as-it-was"),
    ],
)
def test_plain_amounts(expected: str, amount: str) -> None:
    """Digits are kept, exponents are not."""
    assert expected == plain(Decimal(amount))


# Runs of several parts


@pytest.mark.parametrize(
    ("outcome", "exit_code", "parts"),
    [
        pytest.param("ok", 0, [one("a", "ok", 0), one("b", "ok", 0)], id="all-ok"),
        pytest.param("failed", 7, [one("a", "ok", 0), one("b", "failed", 7)], id="one-host-failed"),
        pytest.param("failed", 3, [one("a", "failed", 3), one("b", "failed", 7)], id="the-first-that-failed"),
        pytest.param("failed", 7, [one("a", "failed", 7), one("b", "ok", 0)], id="not-the-last-host's"),
        pytest.param("interrupted", None, [one("a", "ok", 0), one("b", None)], id="one-host-was-killed"),
        pytest.param("preempted", None, [one("a", None), one("b", "preempted")], id="preempted-is-worse-than-killed"),
        pytest.param("ok", 0, [one("a", "failed", 1), one("a", "ok", 0, HOUR)], id="a-requeue-that-ended-well"),
        pytest.param("interrupted", None, [one("a", "ok", 0), one("a", None, None, HOUR)], id="a-requeue-was-killed"),
    ],
)
def test_how_a_run_of_parts_ended(outcome: str, exit_code: int | None, parts: list[Part]) -> None:
    """The worst end of any host's last part, with that part's exit code."""
    told = receipt(Run(tuple(parts)))["run"]
    assert (outcome, exit_code) == (told["outcome"], told["exit_code"])


def test_a_run_of_parts_lasts_from_first_start_to_last_end() -> None:
    """Two parts an hour apart: 61 minutes, two hosts, and the rent of both, 2 × 2 × 1 min × $2.49/h = 16.6 cents."""
    of = receipt(Run((one("a", "ok", 0), one("b", "ok", 0, HOUR))))
    assert (3_660.0, ["a", "b"]) == (of["run"]["seconds"], of["run"]["hosts"])
    assert Decimal("0.166") == Decimal(of["cost"]["total"])


def test_a_part_that_went_on_from_a_killed_meter_counts_from_there() -> None:
    """Spawned at 14:03, its GPUs counted from 3.25 s before, for 3 s after: 6.25 s, as the GPUs say.

    A GPU that came later moves nothing.
    """
    each = Quantities(unknown_nanoseconds=25 * SECOND // 4)
    since_ns = {runs.TWO[0].uuid: BEGAN_NS - 13 * SECOND // 4, runs.TWO[1].uuid: BEGAN_NS + SECOND}
    under = rates_from_start(rates(dict.fromkeys(uuids(runs.TWO), rental())))
    resumed = replace(held(runs.TWO), since_ns=since_ns)
    spent = runs.entry(dict.fromkeys(uuids(runs.TWO), each), 3 * SECOND)
    of = receipt(Run((runs.part(header(), resumed, under, spent, footer(3 * SECOND)),)))
    assert ("2026-11-22T14:02:56.750Z", 6.25) == (of["run"]["started_at"], of["run"]["seconds"])
    assert [6.25, 6.25] == [row["seconds"] for row in of["devices"]]


@pytest.mark.parametrize(
    ("expected", "estimated_uj"),
    [
        pytest.param("counter ±1 %, sensor ±5 % on top", 499, id="below"),
        pytest.param("counter 99.9 %, estimated 0.1 %: ±1 %, sensor ±5 % on top", 600, id="shown"),
    ],
)
def test_a_method_of_next_to_nothing_is_not_named(expected: str, estimated_uj: int) -> None:
    """From 0.05 % of the energy on: 500 µJ of 1 J. (0.9994 × 1 % + 0.0006 × 50 % = 1.03 %.)"""
    whole = Quantities(
        busy_nanoseconds=MINUTE,
        busy_microjoules=1_000_000,
        counter_microjoules=1_000_000 - estimated_uj,
        estimated_microjoules=estimated_uj,
    )
    part = runs.part(header(), held(runs.EIGHT), rates_from_start(runs.RENTED))
    spent = runs.entry({runs.EIGHT[0].uuid: whole}, MINUTE)
    assert expected == receipt(Run((fold_all(part, [spent]),)))["origins"]["energy.gpu_joules"]


def test_every_node_has_its_own_price() -> None:
    """Prices and their origins are those of every part with GPUs, whatever the last part had."""
    of = receipt(runs.nodes())
    first, second = (row["uuid"] for row in of["devices"])
    assert {first: {"rental": "2.49"}, second: {"rental": "1.29"}} == of["rates"]["gpu_per_hour"]
    assert of["rates"]["changed_during_run"] is False
    names = (f"gpu.price.{first}", f"gpu.price.{second}", "cost.total")
    assert ["configured", *["list price 2026-05"] * 2] == [of["provenance"][name] for name in names]


@pytest.mark.parametrize(
    ("changed", "changes"),
    [
        pytest.param(False, {}, id="nothing"),
        pytest.param(True, {"devices": dict.fromkeys(uuids(devices(2)), rental("6"))}, id="price"),
        pytest.param(True, {"pue": Decimal(2)}, id="pue"),
        pytest.param(False, {"electricity_per_kwh": Decimal(2)}, id="electricity-that-nobody-pays"),
    ],
)
def test_parts_that_were_priced_differently_are_told(changed: bool, changes: dict[str, Any]) -> None:
    """A requeue under another price changed it, although neither part saw a change."""
    of = receipt(Run((one("a", "ok", 0), repriced(one("a", "ok", 0, HOUR), **changes))))
    assert changed is of["rates"]["changed_during_run"]


def test_a_gpu_without_a_price_in_its_last_part_keeps_the_one_it_had() -> None:
    """Money that was counted is not shown as `no price` because a requeue had none."""
    unpriced = repriced(one("a", "ok", 0, HOUR), devices=dict.fromkeys(uuids(devices(2)), DeviceRates((), False)))
    of = receipt(Run((one("a", "ok", 0), unpriced)))
    assert [{"rental": "2.49"}] * 2 == list(of["rates"]["gpu_per_hour"].values())


def test_electricity_is_told_as_the_part_that_pays_it_knows_it() -> None:
    """A rented second node, whose rent includes electricity, does not hide what the first pays for it."""
    paid = {"electricity.price": Origin("configured", "costmeter.yaml:6"), "host.power": Origin("configured", "x:1")}
    free = {"electricity.price": Origin("estimated", "not charged"), "host.power": Origin("estimated", "not set")}
    bought = dict.fromkeys(uuids(devices(2)), owned("1"))
    first = repriced(one("a", "ok"), devices=bought, electricity_per_kwh=Decimal("0.12"), origins=paid)
    of = receipt(Run((first, repriced(one("b", "ok", 0, HOUR), devices={}, origins=free))))
    assert ("0.12", True) == (of["rates"]["electricity_per_kwh"], of["rates"]["electricity_charged"])
    assert ("configured", "costmeter.yaml:6") == tuple(of[kind]["electricity.price"] for kind in KINDS)
    assert ("estimated", "differs by part: x:1 / not set") == tuple(of[kind]["host.power"] for kind in KINDS)


def test_money_of_two_currencies_is_never_added() -> None:
    """A receipt has one currency; parts of two are taken apart first."""
    with pytest.raises(ValueError, match="too many values"):
        receipt(Run((one("a", "ok", 0), repriced(one("b", "ok", 0), currency="EUR"))))


def test_a_price_that_changed_is_told() -> None:
    """Rates in the receipt are the last in force, and it says that there were others."""
    run = one("a", "ok", 0)
    assert run.rates is not None
    dearer = replace(
        run.rates, devices={uuid: rental("6") for uuid in run.devices}, origins={"gpu.price": Origin("configured", "x")}
    )
    of = receipt(Run((fold_all(run, [RatesChange(BEGAN_UTC_NS, dearer)]),)))
    assert of["rates"]["changed_during_run"] is True
    assert {"rental": "6"} == of["rates"]["gpu_per_hour"][uuids(devices(1))[0]]


def test_problems_of_the_journal_and_dropped_faults_are_told() -> None:
    """What could not be read, and how many faults are not shown, stand in the receipt."""
    marks = [Mark(BEGAN_UTC_NS, "fault", str(number)) for number in range(105)]
    damaged = replace(fold_all(one("a", "ok", 0), marks), problems=("line 7 unreadable, skipped",))
    meter = receipt(Run((damaged,)))["meter"]
    assert (100, 5, ["line 7 unreadable, skipped"]) == (
        len(meter["faults"]),
        meter["faults_dropped"],
        meter["journal_problems"],
    )


def test_timestamps_are_utc_to_the_millisecond() -> None:
    """ISO 8601 with Z, cut off and not rounded up into the future."""
    assert "2026-11-22T14:03:00.999Z" == timestamp(BEGAN_UTC_NS + SECOND - 1)
