"""Tables: one row for each value of a key, one column for each query, in order, each with its unit in sight."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import dashboard

from grafana.boards.panels import SOURCE, Query, Said, Steps, set_to, target, thresholds, words

Properties = list[dashboard.DynamicConfigValue]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: how it is headed, and either the query whose value it shows or the label of one.

    A query is grouped by the table's key, so that it has one value for each row. A column of a
    label shows it as one of the queries has it.
    """

    header: str
    query: str = ""
    label: str = ""
    unit: str = ""
    decimals: int | None = None
    width: int | None = None
    steps: Steps = ()
    mappings: dict[float, tuple[str, str]] = field(default_factory=dict)
    link: str = ""
    link_title: str = ""

    @property
    def properties(self) -> Properties:
        """How Grafana shows the column."""
        found: Properties = []
        if self.unit:
            found.append(set_to("unit", self.unit))
        if self.decimals is not None:
            found.append(set_to("decimals", self.decimals))
        if self.width is not None:
            found.append(set_to("custom.width", self.width))
        if self.steps:
            found.append(set_to("thresholds", thresholds(self.steps).build()))
            found.append(set_to("custom.cellOptions", {"type": "color-text"}))
        if self.mappings:
            found.append(set_to("mappings", words(self.mappings)))
            found.append(set_to("custom.cellOptions", {"type": "color-text"}))
        if self.link:
            found.append(set_to("links", [{"title": self.link_title, "url": self.link}]))
        return found


def listing(said: Said, key: str, columns: Sequence[Column], *, sort: str, is_falling: bool = True) -> table.Panel:
    """A table whose queries are joined by a label that each of them has once for each row.

    A column of a label takes no query: some query before it has that label.
    """
    made = table.Panel().title(said.title).description(said.description).no_value(said.nothing).datasource(SOURCE)
    asked = [column for column in columns if column.query]
    letters = dict(zip((column.header for column in asked), ascii_uppercase, strict=False))
    for column in asked:
        query = Query(column.query)
        made.with_target(target(query, letters[column.header], is_instant=True, is_table=True))
    # The only query of a panel calls its value "Value", without its letter.
    only = len(asked) == 1
    names = {
        column.header: column.label or ("Value" if only else f"Value #{letters[column.header]}") for column in columns
    }
    if not only:
        joined = {"byField": key, "mode": "outer"}
        made.with_transformation(dashboard.DataTransformerConfig("joinByField", options=joined))
    kept = {"include": {"names": list(names.values())}}
    made.with_transformation(dashboard.DataTransformerConfig("filterFieldsByName", options=kept))
    order = {
        "excludeByName": {},
        "indexByName": {name: place for place, name in enumerate(names.values())},
        "renameByName": {name: header for header, name in names.items()},
    }
    made.with_transformation(dashboard.DataTransformerConfig("organize", options=order))
    made.sort_by([looks.TableSortByFieldState().display_name(sort).desc(is_falling)]).filterable(True)
    made.unit("none")  # each column has its own
    for column in columns:
        made.override_by_name(column.header, column.properties or [set_to("unit", "string")])
    return made
