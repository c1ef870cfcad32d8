"""The board of the fleet, for who is on call: what burns now, who holds idle GPUs and why, and whether meters work."""

from grafana_foundation_sdk.builders import dashboard as boards

from grafana.boards import health
from grafana.boards.frame import (
    RUN_LINK,
    Placed,
    Row,
    alerts,
    annotation,
    board,
    data_source,
    node_variables,
    one,
    place,
)
from grafana.boards.panels import Panel, Query, Said, bars, figure, heat, lines, states
from grafana.boards.queries import ALERTS_OF, GPU, added, metric, per_hour, rate, series
from grafana.boards.tables import Column, listing
from grafana.boards.units import (
    COUNT,
    COUNT_UNIT,
    DATE_UNIT,
    FULL_MONEY_UNIT,
    MONEY,
    MONEY_UNIT,
    RATIO,
    SECONDS_UNIT,
)

COST = "instance:costmeter_gpu_cost_usd:rate5m"
#: Rules record rates of all GPUs once a minute: finer steps would read each of them several times.
RECORDED = "1m"
IDLE = "instance:costmeter_gpu_idle_cost_usd:rate5m"
TIME = "instance:costmeter_gpu_time_seconds:rate5m"
HOLDERS = "holder:costmeter_gpu_idle_cost_usd:rate5m"
OF_NODE = 'instance="$node"'
SILENT = "no agent was heard"
#: How a GPU's state is drawn: the number that stands for it in the query, its word and its colour.
STATES: dict[float, tuple[str, str]] = {
    0: ("unheld", "#5a5f66"),
    1: ("busy", "green"),
    2: ("start-up", "super-light-blue"),
    3: ("evaluation", "light-blue"),
    4: ("checkpoint", "blue"),
    5: ("waiting-for-data", "yellow"),
    6: ("waiting-for-peer", "light-orange"),
    7: ("memory-held", "orange"),
    8: ("no-process", "dark-orange"),
    9: ("unexplained", "light-red"),
    10: ("hang", "red"),
    11: ("unknown", "purple"),
}
#: No reason of idleness, but states of the GPU.
_NO_REASONS = ("unheld", "busy", "unknown")
_IDLE_RED = ((None, "green"), (0.05, "yellow"), (0.2, "red"))


def build() -> boards.Dashboard:
    """The whole board."""
    made = board(
        "fleet", "What all nodes cost now, who holds idle GPUs and why, and whether the meters work.", ["fleet"]
    )
    made.time("now-6h", "now").refresh("30s")
    worst = f"query_result(topk(50, {added(series(IDLE), 'instance')}))"
    looked_at = one("node", "Node in detail", worst, regex='/instance="([^"]+)"/')
    for variable in (data_source(), *node_variables(), looked_at):
        made.with_variable(variable)
    began = f"1000 * {series(metric('process_start_time_seconds'))}"
    made.annotation(alerts()).annotation(
        annotation("Agent started", began, "blue", "{{instance}}", is_at_value=True).enable(False)
    )
    place(made, [_figures(), *_who(), *_what(), health.row()])
    return made


def _figures() -> Row:
    panels = [*_burning(), *_counts()]
    return Row(4, [Placed(number, 3, panel) for number, panel in enumerate(panels, start=1)])


def _burning() -> list[Panel]:
    cost, idle, unheld = (added(series(COST, *state)) for state in ((), ('state="idle"',), ('state="unheld"',)))
    said = (
        Said(
            "Burning now, per hour",
            "What all GPUs cost per hour, busy or not: rent or capital, and electricity.",
            SILENT,
        ),
        Said("of which held and idle", "Per hour, for GPUs that somebody holds and that compute nothing.", SILENT),
        Said(
            "of which held by nobody",
            "Per hour, for GPUs that nobody holds: the node's cost, and nobody's idle spend.",
            SILENT,
        ),
        Said("Idle share", "Of what held GPUs cost: the part that computes nothing.", SILENT),
    )
    return [
        figure(said[0], [Query(per_hour(cost))], MONEY),
        figure(said[1], [Query(per_hour(idle))], MONEY, steps=((None, "green"), (5, "orange"), (50, "red"))),
        figure(said[2], [Query(per_hour(unheld))], MONEY),
        figure(said[3], [Query(f"{idle} / ({cost} - {unheld} > 0)")], RATIO, steps=_IDLE_RED),
    ]


def _counts() -> list[Panel]:
    gpus = f"count(group by (gpu_uuid) ({series(metric('gpu'))}))"
    allocated = added(series(TIME, 'state!="unheld"'))
    silent = f"count({series('up')} == 0) or 0 * count({series('up')})"
    firing = f'count(ALERTS{{alertstate="firing", {ALERTS_OF}}}) or 0 * count({series("up")})'
    return [
        figure(Said("GPUs", "GPUs that agents and meters tell of.", SILENT), [Query(gpus)], COUNT),
        figure(
            Said("Allocated", "GPUs that somebody holds, on the mean of 5 minutes, of all.", SILENT),
            [Query(f"{allocated} / ({added(series(TIME))} > 0)")],
            RATIO,
        ),
        figure(
            Said(
                "Silent targets",
                "Agents that Prometheus could not read: their GPUs are not known.",
                "no target",
            ),
            [Query(silent)],
            COUNT,
            steps=((None, "green"), (1, "red")),
        ),
        figure(
            Said("Alerts firing", "Of the rules that costmeter brings; below they are listed.", "no target"),
            [Query(firing)],
            COUNT,
            steps=((None, "green"), (1, "red")),
        ),
    ]


def _who() -> list[Row]:
    return [
        Row(9, [Placed(11, 16, _allocations()), Placed(12, 8, _users())], "Who holds idle GPUs, and why", 10),
        Row(8, [Placed(13, 12, _reasons()), Placed(14, 12, _firing())]),
    ]


def _allocations() -> Panel:
    said = Said(
        "Top 10 idle allocations",
        "The GPUs whose idleness costs most now, of shared ones each holder's part: who holds them, why they are idle,"
        " and for how long. A click on the run opens its board; on its node, `costmeter idle` says"
        " what to type.",
        "nobody holds an idle GPU",
    )
    names = "job, instance, gpu_uuid, run_id, user, reason"
    worst = f"topk(10, {per_hour(f'sum by ({names}) ({series(HOLDERS)})')})"
    top = f'label_join({worst}, "row", " ", "gpu_uuid", "run_id", "user", "reason")'
    facts = f"max by ({GPU}, index, model) ({series(metric('gpu'))})"
    numbered = f"{top} * on ({GPU}) group_left (index, model) {facts}"
    was_idle = f"time() - min by ({GPU}) ({series(metric('gpu_idle_since_timestamp_seconds'))})"
    lasted = f"max by (row) (0 * {top} + on ({GPU}) group_left () ({was_idle}))"
    used = f"max by ({GPU}) ({series(metric('gpu_memory_used_bytes'))})"
    memory = f"max by (row) (0 * {top} + on ({GPU}) group_left () {used})"
    columns = [
        Column("Per hour", numbered, unit=FULL_MONEY_UNIT, decimals=2, width=100, steps=((None, "orange"), (5, "red"))),
        Column("User", label="user", width=110),
        Column("Why", label="reason", width=150),
        Column("Idle for", lasted, unit=SECONDS_UNIT, decimals=1, width=110),
        Column("Memory held", memory, unit="bytes", width=115),
        Column("Run", label="run_id", link=RUN_LINK, link_title="Open the board of this run"),
        Column("Node", label="instance"),
        Column("GPU", label="index", width=60),
        Column("Model", label="model"),
    ]
    return listing(said, "row", columns, sort="Per hour")


def _users() -> Panel:
    said = Said(
        "Idle cost per hour by user",
        "What each user's idle GPUs cost now: the ten who hold most.",
        "nobody holds an idle GPU",
    )
    idle = f"topk(10, {per_hour(added(series('user:costmeter_gpu_idle_cost_usd:rate5m'), 'user'))} > 0)"
    return bars(said, Query(idle, "{{user}}"), MONEY_UNIT, color="orange")


def _reasons() -> Panel:
    said = Said(
        "Idle cost per hour by reason",
        "Why held GPUs compute nothing, in money. Start-up, evaluation and checkpoint are work; a hang is not, nor is"
        " memory that is held for nothing. A minute late, because reasons are decided when a minute is over.",
        "nothing was idle",
    )
    return lines(
        said, [Query(per_hour(added(series(IDLE), "reason")), "{{reason}}")], MONEY_UNIT, is_stacked=True
    ).interval(RECORDED)


def _firing() -> Panel:
    said = Said(
        "Alerts that fire",
        "The page of each in docs/runbooks says what it means and what to type. Who is told is Alertmanager's matter.",
        "no alert fires",
    )
    names = "alertname, severity, owner, instance, user, run_id"
    of_ours = f'ALERTS{{alertstate="firing", {ALERTS_OF}}}'
    since = f"1000 * max by ({names}) (ALERTS_FOR_STATE{{{ALERTS_OF}}} and ignoring (alertstate) {of_ours})"
    columns = [
        Column("Alert", label="alertname", query=since),
        Column("Severity", label="severity", width=90),
        Column("Owner", label="owner", width=110),
        Column("Node", label="instance"),
        Column("Run", label="run_id", link=RUN_LINK, link_title="Open the board of this run"),
        Column("Since", label="Value", unit=DATE_UNIT, width=170),
    ]
    return listing(said, "alertname", columns, sort="Since", is_falling=False)


def _what() -> list[Row]:
    return [
        Row(8, [Placed(21, 12, _by_state()), Placed(22, 12, _allocated())], "What the GPUs do", 20),
        Row(9, [Placed(23, 16, _timeline()), Placed(24, 8, _power_shares())]),
    ]


def _by_state() -> Panel:
    said = Said(
        "Cost per hour by state",
        "Busy, held and idle, held by nobody, and what nobody could tell: together what everything costs.",
        SILENT,
    )
    return lines(
        said, [Query(per_hour(added(series(COST), "state")), "{{state}}")], MONEY_UNIT, is_stacked=True
    ).interval(RECORDED)


def _allocated() -> Panel:
    said = Said(
        "GPUs by state",
        "How many GPUs were busy, held and idle, or free: the gap between allocated and busy is what nobody uses. An"
        " hour of one GPU is a GPU-hour.",
        SILENT,
    )
    gpus = added(series(TIME), "state")
    made = lines(said, [Query(gpus, "{{state}}")], COUNT_UNIT, is_stacked=True, legend=["mean", "lastNotNull"])
    return made.interval(RECORDED)


def _timeline() -> Panel:
    said = Said(
        "GPUs of $node",
        "What each GPU of one node did, and why it was idle. The list above begins with the node whose idleness costs"
        " most now.",
        "this node was not heard in this range",
    )
    coded = " or ".join(f"{number:g} + 0 * max by ({GPU}) ({_is(word)})" for number, (word, _) in STATES.items())
    facts = f"max by ({GPU}, index, model) ({series(metric('gpu'), OF_NODE)})"
    return states(said, Query(f"({coded}) + on ({GPU}) group_left (index, model) 0 * {facts}", "GPU {{index}}"), STATES)


def _is(word: str) -> str:
    """The GPUs of the node in detail that are in a state now, or idle for a reason."""
    if word in _NO_REASONS:
        return f"{rate(series(metric('gpu_time_seconds'), OF_NODE, _label('state', word)))} > 0.5"
    return series(metric("gpu_idle_reason"), OF_NODE, _label("reason", word))


def _label(name: str, value: str) -> str:
    return f'{name}="{value}"'


def _power_shares() -> Panel:
    said = Said(
        "GPUs by share of their power limit",
        "How many GPUs draw how much of what they may: a row for each tenth of the limit. Work is above, waiting below;"
        " utilisation alone does not tell them apart.",
        SILENT,
    )
    tenths = added(series("instance:costmeter_gpu_power_tenth:count"), "tenth")
    return heat(said, Query(tenths, "{{tenth}}0 %"), COUNT_UNIT).interval(RECORDED)
