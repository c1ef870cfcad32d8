"""`costmeter run -- CMD…`: meter one command and print a receipt when it ends.

The job starts before anything slow is imported: command line, then the child, then the meter in threads of its own.
"""

import argparse
import os
import sys
import threading
import time

from costmeter.cli import folder
from costmeter.cli.voice import Voice, write
from costmeter.config import flags
from costmeter.errors import ConfigError, UsageError
from costmeter.ledger.identity import is_other_rank, run_id
from costmeter.runtime import child, notifypath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from costmeter.config.settings import Loaded
    from costmeter.config.textfile import Patience
    from costmeter.runtime.assembly import Metering, Options, Result

#: After the child's end the meter has this long for everything, and leaves with what it has then.
FINISH_SECONDS = 1.7
#: And this much more for a stderr that takes its time.
PRINT_SECONDS = 0.2
#: Of it, this much for a meter that is still starting when a short job ends.
START_SECONDS = 1.3
SCENARIOS = ("healthy", "data-bound", "hang", "preempted", "notebook", "mixed", "team")

_GPUS_HELP = "held GPUs: 0,1 or 0:1 (a MIG instance) or UUIDs, or all, or none (default: CUDA_VISIBLE_DEVICES)"
_EPILOG = """\
The command keeps its streams, terminal, signals and exit code; everything costmeter prints goes
to stderr. Whatever goes wrong with the meter, the command runs and ends as it would without it.

examples:
  costmeter run -- python train.py
  costmeter run --price 2.49 --name sft-llama -- torchrun --nproc-per-node=8 train.py
  costmeter run --listen 127.0.0.1:26786 -- python train.py     # Prometheus metrics
  costmeter run --simulate healthy -- python train.py           # no GPU needed
  costmeter run --record run.jsonl.gz -- python train.py        # keep what the driver said
  costmeter run --replay run.jsonl.gz --price 1.99              # meter that again

exit codes: the command's own; 2 wrong command line, 125 faulty --config, 126 not executable,
127 not found.
Settings come from --config or costmeter.yaml; see: costmeter config show
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter run`."""
    parser.description = "Meter one command: GPU cost, energy and CO2e while it runs, a receipt when it ends."
    parser.usage = "costmeter run [options] -- CMD…"
    parser.epilog = _EPILOG
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD…", help="the command, after --")
    parser.add_argument("--price", metavar="P", help="price per GPU-hour: 2.49 or 2.49/gpu-h")
    parser.add_argument("--name", default="", metavar="N", help="a name for the run, for reports")
    parser.add_argument("--label", action="append", default=[], metavar="K=V", help="a label for the run; repeatable")
    parser.add_argument("--gpus", metavar="LIST", help=_GPUS_HELP)
    parser.add_argument("--json", metavar="FILE", help="write the receipt as JSON when the run ends")
    parser.add_argument("--full-cost", action="store_true", help="add up the cost and the line items beside it")
    parser.add_argument("--budget", metavar="AMOUNT", help="what may be spent: 80, 80USD or 80/day")
    parser.add_argument("--on-budget", choices=("warn", "stop"), help="when it is used up (default: warn)")
    parser.add_argument("--grace", default="10m", metavar="TIME", help="from a stop by budget to KILL (default 10m)")
    parser.add_argument("--listen", metavar="ADDR", help="serve Prometheus metrics: 127.0.0.1:26786, port 0 for any")
    parser.add_argument("--textfile", metavar="DIR", help="write the run's metrics there for node_exporter")
    parser.add_argument("--interval", default="1", metavar="SECONDS", help="time between readings (default 1)")
    parser.add_argument("--simulate", metavar="SCENARIO", help=f"simulated GPUs: {', '.join(SCENARIOS)}, or a file")
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="read settings from this file; faults in it refuse to start"
    )
    parser.add_argument("--strict", action="store_true", help="refuse to start on any fault in the settings found")
    parser.add_argument("--forward", choices=("auto", "always", "never"), default="auto", help="signals to the command")
    parser.add_argument("--no-command", action="store_true", help="do not record the command line")
    parser.add_argument("--record", metavar="FILE", help="keep all that the driver says in a new file; .gz packs it")
    parser.add_argument("--replay", metavar="FILE", help="meter a recording again: no command, no driver, no journal")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only warnings")


def parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Parse our options and leave everything after the first `--` untouched, a second `--` included."""
    args = _parsed(parser, arguments)
    if args.replay is not None:
        from costmeter.cli import recordings

        recordings.check_alone(args, parser)
    return args


def _parsed(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    if "--" not in arguments:
        return parser.parse_args(arguments)
    split = arguments.index("--")
    args = parser.parse_args(arguments[:split])
    # `costmeter run bash -c '…' -- word`: the command began before the --, which is then its own.
    args.command = args.command + arguments[split:] if args.command else arguments[split + 1 :]
    return args


def run(args: argparse.Namespace) -> int:
    """Start the command, meter it, end as it ended. Returns only when the command could not be started."""
    environ = dict(os.environ)
    if args.replay is not None:
        from costmeter.cli import recordings

        return recordings.replay(args, environ)
    _check(args, environ)
    try:
        if (outer := child.enclosing_wrapper(environ)) is not None:
            if not args.quiet:
                write(f"costmeter: metered by pid {outer} already; passing through, options given here are ignored\n")
            child.exec_through(args.command, environ)
        if is_other_rank(environ):  # the first rank of this node meters for them all
            child.exec_through(args.command, environ)
        loaded = _load(args, environ) if args.config or args.strict else None
        args.given_id = environ.get("COSTMETER_RUN_ID", "")
        args.run_id = environ["COSTMETER_RUN_ID"] = run_id(environ, time.time_ns())
        args.unheard = notifypath.announce(environ, args.run_id, os.getpid())
        return _metered(args, environ, loaded)
    except child.SpawnFailed as failure:
        print(failure.message, file=sys.stderr)
        return failure.exit_code


def _metered(args: argparse.Namespace, environ: dict[str, str], loaded: "Loaded | None") -> int:
    # The JSON may be wanted on a descriptor that only the command would otherwise keep open.
    named = None if args.json is None else child.descriptor_named(args.json)
    try:
        started = child.spawn(args.command, environ, keep=() if named is None else (named,))
    except OSError as refusal:
        write(f"costmeter: warning: no process or pipe to meter from ({refusal.strerror}); running unmetered\n")
        child.exec_through(args.command, environ)
    meter = _Meter(args, environ, loaded, started)
    heard: set[int] = set()
    status, reaped_ns = started.wait(args.forward, heard.add)
    reaped_ns = meter.outlast(reaped_ns)
    meter.finish(status, reaped_ns, heard)
    child.die_like(status)


def _check(args: argparse.Namespace, environ: dict[str, str]) -> None:
    """Refuse what cannot be meant, before anything is started."""
    if not args.command:
        raise UsageError("no command given. Put it after --, e.g.  costmeter run -- python train.py")
    args.price = flags.parse_price(args.price) if args.price is not None else None
    if args.budget is not None:
        args.budget = flags.parse_budget(args.budget, args.on_budget)
    args.grace = flags.parse_grace(args.grace)
    args.interval = flags.parse_interval(args.interval)
    args.listen = flags.parse_address(args.listen) if args.listen is not None else None
    args.label = dict(flags.parse_label(label) for label in args.label)
    args.gpus = flags.parse_gpus(args.gpus) if args.gpus is not None else None
    if args.json is not None and not os.path.isdir(os.path.dirname(args.json) or "."):
        raise UsageError(f'--json "{args.json}": no such folder')
    if args.textfile is not None and not os.path.isdir(args.textfile):
        import shlex

        raise UsageError(f'--textfile "{args.textfile}": no such folder', f"mkdir -p {shlex.quote(args.textfile)}")
    if args.record is not None:
        from costmeter.cli import recordings

        recordings.check(args.record)
    if args.simulate is not None and args.simulate not in SCENARIOS:
        check_scenario(args.simulate)
    # From the environment, unlike from a flag, a mistake keeps no job from starting: the meter tells it.
    args.simulate = args.simulate or environ.get("COSTMETER_SIMULATE") or None


def check_scenario(path: str) -> None:
    """A scenario file is read before the start: a typo in it is a wrong flag value."""
    if not os.path.isfile(path):
        raise UsageError(f'--simulate "{path}": neither a file nor one of {", ".join(SCENARIOS)}')
    from costmeter.clock import RealClock
    from costmeter.config.yamlfile import load
    from costmeter.sources.simulated import open_library

    try:
        open_library(path, load, RealClock(), epoch_boottime_ns=0)
    except ConfigError as error:
        raise UsageError(f'--simulate "{path}":\n{error.message}') from error


def _load(args: argparse.Namespace, environ: dict[str, str]) -> "Loaded":
    from costmeter.config.layers import load_settings

    return load_settings(args.config, _settings_flags(args), environ, folder.current(), args.strict)


def _settings_flags(args: argparse.Namespace) -> dict[str, str]:
    on_budget = None if args.budget is not None else args.on_budget  # else it is in the budget
    said = {"gpu.price": args.price, "budget": args.budget, "budget.on_exceed": on_budget}
    return {name: text for name, text in said.items() if text is not None}


class _Meter:
    """The meter beside the child: begun in a thread, ended within two seconds, and never a reason to fail."""

    def __init__(
        self, args: argparse.Namespace, environ: dict[str, str], loaded: "Loaded | None", started: child.Child
    ) -> None:
        self._args, self._environ, self._loaded, self._child = args, environ, loaded, started
        self._metering: Metering | None = None
        self._voice: Voice | None = None
        self._failure = ""
        self._patience: Patience | None = None
        self._is_over = False
        self._starter = threading.Thread(target=self._start, name="costmeter-starter", daemon=True)
        try:
            self._voice = Voice(args.quiet)
            self._starter.start()
        except RuntimeError as refusal:  # no more threads allowed here
            self._failure = str(refusal)
            write(f"costmeter: warning: the meter could not start ({refusal}); the command runs on unmetered\n")

    def outlast(self, reaped_ns: int) -> int:
        """After a stop by budget, what the command left behind still has its grace; the instant when all had ended."""
        stopper = self._metering.stopper if self._metering is not None else None
        if stopper is None:
            return reaped_ns
        stopper.outlast()
        return max(reaped_ns, time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def finish(self, status: int, reaped_ns: int, heard: set[int]) -> None:
        """Receipt and JSON, in a thread: a file, a pipe or a terminal that hangs is left behind with it."""
        if self._voice is None:
            return write(f"costmeter: warning: no receipt: {self._failure}\n")
        deadline = time.monotonic() + FINISH_SECONDS
        self._is_over = True
        if self._patience is not None:  # settings on a disk that hangs are waited for no longer
            self._patience.hurry()
        args = (self._voice, status, reaped_ns, heard, deadline)
        finisher = threading.Thread(target=self._finish, args=args, name="costmeter-finisher", daemon=True)
        try:
            finisher.start()
            finisher.join(FINISH_SECONDS)
        except RuntimeError as refusal:  # no more threads allowed here
            self._voice.warn(f"no receipt: {refusal}")
        return self._voice.close(deadline + PRINT_SECONDS - time.monotonic())

    def _start(self) -> None:
        assert self._voice is not None
        if self._args.given_id not in ("", self._args.run_id):
            allowed = "1 to 64 letters, digits, ., _ and -, and not dots alone"
            self._voice.warn(f"COSTMETER_RUN_ID is no run id ({allowed}); this run is {self._args.run_id}")
        if self._args.unheard:
            self._voice.warn(f"progress cannot be told to this meter: {self._args.unheard}")
        try:
            from costmeter.config.textfile import all_within
            from costmeter.runtime.assembly import Metering

            with all_within() as self._patience:
                if self._is_over:
                    self._patience.hurry()
                self._metering = Metering(self._options(), self._voice.say, self._voice.warn)
            self._metering.start()
        except Exception as failure:  # whatever it is, the job goes on
            self._metering = None
            self._failure = f"{type(failure).__name__}: {failure}"
            self._voice.warn(f"the meter could not start ({self._failure}); the command runs on unmetered")

    def _options(self) -> "Options":
        from costmeter.runtime.assembly import Options
        from costmeter.runtime.limits import Stop

        args = self._args
        return Options(
            run_id=args.run_id,
            command=tuple(args.command),
            keep_command=not args.no_command,
            name=args.name,
            labels=args.label,
            period_seconds=args.interval,
            gpus=args.gpus,
            simulate=args.simulate,
            listen=args.listen,
            config=args.config,
            flags=_settings_flags(args),
            environ=self._environ,
            cwd=folder.current(),
            pid=os.getpid(),
            spawned_ns=self._child.spawned_ns,
            loaded=self._loaded,
            record=args.record,
            full_cost=args.full_cost,
            stop=Stop(self._child.pid, self._child.send, args.grace, self._child.orphans, tuple(args.command)),
            tell=self._voice.tell if self._voice is not None else None,
            textfile=args.textfile,
        )

    def _finish(self, voice: Voice, status: int, reaped_ns: int, heard: set[int], deadline: float) -> None:
        try:
            if self._starter.ident is not None:
                self._starter.join(START_SECONDS)
            if self._metering is None:
                voice.warn(f"no receipt: {self._failure or 'the meter did not start in time'}")
                return
            from costmeter.runtime.events import Ended

            signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            exit_code = os.WEXITSTATUS(status) if signal is None else None
            orphans = frozenset(self._child.orphans())
            was_stopped = self._metering.stopper is not None
            ended = Ended(reaped_ns, exit_code, signal, frozenset(heard), orphans, was_stopped)
            self._print(voice, self._metering.finish(ended, deadline - time.monotonic()))
        except Exception as failure:
            voice.warn(f"no receipt: {type(failure).__name__}: {failure}")

    def _print(self, voice: Voice, result: "Result") -> None:
        from costmeter.cli.printing import style, write_json
        from costmeter.outputs.terminal import render

        if not self._args.quiet:
            shown = style(sys.stderr, self._environ)
            voice.print("\n" + render(result.receipt, shown, result.unsaved, result.warnings))
        elif result.unsaved:
            voice.warn(f"not saved: {result.unsaved}")
        if self._args.json is not None:
            write_json(self._args.json, result.receipt, voice.warn, child.descriptor_named(self._args.json))
