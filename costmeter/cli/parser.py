"""argparse, with errors that are ours: one line that says what to type, raised instead of printed."""

from __future__ import annotations

import argparse
import re

from costmeter.errors import UsageError

TYPE_CHECKING = False  # `typing` and `difflib` together cost a tenth of the launch budget
if TYPE_CHECKING:
    from typing import NoReturn


#: Help is this wide. To ask the terminal, argparse imports `shutil` and what comes with it, at every start.
HELP_COLUMNS = 96


def formatter(prog: str) -> argparse.HelpFormatter:
    """Help texts as they are written."""
    return argparse.RawDescriptionHelpFormatter(prog, width=HELP_COLUMNS)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes reach the one place that prints and exits."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}{self._suggestion(message)}", f"{self.prog} --help")

    def _suggestion(self, message: str) -> str:
        """The option or command that a misspelt one was meant to be."""
        wrong = re.search(r"unrecognized arguments: (\S+)|invalid choice: '([^']*)'", message)
        if wrong is None:
            return ""
        import difflib

        known = [option for action in self._actions for option in action.option_strings]
        known += [name for action in self._actions for name in (action.choices or ())]
        near = difflib.get_close_matches((wrong[1] or wrong[2]).partition("=")[0], known, 1)
        return f'. Did you mean "{near[0]}"?' if near else ""
