"""Every metric family costmeter exports: its name, type, help and labels. Help texts double as panel descriptions."""

from dataclasses import dataclass
from typing import Literal

_ENDINGS = {"counter": "_total", "gauge": "", "info": "_info"}


@dataclass(frozen=True, slots=True)
class Family:
    """One family. `name` is without `_total` and, where it is `ours`, without the prefix.

    A name with `{currency}` is one per currency. What is not ours is named as every exporter names it. A gauge that
    `is_past` tells of what happened once. What `lasts` is true after its agent has ended, too.
    """

    name: str
    kind: Literal["counter", "gauge", "info"]
    help: str
    labels: tuple[str, ...] = ()
    ours: bool = True
    is_past: bool = False

    @property
    def lasts(self) -> bool:
        """Counters stay what they came to, and a run that began or ended did so then; a gauge would be of nothing."""
        return self.ours and (self.kind == "counter" or self.is_past or self.name == "run")

    def full_name(self, currency: str) -> str:
        """What the family is called where money is in `currency` (ISO 4217, in small letters)."""
        return ("costmeter_" if self.ours else "") + self.name.format(currency=currency)

    def series_name(self, currency: str) -> str:
        """What its series are called there."""
        return self.full_name(currency) + _ENDINGS[self.kind]


_GPU = ("gpu_uuid",)
_GPU_STATE = ("gpu_uuid", "state")
_GPU_REASON = ("gpu_uuid", "reason")
_OUTCOME = ("outcome",)
_RUN = ("run_id", "host", "meter")

_ALL = (
    Family("gpu_energy_kwh", "counter", "Energy of the GPU board by state, in kWh.", _GPU_STATE),
    Family("gpu_cost_{currency}", "counter", "Cost of the GPU by state.", _GPU_STATE),
    Family("gpu_time_seconds", "counter", "Time of the GPU by state; unheld is held by nobody.", _GPU_STATE),
    Family(
        "gpu_idle_cost_{currency}",
        "counter",
        "Cost of the GPU while it was held and idle, by reason: whole minutes, so up to one minute late.",
        _GPU_REASON,
    ),
    Family("gpu_idle_reason", "gauge", "1 for the reason for which the GPU is held and idle now.", _GPU_REASON),
    Family("gpu_idle_since_timestamp_seconds", "gauge", "Since when the GPU is idle but for moments, Unix time.", _GPU),
    Family("gpu_emissions_grams", "counter", "CO2e booked to the GPU: operational and embodied.", _GPU),
    Family("gpu_power_watts", "gauge", "Mean board power since the reading before.", _GPU),
    Family("gpu_power_limit_watts", "gauge", "Enforced power limit of the board.", _GPU),
    Family("gpu_utilization_ratio", "gauge", "Share of the last sample period in which a kernel ran, 0 to 1.", _GPU),
    Family("gpu_memory_used_bytes", "gauge", "Device memory in use, read every 15 s.", _GPU),
    Family("gpu_price_{currency}_per_hour", "gauge", "Price of holding the GPU for an hour, electricity apart.", _GPU),
    Family("gpu_credit_{currency}", "counter", "What negative prices paid back, by state.", _GPU_STATE),
    Family("run_energy_kwh", "counter", "Energy of the run by part, in kWh.", (*_RUN, "part")),
    Family("run_cost_{currency}", "counter", "Cost of the run by component and state.", (*_RUN, "component", "state")),
    Family("run_credit_{currency}", "counter", "What negative prices paid back.", (*_RUN, "component", "state")),
    Family("run_emissions_grams", "counter", "CO2e of the run by scope.", (*_RUN, "scope")),
    Family(
        "run_market_emissions_grams",
        "counter",
        "Operational CO2e of the run under the market-based factor: beside the scopes, not one of them.",
        _RUN,
    ),
    Family("run_item_cost_{currency}", "counter", "Line items of this host, beside the metered cost.", (*_RUN, "item")),
    Family("run_gpu_time_seconds", "counter", "GPU time held by the run, by state.", (*_RUN, "state")),
    Family("run_phase_cost_{currency}", "counter", "Cost of the run by what it said it was doing.", (*_RUN, "phase")),
    Family("run_steps", "counter", "Steps done, as the run tells: the most it reached.", _RUN),
    Family("run_tokens", "counter", "Tokens done, as the run tells: the most it reached.", _RUN),
    Family("run_loss", "gauge", "Loss, as the run told it last.", _RUN),
    Family("run_progress_ratio", "gauge", "Steps done of all that the run is to do, 0 to 1.", _RUN),
    Family("run_projected_cost_{currency}", "gauge", "Cost of the run at its last step, projected.", _RUN),
    Family(
        "run_budget_{currency}",
        "gauge",
        "Amount of each budget that this run counts against.",
        (*_RUN, "per", "project"),
    ),
    Family("run_start_timestamp_seconds", "gauge", "When the run began, Unix time.", _RUN, is_past=True),
    Family("run_end_timestamp_seconds", "gauge", "When the run ended, Unix time.", _RUN, is_past=True),
    Family("run_active", "gauge", "1 while the run's command lives.", _RUN),
    Family("run_exit_code", "gauge", "How the run ended: its exit code, or 128 and the signal.", _RUN, is_past=True),
    Family("runs_ended", "counter", "Runs of this node that ended, by outcome.", _OUTCOME),
    Family("runs_sunk_cost_{currency}", "counter", "What runs had cost that did not end well, by outcome.", _OUTCOME),
    Family(
        "runs_dropped",
        "counter",
        "Runs that were too many: hidden ones are in the journal, refused ones' time is their user's.",
        ("reason",),
    ),
    Family("electricity_price_{currency}_per_kwh", "gauge", "Electricity price in force."),
    Family("carbon_intensity_grams_per_kwh", "gauge", "Grid carbon intensity in force."),
    Family("pue_ratio", "gauge", "Power usage effectiveness in force."),
    Family(
        "unmeasured_seconds",
        "counter",
        "GPU time whose energy was not known as it passed; its counter may tell it later.",
        _GPU,
    ),
    Family("energy_resets", "counter", "Times the GPU's energy counter fell (driver reload).", _GPU),
    Family("readings", "counter", "Readings asked of the source, by result.", ("source", "result")),
    Family("last_reading_timestamp_seconds", "gauge", "When a GPU last answered, Unix time.", ("collector",)),
    Family(
        "collector_success",
        "gauge",
        "1 when every GPU answered at the last tick, or this way of finding holders worked.",
        ("collector",),
    ),
    Family(
        "collector_duration_seconds",
        "gauge",
        "Time that the last look took: a tick of all GPUs, or this way of finding holders.",
        ("collector",),
    ),
    Family(
        "rates_timestamp_seconds",
        "gauge",
        "Date of the list price or series in force, Unix time: the oldest where GPUs differ.",
        ("setting",),
    ),
    Family("journal_writable", "gauge", "1 while the journal takes what is written."),
    Family("config_last_reload_successful", "gauge", "1 when the settings were taken as they last were."),
    Family(
        "config_last_reload_success_timestamp_seconds",
        "gauge",
        "When settings were last taken, Unix time.",
    ),
    Family("build", "info", "Version of costmeter."),
    Family("gpu", "info", "Facts about each GPU."),
    Family("run", "info", "Facts about each run."),
    Family("rates", "info", "Where the rates come from."),
    Family("gpu_holder", "info", "Which run holds which GPU."),
    Family(
        "gpu_holder_share_ratio",
        "gauge",
        "Part of the GPU that is the holder's: 1 by the number of holders.",
        ("gpu_uuid", "run_id", "user"),
    ),
    Family("http_requests", "counter", "Requests answered, by status.", ("code",)),
    Family("page_seconds", "gauge", "Time that it took to make the metrics page before this one."),
    Family("process_start_time_seconds", "gauge", "When the process began, Unix time.", ours=False),
    Family("process_cpu_seconds", "counter", "Processor time of the process, of user and system.", ours=False),
    Family("process_resident_memory_bytes", "gauge", "Memory of the process that is resident.", ours=False),
    Family("process_open_fds", "gauge", "Files that the process has open.", ours=False),
)

FAMILIES = {family.name: family for family in _ALL}
