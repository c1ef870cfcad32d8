"""Bills as data: the public JSON contract `costmeter.bill/1`, of what runs used in each billing period.

Each bill is the metered part, as receipts have it, and the adjustments that only a billing period can know; its total
is exactly their sum. Money is text, as in receipts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from decimal import Decimal
from typing import Any

from costmeter.ledger.use import Found, Use
from costmeter.meter.bill import (
    Adjustment,
    Attribution,
    Sheet,
    adjustments,
    base_microjoules,
    sheets,
    site_bills,
)
from costmeter.meter.period import Period
from costmeter.meter.schedule import Schedule
from costmeter.meter.tariff import Tariff
from costmeter.outputs.figures import plain
from costmeter.rates.commitment import Commitment
from costmeter.rates.committed import Committed, committed
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR, NANOSECONDS_PER_SECOND, iso_minute

SCHEMA = "costmeter.bill/1"

#: The components that somebody sends a bill for. What owned GPUs lose in value is a cost of receipts, and no bill's.
BILLED = ("rental", "electricity")


@dataclass(frozen=True, slots=True)
class Terms:
    """What bills are made under. Tariffs and commitments are in `currency`; `schedule` is the tariffs' price of a kWh.

    Without tariffs (`schedule` None) electricity stands as it was metered. `now_utc_ns` is when bills are made.
    `faults` are those of the settings because of which a tariff or a commitment is missing.
    """

    currency: str
    zone: tzinfo | None
    tariffs: tuple[Tariff, ...] = ()
    schedule: Schedule | None = None
    commitments: tuple[Commitment, ...] = ()
    attribution: Attribution = "marginal"
    base_kilowatts: Decimal = Decimal(0)
    now_utc_ns: int | None = None
    faults: tuple[str, ...] = ()


def bills(found: Found, terms: Terms, periods: Sequence[Period]) -> dict[str, Any]:
    """The document of all bills, by period and currency. `periods` are billed whether anything ran in them or not.

    Runs on simulated GPUs are billed only where nothing else ran at all, and said so.
    """
    uses = found.uses
    is_simulated = any(key[2] for key in uses) and all(key[2] for key in uses)
    left_out = sorted(run for key, use in uses.items() if key[2] != is_simulated for run in use.runs)
    kept = {key[:2]: use for key, use in uses.items() if key[2] == is_simulated}
    if terms.tariffs or terms.commitments:
        for period in periods:
            kept.setdefault((period, terms.currency), Use(period, terms.currency, is_simulated))
    ordered = sorted(kept.values(), key=lambda use: (use.period.first, use.currency))
    return {
        "schema": SCHEMA,
        "simulated": is_simulated,
        "attribution": terms.attribution,
        "base_kilowatts": plain(terms.base_kilowatts),
        "bills": [_bill(use, terms) for use in ordered],
        "simulated_runs_left_out": left_out,
        "journals": {"found": found.journals, "not_counted": len(found.refusals)},
        "problems": [*found.refusals, *found.problems],
    }


def _bill(use: Use, terms: Terms) -> dict[str, Any]:
    metered = {name: use.metered.get(name, Decimal(0)) for name in BILLED if name in use.metered}
    is_ours = use.currency == terms.currency
    of = sheets(terms.tariffs, use.period) if is_ours else ()
    made = _of_tariffs(use, terms, of)
    under = committed(terms.commitments, use.period, use.rented) if is_ours and terms.commitments else None
    if under is not None:
        made.append(Adjustment("commitment", under.adjustment))
    total = sum(metered.values(), Decimal(0)) + sum((each.amount for each in made), Decimal(0))
    return {
        "currency": use.currency,
        "period": {
            "from": use.period.first.isoformat(),
            "to": use.period.end.isoformat(),
            "zone": "local" if use.period.zone is None else str(use.period.zone),
            "days": use.period.days,
        },
        "tariffs": [sheet.tariff.id for sheet in of],
        "runs": sorted(use.runs),
        "gpu_seconds": use.gpu_nanoseconds / NANOSECONDS_PER_SECOND,
        "electricity_kwh": sum(use.drawn.values()) / MICROJOULES_PER_KWH,
        "unmeasured_gpu_seconds": use.unmeasured_nanoseconds / NANOSECONDS_PER_SECOND,
        "metered": {name: plain(amount) for name, amount in metered.items()},
        "adjustments": [_adjustment(each, use.period) for each in made],
        "total": plain(total),
        "not_billed": {name: plain(amount) for name, amount in use.metered.items() if name not in BILLED},
        "commitment": None if under is None else _commitment(under),
        "notes": _notes(use, terms, of),
    }


def _of_tariffs(use: Use, terms: Terms, of: Sequence[Sheet]) -> list[Adjustment]:
    """What the tariffs add to metered electricity; `prices` where receipts charged other prices than theirs."""
    if not of or terms.schedule is None:
        return []
    whole, base = site_bills(use.period, of, terms.schedule, use.drawn, base_microjoules(terms.base_kilowatts))
    repriced = Adjustment("prices", use.electricity - use.metered.get("electricity", Decimal(0)))
    return [repriced, *adjustments(whole, base, terms.attribution)]


def _adjustment(each: Adjustment, period: Period) -> dict[str, Any]:
    body: dict[str, Any] = {"name": f"adjustment:{each.name}", "charge": each.charge, "amount": plain(each.amount)}
    if each.kilowatts is not None:
        at = None if each.at_utc_ns is None else iso_minute(each.at_utc_ns)
        body |= {"kilowatts": plain(each.kilowatts), "at": at, "at_local": _local(each.at_utc_ns, period.zone)}
    return body


def _local(utc_ns: int | None, zone: tzinfo | None) -> str | None:
    if utc_ns is None:
        return None
    instant = datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, timezone.utc)
    return instant.astimezone(zone).isoformat(timespec="minutes")


def _commitment(under: Committed) -> dict[str, Any]:
    return {
        "cost": plain(under.cost),
        "covered_rental": plain(under.covered_rental),
        "gpu_hours": under.nanoseconds / NANOSECONDS_PER_HOUR,
        "covered_gpu_hours": under.covered_nanoseconds / NANOSECONDS_PER_HOUR,
    }


def _notes(use: Use, terms: Terms, of: Sequence[Sheet]) -> list[str]:
    """What a reader has to know before believing the total."""
    notes = []
    if terms.now_utc_ns is not None and terms.now_utc_ns < use.period.end_utc_ns:
        notes.append(f"this period is not over before {use.period.end}: what runs until then will be added")
    if use.currency != terms.currency and (terms.tariffs or terms.commitments):
        notes.append(f"tariff and commitments are in {terms.currency}: these runs stand as metered")
    elif not terms.tariffs and not terms.faults and use.metered.get("electricity"):
        notes.append("no tariff file in the settings: electricity stands as metered; set electricity.price.tariff")
    notes += [f"missing from the total: {fault}" for fault in terms.faults]
    if not terms.tariffs and (terms.base_kilowatts or terms.attribution != "marginal"):
        notes.append("a base load and an attribution are for the charges of a tariff: without one they change nothing")
    if of and terms.schedule is not None:
        doubts = (terms.schedule.doubt(use.period.start_utc_ns), terms.schedule.doubt(use.period.end_utc_ns - 1))
        notes += [f"the tariff: {doubt}" for doubt in dict.fromkeys(filter(None, doubts))]
        notes += [f"not in the total: {remark}" for sheet in of for remark in sheet.tariff.untold]
    return notes
