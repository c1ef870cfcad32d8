"""The settings of an agent: loaded at the start, and anew while it runs as far as a node being metered can follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from costmeter.clock import Clock
from costmeter.config.layers import load_settings
from costmeter.config.settings import Settings
from costmeter.errors import ConfigError
from costmeter.runtime.booking import Pricing
from costmeter.runtime.hostcounters import are_asked, open_counters

_RESTART = "Set it back, or start the agent anew: systemctl restart costmeter-agent"


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """What the command line asked for. Empty or None: nothing, so that the defaults hold."""

    addresses: tuple[tuple[str, int], ...]
    web_config: str | None
    config: str | None
    strict: bool
    period_seconds: float
    simulate: str | None
    state: str | None
    socket: str | None
    textfile: str | None
    max_runs: int
    environ: Mapping[str, str]
    cwd: str
    kubelet_socket: str | None = None


class NodeSettings:
    """What an agent was asked to go by. `now` are the settings in force, `host` the host's counters if they count."""

    def __init__(self, options: AgentOptions, clock: Clock, warn: Callable[[str], None]) -> None:
        """Load them. Raises ConfigError where a file that was named is faulty; other faults are warned of."""
        self._options, self._warn = options, warn
        loaded = load_settings(options.config, {}, options.environ, options.cwd, options.strict)
        for fault in loaded.faults:
            warn(fault)
        is_simulated = options.simulate is not None
        self.host, self.now = open_counters(loaded.settings, options.environ, is_simulated, clock)

    @property
    def measures_host(self) -> bool:
        """Whether the host's energy is to be measured, and the host is none of a scenario's."""
        return are_asked(self.now, self._options.environ, self._options.simulate is not None)

    def pricing(self) -> Pricing:
        """What the node's GPUs cost: those that nobody holds are counted, so that nothing is added for them."""
        book, watts = self.now.book.without_idle_share(), self.now.host.watts
        return Pricing(book.quotation, lambda: (), float(watts or 0))

    def remark(self) -> str:
        """What is otherwise here than in a run's own meter, for who compares the two; empty where nothing is."""
        uses = (plan.owned.expected_use for plan in self.now.book.gpus if plan.owned is not None)
        if all(use is None for use in uses):
            return ""
        return (
            "gpu.owned.expected_use adds no idle_share here, because hours in which nobody holds a GPU are counted as "
            "unheld; costmeter run adds it to what a run costs"
        )

    def load_anew(self) -> str | None:
        """Take the settings as they are now, every fault refused; why they cannot be taken, and then none is."""
        options = self._options
        try:
            settings = load_settings(options.config, {}, options.environ, options.cwd, strict=True).settings
        except ConfigError as refusal:
            return refusal.message
        fixed = _fixed(self.now, settings)
        if fixed:
            return f"{fixed} while the agent runs. {_RESTART}"
        self.now = self._as_measured(settings)
        return None

    def _as_measured(self, settings: Settings) -> Settings:
        """The settings, but for what is measured of the host: that stays."""
        before = self.now
        if settings.host.source != before.host.source:
            self._warn(f"host.power: still {before.host.source}, another one holds when the agent is started anew")
        elif settings.host.source == "watts":
            return settings
        return replace(settings, host=before.host, book=replace(settings.book, host=before.book.host))


def _fixed(before: Settings, after: Settings) -> str:
    """What may not change, by name, with what it was and would be; empty where all that stays."""
    pairs = (
        ("currency", before.currency, after.currency),
        ("timezone", before.timezone or "the machine's", after.timezone or "the machine's"),
    )
    changed = [f"{name} cannot change from {was} to {now}" for name, was, now in pairs if str(was) != str(now)]
    return " and ".join(changed)
