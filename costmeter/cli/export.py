"""`costmeter export`: the files that boards, alerts and services are made of, for whoever runs them."""

import argparse
import os
import re
import shlex
from collections.abc import Callable
from functools import partial

from costmeter.cli.attempts import told
from costmeter.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from costmeter.cli.wholefolder import Written
    from costmeter.outputs.export.wishes import Wishes

#: Kind: what it is.
_KINDS = {
    "compose": "Prometheus, Alertmanager, Grafana and the agent, for docker compose",
    "prometheus": "a scrape job, recording and alerting rules, and Alertmanager's side",
    "grafana": "the boards, with provisioning and as a mixin",
    "kubernetes": "DaemonSet, ServiceMonitor, PrometheusRule and boards, for kubectl apply -k",
    "systemd": "a hardened unit with its user and folders",
    "slurm": "prolog, epilog and task prolog",
}
#: What to type next, in a shell; `{dir}` is the folder.
_NEXT = {
    "compose": "docker compose -f {dir}/compose.yaml --profile mock up --build",
    "prometheus": "prometheus --config.file={dir}/prometheus.yml",
    "grafana": "sudo cp -r {dir}/provisioning /etc/grafana/ && "
    "sudo install -D -m 644 -t {boards} {dir}/dashboards/*.json",
    "kubernetes": "docker build -t {image} {dir} && kubectl apply -k {dir}",
    "systemd": "sudo sh {dir}/install.sh",
    "slurm": "sudo sh {dir}/install.sh",
}
#: Where the provisioning looks for the boards.
_BOARDS = "/var/lib/grafana/dashboards/costmeter"
_SERVED = ("compose", "prometheus", "kubernetes")
_AGENT = ("compose", "kubernetes", "systemd")
#: Option: the kinds whose files it is about. The others refuse it, since it would do nothing.
_MEANT_FOR = {
    "price": _AGENT,
    "idle_above": (*_SERVED, "grafana"),
    "month_budget": (*_SERVED, "grafana"),
    "runbooks": (*_SERVED, "grafana"),
    "grafana_url": (*_SERVED, "grafana"),
    "target": ("compose", "prometheus"),
    "prometheus_url": ("grafana",),
    "namespace": ("kubernetes",),
    "prometheus_namespace": ("kubernetes",),
    "image": ("compose", "kubernetes"),
    "command": ("systemd",),
}
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_URL = re.compile(r"https?://[^\s\"'\\<>{}]+")
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")
_TARGET = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_COMMAND = re.compile(r"/[A-Za-z0-9._/+-]+/bin/costmeter")
_AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)

_EPILOG = """\
kinds:
{kinds}

Amounts are in the currency; nothing is converted. Files that are there and the same are left alone.

examples:
  costmeter export compose stack && docker compose -f stack/compose.yaml --profile mock up --build
  costmeter export prometheus monitoring --target gpu01:26786 --target gpu02:26786 --idle-above 20
  costmeter export kubernetes k8s --namespace gpu-cost --image registry.example/costmeter:1
  costmeter export systemd unit && sudo sh unit/install.sh
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter export`."""
    parser.description = "Write the files of boards, alerts and services into a folder."
    parser.epilog = _EPILOG.format(kinds="\n".join(f"  {kind:12}{what}" for kind, what in _KINDS.items()))
    parser.add_argument("kind", metavar="KIND", choices=tuple(_KINDS), help=", ".join(_KINDS))
    parser.add_argument("folder", metavar="DIR", help="a folder: new, empty, or of an earlier export")
    parser.add_argument("--force", action="store_true", help="replace files that are there and differ")
    parser.add_argument("--currency", metavar="CODE", help="currency of the agents' settings (default USD)")
    parser.add_argument("--price", metavar="P", help="price per GPU-hour for the agent's settings (default list price)")
    parser.add_argument("--idle-above", metavar="N", help="warn of an owner's idle GPUs above N an hour (default 5)")
    parser.add_argument("--month-budget", metavar="N", help="warn when the month will cost more than N")
    parser.add_argument("--runbooks", metavar="URL", help="where the alerts' runbooks are (default costmeter's docs)")
    parser.add_argument("--grafana-url", metavar="URL", help="Grafana, for the alerts (default http://localhost:3000)")
    target = "an agent that Prometheus scrapes; repeatable (default localhost:26786)"
    parser.add_argument("--target", metavar="HOST:PORT", action="append", help=target)
    parser.add_argument(
        "--prometheus-url", metavar="URL", help="Prometheus, for Grafana (default http://localhost:9090)"
    )
    parser.add_argument("--namespace", metavar="NAME", help="Kubernetes namespace (default costmeter)")
    watching = "namespace of the Prometheus that will scrape (default monitoring)"
    parser.add_argument("--prometheus-namespace", metavar="NAME", help=watching)
    parser.add_argument("--image", metavar="IMAGE", help="container image of the agent (default costmeter:VERSION)")
    parser.add_argument("--command", metavar="PATH", help="costmeter's path (default /opt/costmeter/bin/costmeter)")


def run(args: argparse.Namespace) -> int:
    """Write the files, and say what to type next; 0. Raises UsageError with all faults, CostmeterError."""
    from costmeter.cli import wholefolder
    from costmeter.outputs.export.canonical import canonical
    from costmeter.outputs.export.render import is_program, render

    wishes = _wishes(args)
    texts = render(args.kind, wishes, canonical())
    files = {path: wholefolder.File(text, is_program(path)) for path, text in texts.items()}
    _report(args, wholefolder.write(args.folder, files, args.force), wishes)
    return 0


def _report(args: argparse.Namespace, done: "Written", wishes: "Wishes") -> None:
    for path in done.written:
        print(f"  {os.path.join(args.folder, path)}")
    same = f", {len(done.unchanged)} unchanged" if done.unchanged else ""
    print(f"{args.kind}: {len(done.written)} written{same}")
    if wishes.currency != "USD" and args.kind in _MEANT_FOR["idle_above"] and not wishes.idle_above:
        print(f"Thresholds keep their numbers, now in {wishes.currency}; set your own: --idle-above, --month-budget")
    folder = shlex.quote(args.folder)
    print(f"Next: {_NEXT[args.kind].format(dir=folder, image=wishes.image, boards=_BOARDS)}")


def _wishes(args: argparse.Namespace) -> "Wishes":
    """The options as they were checked. Raises UsageError with every fault."""
    from costmeter.config import flags
    from costmeter.outputs.export.wishes import Wishes

    faults = [
        _misplaced(name, args.kind) for name in _MEANT_FOR if getattr(args, name) and args.kind not in _MEANT_FOR[name]
    ]
    if not args.folder.strip("\0\n"):
        faults.append('DIR "": expected a folder, such as ./costmeter-export')
    checks: dict[str, Callable[[str], str]] = {
        "currency": partial(_matching, "--currency", re.compile("[A-Z]{3}"), "three capital letters such as EUR"),
        "price": flags.parse_price,
        "idle_above": partial(_amount, "--idle-above", "5"),
        "month_budget": partial(_amount, "--month-budget", "20000"),
        "runbooks": partial(_url, "--runbooks", "https://wiki.example/runbooks"),
        "grafana_url": partial(_url, "--grafana-url", "https://grafana.example"),
        "prometheus_url": partial(_url, "--prometheus-url", "http://prometheus.example:9090"),
        "namespace": partial(_matching, "--namespace", _NAME, "lower-case letters, digits and -, such as gpu-cost"),
        "prometheus_namespace": partial(_matching, "--prometheus-namespace", _NAME, "a namespace such as monitoring"),
        "image": partial(_matching, "--image", _IMAGE, "an image such as registry.example/costmeter:1"),
        "command": partial(_matching, "--command", _COMMAND, "a path such as /opt/costmeter/bin/costmeter"),
    }
    given: dict[str, str] = {}
    for name, check in checks.items():
        text = getattr(args, name)
        checked = None if text is None else told(faults, partial(check, text))
        if checked is not None:
            given[name] = checked
    targets = [told(faults, partial(_target, text)) for text in args.target or ()]
    if faults:
        raise UsageError("\ncostmeter export: ".join(faults))
    return Wishes(targets=tuple(filter(None, targets)), **given)


def _misplaced(name: str, kind: str) -> str:
    return (
        f"--{name.replace('_', '-')} changes nothing in {kind}: it is for {', '.join(_MEANT_FOR[name])}; leave it out"
    )


def _matching(option: str, pattern: "re.Pattern[str]", expected: str, text: str) -> str:
    if not pattern.fullmatch(text):
        raise UsageError(f'{option} "{text}": expected {expected}')
    return text


def _amount(option: str, example: str, text: str) -> str:
    if not _AMOUNT.fullmatch(text):
        advice = ", without a currency" if re.search("[$€£A-Za-z]", text) else ", with a point" if "," in text else ""
        raise UsageError(f'{option} "{text}": expected an amount such as {example}{advice}')
    return text


def _url(option: str, example: str, text: str) -> str:
    return _matching(option, _URL, f"a URL such as {example}", text).rstrip("/")


def _target(text: str) -> str:
    if not _TARGET.fullmatch(text) or int(text.rpartition(":")[2]) > 65_535:
        raise UsageError(f'--target "{text}": expected a host and port such as gpu01:26786')
    return text
