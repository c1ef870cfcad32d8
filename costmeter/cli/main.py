"""The `costmeter` command: find the subcommand, load only it, run it, turn our errors into exit codes."""

# What is loaded before `main` guards against Ctrl-C is next to nothing: see `_main`.
import sys

TYPE_CHECKING = False  # `typing` alone is a tenth of the launch budget
if TYPE_CHECKING:
    from costmeter.errors import CostmeterError

#: Exit codes of our own failures; see docs/reference.md.
FAILED, WRONG_USAGE, FAULTY_CONFIG, INTERRUPTED = 1, 2, 125, 130

#: Subcommand: its module, its one-line help.
COMMANDS = {
    "run": ("costmeter.cli.run", "meter one command; print a receipt when it ends"),
    "agent": ("costmeter.cli.agent", "the node's sidecar: meter all GPUs, name their runs, serve metrics"),
    "top": ("costmeter.cli.top", "who holds which GPU now, what that costs, and what is idle"),
    "idle": ("costmeter.cli.idle", "who holds idle GPUs, why, what it costs per hour, and what frees them"),
    "report": ("costmeter.cli.report", "list recorded runs, print receipts, total them by day, project, user…"),
    "what-if": ("costmeter.cli.whatif", "price a recorded run again: other prices, tariffs, grids, times"),
    "import": ("costmeter.cli.importing", "make a recorded run from a CSV log of nvidia-smi"),
    "budget": ("costmeter.cli.budget", "show, set and clear budgets: what runs may spend"),
    "init": ("costmeter.cli.init", "ask five questions, write a configuration file"),
    "estimate": ("costmeter.cli.estimate", "what a run will cost, before it starts; rent or buy"),
    "when": ("costmeter.cli.when", "cheapest and cleanest start of a job of given length"),
    "prices": ("costmeter.cli.prices", "list, show, check and fetch prices, tariffs and carbon"),
    "config": ("costmeter.cli.config", "show the settings in effect and where each came from, or check a file"),
    "export": ("costmeter.cli.export", "write the files of dashboards, alerts, Kubernetes, systemd and Slurm"),
    "doctor": ("costmeter.cli.doctor", "check driver, permissions, prices, clock and state directory"),
}

_DESCRIPTION = "The live cost meter of a training run: dollars, kWh and CO2e while it happens."
_EPILOG = """\
first steps:
  costmeter run --simulate healthy -- sleep 5     see it work, no GPU needed
  costmeter run -- python train.py                meter a real run at list price
  costmeter run --price 2.49 -- python train.py   at your price per GPU-hour
  costmeter report                                all runs, and what they came to

Each command explains itself: costmeter run --help
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code. Errors of ours end here and nowhere else."""
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    try:
        if name == "agent":
            _stop_at_once()
        if name != "run":
            _mend_streams()
        try:
            code = _main(name, arguments)
        finally:  # argparse leaves by SystemExit
            if sys.stdout is not None:
                sys.stdout.flush()  # a full disk is told now, not when the interpreter has ended
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as problem:
        return _unwritten(name, problem)
    return code


def _main(name: str, arguments: list[str]) -> int:
    """The command itself. Imports stand here, so that Ctrl-C while they go on is no traceback."""
    from costmeter.errors import CostmeterError

    program = " ".join(["costmeter", *filter(None, [name])])
    try:
        if not name:
            return _without_command(arguments)
        import importlib

        from costmeter.cli.parser import Parser, formatter

        module = importlib.import_module(COMMANDS[name][0])
        parser = Parser(prog=program, allow_abbrev=False, formatter_class=formatter)
        module.add_arguments(parser)
        program = " ".join([program, *parser.commands.intersection(arguments[1:2])])
        parse = getattr(module, "parse", Parser.parse_args)
        code: int = module.run(parse(parser, arguments[1:]))
    except CostmeterError as error:
        return _explain(program, error)
    return code


def _stop_at_once() -> None:
    """An agent that is told to stop before it has begun has stopped: until it listens there is nothing to save."""
    import os
    import signal

    for told in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(told) is not signal.SIG_IGN:
            signal.signal(told, lambda *_: os._exit(0))


def _without_command(arguments: list[str]) -> int:
    from costmeter import __version__
    from costmeter.cli.parser import Parser, formatter

    parser = Parser(
        prog="costmeter",
        allow_abbrev=False,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=formatter,
    )
    parser.add_argument("--version", action="version", version=f"costmeter {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (_, summary) in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    if arguments:
        parser.parse_args(arguments)
    else:
        parser.print_help()
    return WRONG_USAGE


def _explain(program: str, error: "CostmeterError") -> int:
    from costmeter.errors import ConfigError, UsageError

    if isinstance(error, ConfigError):
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return FAULTY_CONFIG
    print(f"{program}: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"\nhint: {error.hint}", file=sys.stderr)
    return WRONG_USAGE if isinstance(error, UsageError) else FAILED


def _mend_streams() -> None:
    """Streams that were closed before we began swallow what is printed; the others show what they can.

    Not for `run`: which descriptors are open is the job's affair, and its receipt knows its stream.
    """
    import os

    from costmeter.cli.lines import fit_streams

    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open until we end
    fit_streams()


def _unwritten(name: str, problem: OSError) -> int:
    """What could not be written, said once; nothing where the reader of our output has gone (report | head)."""
    import contextlib
    import os

    with contextlib.suppress(OSError, AttributeError):
        # What is still in the buffer goes nowhere, or the interpreter would complain of it again as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(problem, BrokenPipeError):
        what = problem.filename or "the output could not be written"
        program = " ".join(["costmeter", *filter(None, [name])])
        with contextlib.suppress(OSError):
            print(f"{program}: {what}: {problem.strerror or problem}", file=sys.stderr)
    return FAILED
