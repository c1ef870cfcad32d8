"""A GPU that could not say at first who it was: one row, under the name it had at last."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from costmeter.ledger.query import Part, Run
from costmeter.ledger.record import Mark
from costmeter.meter.slot import Quantities
from costmeter.outputs.identified import identified
from costmeter.outputs.receipt import receipt
from costmeter.outputs.terminal import gpu_names
from costmeter.readings import Device, Missing, unidentified
from tests.outputs import runs
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    MINUTE,
    device,
    devices,
    footer,
    header,
    held,
    instances,
    measured,
    rates,
    rates_from_start,
    rental,
    silent,
    uuids,
)

TWO = devices(2)
NAMELESS = unidentified(1, Missing("GPU does not answer"))


def part(found: tuple[Device, ...], host: str = "gpu01", start_ns: int = BEGAN_NS) -> Part:
    """An hour: GPU 0 measured, GPU 1 nameless for a minute at $3, then for the rest what was found, at $2 each."""
    at_last = [each for each in found if each.index == 1]
    of: dict[str, Quantities] = {TWO[0].uuid: measured(HOUR, 2_000_000 * JOULE), NAMELESS.uuid: silent(MINUTE)}
    of |= dict.fromkeys(uuids(at_last), measured(HOUR - MINUTE, 1_000_000 * JOULE))
    under = rates(dict.fromkeys(uuids(found), rental("2")) | {NAMELESS.uuid: rental("3")}, origins=runs.ORIGINS)
    return runs.part(
        header(host=host, start_ns=start_ns),
        held([TWO[0], NAMELESS]),
        rates_from_start(under),
        Mark(BEGAN_UTC_NS, "fault", "GPU does not answer", NAMELESS.uuid),
        held([TWO[0], NAMELESS, *at_last]),
        runs.entry(of, HOUR),
        footer(HOUR),
    )


def rows_of(run: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = receipt(run)["devices"]
    return rows


def test_a_gpu_found_later_is_one_gpu() -> None:
    """Two GPUs are two rows: the second has the minute before it was known, 1/60 h × $3 + 59/60 h × $2 = $2.0167."""
    of = receipt(Run((part(TWO),)))
    assert [TWO[0].uuid, TWO[1].uuid] == [row["uuid"] for row in of["devices"]]
    assert (3600.0, 60.0, 1_000_000.0) == tuple(
        of["devices"][1][name] for name in ("seconds", "unmeasured_seconds", "joules")
    )
    assert Decimal("2.0167") == round(Decimal(of["devices"][1]["cost"]), 4)
    assert "2 × H100 80GB HBM3" == gpu_names(of["devices"])


def test_what_is_said_of_a_placeholder_is_said_of_the_gpu() -> None:
    """Its rates are those of the GPU that was found, its faults are that GPU's, and no figure names it any more."""
    of = receipt(Run((part(TWO),)))
    assert {"rental": "2"} == of["rates"]["gpu_per_hour"][TWO[1].uuid]
    assert [TWO[1].uuid] == [fault["device"] for fault in of["meter"]["faults"]]
    assert NAMELESS.uuid not in str(of)


def test_no_total_moves() -> None:
    """Names are all that changes: the whole is what it was."""
    run = Run((part(TWO),))
    assert run.totals.whole == identified(run).totals.whole


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(TWO[:1], id="never"),
        pytest.param((TWO[0], *instances(device(1), 3, 1)), id="several-instances"),
    ],
)
def test_a_gpu_never_found_keeps_its_row(found: tuple[Device, ...]) -> None:
    """Where nothing, or more than one thing, was found at its index, nobody knows which it was."""
    assert NAMELESS.uuid in [row["uuid"] for row in rows_of(Run((part(found),)))]


@pytest.mark.parametrize(("rows", "host"), [pytest.param(2, "gpu01", id="same"), pytest.param(4, "gpu02", id="other")])
def test_another_part_may_know_it(rows: int, host: str) -> None:
    """A meter that never knew the GPU is followed by one that does: one GPU, if it is the same host's."""
    other = tuple(replace(each, uuid=f"{each.uuid}-{host}") if host != "gpu01" else each for each in TWO)
    later = runs.part(
        header(host=host, start_ns=BEGAN_NS + HOUR),
        held(other),
        rates_from_start(rates(dict.fromkeys(uuids(other), rental("2")))),
        runs.entry(dict.fromkeys(uuids(other), measured(HOUR, JOULE)), HOUR),
        footer(HOUR),
    )
    assert rows == len(rows_of(Run((part(TWO[:1]), later))))
