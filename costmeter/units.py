"""Units: the integers quantities are kept in, and how they divide without losing anything.

Time is in nanoseconds, energy in microjoules, emissions in micrograms: integers, so that sums are exact in any
order. Seconds, kilowatt-hours and grams are renderings for people, and are made where people are.
"""

NANOSECONDS_PER_SECOND = 1_000_000_000
NANOSECONDS_PER_MINUTE = 60 * NANOSECONDS_PER_SECOND
NANOSECONDS_PER_HOUR = 3_600 * NANOSECONDS_PER_SECOND
MICROJOULES_PER_JOULE = 1_000_000
MICROJOULES_PER_MILLIJOULE = 1_000
MICROJOULES_PER_KWH = 3_600_000 * MICROJOULES_PER_JOULE
MICROGRAMS_PER_GRAM = 1_000_000


def portion(whole: int, numerator: int, denominator: int) -> int:
    """How much of `whole` lies in the first `numerator` of `denominator` equal parts, rounded down.

    Differences of neighbouring portions telescope: cutting a whole at any points gives pieces whose sum is the whole,
    to the last unit. With a `denominator` of 0 (no length to divide) the first piece is the whole.
    """
    if denominator == 0:
        return whole
    return whole * numerator // denominator


def microjoules_from_power(power_watts: float, nanoseconds: int) -> int:
    """Energy of a constant power over a length of time, rounded to the nearest microjoule."""
    return round(power_watts * nanoseconds / 1_000)


def watts_from_energy(microjoules: int, nanoseconds: int) -> float:
    """Mean power of an energy over a length of time; 0.0 for a length of zero."""
    return microjoules * 1_000 / nanoseconds if nanoseconds else 0.0


def iso_minute(utc_ns: int) -> str:
    """An instant to the minute, `2026-11-22T14:03Z`."""
    from datetime import datetime, timezone

    return f"{datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, timezone.utc):%Y-%m-%dT%H:%MZ}"
