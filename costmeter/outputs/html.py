"""A receipt as one HTML file: opens offline, loads nothing, prints on one page, in light and in dark.

The only style and the only script are those of this package, by their hashes: a reader's browser refuses anything else,
whatever a command, a name or a label contains.
"""

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping
from importlib.resources import files
from itertools import chain
from typing import Any

from costmeter.ledger.timeline import Timeline
from costmeter.outputs.again import HERE, Asked, report_command, what_if_commands
from costmeter.outputs.figures import duration
from costmeter.outputs.gpus import gpu_names
from costmeter.outputs.heading import ending, headline, span
from costmeter.outputs.htmltables import gpu_table, provenance_table, said, where_table
from costmeter.outputs.markup import Markup, element, joined
from costmeter.outputs.sourcelines import is_priced
from costmeter.outputs.svg import bar, over_time
from costmeter.outputs.uncounted import uncounted
from costmeter.outputs.where import Where, where_it_went

#: Phases beyond this many colours begin again with the first.
_COLOURS = 8
_LONGEST_COMMAND = 400
_CAPTIONS = ("cost", "energy", "emissions", "of GPU time")
#: Saves the receipt that stands in the page as a file; without scripts there is no button.
_SCRIPT = """const data = document.getElementById("data"), save = document.getElementById("save");
save.hidden = false;
save.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data.textContent], {type: "application/json"}));
  link.download = JSON.parse(data.textContent).run.id + ".json";
  link.click();
  URL.revokeObjectURL(link.href);
});"""


def page(receipt: Mapping[str, Any], timeline: Timeline | None = None, asked: Asked = HERE) -> str:
    """The page of a run, from its receipt's JSON and, where journals are at hand, what it did over time."""
    style = files("costmeter.outputs").joinpath("receipt.css").read_text()
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(_SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    run = receipt["run"]
    title = f"{run['name'] or run['id']}: {headline(receipt)[0] if receipt['rates'] else 'no price'}"
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        Markup('<meta name="referrer" content="no-referrer">'),
        element("title", f"{title} · costmeter"),
        Markup(f"<style>{style}</style>"),
    )
    body = element("main", _body(receipt, timeline, asked))
    data = Markup(f'<script type="application/json" id="data">{_data(receipt)}</script>')
    script = Markup(f"<script>{_SCRIPT}</script>")
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            head,
            "</head>",
            "<body>",
            body,
            data,
            script,
            "</body>",
            "</html>",
            "",
        )
    )


def _hash(source: str) -> str:
    """What a content security policy calls a style or a script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _data(receipt: Mapping[str, Any]) -> str:
    """The receipt as JSON that no parser of HTML takes for anything else."""
    plain = json.dumps(receipt, separators=(",", ":"))
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _body(receipt: Mapping[str, Any], timeline: Timeline | None, asked: Asked) -> Markup:
    where = where_it_went(receipt) if receipt["devices"] else None
    kinds = [] if where is None else _kinds(where)
    return joined(
        _head(receipt),
        _figures(receipt),
        Markup("") if where is None else _where(receipt, where, kinds),
        _over_time(receipt, timeline, where, kinds),
        _section("What it rests on", said(receipt)),
        _gpus(receipt),
        _section("What is not counted", element("ul", *(element("li", line) for line in uncounted(receipt)))),
        element("details", element("summary", "Every figure and where it comes from"), provenance_table(receipt)),
        _foot(receipt, asked),
    )


def _section(title: str, *inside: Markup) -> Markup:
    return element("section", element("h2", title), *inside)


def _kinds(where: Where) -> list[str]:
    """The classes of the rows' colours."""
    if where.by == "state":
        return [row.name if row.name in ("busy", "unknown") else "idle" for row in where.rows]
    return [f"p{place % _COLOURS}" for place in range(len(where.rows))]


def _head(receipt: Mapping[str, Any]) -> Markup:
    run = receipt["run"]
    command = None if run["command"] is None else shlex.join(run["command"])
    if command is not None and len(command) > _LONGEST_COMMAND:
        command = command[: _LONGEST_COMMAND - 1] + "…"
    facts = [", ".join(run["hosts"]), gpu_names(receipt["devices"]), span(run["started_at"], run["ended_at"])]
    facts.append(duration(run["seconds"]))
    labels = [element("li", f"{name}: {value}") for name, value in run["labels"].items()]
    tone = "good" if run["outcome"] in ("ok", "running") else "bad"
    return element(
        "header",
        element("p", "costmeter receipt", element("span", f" · {run['id']}"), class_="brand"),
        element("h1", run["name"] or run["id"], element("span", ending(run), class_=f"ending {tone}")),
        Markup("") if command is None else element("p", element("code", command), class_="command"),
        element("p", " · ".join(filter(None, facts)), class_="facts"),
        element("ul", *labels, class_="labels") if labels else Markup(""),
        element("p", "Simulated GPUs: these figures are of a rehearsal.", class_="simulated")
        if receipt["simulated"]
        else Markup(""),
    )


def _figures(receipt: Mapping[str, Any]) -> Markup:
    figures = headline(receipt) if receipt["rates"] else ("no price", "energy not measured", "CO2e not known", "")
    boxes = [
        element("div", element("dd", figure), element("dt", caption))
        for figure, caption in zip(figures, _CAPTIONS, strict=True)
        if figure
    ]
    return element("dl", *boxes, class_="figures")


def _where(receipt: Mapping[str, Any], where: Where, kinds: list[str]) -> Markup:
    parts = [(row.name, float(row.share) / 100) for row in where.rows]
    is_money = is_priced(receipt)
    title = f"{'Cost' if is_money else 'Time'} by {where.by}"
    return _section("Where it went", bar(parts, kinds, title), where_table(receipt, where, kinds))


def _over_time(receipt: Mapping[str, Any], timeline: Timeline | None, where: Where | None, kinds: list[str]) -> Markup:
    if timeline is None or len(timeline.steps) < 2 or where is None:
        return Markup("")
    phases = [row.name for row in where.rows] if where.by == "phase" else []
    legend = "Hatched: GPUs mostly idle."
    legend += " Ticks: checkpoints." if timeline.checkpoints_utc_ns else ""
    legend += " Dashed: the run went back to one." if timeline.resumes_utc_ns else ""
    is_lost = receipt["sunk"]["lost_since_checkpoint"] is not None
    if phases and len(receipt["run"]["hosts"]) > 1 and timeline.spans:
        legend += f" Phases: those of {timeline.spans_host}."
    if phases and not timeline.spans:
        legend += " Phases changed too often to be shown apart: of every step the share of each."
    legend += " Red: paid after the last checkpoint, and lost." if is_lost else ""
    drawn = over_time(timeline, phases, kinds, receipt["currency"], is_lost)
    return _section("Over time", element("figure", drawn, element("figcaption", legend)))


def _gpus(receipt: Mapping[str, Any]) -> Markup:
    """A table of the GPUs; where they are many it is not printed, and where they are more it is folded away too."""
    devices = receipt["devices"]
    if not devices:
        return Markup("")
    if len(devices) > _OPEN_GPUS:
        return element("details", element("summary", f"All {len(devices)} GPUs"), gpu_table(receipt))
    if len(devices) <= _PRINTED_GPUS:
        return _section("GPUs", gpu_table(receipt))
    instead = element("p", f"{len(devices)} GPUs, one by one in the file this was printed from", class_="printed")
    return element("section", element("h2", "GPUs"), gpu_table(receipt), instead, class_="many")


#: A sheet of paper has room for so many beside everything else, and a screen for more.
_PRINTED_GPUS, _OPEN_GPUS = 8, 16


def _foot(receipt: Mapping[str, Any], asked: Asked) -> Markup:
    compare = [(" · Under other prices: ", element("code", each)) for each in what_if_commands(receipt, asked)]
    return element(
        "footer",
        Markup('<button id="save" type="button" hidden>Save the receipt as JSON</button>'),
        element(
            "p",
            "Again: ",
            element("code", f"{report_command(receipt, asked)} --html"),
            *chain.from_iterable(compare),
        ),
        element("p", f"costmeter {receipt['meter']['version']} · nothing in this file is loaded from elsewhere"),
    )
