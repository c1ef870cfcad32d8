"""What the boards have in common: variables, links to each other, annotations, and panels in rows of 24 columns."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from grafana.boards.panels import SOURCE
from grafana.boards.queries import ALERTS_OF, metric

SCHEMA_VERSION = 42
COLUMNS = 24
#: Kinds of variable queries, as Grafana's Prometheus data source numbers them.
VALUES_OF_LABEL, RESULTS_OF_QUERY = 1, 3
TITLES = {"run": "costmeter / Run", "fleet": "costmeter / Fleet and idle", "spend": "costmeter / Spend"}
TOOLTIPS = {
    "run": "One run: what it costs, where that goes, and whether it is worth it",
    "fleet": "What burns now, who holds idle GPUs and why, and whether the meters work",
    "spend": "The month: projects, users, sunk cost, forecast",
}
#: What a link takes along: the data source, and the cluster that is looked at.
TAKEN_ALONG = "${datasource:queryparam}&${cluster:queryparam}"
RUN_LINK = f"/d/costmeter-run/?var-run=${{__value.raw}}&{TAKEN_ALONG}&${{__url_time_range}}"


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel, its number, which stays its own for as long as there are links to it, and its width in columns."""

    number: int
    width: int
    panel: Builder[dashboard.Panel]


@dataclass(frozen=True, slots=True)
class Row:
    """Panels beside each other, all of one height; a title begins a section of the board."""

    height: int
    panels: Sequence[Placed]
    title: str = ""
    number: int = 0


def uid(name: str) -> str:
    return f"costmeter-{name}"


def board(name: str, description: str, tags: Sequence[str]) -> boards.Dashboard:
    """An empty board of ours that links to the other two."""
    made = boards.Dashboard(TITLES[name]).uid(uid(name)).description(description)
    made.tags(["costmeter", *tags]).readonly().timezone("browser").tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    for other in TITLES:
        if other != name:
            made.link(_link(other))
    return made


def _link(other: str) -> boards.DashboardLink:
    """The way to another board; the spend of a month is no matter of the hours that one looks at elsewhere."""
    made = boards.DashboardLink(TITLES[other].partition(" / ")[2]).type(dashboard.DashboardLinkType.LINK)
    made.url(f"/d/{uid(other)}").tooltip(TOOLTIPS[other]).icon("dashboard").include_vars(True)
    return made.keep_time(other != "spend")


def place(made: boards.Dashboard, rows: Sequence[Row]) -> None:
    """Put rows of panels below each other, without a gap between any two."""
    y = 0
    for row in rows:
        if row.title:
            heading = boards.Row(row.title).id(row.number)
            made.with_row(heading.grid_pos(dashboard.GridPos(h=1, w=COLUMNS, x=0, y=y)))
            y += 1
        x = 0
        for placed in row.panels:
            _place(made, placed, dashboard.GridPos(h=row.height, w=placed.width, x=x, y=y))
            x += placed.width
        y += row.height


def _place(made: boards.Dashboard, placed: Placed, where: dashboard.GridPos) -> None:
    panel = placed.panel.build()
    panel.id_val, panel.grid_pos = placed.number, where
    made.with_panel(Ready(panel))


@dataclass(frozen=True, slots=True)
class Ready(Builder[dashboard.Panel]):
    """A panel that is built."""

    panel: dashboard.Panel

    def build(self) -> dashboard.Panel:
        return self.panel


def data_source() -> boards.DatasourceVariable:
    """Which Prometheus is asked: the one of `costmeter export`, where it is there."""
    made = boards.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return made.current(dashboard.VariableOption(selected=True, text="costmeter", value="costmeter-prom"))


def choice(name: str, label: str, query: str, *, everything: str = ".+") -> boards.QueryVariable:
    """Values of a label, of which any number are chosen; read anew when the range changes.

    `everything` is what "all" matches: by default every value that is there, `.*` where the label may be missing; of
    none, "all" is the values themselves.
    """
    made = _variable(name, label, query).multi(True).include_all(True)
    if everything:
        made.all_value(everything)
    return made.current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))


def one(name: str, label: str, query: str, *, regex: str = "", is_newest_first: bool = False) -> boards.QueryVariable:
    """Values of a label, of which one is chosen, at first the first; `regex` takes it from the results of a query."""
    made = _variable(name, label, query)
    if is_newest_first:
        made.sort(dashboard.VariableSort.ALPHABETICAL_DESC)
    return made.regex(regex) if regex else made


def typed(name: str, label: str, value: str, description: str) -> boards.TextBoxVariable:
    """A number that whoever looks at the board may change."""
    return boards.TextBoxVariable(name).label(label).description(description).default_value(value)


def _variable(name: str, label: str, query: str) -> boards.QueryVariable:
    """A variable that is read anew when the range changes; results of a query stay in its order, labels are sorted."""
    is_result = query.startswith("query_result(")
    asked = query if is_result else f"label_values({query})"
    kind = RESULTS_OF_QUERY if is_result else VALUES_OF_LABEL
    made = boards.QueryVariable(name).label(label).datasource(SOURCE).definition(asked)
    made.query({"qryType": kind, "query": asked, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
    made.sort(dashboard.VariableSort.DISABLED if is_result else dashboard.VariableSort.ALPHABETICAL_ASC)
    return made.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)


def node_variables() -> list[boards.QueryVariable]:
    """By what nodes are filtered, from the widest on."""
    build = metric("build")
    return [
        choice("cluster", "Cluster", f"{build}, cluster", everything=".*"),
        choice("job", "Job", f'{build}{{cluster=~"$cluster"}}, job'),
        choice("instance", "Instance", f'{build}{{job=~"$job", cluster=~"$cluster"}}, instance'),
    ]


def annotation(
    name: str, expression: str, color: str, text: str, *, is_at_value: bool = False
) -> boards.AnnotationQuery:
    """A mark on all panels wherever a query has a value; or at the Unix time in milliseconds that the value is."""
    asked = prometheus.Dataquery().expr(expression).ref_id("Anno").range().interval("60s")
    made = boards.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(color)
    return made.target(asked).title_format(name).text_format(text).use_value_for_time(is_at_value)


def alerts(*matchers: str) -> boards.AnnotationQuery:
    """Alerts that fire: those of the chosen nodes, and those that are of no node, but of a user or a run."""
    of_ours = ", ".join(['alertstate="firing"', *matchers, ALERTS_OF])
    return annotation("Alert", f"ALERTS{{{of_ours}}}", "red", "{{alertname}}: {{severity}}")
