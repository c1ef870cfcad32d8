"""`costmeter agent`: meter every GPU of the node, say who holds which, serve it all as metrics."""

import argparse
import os
import shlex
import signal
import threading
from functools import partial

from costmeter.cli import folder
from costmeter.cli.attempts import told
from costmeter.cli.voice import Voice
from costmeter.config import flags
from costmeter.errors import ConfigError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from costmeter.runtime.agent.assembly import Agent
    from costmeter.runtime.agent.settings import AgentOptions

#: So long everything has when the agent is told to stop; init systems wait longer.
END_SECONDS = 1.7
#: And this much more for a stderr that takes its time.
PRINT_SECONDS = 0.2
#: Live runs that have series of their own; one more is counted and not shown.
MAX_RUNS = 100
_STOPS = (signal.SIGTERM, signal.SIGINT)
#: Nobody sent a HUP with this code (asm-generic/siginfo.h): a terminal has gone, or a shell whose job was stopped.
_SI_KERNEL = 0x80
#: Another agent has what this one needs or its settings are faulty, or it cannot go on.
_REFUSED, _FAILED = 125, 1
_PROGRAM = "costmeter agent"

_EPILOG = """\
Runs are found by announcing themselves (costmeter run does), by Slurm, by Kubernetes, by container,
else by their processes' user. No privileges are needed; what more would show: costmeter doctor

examples:
  costmeter agent                                      # http://127.0.0.1:26786/metrics
  costmeter agent --web.listen-address :26786          # on every address of this machine
  costmeter agent --simulate team --state /tmp/agent   # no GPU needed

signals: HUP loads the settings anew, TERM and INT stop it; counters go on at the next start.
exit codes: 0 stopped, 1 it could not go on, 2 wrong command line, 125 faulty settings, or another
agent has the state, the socket or the address.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter agent`."""
    parser.description = "The node's sidecar: meters every GPU, attributes them to runs, serves metrics."
    parser.epilog = _EPILOG
    address = f"where to serve: 127.0.0.1:{flags.PORT} (default), a port alone, or :PORT for every address; repeatable"
    parser.add_argument("--web.listen-address", dest="addresses", action="append", metavar="ADDR", help=address)
    web = "TLS, client certificates and passwords, in the form of Prometheus's exporters"
    parser.add_argument("--web.config.file", dest="web_config", metavar="FILE", help=web)
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="read settings from this file; faults in it refuse to start"
    )
    parser.add_argument("--strict", action="store_true", help="refuse to start on any fault in the settings found")
    parser.add_argument("--interval", default="1", metavar="SECONDS", help="time between readings (default 1)")
    parser.add_argument("--simulate", metavar="SCENARIO", help="simulated GPUs: a scenario's name, or a file")
    parser.add_argument("--state", metavar="DIR", help="where the journal is kept (default /var/lib/costmeter)")
    parser.add_argument("--socket", metavar="PATH", help="where runs announce themselves (/run/costmeter/agent.sock)")
    kubelet = "the kubelet's, to ask which pod has which GPU (default /var/lib/kubelet/pod-resources/kubelet.sock)"
    parser.add_argument("--kubelet-socket", metavar="PATH", help=kubelet)
    parser.add_argument("--textfile", metavar="DIR", help="write the metrics there, too, for node_exporter")
    parser.add_argument("--max-runs", default=str(MAX_RUNS), metavar="N", help=f"live runs shown (default {MAX_RUNS})")


def run(args: argparse.Namespace) -> int:
    """Meter until told to stop. The exit code."""
    options = _options(args, dict(os.environ))
    heard = _signals()
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)  # before there is any thread to hear them
    voice = Voice(quiet=False, program=_PROGRAM)
    if os.getpid() == 1:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as init of a container nobody else reaps what is orphaned
    try:
        return _run(options, voice, heard)
    finally:
        voice.close(PRINT_SECONDS)


def _signals() -> tuple[signal.Signals, ...]:
    """What the agent waits for: HUP is no wish to whoever began by ignoring it, as nohup does."""
    is_deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return _STOPS if is_deaf else (*_STOPS, signal.SIGHUP)


def _run(options: "AgentOptions", voice: Voice, heard: tuple[signal.Signals, ...]) -> int:
    from costmeter.runtime.agent.assembly import Agent
    from costmeter.runtime.agent.lock import InUse
    from costmeter.runtime.agent.surprises import Surprises

    Surprises(voice.warn).listen()
    try:
        agent = Agent(options, voice.say, voice.warn)
        agent.start()
    except InUse as refusal:
        voice.tell(refusal.message)
        return _REFUSED
    except ConfigError as refusal:
        for fault in refusal.faults:
            voice.tell(fault)
        return _REFUSED
    has_failed = _wait(agent, heard)
    unsaved = agent.end(END_SECONDS)
    if unsaved:
        voice.warn(f"not saved: {unsaved}")
    return _FAILED if has_failed else 0


def _wait(agent: "Agent", signals: tuple[signal.Signals, ...]) -> bool:
    """Until told to stop, or the agent cannot go on; whether that is so.

    Not `sigtimedwait`: stopped and continued, it returns what happened to be in memory, a HUP or a TERM (CPython's
    signalmodule.c fills its answer in without having one where the time has passed meanwhile).
    """
    threading.Thread(target=_stop_on_failure, args=(agent,), name="costmeter-failure", daemon=True).start()
    while True:
        heard = signal.sigwaitinfo(signals)
        if heard.si_signo in _STOPS:
            return agent.failed.is_set()
        if heard.si_code != _SI_KERNEL:
            agent.reload("SIGHUP")


def _stop_on_failure(agent: "Agent") -> None:
    agent.failed.wait()
    os.kill(os.getpid(), signal.SIGTERM)


def _options(args: argparse.Namespace, environ: dict[str, str]) -> "AgentOptions":
    """Refuse what cannot be meant, everything at once, before anything is started."""
    faults: list[str] = []
    typed = args.addresses or [f"{flags.LOOPBACK}:{flags.PORT}"]
    addresses = [told(faults, partial(_address, text)) for text in typed]
    period_seconds = told(faults, lambda: flags.parse_interval(args.interval))
    max_runs = told(faults, lambda: _count(args.max_runs))
    textfile = told(faults, lambda: _folder("--textfile", args.textfile))
    simulate = told(faults, lambda: _scenario(args.simulate or environ.get("COSTMETER_SIMULATE") or None))
    if faults or period_seconds is None or max_runs is None:
        raise UsageError(f"\n{_PROGRAM}: ".join(faults))
    from costmeter.runtime.agent.settings import AgentOptions

    return AgentOptions(
        addresses=tuple(filter(None, addresses)),
        web_config=args.web_config,
        config=args.config,
        strict=args.strict,
        period_seconds=period_seconds,
        simulate=simulate,
        state=args.state,
        socket=args.socket,
        textfile=textfile,
        max_runs=max_runs,
        environ=environ,
        cwd=folder.current(),
        kubelet_socket=args.kubelet_socket,
    )


def _address(text: str) -> tuple[str, int]:
    """As Prometheus's exporters read it: without a host before the colon, every address of this machine."""
    host, port = flags.parse_address(text, "--web.listen-address")
    return ("", port) if text.strip().startswith(":") else (host, port)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 1_000):
        raise UsageError(f'--max-runs "{text}": expected a number from 1 to 1000')
    return int(text)


def _folder(option: str, path: str | None) -> str | None:
    if path is not None and not os.path.isdir(path):
        raise UsageError(f'{option} "{path}": no such folder. Make it: mkdir -p {shlex.quote(path)}')
    return path


def _scenario(name: str | None) -> str | None:
    from costmeter.cli.run import SCENARIOS, check_scenario

    if name is not None and name not in SCENARIOS:
        check_scenario(name)
    return name
