"""PromQL as the boards say it: series filtered by the board's variables, runs counted once, GPUs joined to runs."""

from collections.abc import Sequence

from costmeter.meter.idling import PHASE_WORDS
from costmeter.outputs.families import FAMILIES

#: What every series of a node is filtered by. `cluster` may be missing on all of them: its "all" matches that, too.
OF_NODES = 'job=~"$job", instance=~"$instance", cluster=~"$cluster"'
#: Series recorded above the level of a node have no instance.
OF_CLUSTERS = 'job=~"$job", cluster=~"$cluster"'
#: A run's hosts may be scraped by several jobs: what is recorded of all of them has none.
OF_ANY_JOB = 'cluster=~"$cluster"'
#: Alerts of users, runs and months name no node, but what has the labels of one is
#: filtered by them. `owner` is what all alerts of ours have.
ALERTS_OF = 'owner=~".+", job=~"|$job", instance=~"|$instance", cluster=~"|$cluster"'
ABOVE_NODES = ("cluster:", "run:", "user:", "project:")
HOSTS = "run_hosts:"
#: Rules evaluate these once for everybody: they have no labels at all.
CONSTANTS = "costmeter:"
#: A GPU as its node names it; two nodes may be scraped by two jobs.
GPU = "job, instance, gpu_uuid"
#: How finely the past is looked at: a run that ended stays on its page for 15 minutes.
SEEN = "$__range:15m"
#: Recorded hours are renewed every 5 minutes, so that each hour of a range has its last.
HOURS = "$__range:1h"
#: Where the range begins and ends, and the first and the last full hour of the clock in it, all in Unix seconds. In a
#: range within one hour the first is after the end.
FROM, TO = "${__from:date:seconds}", "${__to:date:seconds}"
FIRST_HOUR = f"({FROM} + (3600 - {FROM} % 3600) % 3600)"
LAST_HOUR = f"({TO} - {TO} % 3600)"


def series(name: str, *matchers: str) -> str:
    """A selector of a metric or recorded series, filtered by the variables that its level has labels for."""
    if name.startswith(CONSTANTS):
        return name
    if name.startswith(HOSTS):
        return f"{name}{{{', '.join([*matchers, OF_ANY_JOB])}}}"
    level = OF_CLUSTERS if name.startswith(ABOVE_NODES) else OF_NODES
    return f"{name}{{{', '.join([*matchers, level])}}}"


def of_its_nodes(name: str, *matchers: str) -> str:
    """A selector of GPUs on the nodes of the run alone: those of the whole fleet would be read, to be dropped after."""
    return series(name, 'instance=~"$held_on"', *matchers)


def of_run(name: str, *matchers: str) -> str:
    """A selector of the run that the board shows."""
    return series(name, 'run_id="$run"', *matchers)


def in_checkpoint() -> tuple[str, str]:
    """Matchers of the phases in which a run writes a checkpoint, as the idle reasons know them.

    A word of another reason counts for more: `load_checkpoint` is start-up.
    """
    others = [word for reason, words in PHASE_WORDS.items() if reason != "checkpoint" for word in sorted(words)]
    return f'phase=~"{_with_word(sorted(PHASE_WORDS["checkpoint"]))}"', f'phase!~"{_with_word(others)}"'


def _with_word(words: Sequence[str]) -> str:
    """Names in which one of the words stands by itself: Prometheus matches whole values."""
    return f"(?i)(.*[^a-z])?({'|'.join(words)})([^a-z].*)?"


def rate(selector: str) -> str:
    """Growth per second, over what Grafana takes for long enough."""
    return f"rate({selector}[$__rate_interval])"


def per_hour(expression: str) -> str:
    return f"3600 * {expression}"


def added(expression: str, *by: str) -> str:
    """The sum by labels, or of everything."""
    return f"sum by ({', '.join(by)}) ({expression})" if by else f"sum({expression})"


def once(family: str, of: str, *matchers: str) -> str:
    """A family of the run with each of its hosts once: the agent's count where an agent and a wrapper both have one.

    `of` stands for what is made of the selector, `{}`. An agent that came back under another address is one, too.
    """
    name = metric(family)
    labels = [label for label in FAMILIES[family].labels if label not in ("run_id", "meter")]
    each = [
        f"max by ({', '.join(labels)}) ({of.format(of_run(name, *matchers, meter))})"
        for meter in ('meter="agent"', 'meter="wrapper"')
    ]
    return f"({each[0]} or on (host) {each[1]})"


def metric(family: str) -> str:
    """The name of a family's series on the page, in US dollars: what `costmeter export` rewrites for others."""
    return FAMILIES[family].series_name("usd")


def total(family: str, *by: str, matchers: Sequence[str] = ()) -> str:
    """What the run came to: the highest raw value that was scraped within the range; exact, also of one that ended."""
    return added(once(family, "max_over_time({}[$__range])", *matchers), *by)


def running(family: str, *by: str, matchers: Sequence[str] = ()) -> str:
    """What the run had come to at each moment."""
    return added(once(family, "{}", *matchers), *by)


def speed(family: str, *by: str, matchers: Sequence[str] = ()) -> str:
    """What the run takes per second."""
    return added(once(family, "rate({}[$__rate_interval])", *matchers), *by)


def last(family: str, *matchers: str) -> str:
    """The last value of a gauge of the run within the range, by its labels."""
    return once(family, "last_over_time({}[$__range])", *matchers)


def held(run: str = 'run_id="$run"') -> str:
    """The part of each GPU that the run holds, on the page of an agent or, of itself alone, of a wrapper."""
    share, whole = (series(metric(family), run) for family in ("gpu_holder_share_ratio", "gpu_holder"))
    return f"max by ({GPU}) ({share} or on ({GPU}) {whole})"


def holds(expression: str) -> str:
    """What is said of GPUs, of those that the run holds, each GPU once whoever tells of it."""
    return f"max by (gpu_uuid) ({expression} and on ({GPU}) {held()})"


def share_of(expression: str, *by: str) -> str:
    """The run's part of what its GPUs do, each GPU once."""
    labels = ", ".join(("gpu_uuid", *by))
    return f"max by ({labels}) ({expression} * on ({GPU}) group_left () {held()})"


def while_held(counter: str, *by: str) -> str:
    """What a counter of GPUs grew by while the run held them: its rate at every step of the range, times the step."""
    grown = share_of(added(rate(counter), "job", "instance", "gpu_uuid", *by), *by)
    return f"sum_over_time({grown}[$__range:$__interval]) * $__interval_ms / 1000"


def named(expression: str) -> str:
    """Say of each GPU its number and its node: uuids name nothing to a person."""
    facts = f"topk by (gpu_uuid) (1, last_over_time({of_its_nodes(metric('gpu'))}[$__range]))"
    return f"{expression} * on (gpu_uuid) group_left (instance, index, model) {facts}"


def hour(hours: str) -> str:
    """What was recorded of each full hour; of one at whose end nothing was recorded, what was last, if it went on.

    The rules of the month read hours in the same way: a Prometheus that was away at a full hour loses none of it. What
    is heard of no more, or not yet, as in a range that ends later than now, is nothing.
    """
    away = f"last_over_time({hours}[50m]) and last_over_time({hours}[50m] offset -50m)"
    return f"(last_over_time({hours}[10m]) or {away})"


def over_range(hours: str, rates: str, *by: str) -> str:
    """What a range came to: whole hours of the clock as recorded, and by rates what lies before and after them.

    A recorded rate is taken at each minute, and stands for that minute: never one over `$__rate_interval`, which
    grows with the range. All that is filtered by the time of day reads an hour at most, so that long ranges read few
    samples; so the hour going on is not found in a range that ends after it.
    """
    whole = f"{added(hour(hours), *by)} and on () vector(time()) >= {FROM} + 3600"
    each = added(rates, *by)
    before = f"{each} and on () vector(time()) > {FROM} <= {FIRST_HOUR} <= {TO}"
    after = f"{each} and on () vector(time()) > {LAST_HOUR} > {FIRST_HOUR}"
    parts = [
        f"sum_over_time(({whole})[{HOURS}])",
        f'label_replace(60 * sum_over_time(({before})[1h:1m] @ {FROM} offset -1h), "part", "before", "", "")',
        f'label_replace(60 * sum_over_time(({after})[1h:1m]), "part", "after", "", "")',
    ]
    return added(" or ".join(parts), *by)
