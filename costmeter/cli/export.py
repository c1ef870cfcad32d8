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
#: What to type next, in a shell; `{dir}` is the folder, SOURCE what only the reader knows.
_WHEEL = "pip wheel --no-deps -w {dir}/{wheels} SOURCE"
_NEXT = {
    "compose": "{wheel} && docker compose -f {dir}/compose.yaml --profile mock up --build",
    "prometheus": "alertmanager --config.file={dir}/alertmanager/alertmanager.yml & "
    "prometheus --config.file={dir}/prometheus.yml",
    "grafana": "sudo cp -r {dir}/provisioning /etc/grafana/ && "
    "sudo install -D -m 644 -t {boards} {dir}/dashboards/*.json && sudo systemctl restart grafana-server",
    "kubernetes": "{built}kubectl apply -k {dir}",
    "systemd": "sudo sh {dir}/install.sh",
    "slurm": "sudo sh {dir}/install.sh",
}
#: Where the provisioning looks for the boards.
_BOARDS = "/var/lib/grafana/dashboards/costmeter"
_SERVED = ("compose", "prometheus", "kubernetes", "grafana")
_AGENT = ("compose", "kubernetes", "systemd")
#: Option: the kinds whose files it is about. The others refuse it, since it would do nothing.
_MEANT_FOR = {
    "price": _AGENT,
    "idle_above": _SERVED,
    "unheld_above": _SERVED,
    "held_above": _SERVED,
    "sunk_above": _SERVED,
    "month_budget": _SERVED,
    "runbooks": _SERVED,
    "grafana_url": _SERVED,
    "target": ("compose", "prometheus"),
    "prometheus_url": ("prometheus", "kubernetes", "grafana"),
    "alertmanager_url": ("grafana",),
    "namespace": ("kubernetes",),
    "prometheus_namespace": ("kubernetes",),
    "image": ("compose", "kubernetes"),
    "command": ("systemd",),
}
#: Amounts that the alerts compare with, as they come.
_THRESHOLDS = {
    "idle_above": "5/h and 50 a day idle (--idle-above)",
    "unheld_above": "5/h unheld on a node and 25/h on all (--unheld-above)",
    "held_above": "0.5/h held and unused (--held-above)",
    "sunk_above": "25 sunk (--sunk-above)",
}
_SOURCE = "SOURCE: a checkout of costmeter, or its wheel"
_NO_REGISTRY = "{image} names no registry: every node has to have it already, or: --image registry.example/costmeter:1"
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_URL = re.compile(r"https?://[^\s\"'\\<>{}]+")
#: [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST], as the distribution's reference grammar has it.
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:(?P<host>{_HOST})/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?P<digest>@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_TARGET = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_COMMAND = re.compile(r"/[A-Za-z0-9._/+-]+/bin/costmeter")
#: Where the unit's ProtectHome and PrivateTmp show it nothing.
_HIDDEN = re.compile(r"/(?:home|root|run/user|tmp|var/tmp)(?=/)")
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
    idle = "warn of an owner's idle GPUs above N an hour, tell of them above 10 N a day (default 5)"
    parser.add_argument("--idle-above", metavar="N", help=idle)
    unheld = "warn of unheld GPUs above N an hour on a node, 5 N on all together (default 5)"
    parser.add_argument("--unheld-above", metavar="N", help=unheld)
    held = "warn of one GPU that is held and unused above N an hour (default 0.5)"
    parser.add_argument("--held-above", metavar="N", help=held)
    parser.add_argument("--sunk-above", metavar="N", help="tell of a failed run that cost more than N (default 25)")
    parser.add_argument("--month-budget", metavar="N", help="warn when the month will cost more than N")
    parser.add_argument("--runbooks", metavar="URL", help="where the alerts' runbooks are (default costmeter's docs)")
    parser.add_argument("--grafana-url", metavar="URL", help="Grafana, for the alerts (default http://localhost:3000)")
    target = "an agent that Prometheus scrapes; repeatable (default localhost:26786)"
    parser.add_argument("--target", metavar="HOST:PORT", action="append", help=target)
    parser.add_argument(
        "--prometheus-url", metavar="URL", help="Prometheus, for Grafana and alerts (default http://localhost:9090)"
    )
    parser.add_argument("--alertmanager-url", metavar="URL", help="Alertmanager, for Grafana (default none)")
    parser.add_argument("--namespace", metavar="NAME", help="Kubernetes namespace (default costmeter)")
    watching = "namespace of the Prometheus that will scrape (default monitoring)"
    parser.add_argument("--prometheus-namespace", metavar="NAME", help=watching)
    parser.add_argument("--image", metavar="IMAGE", help="container image of the agent (default costmeter:VERSION)")
    parser.add_argument("--command", metavar="PATH", help="costmeter's path (default /opt/costmeter/bin/costmeter)")


def run(args: argparse.Namespace) -> int:
    """Write the files, and say what to type next; 0. Raises UsageError with all faults, CostmeterError."""
    from costmeter.cli import wholefolder
    from costmeter.outputs.export.canonical import canonical
    from costmeter.outputs.export.render import is_program, left_out, render

    wishes, ours = _wishes(args), canonical()
    texts = render(args.kind, wishes, ours)
    files = {path: wholefolder.File(text, is_program(path)) for path, text in texts.items()}
    done = wholefolder.write(args.folder, files, args.force, left_out(args.kind, wishes, ours))
    _report(args, done, wishes)
    return 0


def _report(args: argparse.Namespace, done: "Written", wishes: "Wishes") -> None:
    for path in done.written:
        print(f"  {os.path.join(args.folder, path)}")
    same = f", {len(done.unchanged)} unchanged" if done.unchanged else ""
    print(f"{args.kind}: {len(done.written)} written{same}")
    for paths, what in (
        (done.removed, "Removed, as this export has none"),
        (done.stale, "Left by an earlier export, and no part of this one (--force removes what is not changed)"),
        (done.others, "Of an earlier export, perhaps changed since, and no part of this one; look, and remove it"),
    ):
        if paths:
            print(f"{what}: {', '.join(os.path.join(args.folder, path) for path in paths)}")
    kept = [each for name, each in _THRESHOLDS.items() if not getattr(wishes, name)]
    if wishes.currency != "USD" and args.kind in _SERVED and kept:
        print(f"Thresholds keep their numbers, now in {wishes.currency}: {', '.join(kept)}")
    *notes, command = _next(args.kind, shlex.quote(args.folder), wishes.image)
    for note in notes:
        print(note)
    print(f"Next: {command}")


def _next(kind: str, folder: str, image: str) -> list[str]:
    """What has to be known about the commands that make use of the folder, and last these."""
    wheel = _WHEEL.format(dir=folder, wheels="costmeter/wheels" if kind == "compose" else "wheels")
    matched = _IMAGE.fullmatch(image)
    assert matched is not None  # it was checked
    built, notes = "", [_SOURCE] if kind in ("compose", "kubernetes") else []
    if matched["digest"]:
        notes = []  # it is in a registry as it is
    elif kind == "kubernetes":
        pushed = f" && docker push {image}" if matched["host"] else ""
        built = f"{wheel} && docker build -t {image} {folder}{pushed} && "
        notes += [] if pushed else [_NO_REGISTRY.format(image=image)]
    command = _NEXT[kind].format(dir=folder, wheel=wheel, built=built, boards=_BOARDS)
    return [*notes, command]


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
        "unheld_above": partial(_amount, "--unheld-above", "5"),
        "held_above": partial(_amount, "--held-above", "0.5"),
        "sunk_above": partial(_amount, "--sunk-above", "25"),
        "month_budget": partial(_amount, "--month-budget", "20000"),
        "runbooks": partial(_url, "--runbooks", "https://wiki.example/runbooks"),
        "grafana_url": partial(_url, "--grafana-url", "https://grafana.example"),
        "prometheus_url": partial(_url, "--prometheus-url", "http://prometheus.example:9090"),
        "alertmanager_url": partial(_url, "--alertmanager-url", "http://alertmanager.example:9093"),
        "namespace": partial(_matching, "--namespace", _NAME, "lower-case letters, digits and -, such as gpu-cost"),
        "prometheus_namespace": partial(_matching, "--prometheus-namespace", _NAME, "a namespace such as monitoring"),
        "image": partial(_image, args.kind),
        "command": _command,
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
    if not text.strip("0."):
        raise UsageError(f'{option} "{text}": expected an amount above 0, such as {example}')
    return text.lstrip("0") if text.lstrip("0")[:1].isdigit() else f"0{text.lstrip('0')}"


def _image(kind: str, text: str) -> str:
    """Raises UsageError also for what is built under a name that says what is in it."""
    _matching("--image", _IMAGE, "NAME[:TAG], such as registry.example/costmeter:1", text)
    if kind == "compose" and "@" in text:
        raise UsageError(f'--image "{text}": compose builds it, so it cannot have a digest yet; leave out @sha256:…')
    return text


def _command(text: str) -> str:
    """Raises UsageError also for what the unit could not run."""
    path = os.path.normpath(_matching("--command", _COMMAND, "a path such as /opt/costmeter/bin/costmeter", text))
    path = path.replace("//", "/")
    if hidden := _HIDDEN.match(path):
        why = f"the unit sees nothing in {hidden[0]} (ProtectHome, PrivateTmp)"
        raise UsageError(f'--command "{text}": {why}; install it elsewhere, as in /opt/costmeter')
    return path


def _url(option: str, example: str, text: str) -> str:
    return _matching(option, _URL, f"a URL such as {example}", text).rstrip("/")


def _target(text: str) -> str:
    if not _TARGET.fullmatch(text) or int(text.rpartition(":")[2]) > 65_535:
        raise UsageError(f'--target "{text}": expected a host and port such as gpu01:26786')
    return text
