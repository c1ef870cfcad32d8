"""The first page of a node's agent: what is going on now: burn rate, runs, GPUs. Made from the node's JSON."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from costmeter.outputs.figures import about, local_time, money, seconds_between, significant
from costmeter.outputs.gpus import gpu_names, numbers, without_maker
from costmeter.outputs.idlewords import idle_since, reason_of, short
from costmeter.outputs.landingframe import boxes, foot, page, section, simulated
from costmeter.outputs.markup import Markup, element, joined

#: A browser draws so many rows without delay; the JSON has all of them.
_MOST_ROWS = 200
_CENT = Decimal("0.01")
_STATES = ("busy", "idle", "unheld", "unknown")
_LINKS = (("/metrics", "metrics"), ("/api/v1/node", "JSON"), ("/-/healthy", "health"), ("/-/ready", "readiness"))


def landing(node: Mapping[str, Any]) -> bytes:
    """The page of a node, from its JSON: burn rate, runs, GPUs."""
    title = f"{node['host']}: {_per_hour(node['now']['per_hour'], node['currency'])}"
    body = joined(
        element("p", "costmeter", class_="brand"),
        element("h1", node["host"]),
        element(
            "p",
            f"{_at(node['at'])} {local_time(node['at']):%Z} · {gpu_names(_as_devices(node['gpus'])) or 'no GPUs'}",
            class_="facts",
        ),
        *_warnings(node),
        _figures(node),
        section("Runs", _runs(node)),
        section("GPUs", _gpus(node)),
        foot(_LINKS),
    )
    return page(title, body)


def _warnings(node: Mapping[str, Any]) -> list[Markup]:
    health = node["health"]
    lines = [simulated(node["simulated"])]
    if not health["journal_writable"]:
        said = "The journal cannot be written: what is counted now is lost with the agent."
        lines.append(element("p", said, class_="warn"))
    unpriced = node["now"]["unpriced_gpus"]
    if unpriced:
        gpus = "GPU" if len(node["gpus"]) == 1 else "GPUs"
        none = "has no price, and costs" if unpriced == 1 else "have no price, and cost"
        said = f"{unpriced} of {len(node['gpus'])} {gpus} {none} nothing here. Set one: gpu.price"
        lines.append(element("p", said, class_="warn"))
    failed = sorted(name for name, works in health["collectors"].items() if not works)
    if failed:
        lines.append(element("p", f"Did not answer: {', '.join(failed)}.", class_="warn"))
    if health["runs_hidden"]:
        lines.append(element("p", f"{health['runs_hidden']} more runs are counted and not shown.", class_="warn"))
    if health["runs_refused"]:
        said = f"{health['runs_refused']} runs were refused: their time is their user's."
        lines.append(element("p", said, class_="warn"))
    return lines


def _figures(node: Mapping[str, Any]) -> Markup:
    now, currency = node["now"], node["currency"]
    idle = _per_hour(now["idle_per_hour"], currency)
    figures = [
        (_per_hour(now["per_hour"], currency), "now, all GPUs", ""),
        (idle, "held and idle", "idle" if _is_some(now["idle_per_hour"]) else ""),
        (_per_hour(now["unheld_per_hour"], currency), "held by nobody", ""),
    ]
    if node["today"] is not None:
        since = local_time(node["today_since"])
        figures.append((_money(node["today"], currency), f"since {since:%H:%M %Z}", ""))
    watts = [gpu["power_watts"] for gpu in node["gpus"] if gpu["power_watts"] is not None]
    if watts:
        figures.append((f"{significant(sum(watts) / 1000)} kW", "drawn by GPUs", ""))
    return boxes(figures)


def _runs(node: Mapping[str, Any]) -> Markup:
    indexes = {gpu["uuid"]: gpu["index"] for gpu in node["gpus"]}
    rows = [_run(run, indexes, node["currency"]) for run in node["runs"][:_MOST_ROWS]]
    head = ("run", "user", "GPUs", "since", "per hour", "cost", "state")
    nothing = "No run holds a GPU here, as far as can be seen."
    return _table("Runs", head, rows, len(node["runs"]), "wWNNnnw") if rows else element("p", nothing, class_="none")


def _run(run: Mapping[str, Any], indexes: Mapping[str, int], currency: str) -> Markup:
    is_over = run["ended"] is not None
    name = run["name"] or run["run"]
    told = [run["run"]] if run["name"] else []
    told += [run["job"]] if run["job"] else []
    steps = f"step {run['step']:,}" if run["step"] is not None else ""
    steps += f"/{run['of_steps']:,}" if steps and run["of_steps"] is not None else ""
    state = (run["outcome"] or "ended") if is_over else ", ".join(filter(None, (run["phase"] or run["state"], steps)))
    return element(
        "tr",
        element("th", name, *(Markup("<br>"), element("small", " · ".join(told))) if told else (), scope="row"),
        element("td", run["user"], class_="word more"),
        element("td", numbers(indexes[uuid] for uuid in run["gpus"] if uuid in indexes) or "–", class_="more"),
        element("td", _at(run["started"]), class_="more"),
        element("td", "–" if is_over else _per_hour(run["per_hour"], currency)),
        element("td", _money(run["cost"], currency)),
        element("td", state, class_=f"word {run['state'] if not is_over and run['state'] in _STATES else ''}".strip()),
        class_="ended" if is_over else None,
    )


def _gpus(node: Mapping[str, Any]) -> Markup:
    names = {(run["uid"], run["run"]): run["name"] for run in node["runs"]}
    rows = [_gpu(gpu, names, node["at"], node["currency"]) for gpu in node["gpus"][:_MOST_ROWS]]
    head = ("GPU", "utilization", "power", "per hour", "holder", "state")
    nothing = "No GPU is seen yet."
    return _table("GPUs", head, rows, len(node["gpus"]), "wnNnww") if rows else element("p", nothing, class_="none")


def _gpu(gpu: Mapping[str, Any], names: Mapping[Any, str], at: str, currency: str) -> Markup:
    share, watts, limit = gpu["utilization"], gpu["power_watts"], gpu["power_limit_watts"]
    used = "–"
    if share is not None:
        used = joined(
            element("meter", value=f"{share:.2f}", min="0", max="1", class_="more"),
            element("span", f"{round(100 * share)} %", class_="share"),
        )
    power = "–" if watts is None else f"{watts:,.0f} W" + ("" if limit is None else f" of {limit:,.0f}")
    holders = ", ".join(_holder(holder, names) for holder in gpu["holders"])
    since, reason = idle_since(gpu), reason_of(gpu)
    is_waste = since is not None and gpu["state"] in ("idle", "unheld")
    state = gpu["state"] + (f" {about(seconds_between(since, at))}" if since is not None and is_waste else "")
    state += f", {short(reason)}" if reason is not None else ""
    return element(
        "tr",
        element("th", f"{gpu['index']}  ", element("small", without_maker(gpu["model"]), class_="more"), scope="row"),
        element("td", used),
        element("td", power, class_="more"),
        element("td", _per_hour(gpu["per_hour"], currency)),
        element("td", holders or "nobody", class_="word"),
        element("td", state, class_=f"word {gpu['state'] if gpu['state'] in _STATES else ''}".strip()),
    )


def _holder(holder: Mapping[str, Any], names: Mapping[Any, str]) -> str:
    """A run by its name, which says more than its id."""
    run = names.get((holder["uid"], holder["run"])) or holder["run"]
    return f"{run} ({holder['user']})" if run else str(holder["user"])


def _table(caption: str, head: Sequence[str], rows: Sequence[Markup], count: int, kinds: str) -> Markup:
    """A table; `kinds`: columns of words (w) or of numbers (n), in capitals where a narrow screen is without them."""
    classes = {"w": "word", "W": "word more", "n": None, "N": "more"}
    cells = [element("th", name, scope="col", class_=classes[kind]) for name, kind in zip(head, kinds, strict=True)]
    whole = element(
        "table", element("caption", caption), element("thead", element("tr", *cells)), element("tbody", *rows)
    )
    rest = count - len(rows)
    more = element("p", f"and {rest} more, in the JSON", class_="none") if rest > 0 else Markup("")
    return joined(element("div", whole, class_="wide"), more)


def _as_devices(gpus: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": gpu["model"], "mig": gpu["mig"]} for gpu in gpus]


def _is_some(amount: str | None) -> bool:
    return amount is not None and Decimal(amount) > 0


def _money(amount: str | None, currency: str) -> str:
    return "no price" if amount is None else money(Decimal(amount), currency)


def _per_hour(amount: str | None, currency: str) -> str:
    if amount is None:
        return "no price"
    step = _CENT if Decimal(amount) >= _CENT else None
    return f"{money(Decimal(amount), currency, step)}/h"


def _at(text: str) -> str:
    at = local_time(text)
    return f"{at.day} {at:%b %H:%M}"
