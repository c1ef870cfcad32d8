"""What the board of spend says of the month: the figures of the rules, so that board and alert never differ."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import stat

from grafana.boards.panels import PLAIN, Query, Said, Steps, figure
from grafana.boards.queries import hour
from grafana.boards.units import MONEY

SPENT, EXPECTED, BUDGET = (f"costmeter:month_{each}_usd" for each in ("cost", "forecast", "budget"))
#: Of everything, as the rules' figures are.
HOUR = "cluster:costmeter_gpu_cost_usd:increase1h"
OF_ALL = (
    "Of the calendar month in UTC and of all clusters that this Prometheus knows, whatever is chosen above: as of now,"
    " or of the end of a range that begins and ends at dates."
)
NOTHING_YET = "no rule ran in the five minutes before now, or before the end of the range"
#: Its 24 full hours, whether or not a server counts the beginning of a subquery in.
DAY = "1430m:1h"
#: Seconds until the month is over, in UTC: days that are left after today, and what is left of today.
LEFT = "(86400 * (days_in_month() - day_of_month() + 1) - time() % 86400)"


def panels() -> list[stat.Panel]:
    """Spent, expected, and what is left of the budget."""
    left = f"({BUDGET} > 0) - {SPENT}"
    return [
        _now(Said("Spent this month", f"All GPUs, held or not. {OF_ALL}", NOTHING_YET), [Query(SPENT)]),
        _forecast(),
        _now(
            Said(
                "Budget of the month, left",
                f"What `costmeter export --month-budget` set, less spent. {OF_ALL}",
                "no budget, or no rule ran",
            ),
            [Query(left)],
            steps=((None, "red"), (0, "green")),
        ),
    ]


def _now(said: Said, queries: Sequence[Query], steps: Steps = PLAIN) -> stat.Panel:
    """A figure of now, whenever the chosen range ends: "This month" ends where nothing can be asked for yet."""
    return figure(said, queries, MONEY, steps=steps).time_from("1h").hide_time_override(True)


def _forecast() -> stat.Panel:
    said = Said(
        "Forecast to the end of the month",
        "Spent, and for the rest of the month as much as in the last 24 hours, or at the present rate where there is no"
        " day yet: what MonthOverBudgetForecast judges by. The band: as much as in those 24 hours of the last week that"
        f" cost least, and those that cost most; hours in which nothing ran cost nothing. {OF_ALL}",
        NOTHING_YET,
    )
    low, high = (f"{SPENT} + {edge}_over_time(({_day()})[7d:1h]) * scalar({LEFT}) / 86400" for edge in ("min", "max"))
    bands = {
        "low": f"(({low}) < {EXPECTED} or {EXPECTED})",
        "expected": EXPECTED,
        "high": f"(({high}) > {EXPECTED} or {EXPECTED})",
    }
    return _now(said, [Query(each, name) for name, each in bands.items()])


def _day() -> str:
    """What 24 hours cost, wherever the rules ran for so long."""
    return f"sum_over_time((sum({hour(HOUR)}))[{DAY}]) and on () last_over_time({BUDGET}[1h] offset 1d)"
