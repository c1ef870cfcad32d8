"""One run as a Prometheus remembers it: what a receipt would say, as far as metrics tell it."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from costmeter.feeds.promdetail import Detail
from costmeter.feeds.promruns import SeenRun, Told
from costmeter.outputs.columns import folded
from costmeter.outputs.figures import carbon, duration, energy, money, quantum, rounded
from costmeter.outputs.heading import span
from costmeter.outputs.metricruns import NO_PRICE, Read, by_label, idle_share, nanoseconds, total_of
from costmeter.outputs.receipt import timestamp
from costmeter.outputs.runlist import SIMULATED
from costmeter.outputs.style import MINIMUM_WIDTH, Style, unadorned
from costmeter.units import NANOSECONDS_PER_SECOND


def render_run(run: SeenRun, detail: Detail, read: Read, style: Style) -> str:
    """What a receipt would say, as far as metrics tell it, and what they do not."""
    width = max(style.width, MINIMUM_WIDTH)
    lines = [f"{run.word} · {_ending(run)} · from Prometheus {read.where}"]
    who = [", ".join(sorted(run.by_host)), run.facts.get("name", ""), run.facts.get("user", "")]
    who += [f"{name} {run.facts[name]}" for name in ("project", "team", "experiment") if run.facts.get(name)]
    lines += [f" {line}" for line in (" · ".join(filter(None, who)), _times(run, read)) if line]
    lines += [f" {SIMULATED}"] if run.simulated else []
    whole = run.whole
    cost = money(whole.cost, run.currency) if run.currency else NO_PRICE
    used, grams = energy(float(total_of(whole.kwh))), carbon(float(total_of(whole.grams)))
    lines += ["", f"   {cost}     {used}     {grams}     {idle_share(whole)} idle", ""]
    for label, text in (*_labelled(run, detail, whole), *_least(read)):
        lines += folded(f" {label:<11}", text, width)
    return "\n".join(unadorned(line, style) for line in lines) + "\n"


def _ending(run: SeenRun) -> str:
    if run.exit_code is None or run.active:
        return run.outcome
    return f"exit {run.exit_code}" + (" (failed)" if run.exit_code else "")


def _times(run: SeenRun, read: Read) -> str:
    if run.started_seconds is None:
        return ""
    now = Decimal(read.now_utc_ns) / NANOSECONDS_PER_SECOND
    ended = now if run.ended_seconds is None else run.ended_seconds
    said = span(_text(run.started_seconds), _text(ended))
    if run.ended_seconds is None:
        return f"since {said.partition(' →')[0]}" + (f" · {duration(float(now - run.started_seconds))}" * run.active)
    return f"{said} · {duration(float(ended - run.started_seconds))}"


def _text(seconds: Decimal) -> str:
    return timestamp(nanoseconds(seconds))


def _labelled(run: SeenRun, detail: Detail, whole: Told) -> Iterator[tuple[str, str]]:
    if run.currency:
        yield "Components", _amounts(by_label(whole.costs, 0), run.currency)
        yield "States", _amounts(by_label(whole.costs, -1), run.currency)
        if detail.phases:
            yield "Phases", _amounts(detail.phases, run.currency)
        if len(run.by_host) > 1:
            yield "Hosts", _amounts({host: told.cost for host, told in sorted(run.by_host.items())}, run.currency)
    hours = {state: seconds / 3600 for state, seconds in by_label(whole.seconds, 0).items()}
    yield "GPU-hours", " · ".join(f"{state} {each:,.4g}" for state, each in hours.items())
    yield "Energy", " · ".join(f"{part} {energy(float(each))}" for part, each in by_label(whole.kwh, 0).items())
    yield "Carbon", " · ".join(f"{scope} {carbon(float(each))}" for scope, each in by_label(whole.grams, 0).items())
    told = [f"{value:,.0f} {what}" for value, what in ((detail.steps, "steps"), (detail.tokens, "tokens")) if value]
    if told:
        yield "Progress", " · ".join(told)
    yield "Metered by", " · ".join(f"{meter} on {host}" for host, meter in sorted(run.meters.items()))
    yield (
        "Not here",
        (
            "exact figures, prices in force, what was measured or estimated, redone work, phases after the eighth: "
            f"costmeter report {run.id}, where its journals are"
        ),
    )


def _least(read: Read) -> Iterator[tuple[str, str]]:
    if read.least:
        yield "At least", "; ".join(read.least)


def _amounts(parts: Mapping[str, Decimal], currency: str) -> str:
    step = quantum(sum(parts.values(), Decimal(0)))
    shown = rounded(list(parts.values()), step)
    return " · ".join(f"{name} {money(each, currency, step)}" for name, each in zip(parts, shown, strict=True))
