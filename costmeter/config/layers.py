"""Where settings come from, in order: built-in, site, user, project, environment, flags; later ones win.

Files are looked for in `/etc/costmeter`, in `$XDG_CONFIG_DIRS` and `$XDG_CONFIG_HOME`, and as `costmeter.yaml` in the
working directory and in each folder above it up to the repository's root. Outside a repository only the working
directory counts, so that nobody else's file in `/tmp` or `/home` sets anybody's prices. An explicit `--config` file
stands in for the user's and the project's files.

Every setting replaces the same setting of an earlier layer, whole; labels are settings each. A list of `gpu` blocks
replaces all that was said of GPUs before it; a later single block sets its keys for every GPU. Budgets add up: a later
one replaces those of the same spending, and an empty list all.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from costmeter.config.budgets import spending
from costmeter.config.build import Merged, build
from costmeter.config.environment import FLAGS, flag_layers, spelling, variable_layers
from costmeter.config.files import own_files, read, shown_path, site_files
from costmeter.config.listing import effective
from costmeter.config.parse import Layer, Values
from costmeter.config.settings import Loaded
from costmeter.config.textfile import all_within
from costmeter.config.yamlfile import Fault, Place
from costmeter.errors import ConfigError, UsageError


@dataclass(frozen=True, slots=True)
class _Read:
    """Every layer that was read, lowest first; the explicit file and the flags by the names their faults carry."""

    layers: tuple[Layer, ...]
    files: tuple[str, ...]
    explicit: str | None
    flags: frozenset[str]


@all_within()
def load_settings(
    explicit: str | None,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    cwd: str,
    strict: bool,
    own_flags: Mapping[str, str] = FLAGS,
    left_out: frozenset[str] = frozenset(),
) -> Loaded:
    """All layers merged into settings. Flags are by dotted name: `{"gpu.price": "2.49"}`.

    `own_flags` are the names by which people type them, where a command has its own. Settings `left_out`, by dotted
    name, are as if nobody had set them: a command that uses them for nothing does not ask whether they fit its flags.

    Faults in found files and in the environment are returned, and what is faulty is left out. Faults in flags raise
    UsageError, faults in the explicit file ConfigError; `strict` makes every fault a ConfigError.
    """
    read_in = _read(explicit, flags, environ, cwd, own_flags)
    merged = _without(_merge(read_in.layers), left_out)
    built = build(merged, cwd)
    faults = _in_order([*(fault for layer in read_in.layers for fault in layer.faults), *built.faults])
    _refuse(faults, read_in, built.named_by, strict)
    return Loaded(built.settings, effective(merged), tuple(map(str, faults)), read_in.files)


def loaded_anyway(explicit: str | None, flags: Mapping[str, str], environ: Mapping[str, str], cwd: str) -> Loaded:
    """`load_settings` for a job that has started: a budget that does not fit the settings is left out, and a fault."""
    try:
        return load_settings(explicit, flags, environ, cwd, strict=False)
    except UsageError as refusal:
        others = {name: text for name, text in flags.items() if not name.startswith("budget")}
        if len(others) == len(flags):
            raise
        loaded = load_settings(explicit, others, environ, cwd, strict=False)
        return replace(loaded, faults=(f"{refusal.message}; this budget is not watched", *loaded.faults))


@all_within()
def check_explicit(path: str, environ: Mapping[str, str] | None = None) -> None:
    """Read one file by itself, under the variables given, and raise ConfigError with every fault in it.

    Faults in the files that it names are among them.
    """
    cwd = os.getcwd()
    layer = _explicit(path, cwd)
    built = build(_merge((layer, *variable_layers(environ or {}))), cwd)
    source = _named(path, cwd)
    faults = _in_order([*layer.faults, *(fault for fault in built.faults if _is_of(source, fault, built.named_by))])
    if faults:
        raise ConfigError(tuple(map(str, faults)))


def _read(
    explicit: str | None,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    cwd: str,
    own_flags: Mapping[str, str],
) -> _Read:
    layers, files = [], []
    for path in site_files(environ) + ([] if explicit else own_files(environ, cwd)):
        layer = read(path, shown_path(path, cwd))
        if layer is not None:
            layers.append(layer)
            files.append(shown_path(path, cwd))
    if explicit:
        layers.append(_explicit(explicit, cwd))
        files.append(_named(explicit, cwd))
    layers += variable_layers(environ)
    layers += flag_layers(flags, own_flags)
    spelled = frozenset(spelling(name, own_flags) for name in flags)
    return _Read(tuple(layers), tuple(files), files[-1] if explicit else None, spelled)


def _explicit(path: str, cwd: str) -> Layer:
    """A file that was asked for by name: its absence is a fault."""
    shown_as = _named(path, cwd)
    layer = read(os.path.join(cwd, path), shown_as)
    return Layer(faults=(Fault(Place(shown_as), "there is no such file"),)) if layer is None else layer


def _named(path: str, cwd: str) -> str:
    return shown_path(os.path.join(cwd, path), cwd)


def _merge(layers: tuple[Layer, ...]) -> Merged:
    values: Values = {}
    blocks: tuple[Values, ...] = ()
    budgets: tuple[Values, ...] = ()
    for layer in layers:
        if layer.blocks is not None:
            values = {name: value for name, value in values.items() if not name.startswith("gpu.")}
            blocks = layer.blocks
        if layer.budgets is not None:
            said = {spending(budget) for budget in layer.budgets}
            kept = (budget for budget in budgets if layer.budgets and spending(budget) not in said)
            budgets = (*kept, *layer.budgets)
        values.update(layer.values)
    return Merged(values, blocks, budgets)


def _without(merged: Merged, left_out: frozenset[str]) -> Merged:
    return replace(merged, values={name: value for name, value in merged.values.items() if name not in left_out})


def _in_order(faults: list[Fault]) -> tuple[Fault, ...]:
    """Each fault once: sources as they were read, and from top to bottom within each."""
    sources = list(dict.fromkeys(fault.place.source for fault in faults))
    where = {source: position for position, source in enumerate(sources)}
    unique = dict.fromkeys(faults)
    return tuple(sorted(unique, key=lambda fault: (where[fault.place.source], fault.place.line, fault.place.column)))


def _is_of(source: str, fault: Fault, named_by: Mapping[str, set[str]]) -> bool:
    """Whether a fault is in a source, or in a file that it names."""
    return fault.place.source == source or source in named_by.get(fault.place.source, ())


def _refuse(faults: tuple[Fault, ...], read_in: _Read, named_by: Mapping[str, set[str]], strict: bool) -> None:
    """Raise for faults that must not be worked around. Those of a file that a flag names are the flag's."""
    usage = [fault for fault in faults if any(_is_of(flag, fault, named_by) for flag in read_in.flags)]
    if usage:
        raise UsageError("\n".join(map(str, usage)))
    explicit = read_in.explicit
    fatal = [fault for fault in faults if strict or (explicit and _is_of(explicit, fault, named_by))]
    if fatal:
        raise ConfigError(tuple(map(str, fatal)))
