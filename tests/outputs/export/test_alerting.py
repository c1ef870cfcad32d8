"""What exports write for those who read alerts: commands that work where they are, and an Alertmanager that groups."""

import pytest
import yaml

from costmeter.outputs.export.canonical import canonical
from costmeter.outputs.export.render import render
from costmeter.outputs.export.wishes import Wishes

PLACES = {
    "prometheus": "rules/costmeter-alerts.yml",
    "kubernetes": "prometheusrule.yaml",
    "grafana": "rules/costmeter-alerts.yml",
}


@pytest.mark.parametrize("kind", sorted(PLACES))
def test_commands_in_alerts_ask_the_prometheus_that_was_named(kind: str) -> None:
    """`costmeter report --from prometheus=URL` has the URL of --prometheus-url; without, that of the compose stack."""
    named = render(kind, Wishes(prometheus_url="https://metrics.example/p"), canonical())[PLACES[kind]]
    assert named.count("--from prometheus=https://metrics.example/p") == 6
    assert "localhost:9090" not in named
    assert render(kind, Wishes(), canonical())[PLACES[kind]].count("--from prometheus=http://localhost:9090") == 6


def test_no_alert_sends_its_reader_to_journals_of_another_machine() -> None:
    """`costmeter report` of an alert reads Prometheus: who gets the message is on no node."""
    told = canonical()["prometheus/rules/costmeter-alerts.yml"].split("costmeter report ")[1:]
    assert told
    assert [each for each in told if "--from prometheus=" not in each.split("\n")[0]] == []


def test_kubernetes_has_the_inhibitions_beside_what_it_applies() -> None:
    """`alertmanager/alertmanager.yml` is written, and the kustomization, which knows no Alertmanager, leaves it out."""
    texts = render("kubernetes", Wishes(), canonical())
    assert yaml.safe_load(texts["alertmanager/alertmanager.yml"])["inhibit_rules"]
    assert "alertmanager" not in texts["kustomization.yaml"]


def test_inhibitions_are_about_alerts_of_costmeter_alone() -> None:
    """Source and target both have `owner_kind`, which is a label of ours: labels absent on both sides are equal."""
    rules = yaml.safe_load(canonical()["alertmanager/alertmanager.yml"])["inhibit_rules"]
    assert len(rules) >= 8
    for rule in rules:
        assert 'owner_kind!=""' in rule["source_matchers"]
        assert 'owner_kind!=""' in rule["target_matchers"]
