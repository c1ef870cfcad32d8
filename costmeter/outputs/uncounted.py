"""What a receipt leaves out, said in so many words: a total is believed only by those who know what is not in it."""

from collections.abc import Iterator, Mapping
from typing import Any

from costmeter.outputs.figures import SHOWN_FROM_SECONDS, duration
from costmeter.outputs.heading import without_price
from costmeter.outputs.sourcelines import is_priced


def uncounted(receipt: Mapping[str, Any]) -> Iterator[str]:
    """What is in no figure, one sentence each, that of this run first and what is in no run's at the end."""
    energy, provenance = receipt["energy"], receipt["provenance"]
    if not is_priced(receipt):
        yield "Money: no price is known."
    elif without_price(receipt)[0]:
        yield "{} of {} GPUs: no price of theirs is known.".format(*without_price(receipt))
    if not energy["methods"]:
        yield "Energy and CO2e: nothing measured them."
    else:
        if not energy["host_joules"] and provenance.get("energy.host_joules", "estimated") == "estimated":
            yield "The host's own energy: set host.power."
        if not energy["overhead_joules"] and provenance.get("energy.overhead_joules", "estimated") == "estimated":
            yield "Cooling and power conversion: set electricity.pue."
        if receipt["unmeasured_gpu_seconds"] >= SHOWN_FROM_SECONDS:
            yield f"The energy of {duration(receipt['unmeasured_gpu_seconds'])} of GPU time, which nothing measured."
    yield from (f"{item['name']}: its cost is not known." for item in receipt["items"] if item["cost"] is None)
    if not receipt["items"]:
        yield "Storage, network, licences and people: name them as items."
    yield "Taxes, discounts and minimum charges, which only a bill has."
