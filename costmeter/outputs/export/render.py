"""Which files each kind of export has, and what stands in them for whoever wishes what. Pure."""

import re
from collections.abc import Callable, Mapping
from functools import partial

from costmeter import __version__
from costmeter.outputs.export.currency import in_currency
from costmeter.outputs.export.rules import AMOUNTS, groups, rule_files, with_wishes
from costmeter.outputs.export.wishes import Wishes

_IMAGE = {"agent/Dockerfile": "Dockerfile", "agent/.dockerignore": ".dockerignore"}
#: Kind: folders of the canonical files, and where in the exported folder their files go. The first that fits counts.
_LAYOUTS: Mapping[str, Mapping[str, str]] = {
    "compose": {
        "compose/": "",
        "agent/": "costmeter/",
        "prometheus/": "prometheus/",
        "alertmanager/": "alertmanager/",
        "grafana/": "grafana/",
    },
    "prometheus": {"prometheus/": "", "alertmanager/": "alertmanager/"},
    "grafana": {"grafana/": "", "mixin/": "", "prometheus/rules/": "rules/"},
    "kubernetes": {
        "kubernetes/": "",
        "grafana/dashboards/": "dashboards/",
        "alertmanager/": "alertmanager/",  # beside the kustomization: whose Alertmanager it is, we do not know
        **_IMAGE,
    },
    "systemd": {"systemd/": "", "agent/costmeter.yaml": "costmeter.yaml"},
    "slurm": {"slurm/": ""},
}
KINDS = tuple(_LAYOUTS)

_BOARDS = "grafana/dashboards/"
_RULES = "prometheus/rules/"
_SETTINGS = "agent/costmeter.yaml"
_ALERT_SOURCE = "grafana/provisioning/datasources/costmeter-alerts.yaml"
_CURRENCY_IN_NAMES = re.compile(r"cost_([a-z]{3})(?![a-z])")
_AT_HOME = {"prometheus": "localhost:9090", "alertmanager": "localhost:9093", "agent": "localhost:26786"}
_IN_COMPOSE = {"prometheus": "prometheus:9090", "alertmanager": "alertmanager:9093", "agent": "costmeter:26786"}

#: A name that only services of the stack know is no address to type on the machine that runs it.
_AS_TYPED = """
    relabel_configs:
      # The stack's own agent by the address that this machine has for it: alerts say it in commands.
      - {source_labels: [__address__], regex: "costmeter:26786", target_label: instance, replacement: "localhost:26786"}
""".rstrip()


def render(kind: str, wishes: Wishes, canonical: Mapping[str, str]) -> dict[str, str]:
    """The texts of an export by their paths in its folder. `kind` is one of KINDS."""
    ours = {path: _worded(path, text, wishes) for path, text in canonical.items()}
    places = _places(kind, wishes, ours)
    texts = {}
    for path, text in ours.items():
        target = _target(kind, path)
        if target is not None and not _is_left_out(path, kind, wishes):
            texts[target] = _filled(text, places)
    return dict(sorted(texts.items()))


def left_out(kind: str, wishes: Wishes, canonical: Mapping[str, str]) -> dict[str, Callable[[str], bool]]:
    """The files that other wishes have in this kind of export and these do not, by their paths in its folder.

    Each with what tells whether a text is one that such wishes write, of this version and in whatever currency.
    """
    found = {}
    for path, text in canonical.items():
        target = _target(kind, path)
        if target is not None and _is_left_out(path, kind, wishes):
            found[target] = partial(_is_rendered, text)
    return dict(sorted(found.items()))


def _is_rendered(canonical: str, text: str) -> bool:
    """Whether a text is a canonical one but for its currency.

    Never one that has @PLACES@: an address that somebody wrote cannot be told from one that was asked for.
    """
    currencies = {"USD", *(code.upper() for code in _CURRENCY_IN_NAMES.findall(text))}
    return text in (in_currency(canonical, currency) for currency in currencies)


def is_program(path: str) -> bool:
    """Whether a file is to be run."""
    return path.endswith(".sh")


def _target(kind: str, path: str) -> str | None:
    for begin, target in _LAYOUTS[kind].items():
        if path.startswith(begin):
            return target + path.removeprefix(begin)
    return None


def _worded(path: str, text: str, wishes: Wishes) -> str:
    """A file in the currency, its rules with the amounts that were wished for."""
    text = in_currency(text, wishes.currency)
    return with_wishes(text, wishes) if path.startswith(_RULES) and not _is_test(path) else text


def _is_left_out(path: str, kind: str, wishes: Wishes) -> bool:
    """Unit tests of other rules; and Alertmanager, where we know of none: Grafana asks it whenever alerts are shown."""
    if path == _ALERT_SOURCE:
        return kind != "compose" and not wishes.alertmanager_url
    return _is_test(path) and _has_own_amounts(wishes)


def _is_test(path: str) -> bool:
    return path.endswith("_test.yml")


def _has_own_amounts(wishes: Wishes) -> bool:
    """Whether the rules are others than those that their unit tests are about."""
    links = (wishes.runbooks, wishes.grafana_url, wishes.prometheus_url)
    return any((*links, *(getattr(wishes, wish) for wish in AMOUNTS)))


def _filled(text: str, places: Mapping[str, Callable[[], str]]) -> str:
    for name, value in places.items():
        if f"@{name}@" in text:
            text = text.replace(f"@{name}@", value())
    return text


def _places(kind: str, wishes: Wishes, ours: Mapping[str, str]) -> dict[str, Callable[[], str]]:
    """What stands for each @PLACE@ of the canonical files; what holds other places comes first."""
    hosts = _IN_COMPOSE if kind == "compose" else _AT_HOME
    rules = rule_files(ours)
    boards = [path.removeprefix(_BOARDS) for path in sorted(ours) if path.startswith(_BOARDS)]
    return {
        "SETTINGS": lambda: "".join(f"    {line}\n" for line in ours[_SETTINGS].splitlines()).rstrip("\n"),
        "PRICE": lambda: _price(wishes),
        "RULE_GROUPS": lambda: "".join(groups(text, 2) for text in rules.values()).rstrip("\n"),
        "RULE_FILES": lambda: "\n".join(f"  - rules/{name}" for name in rules),
        "RULE_IMPORTS": lambda: "\n".join(f"  importstr 'rules/{name}'," for name in rules),
        "BOARD_IMPORTS": lambda: "\n".join(f"    'costmeter-{name}': import 'dashboards/{name}'," for name in boards),
        "BOARD_MAPS": lambda: "\n".join(map(_board_map, boards)),
        "TARGETS": lambda: "\n".join(f'    - "{target}"' for target in wishes.targets or [hosts["agent"]]),
        "AS_TYPED": lambda: _AS_TYPED if kind == "compose" else "",
        "ALERTMANAGER_URL": lambda: wishes.alertmanager_url or f"http://{hosts['alertmanager']}",
        "ALERTMANAGER": lambda: hosts["alertmanager"],
        "PROMETHEUS_URL": lambda: wishes.prometheus_url or f"http://{hosts['prometheus']}",
        # Somebody's Grafana has a default already, and refuses to start with two.
        "IS_DEFAULT": lambda: "true" if kind == "compose" else "false",
        "PROMETHEUS_NAMESPACE": lambda: wishes.prometheus_namespace,
        "NAMESPACE": lambda: wishes.namespace,
        "IMAGE": lambda: wishes.image,
        "COMMAND": lambda: wishes.command,
        "VENV": lambda: wishes.command.removesuffix("/bin/costmeter"),
        "VERSION": lambda: __version__,
    }


def _price(wishes: Wishes) -> str:
    if wishes.price:
        return f"gpu: {{price: {wishes.price}}}  # per GPU-hour"
    if wishes.currency == "USD":
        return "# gpu: {price: 2.49}  # per GPU-hour; until you say it, the list price"
    return "# gpu: {price: 2.49}  # per GPU-hour: list prices are in USD alone, so without yours nothing costs anything"


def _board_map(name: str) -> str:
    return f"  - name: costmeter-{name.removesuffix('.json')}\n    files: [dashboards/{name}]"
