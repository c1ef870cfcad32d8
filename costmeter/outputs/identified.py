"""A run under the names its GPUs have at last: one that could not say at first who it was is one GPU, and not two."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from costmeter.ledger.query import Part, Run
from costmeter.ledger.spread import Spread
from costmeter.meter.charge import Rates
from costmeter.meter.totals import DeviceTotals, Totals
from costmeter.readings import Device, is_identified

Value = TypeVar("Value")


def identified(run: Run) -> Run:
    """The run with what was booked to an unidentified GPU booked to the one that was found at its index.

    It is looked for in the same part, then in the other parts of the same host. One that was never found, or turned out
    to be several MIG instances, of which none is it, keeps its own name. Of rates those of the found GPU hold.
    """
    listed: dict[str, dict[str, Device]] = {}
    for part in run.parts:
        host = part.header.host
        listed[host] = listed.get(host, {}) | dict(part.devices)
    return Run(tuple(_renamed(part, _names(part, listed[part.header.host])) for part in run.parts))


def _names(part: Part, on_host: Mapping[str, Device]) -> dict[str, str]:
    """By placeholder of a part, the identity of what was found in its place."""
    names: dict[str, str] = {}
    for uuid, placeholder in part.devices.items():
        if is_identified(uuid):
            continue
        found = _at(placeholder.index, part.devices.values()) or _at(placeholder.index, on_host.values())
        if len(found) == 1:
            names[uuid] = found[0].uuid
    return names


def _at(index: int, devices: Iterable[Device]) -> list[Device]:
    return [device for device in devices if device.index == index and device.is_identified]


def _renamed(part: Part, names: Mapping[str, str]) -> Part:
    if not names:
        return part
    totals: dict[str, DeviceTotals] = {}
    for uuid, booked in part.totals.devices.items():
        known = names.get(uuid, uuid)
        totals[known] = totals[known] + booked if known in totals else booked
    return replace(
        part,
        devices=_without(part.devices, names),
        rates=None if part.rates is None else _rates(part.rates, names),
        totals=Totals(totals),
        spread=_spread(part.spread, names),
        marks=tuple(replace(mark, device=names.get(mark.device, mark.device)) for mark in part.marks),
    )


def _rates(rates: Rates, names: Mapping[str, str]) -> Rates:
    of_placeholders = {names[uuid]: of for uuid, of in rates.devices.items() if uuid in names}
    return replace(rates, devices=of_placeholders | _without(rates.devices, names))


def _spread(spread: Spread, names: Mapping[str, str]) -> Spread:
    of_placeholders = {names[uuid]: span for uuid, span in spread.gpus.items() if uuid in names}
    return replace(spread, gpus=_without(spread.gpus, names)) | Spread(gpus=of_placeholders)


def _without(of: Mapping[str, Value], names: Mapping[str, str]) -> dict[str, Value]:
    return {uuid: value for uuid, value in of.items() if uuid not in names}
