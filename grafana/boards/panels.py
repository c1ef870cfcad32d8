"""Panels of the kinds that the boards use: each is described, and says what it means that there is nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import bargauge, heatmap, prometheus, stat, statetimeline, timeseries, xychart
from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.xychart import SeriesMapping, XYShowMode

from grafana.boards.units import Size

Panel = Builder[dashboard.Panel]
SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
PLAIN = ((None, "text"),)
Steps = Sequence[tuple[float | None, str]]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel: what is asked and how its series are called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a panel says of itself: title, description and what stands in it where there is nothing."""

    title: str
    description: str
    nothing: str = "no data"


def target(query: Query, ref: str, *, is_instant: bool = False, is_table: bool = False) -> prometheus.Dataquery:
    """A query as Grafana stores it."""
    made = prometheus.Dataquery().expr(query.expression).ref_id(ref).datasource(SOURCE)
    made = made.instant() if is_instant else made.range()
    if is_table:
        return made.format(PromQueryFormat.TABLE)
    return made.legend_format(query.legend or "__auto")


def thresholds(steps: Steps) -> boards.ThresholdsConfig:
    """Colours from the first value on, which is None: from minus infinity."""
    made = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return boards.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(made)


def words(texts: dict[float, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    """Numbers that stand for something: what is read instead of them, and its colour."""
    results = {
        f"{value:g}": dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return [dashboard.ValueMap(options=results)]


def set_to(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def in_color(color: str) -> dashboard.DynamicConfigValue:
    return set_to("color", {"mode": "fixed", "fixedColor": color})


def sized(queries: Sequence[Query], sizes: Sequence[Size]) -> list[tuple[str, Size, Query]]:
    """Each query once for each size, with a letter of its own; only one of the sizes of a value has data."""
    each = [(size, Query(size.of(query.expression), query.legend)) for query in queries for size in sizes]
    return [(letter, size, query) for letter, (size, query) in zip(ascii_uppercase, each, strict=False)]


def in_unit(size: Size) -> list[dashboard.DynamicConfigValue]:
    unit = [set_to("unit", size.unit)]
    return unit if size.decimals is None else [*unit, set_to("decimals", size.decimals)]


def figure(
    said: Said,
    queries: Sequence[Query],
    sizes: Sequence[Size],
    *,
    steps: Steps = PLAIN,
    mappings: dict[float, tuple[str, str]] | None = None,
) -> stat.Panel:
    """One number, or few beside each other, as they are at the end of the range."""
    made = stat.Panel().title(said.title).description(said.description).no_value(said.nothing).datasource(SOURCE)
    made.graph_mode(common.BigValueGraphMode.NONE).color_mode(common.BigValueColorMode.VALUE)
    made.text_mode(common.BigValueTextMode.VALUE_AND_NAME if len(queries) > 1 else common.BigValueTextMode.VALUE)
    made.reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    made.thresholds(thresholds(steps)).unit(sizes[0].unit)
    if sizes[0].decimals is not None:
        made.decimals(sizes[0].decimals)
    if mappings:
        made.mappings(words(mappings))
    for letter, size, query in sized(queries, sizes):
        made.with_target(target(query, letter, is_instant=True))
        if size is not sizes[0]:
            made.override_by_query(letter, in_unit(size))
    return made


def lines(
    said: Said,
    queries: Sequence[Query],
    unit: str,
    *,
    is_stacked: bool = False,
    legend: Sequence[str] = ("lastNotNull",),
    most: float | None = None,
) -> timeseries.Panel:
    """Series over time, as lines, or as areas on top of each other."""
    made = timeseries.Panel().title(said.title).description(said.description).no_value(said.nothing)
    made.datasource(SOURCE).unit(unit).min(0).line_width(1).show_points(common.VisibilityMode.NEVER)
    made.fill_opacity(30 if is_stacked else 5).axis_soft_min(0)
    made.tooltip(looks.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    shown = looks.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    made.legend(shown.display_mode(common.LegendDisplayMode.LIST).calcs(list(legend)))
    if is_stacked:
        made.stacking(looks.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if most is not None:
        made.max(most)
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        made.with_target(target(query, letter))
    return made


def on_the_right(panel: timeseries.Panel, letter: str, unit: str, label: str) -> timeseries.Panel:
    """Put a query's series on an axis of its own, drawn so that it stands out."""
    of_it = [
        set_to("unit", unit),
        set_to("custom.axisPlacement", "right"),
        set_to("custom.axisLabel", label),
        set_to("custom.lineWidth", 2),
        set_to("custom.fillOpacity", 0),
        set_to("max", None),
    ]
    return panel.override_by_query(letter, of_it)


def bars(said: Said, query: Query, unit: str, *, decimals: int | None = None, color: str = "blue") -> bargauge.Panel:
    """The largest few, each a bar, largest first."""
    made = bargauge.Panel().title(said.title).description(said.description).no_value(said.nothing).datasource(SOURCE)
    made.unit(unit).min(0).orientation(common.VizOrientation.HORIZONTAL)
    made.display_mode(common.BarGaugeDisplayMode.BASIC).value_mode(common.BarGaugeValueMode.TEXT)
    made.show_unfilled(False).name_placement(common.BarGaugeNamePlacement.LEFT)
    made.reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    made.thresholds(thresholds(((None, color),)))
    if decimals is not None:
        made.decimals(decimals)
    return made.with_target(target(query, "A", is_instant=True))


def states(said: Said, query: Query, mappings: dict[float, tuple[str, str]]) -> statetimeline.Panel:
    """What each series was over time: numbers that stand for states."""
    made = statetimeline.Panel().title(said.title).description(said.description).no_value(said.nothing)
    made.datasource(SOURCE).mappings(words(mappings)).merge_values(True).fill_opacity(80).line_width(0)
    made.show_value(common.VisibilityMode.NEVER).row_height(0.85)
    shown = looks.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    made.legend(shown.display_mode(common.LegendDisplayMode.LIST))
    return made.with_target(target(query, "A"))


def heat(said: Said, query: Query, unit: str) -> heatmap.Panel:
    """How many of something are in each of several classes over time: a row for each series."""
    made = heatmap.Panel().title(said.title).description(said.description).no_value(said.nothing).datasource(SOURCE)
    made.calculate(False).max_data_points(60)
    made.cell_values(heatmap.CellValues().unit(unit).decimals(0)).show_legend()
    return made.with_target(target(query, "A"))


def against(said: Said, x: Query, y: Query, x_unit: str, y_unit: str) -> xychart.Panel:
    """One series against another, joined by the time at which both were read."""
    made = xychart.Panel().title(said.title).description(said.description).no_value(said.nothing).datasource(SOURCE)
    made.with_target(target(x, "A")).with_target(target(y, "B"))
    joined = {"byField": "Time", "mode": "inner"}
    made.with_transformation(dashboard.DataTransformerConfig("joinByField", options=joined))
    # Two numbers are left, and the first of them is the horizontal axis: so every version of the panel has it.
    without = {"excludeByName": {"Time": True}, "indexByName": {x.legend: 0, y.legend: 1}, "renameByName": {}}
    made.with_transformation(dashboard.DataTransformerConfig("organize", options=without))
    made.mapping(SeriesMapping.AUTO).show(XYShowMode.POINTS_AND_LINES)
    for query, unit in ((x, x_unit), (y, y_unit)):
        made.override_by_name(query.legend, [set_to("unit", unit), set_to("custom.axisLabel", query.legend)])
    return made.legend(looks.VizLegendOptions().show_legend(False).placement(common.LegendPlacement.BOTTOM))
