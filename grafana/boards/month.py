"""What the board of spend says of the month: the figures of the rules, so that board and alert never differ."""

from grafana.boards.panels import Panel, Query, Said, figure
from grafana.boards.units import MONEY

SPENT, EXPECTED, BUDGET = (f"costmeter:month_{each}_usd" for each in ("cost", "forecast", "budget"))
#: Of everything, as the rules' figures are.
HOUR = "cluster:costmeter_gpu_cost_usd:increase1h"
OF_ALL = "Of the calendar month in UTC and of all clusters that this Prometheus knows, whatever is chosen above."
NOTHING_YET = "the rules have not run for five minutes"
#: Its 24 full hours, whether or not a server counts the beginning of a subquery in.
DAY = "1430m:1h"
#: Seconds until the month is over, in UTC: days that are left after today, and what is left of today.
LEFT = "(86400 * (days_in_month() - day_of_month() + 1) - time() % 86400)"


def panels() -> list[Panel]:
    """Spent, expected, and what is left of the budget."""
    left = f"({BUDGET} > 0) - {SPENT}"
    return [
        figure(Said("Spent this month", f"All GPUs, held or not. {OF_ALL}", NOTHING_YET), [Query(SPENT)], MONEY),
        _forecast(),
        figure(
            Said(
                "Budget of the month, left",
                f"What `costmeter export --month-budget` set, less spent. {OF_ALL}",
                "no budget",
            ),
            [Query(left)],
            MONEY,
            steps=((None, "red"), (0, "green")),
        ),
    ]


def _forecast() -> Panel:
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
    return figure(said, [Query(each, name) for name, each in bands.items()], MONEY)


def _day() -> str:
    """What 24 hours cost, wherever the rules ran for so long."""
    return f"sum_over_time((sum(last_over_time({HOUR}[10m])))[{DAY}]) and on () last_over_time({BUDGET}[1h] offset 1d)"
