"""Commitments: GPUs that are paid for a term, whether anybody uses them or not (reserved, committed use, prepaid)."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from costmeter.meter.charge import Origin
from costmeter.rates.match import EVERY_GPU, Match
from costmeter.readings import Device

NOT_SAID = Origin("configured", "")


@dataclass(frozen=True, slots=True)
class Commitment:
    """`gpus` GPUs at a price per GPU-hour for every hour from `start` up to, and not including, `end` (local dates).

    `upfront` is paid for all of it, and is spread evenly over the hours of the term. Amounts are in the currency of
    the settings. It is for the GPUs that fit `match` and none of `others`: the blocks of settings that come first.
    """

    gpus: int
    price_per_gpu_hour: Decimal
    start: date
    end: date
    upfront: Decimal = Decimal(0)
    origin: Origin = NOT_SAID
    match: Match = EVERY_GPU
    others: tuple[Match, ...] = ()

    def __post_init__(self) -> None:
        if self.gpus < 1:
            raise ValueError("a commitment is for at least one GPU")
        if self.end <= self.start:
            raise ValueError(f"a term from {self.start} to {self.end} has no hours")
        if self.price_per_gpu_hour < 0 or self.upfront < 0:
            raise ValueError("a commitment pays nothing back: its amounts are at least 0")

    def fits(self, device: Device) -> bool:
        """Whether the commitment is for this GPU."""
        return self.match.fits(device) and not any(other.fits(device) for other in self.others)
