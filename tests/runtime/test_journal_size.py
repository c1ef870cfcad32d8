"""How much a day of eight GPUs writes while prices change: a promise is a megabyte."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.cli.run import SCENARIOS
from costmeter.ledger.record import RatesChange
from costmeter.meter.charge import Origin
from costmeter.rates.book import Book, GpuPlan, Owned, Sourced
from costmeter.runtime.writer import Writer
from costmeter.units import NANOSECONDS_PER_MINUTE
from tests.bench.journal import a_day, lines_of
from tests.bench.month import NODE as TRAINING
from tests.ledger.slowly import read_journal
from tests.runtime.metered import metered

#: A quarter of a day is measured, after the lines a journal begins with.
MINUTES = 360
NODE = TRAINING.replace("GPUS", "8")


@dataclass(frozen=True, slots=True)
class Changing:
    """A price of five digits that changes every so many minutes, as half-hourly tariffs and markets have them."""

    every_minutes: int

    def at(self, utc_ns: int) -> Decimal:
        step = utc_ns // (self.every_minutes * NANOSECONDS_PER_MINUTE)
        return Decimal(10_000 + step * 7_919 % 30_011) / 100_000

    def doubt(self, utc_ns: int) -> str:
        return ""


def book(every_minutes: int) -> Book:
    origin = Origin("configured", "costmeter.yaml:12:10, octopus-agile-23-12-06-c.csv of 2026-11-21, 30 min")
    owned = Owned(Decimal(30_000), Origin("configured", "costmeter.yaml:4:22"))
    return Book(gpus=(GpuPlan(owned=owned),), electricity=Sourced(Changing(every_minutes), origin))


@pytest.mark.parametrize(
    ("every_minutes", "megabytes_a_day"),
    [
        pytest.param(30, 1.0, id="half-hourly"),
        pytest.param(5, 1.0, id="5-minutes"),
        pytest.param(1, 1.2, id="minutely"),
    ],
)
def test_a_day_of_eight_gpus_with_host_power(every_minutes: int, megabytes_a_day: float, tmp_path: Path) -> None:
    """A megabyte at prices of half an hour or of 5 minutes, and a fifth more at prices of each minute.

    What was written is read back with every price and every word on where it comes from.
    """
    with metered(NODE, book(every_minutes), 800.0) as run:
        run.open()
        for _ in range(MINUTES):
            run.tick(NANOSECONDS_PER_MINUTE)
        run.end()
    writer = Writer(tmp_path, "host")
    for post in run.posts:
        writer.write(post)
    path = tmp_path / "host.1.jsonl"
    assert path.stat().st_size * 4 < megabytes_a_day * 1e6
    changes = [record for record in run.records if isinstance(record, RatesChange)]
    assert MINUTES // every_minutes <= len(changes) <= MINUTES // every_minutes + 2
    assert tuple(run.records[1:]) == read_journal(path).records[1:]  # the header names its part


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_day_of_every_bundled_scenario_is_a_megabyte_at_most(scenario: str) -> None:
    """From an hour of it, with host power; what a journal begins and ends with is counted once.

    A fifth more where a run held the GPUs of a whole team, no two of which do the same.
    """
    assert a_day(lines_of(scenario, 1), 1) < (1.2 if scenario == "team" else 1.0)


def test_a_job_that_tells_of_itself_is_a_megabyte_at_most() -> None:
    """Eight GPUs, a step a second, and a phase every five minutes, each of which cuts a minute in two."""
    assert a_day(lines_of("healthy", 1, 300), 1) < 1.0
