"""The part of the fleet's board that tells whether the meters themselves work: one row for each agent."""

from grafana.boards.frame import Placed, Row
from grafana.boards.panels import Panel, Said
from grafana.boards.queries import GPU, metric, rate, series
from grafana.boards.tables import Column, listing
from grafana.boards.units import COUNT_UNIT, RATIO_UNIT, SECONDS_UNIT

BY = "by (instance)"
BAD = ((None, "text"), (1, "red"))


def row() -> Row:
    """The section of the board."""
    return Row(9, [Placed(31, 24, _agents())], "Whether the meters work", 30)


def _agents() -> Panel:
    said = Said(
        "Agents",
        "One row for each page that Prometheus reads. Last reading: how long ago a GPU answered. Unmeasured: GPU time"
        " whose energy nobody knew, in the last hour. Failed readings: what the driver refused, in the last hour."
        " Without price: GPUs that cost nothing here, because nobody said what they do. Not working: ways of reading"
        " GPUs or finding holders that failed at their last look.",
        "no target",
    )
    version = f"max by (instance, version) ({series(metric('build'))})"
    columns = [
        Column("Node", label="instance"),
        *_readings(),
        *_faults(),
        *_itself(),
        Column("Version", query=version, label="version", width=85),
    ]
    return listing(said, "instance", columns, sort="Last reading")


def _readings() -> list[Column]:
    answered = f"time() - max {BY} ({series(metric('last_reading_timestamp_seconds'))})"
    lost = f"sum {BY} (increase({series(metric('unmeasured_seconds'))}[1h]))"
    late = ((None, "text"), (15, "orange"), (60, "red"))
    yes = {1.0: ("yes", "green"), 0.0: ("no", "red")}
    return [
        Column("Answers", f"min {BY} ({series('up')})", mappings=yes, unit="none", width=85),
        Column("Last reading", answered, unit=SECONDS_UNIT, decimals=0, width=115, steps=late),
        Column("Unmeasured", lost, unit=SECONDS_UNIT, decimals=0, width=110, steps=((None, "text"), (60, "orange"))),
    ]


def _faults() -> list[Column]:
    failed = f"sum {BY} (increase({series(metric('readings'), FAILED)}[1h]))"
    gpus, priced = series(metric("gpu")), series(metric("gpu_price_{currency}_per_hour"))
    priceless = f"sum {BY} (({gpus} unless on ({GPU}) {priced}) or 0 * {gpus})"
    broken = f"sum {BY} (1 - {series(metric('collector_success'))})"
    slowest = f"max {BY} ({series(metric('collector_duration_seconds'))})"
    return [
        Column("Failed readings", failed, unit=COUNT_UNIT, decimals=0, width=130, steps=BAD),
        Column("Without price", priceless, unit=COUNT_UNIT, decimals=0, width=120, steps=BAD),
        Column("Not working", broken, unit=COUNT_UNIT, decimals=0, width=110, steps=BAD),
        Column("Slowest look", slowest, unit=SECONDS_UNIT, width=110),
    ]


def _itself() -> list[Column]:
    journal, settings = (f"min {BY} ({series(metric(name))})" for name in _SWITCHES)
    scrape = f"max {BY} ({series('scrape_duration_seconds')})"
    cores = f"max {BY} ({rate(series(metric('process_cpu_seconds')))})"
    memory = f"max {BY} ({series(metric('process_resident_memory_bytes'))})"
    written, taken = ({1.0: (good, "text"), 0.0: (bad, "red")} for good, bad in _SWITCHES.values())
    return [
        Column("Journal", journal, mappings=written, unit="none", width=110),
        Column("Settings", settings, mappings=taken, unit="none", width=90),
        Column("Scrape takes", scrape, unit=SECONDS_UNIT, width=110),
        Column("Cores", cores, unit=RATIO_UNIT, decimals=1, width=80),
        Column("Memory", memory, unit="bytes", width=95),
    ]


FAILED = 'result="failed"'
_SWITCHES = {
    "journal_writable": ("is written", "is not written"),
    "config_last_reload_successful": ("taken", "refused"),
}
