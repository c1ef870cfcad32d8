"""What a metrics page says of the process that serves it: the names that every exporter has, and what it answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from costmeter.outputs.prometheustext import Sheet, labels


@dataclass(frozen=True, slots=True)
class Process:
    """The process at one time. `answered` counts requests by status; `page_seconds` is what the page before took."""

    start_utc_seconds: float
    cpu_seconds: float
    resident_bytes: int
    open_files: int
    answered: Mapping[str, int] = field(default_factory=dict)
    page_seconds: float | None = None


def add_process(sheet: Sheet, process: Process) -> None:
    """The meter's own cost and its answers. A page before the first has taken no time yet."""
    sheet.add("http_requests", [(labels(code=code), float(count)) for code, count in process.answered.items()])
    if process.page_seconds is not None:
        sheet.add("page_seconds", [("", process.page_seconds)])
    sheet.add("process_start_time_seconds", [("", process.start_utc_seconds)])
    sheet.add("process_cpu_seconds", [("", process.cpu_seconds)])
    sheet.add("process_resident_memory_bytes", [("", float(process.resident_bytes))])
    sheet.add("process_open_fds", [("", float(process.open_files))])
