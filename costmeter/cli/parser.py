"""argparse, with errors that are ours: one line that says what to type, raised instead of printed."""

from __future__ import annotations

import argparse
import itertools
import re
import sys

from costmeter.errors import UsageError

TYPE_CHECKING = False  # `typing` and `difflib` together cost a tenth of the launch budget
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from _typeshed import SupportsWrite


#: What people type out of habit from other programs, and what it is called here.
_ALIASES = dict.fromkeys(("--listen", "--listen-address", "--address", "--port"), ("--web.listen-address", "--listen"))

#: Help is this wide. To ask the terminal, argparse imports `shutil` and what comes with it, at every start.
HELP_COLUMNS = 96


def formatter(prog: str) -> argparse.HelpFormatter:
    """Help texts as they are written."""
    return argparse.RawDescriptionHelpFormatter(prog, width=HELP_COLUMNS)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes reach the one place that prints and exits."""

    #: What this parser was given, for its refusals.
    _given: Sequence[str] = ()

    @property
    def commands(self) -> set[str]:
        """The words that are commands of their own, with options of their own."""
        return {name for action in self._actions if isinstance(action.choices, dict) for name in action.choices}

    def parse_known_args(  # type: ignore[override]  # typeshed has overloads for namespaces of other types
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """All arguments are known or refused, by the parser of the very subcommand, which knows what is near."""
        self._given = tuple(sys.argv[1:] if args is None else args)
        found, unknown = super().parse_known_args(self._given, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        near = self._suggestion(message) or self._misspelt(message)
        raise UsageError(message + near, f"{self.prog} --help")

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """Help, in what the stream can show. argparse's own keeps quiet about a stream that takes nothing."""
        from costmeter.cli.lines import fit_streams

        fit_streams()
        (file or sys.stderr).write(message)

    def _misspelt(self, message: str) -> str:
        """Where something required is missing: the first option given that there is none of, and what it was to be."""
        if not message.startswith("the following arguments are required"):
            return ""
        known = self._options()
        before = itertools.takewhile(lambda word: word != "--", self._given)
        for word in (word.partition("=")[0] for word in before if word.startswith("--")):
            if word not in known:
                return f". There is no {word}{self._nearest(word, known)}"
        return ""

    def _suggestion(self, message: str) -> str:
        """The option or command that a misspelt one was meant to be."""
        wrong = re.search(r"unrecognized arguments: (\S+)|invalid choice: '([^']*)'", message)
        if wrong is None:
            return ""
        if wrong[2] is not None:  # one of the words that this very argument takes, and no option
            return self._nearest(wrong[2], self._choices(message))
        names = [name for action in self._actions for name in (action.choices or ())]
        return self._nearest(wrong[1].partition("=")[0], [*self._options(), *names])

    def _choices(self, message: str) -> list[str]:
        """The words that the argument takes which a refusal names; of one without a name, those of all."""
        named = message.removeprefix("argument ").partition(":")[0].split("/")
        asked = [action for action in self._actions if action.choices and {*named} & {*action.option_strings}]
        return [str(name) for action in asked or self._actions for name in (action.choices or ())]

    def _options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def _nearest(self, wrong: str, known: list[str]) -> str:
        for name in _ALIASES.get(wrong, ()):
            if name in known and name != wrong:
                return f'. Did you mean "{name}"?'
        import difflib

        near = difflib.get_close_matches(wrong, known, 1)
        return f'. Did you mean "{near[0]}"?' if near else ""
