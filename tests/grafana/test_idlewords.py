"""What rules and boards say of reasons and phases is what the code says of them."""

import re

from costmeter.meter.idling import OWN_WORD, PHASE_WORDS, REASONS, phase_reason
from tests.grafana.boards import asked, load, panels
from tests.grafana.test_rules import rules

LISTED = re.compile(r'reason(=~|!~|=|!=)"([^"]*)"')
WORDS = [word for words in PHASE_WORDS.values() for word in sorted(words)]
#: Every word that the code knows, in every place of a name, and names that only begin so.
NAMES = [
    form.format(word)
    for form in ("{}", "{}_2", "final {}", "my-{}.model")
    for word in [*WORDS, *map(str.upper, WORDS), "training", "initial", "saver", "load batch", "load checkpoint"]
]


def expressions() -> dict[str, list[str]]:
    """By name of what is recorded or told of, every text of a rule in which Prometheus would find a selector."""
    found: dict[str, list[str]] = {}
    for rule in rules():
        texts = [str(rule["expr"]), *map(str, rule.get("annotations", {}).values())]
        found.setdefault(rule.get("record") or rule["alert"], []).extend(texts)
    return found


def reasons_in(text: str, operator: str) -> list[set[str]]:
    return [set(words.split("|")) for found, words in LISTED.findall(text) if found == operator]


def test_rules_name_reasons_that_there_are() -> None:
    """A reason that is misspelt in a rule would match nothing, and nobody would notice."""
    told = [named for texts in expressions().values() for text in texts for named in LISTED.findall(text)]
    assert told
    assert {word for _, words in told for word in words.split("|")} - {"%q", "$reason"} <= set(REASONS)


def test_what_a_run_says_is_left_out_as_the_code_leaves_it_out() -> None:
    """Wherever reasons are excluded they are a run's own word: evaluation, checkpoint, start-up."""
    excluded = [found for texts in expressions().values() for text in texts for found in reasons_in(text, "!~")]
    assert excluded
    assert all(found == OWN_WORD for found in excluded)


def test_what_is_avoidable_is_every_other_reason() -> None:
    """Idle spend that alarms has every reason but a run's own word."""
    (text,) = expressions()["run:costmeter_gpu_idle_cost_usd_avoidable:rate5m"]
    assert set().union(*reasons_in(text, "=~")) == set(REASONS) - OWN_WORD


def test_a_wrapper_without_reasons_is_believed_as_an_agent_is() -> None:
    """A stall of a run that only a wrapper serves is none while a run's own word is in force."""
    (text,) = expressions()["run:costmeter_cost_usd_stalled:rate5m"]
    assert reasons_in(text, "=~") == [OWN_WORD]


def test_every_reason_has_its_holders() -> None:
    """Each is joined by itself to who holds the GPU; one that is forgotten would cost nobody anything."""
    (text,) = expressions()["holder:costmeter_gpu_idle_cost_usd:rate5m"]
    assert sorted(REASONS) == sorted(word for found in reasons_in(text, "=") for word in found)


def test_the_timeline_has_a_colour_for_every_reason() -> None:
    """And for the states that are no reason of idleness; a GPU of none would be a gap."""
    (timeline,) = [panel for panel in panels(load("fleet")) if panel["type"] == "state-timeline"]
    (mapping,) = timeline["fieldConfig"]["defaults"]["mappings"]
    assert {*REASONS, "busy", "unheld", "unknown"} == {each["text"] for each in mapping["options"].values()}


def _is_asked_for(text: str, phase: str) -> bool:
    selectors = [matchers for matchers in re.findall(r"\{([^}]*)\}", text) if "phase=~" in matchers]
    assert selectors
    return any(_matches(matchers, phase) for matchers in selectors)


def _matches(matchers: str, phase: str) -> bool:
    wanted = re.findall(r'phase(=~|!~)"([^"]*)"', matchers)
    return all((re.fullmatch(pattern, phase) is not None) == (operator == "=~") for operator, pattern in wanted)


def test_a_checkpoint_is_marked_where_the_code_knows_one() -> None:
    """On the board of a run."""
    (mark,) = [query.expression for query in asked("run") if query.panel == "mark Checkpoint"]
    assert [name for name in NAMES if _is_asked_for(mark, name) != (phase_reason(name) == "checkpoint")] == []
