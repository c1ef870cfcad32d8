"""Refusals of a command line: which option or command was meant, by the parser that knows it."""

from pathlib import Path

import pytest

from costmeter.cli.parser import Parser
from costmeter.errors import UsageError
from tests.cli.typed import typed


def refusal(*words: str) -> UsageError:
    """What a parser with a required option and a command of its own says of these words."""
    parser = Parser(prog="it", allow_abbrev=False)
    parser.add_argument("--hours", required=True)
    commands = parser.add_subparsers(dest="what")
    commands.add_parser("list", allow_abbrev=False).add_argument("--kind", choices=["gpu", "carbon"])
    with pytest.raises(UsageError) as caught:
        parser.parse_args(words)
    return caught.value


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        pytest.param(["--hour=6"], 'There is no --hour. Did you mean "--hours"?', "it --help", id="required"),
        pytest.param(["--xyz=6"], "There is no --xyz", "it --help", id="nothing-near"),
        pytest.param([], "required: --hours", "it --help", id="nothing-given"),
        pytest.param(["--hours", "6", "lsit"], 'Did you mean "list"?', "it --help", id="command"),
        pytest.param(
            ["--hours", "6", "list", "--kinds", "gpu"], 'Did you mean "--kind"?', "it list --help", id="nested"
        ),
        pytest.param(
            ["--hours", "6", "list", "--kind", "gpus"], 'Did you mean "gpu"?', "it list --help", id="nested-choice"
        ),
    ],
)
def test_what_was_meant_is_told_by_the_parser_that_knows_it(words: list[str], message: str, hint: str) -> None:
    """The nearest option or command, and the help of the very (sub)command."""
    error = refusal(*words)
    assert (True, hint) == (message in error.message, error.hint), error.message


@pytest.mark.parametrize("typed_option", ["--listen", "--port", "--address", "--listen-address"])
def test_what_other_programs_call_it_is_told_by_our_name(typed_option: str) -> None:
    """An agent's address has the name of Prometheus's exporters, a run's is --listen."""
    for ours in ("--web.listen-address", "--listen"):
        parser = Parser(prog="it", allow_abbrev=False)
        parser.add_argument(ours)
        if typed_option != ours:
            with pytest.raises(UsageError, match=f'Did you mean "{ours}"'):
                parser.parse_args([f"{typed_option}=:1"])


def test_words_after_a_double_dash_are_no_options() -> None:
    """They belong to somebody else, however they look."""
    assert "There is no" not in refusal("--", "--hour", "6").message


def test_the_commands_of_a_parser() -> None:
    """Those with options of their own; the choices of an option are none."""
    parser = Parser(prog="it")
    parser.add_argument("--kind", choices=["gpu"])
    assert set() == parser.commands
    parser.add_subparsers().add_parser("list")
    assert {"list"} == parser.commands


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        (["prices", "list", "--limit", "-1"], "costmeter prices list: "),
        (["prices", "fetch", "nobody", "-o", "a"], "costmeter prices fetch: "),
        (["prices", "show", "nowhere"], "costmeter prices show: "),
        (["prices"], "costmeter prices: "),
        (["when", "--hour", "6"], "costmeter when: "),
        (["nothing"], "costmeter: "),
    ],
)
def test_a_refusal_begins_with_the_command_that_was_typed(words: list[str], begin: str, tmp_path: Path) -> None:
    """Subcommands of subcommands included."""
    done = typed(tmp_path, *words)
    assert done.stderr.startswith(begin)
