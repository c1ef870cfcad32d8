"""What a scenario that was typed changes, as its row says it."""

from collections.abc import Collection, Mapping
from decimal import Decimal

from costmeter.config.number import decimal
from costmeter.ledger.repricing import Change
from costmeter.meter.schedule import Constant
from costmeter.outputs.figures import money
from costmeter.rates.book import Instance, Sourced


def described(keys: Mapping[str, str], change: Change, currency: str, node_gpus: Collection[int]) -> list[str]:
    """What a scenario changes, in a few words each. Nodes have so many GPUs, which share the price of a machine."""
    said = []
    plan = change.book.gpus[0] if change.book.gpus else None
    if plan is not None and plan.owned is not None:
        use = plan.owned.expected_use
        at_use = "" if use is None else f" at {use * 100:.0f} % use"
        step = Decimal(1) if plan.owned.purchase == plan.owned.purchase.to_integral_value() else None
        said.append(f"{money(plan.owned.purchase, currency, step)}/GPU over {plan.owned.life_years} y{at_use}")
    elif plan is not None:
        kind = "spot" if "spot" in keys else "rental"
        constant = plan.price.schedule if isinstance(plan.price, Sourced) else None
        if isinstance(plan.price, Instance):
            said.append(f"{kind}, {money(plan.price.price_per_hour, currency)} / {_sharers(plan.price, node_gpus)}")
        elif isinstance(constant, Constant):
            said.append(f"{kind}, {money(constant.value, currency)}/GPU-h")
        else:
            said.append(f"{kind} by {keys.get('price') or keys.get('spot')}")
    for key, unit in (("electricity", "/kWh"), ("tariff", ""), ("pue", ""), ("zone", ""), ("carbon", " g/kWh")):
        if key in keys:
            is_number = decimal(keys[key].strip()) is not None
            label = {"pue": "PUE", "zone": "grid of", "carbon": "grid of"}.get(key, key)
            said.append(f"{label} {keys[key].strip()}{unit if is_number else ''}")
    return said


def _sharers(price: Instance, node_gpus: Collection[int]) -> str:
    """How many GPUs share the price of a machine: those it names, else those of the runs' nodes."""
    if price.gpus is not None:
        return f"{price.gpus} GPUs"
    counts = sorted(filter(None, node_gpus))
    if not counts:
        return "the node's GPUs"
    return f"{' or '.join(map(str, counts))} GPU{'' if counts[-1] == 1 else 's'}"
