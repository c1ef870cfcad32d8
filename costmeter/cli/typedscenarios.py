"""Where scenarios are typed: short flags, `--scenario NAME: key=value, …`, and YAML files of scenarios."""

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from costmeter.cli.attempts import told
from costmeter.cli.scenarios import KEYS, OWNED_KEYS, Typed
from costmeter.config.parse import text as as_text
from costmeter.config.textfile import all_within
from costmeter.config.textfile import text as read_text
from costmeter.config.yamlfile import Mapping, Node, Scalar, compose
from costmeter.errors import UsageError

#: Flags of which each makes a row of its own, and may be given again.
ROW_FLAGS = ("price", "tariff", "electricity", "pue", "zone", "carbon", "shift", "config")
#: What an owned machine pays for beside its purchase: given beside `--owned`, they are its own.
_BESIDE_OWNED = ("tariff", "electricity", "pue", "plan")
_EXAMPLE = "NAME: {price: 1.99, pue: 1.1}"
#: What a scenario is read from.
Source = TypeVar("Source")
_NAME = re.compile(r"\s*([^:=]{1,40}?)\s*:\s*(.*)", re.DOTALL)
#: Commas divide, but for those in braces, brackets and quotes.
_PIECES = re.compile(r"""(?:[^,{}"'\[\]]|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|"[^"]*"|'[^']*'|\[[^\]]*\])+""")


def typed(args: argparse.Namespace) -> tuple[list[Typed], list[str]]:
    """Every scenario of a command line, in a fixed order, and what is wrong with what can be none."""
    faults: list[str] = []
    found = [*_rents(args), *_each(args.owned, partial(_owned, args), faults), *_flags(args)]
    found += _each(args.scenario, _named, faults)
    found += _files(args, faults)
    return found, faults + _beside_nothing(args)


def _each(of: Iterable[Source] | None, read: Callable[[Source], Typed], faults: list[str]) -> Iterator[Typed]:
    """What is read of each; of what is refused the faults."""
    for one in of or ():
        made = told(faults, partial(read, one))
        if made is not None:
            yield made


def _rents(args: argparse.Namespace) -> Iterator[Typed]:
    """Spot, with what its interruptions cost."""
    losses = {"interruptions_per_day": args.interruptions_per_day, "lost_minutes": args.lost_minutes}
    given = {key: text for key, text in losses.items() if text is not None}
    for text in args.spot or ():
        yield Typed("spot", {"spot": text, **given}, "--spot")


def _owned(args: argparse.Namespace, text: str) -> Typed:
    keys = _pairs(text, "--owned")
    strangers = [key for key in keys if key not in (*OWNED_KEYS, *_BESIDE_OWNED)]
    if strangers:
        raise UsageError(f"--owned: no such key: {', '.join(strangers)}; it has {', '.join(OWNED_KEYS)}, electricity")
    for key in _BESIDE_OWNED:
        beside = getattr(args, key)
        given = beside if isinstance(beside, str) else (beside or [None])[-1]
        if given is not None and not {key, "electricity" if key == "tariff" else key} & keys.keys():
            keys[key] = given
    return Typed("owned", keys, "--owned")


def _flags(args: argparse.Namespace) -> Iterator[Typed]:
    for key in ROW_FLAGS:
        if key in _BESIDE_OWNED and args.owned:
            continue
        for text in getattr(args, key) or ():
            plan = {"plan": args.plan} if key == "tariff" and args.plan is not None else {}
            yield Typed(f"{key} {text}" if len(text) <= 16 else key, {key: text, **plan}, f"--{key}")
    if args.no_idle:
        yield Typed("no idle", {"no_idle": "true"}, "--no-idle")


def _named(text: str) -> Typed:
    match = _NAME.fullmatch(text)
    if match is None:
        raise UsageError(f'--scenario "{text}": expected NAME: key=value, … such as "cheap: price=1.99, pue=1.1"')
    where = f'--scenario "{match[1]}"'
    return Typed(match[1], _pairs(match[2], where), where)


def _pairs(text: str, where: str) -> dict[str, str]:
    """`key=value, key=value` by key; `no_idle` alone is true."""
    keys: dict[str, str] = {}
    pieces = _PIECES.findall(text)
    if len(",".join(pieces).replace(",", "")) < len(text.replace(",", "")):
        raise UsageError(f'{where}: "{text}": a brace, bracket or quote has no other half')
    for piece in pieces:
        key, equals, value = piece.strip().partition("=")
        key = key.strip().replace("-", "_")
        if not key:
            continue
        if not equals and key != "no_idle":
            raise UsageError(f'{where}: "{piece.strip()}": expected key=value, such as {KEYS[0]}=1.99')
        if key in keys:
            raise UsageError(f"{where}: {key} is there twice")
        keys[key] = _unquoted(value.strip()) if equals else "true"
    return keys


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


@all_within()
def _files(args: argparse.Namespace, faults: list[str]) -> list[Typed]:
    found: list[Typed] = []
    for path in args.scenarios or ():
        entries = told(faults, partial(_entries, path))
        found += _each(entries, _in_file, faults)
    return found


_Entry = tuple[Scalar, Node]


def _entries(path: str) -> tuple[_Entry, ...]:
    """The scenarios of a file, by name. Raises UsageError for one that has none."""
    text, unread = read_text(path, path)
    root, faults = compose(text, path) if not unread else (None, ())
    if unread or faults:
        raise UsageError("\n".join(str(fault) for fault in (*unread, *faults)))
    if not isinstance(root, Mapping):
        raise UsageError(f"{path}: expected scenarios by name, each on a line such as  {_EXAMPLE}")
    return root.entries


def _in_file(entry: _Entry) -> Typed:
    name, node = entry
    if not isinstance(node, Mapping):
        raise UsageError(f"{node.place}: expected the changes of a scenario, such as  {_EXAMPLE}")
    changes = {key.text.replace("-", "_"): (as_text(value), str(key.place)) for key, value in node.entries}
    keys, places = ({key: both[at] for key, both in changes.items()} for at in (0, 1))
    return Typed(name.text, keys, str(name.place), places)


def _beside_nothing(args: argparse.Namespace) -> list[str]:
    """Flags that say something of others, which are not there."""
    faults = []
    for flag in ("interruptions_per_day", "lost_minutes"):
        if getattr(args, flag) is not None and not args.spot:
            faults.append(f"--{flag.replace('_', '-')} is of a spot machine: add its price, --spot 1.25")
    if args.plan is not None and not args.tariff:
        faults.append("--plan is one of a tariff: give its file, --tariff tariff.yaml")
    return faults
