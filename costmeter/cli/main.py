"""The `costmeter` command: find the subcommand, load only it, run it, turn our errors into exit codes."""

import importlib
import sys

from costmeter import __version__
from costmeter.cli.parser import Parser, formatter
from costmeter.errors import ConfigError, CostmeterError, UsageError

#: Exit codes of our own failures; see docs/reference.md.
FAILED, WRONG_USAGE, FAULTY_CONFIG = 1, 2, 125

#: Subcommand: its module, its one-line help.
COMMANDS = {
    "run": ("costmeter.cli.run", "meter one command; print a receipt when it ends"),
    "report": ("costmeter.cli.report", "print the receipt of a recorded run again"),
    "init": ("costmeter.cli.init", "ask five questions, write a configuration file"),
    "estimate": ("costmeter.cli.estimate", "what a run will cost, before it starts; rent or buy"),
    "when": ("costmeter.cli.when", "cheapest and cleanest start of a job of given length"),
    "prices": ("costmeter.cli.prices", "list, show, check and fetch prices, tariffs and carbon"),
    "config": ("costmeter.cli.config", "show the settings in effect and where each came from, or check a file"),
    "doctor": ("costmeter.cli.doctor", "check driver, permissions, prices, clock and state directory"),
}

_DESCRIPTION = "The live cost meter of a training run: dollars, kWh and CO2e while it happens."
_EPILOG = """\
first steps:
  costmeter run --simulate healthy -- sleep 5     see it work, no GPU needed
  costmeter run -- python train.py                meter a real run at list price
  costmeter run --price 2.49 -- python train.py   at your price per GPU-hour
  costmeter report                                the last run's receipt again

Each command explains itself: costmeter run --help
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code. Errors of ours end here and nowhere else."""
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0] if arguments and arguments[0] in COMMANDS else None
    if name is None:
        return _without_command(arguments)
    module = importlib.import_module(COMMANDS[name][0])
    parser = Parser(prog=f"costmeter {name}", allow_abbrev=False, formatter_class=formatter)
    try:
        module.add_arguments(parser)
        parse = getattr(module, "parse", type(parser).parse_args)
        code: int = module.run(parse(parser, arguments[1:]))
    except CostmeterError as error:
        return _explain(name, error)
    except BrokenPipeError:  # the reader of our output has gone (report | head): nothing to say, nobody to say it to
        sys.stderr.close()
        return FAILED
    except KeyboardInterrupt:
        return 130
    return code


def _without_command(arguments: list[str]) -> int:
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
    try:
        if not arguments:
            parser.print_help()
            return WRONG_USAGE
        parser.parse_args(arguments)
    except UsageError as error:
        return _explain("", error)
    return WRONG_USAGE


def _explain(command: str, error: CostmeterError) -> int:
    program = f"costmeter {command}".rstrip()
    if isinstance(error, ConfigError):
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return FAULTY_CONFIG
    print(f"{program}: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"\nhint: {error.hint}", file=sys.stderr)
    return WRONG_USAGE if isinstance(error, UsageError) else FAILED
