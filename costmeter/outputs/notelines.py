"""The lines of a receipt beside its figures: faults, warnings, and what is not known or not saved."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from costmeter.outputs.faultlines import FaultLine, fault_lines
from costmeter.outputs.figures import SHOWN_FROM_SECONDS, duration, local_time
from costmeter.outputs.sourcelines import Labelled

_FAULTS_SHOWN = 5
#: Below this a share of a core is the meter's start and nothing else.
_WORTH_A_SHARE_SECONDS = 10


def part_lines(receipt: Mapping[str, Any]) -> Iterator[Labelled]:
    """That there is more of a run than its later part has, and what shows all of it."""
    run = receipt["run"]
    if run["part"] is not None:
        yield "Part", f"{run['part']} of this run; all of it: costmeter report {run['id']}"


def note_lines(receipt: Mapping[str, Any], warnings: tuple[str, ...]) -> Iterator[Labelled]:
    run, meter = receipt["run"], receipt["meter"]
    if run["outcome"] == "interrupted":
        yield (
            "Note",
            "the record ends here, so the meter was killed or could not write: counted up to its last reading, "
            "and how the run ended is not known",
        )
    if run["outcome"] == "unknown":
        yield "Note", "nobody announced this run: the agent saw it go, and how it ended is not known"
    unmeasured = receipt["unmeasured_gpu_seconds"]
    if unmeasured >= SHOWN_FROM_SECONDS and receipt["energy"]["methods"]:
        yield (
            "Note",
            f"energy of {duration(unmeasured)} of GPU time is not known and not in the total; paid for all the same",
        )
    if any(device["mig"] and device["mean_utilization"] is None for device in receipt["devices"]):
        yield (
            "Note",
            "the driver does not tell whether a MIG instance is busy; energy is its slices' share of the board's",
        )
    told = (*warnings, receipt["origins"].get("cost.total", ""))
    faults = [fault for fault in meter["faults"] if not any(fault["what"] in text for text in told)]
    lines = fault_lines(faults, receipt["devices"])
    for line in lines[:_FAULTS_SHOWN]:
        yield line.label, f"{_when(line, run['started_at'])} {line.text}"
    more = len(lines[_FAULTS_SHOWN:]) + meter["faults_dropped"]
    if more:
        yield "", f"and {more} more; see: costmeter report {run['id']} --json"
    for problem in meter["journal_problems"]:
        yield "Journal", problem
    for warning in warnings:
        yield "Warning", warning


def _when(line: FaultLine, started_at: str) -> str:
    """When it came, `14:03:05`; a gap from when to when, `14:03:05 → 14:03:09`."""
    came, started = local_time(line.at), local_time(started_at)
    if line.gap_seconds is None:
        return _at(came, started)
    return f"{_at(came - timedelta(seconds=line.gap_seconds), started)} → {_at(came, started)}"


def _at(moment: datetime, started: datetime) -> str:
    """The local time of something during the run; with its day when that is not the first."""
    return f"{moment:%H:%M:%S}" if moment.date() == started.date() else f"{moment.day} {moment:%b %H:%M:%S}"


def meter_lines(receipt: Mapping[str, Any], unsaved: str) -> Iterator[Labelled]:
    if unsaved:
        yield "Unsaved", unsaved
    cpu_seconds, seconds = receipt["meter"]["cpu_seconds"], receipt["run"]["seconds"]
    if cpu_seconds and seconds:
        share = f", {100 * cpu_seconds / seconds:.2f} % of one core" if seconds >= _WORTH_A_SHARE_SECONDS else ""
        yield "Meter", f"{cpu_seconds:.2f} s of CPU{share}"
