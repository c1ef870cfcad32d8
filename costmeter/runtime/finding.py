"""One thing that `doctor` looked at."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """How it is, what was found, and what to type to mend it (empty when there is nothing to)."""

    verdict: Verdict
    text: str
    fix: str = ""
