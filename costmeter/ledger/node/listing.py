"""Runs that only an agent metered, as lines of the list of runs: a part for each file of its node that has some of one.

Where a wrapper recorded a run on a host, the wrapper counts there.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.brief import Brief
from costmeter.ledger.ending import Ending, goes_on
from costmeter.ledger.listing import Listed, Listing
from costmeter.ledger.node.journal import node_folder, node_paths
from costmeter.ledger.node.record import RunEnded, Stint
from costmeter.ledger.node.stints import Told, stints_of
from costmeter.ledger.record import Outcome, Summary
from costmeter.meter.holder import RunKey, of_user


def with_node_runs(found: Listing, state: Path, is_checked: bool = False) -> Listing:
    """A list with the runs that agents saw whose journals are under a state directory, oldest first as the others.

    A run whose id somebody else's has too is `r-1~1001`, as `node_run` calls it.

    With `is_checked` what a file says at its end is believed only where its checksum holds.
    """
    unread: list[str] = []
    seen = _seen(state, is_checked, unread)
    if not seen:
        return replace(found, unread=(*found.unread, *unread)) if unread else found
    by_id = {run.id: run for run in found.runs}
    users, wrappers = Counter(run for _, run in seen), _folders(state / "runs")
    others: list[Listed] = []
    for key, parts in seen.items():
        run, called = key[1], of_user(key)
        wrapped = by_id.get(run)
        if wrapped is None or wrapped.header.user not in ("", parts[0].header.user):
            is_shared = users[run] > 1 or run in wrappers
            others.append(Listed(called if is_shared else run, tuple(parts), called))
        else:
            by_id[run] = _together(wrapped, parts)
    runs = sorted([*(by_id[run.id] for run in found.runs), *others], key=lambda run: run.ending.started_utc_ns)
    return replace(found, runs=tuple(runs), unread=(*found.unread, *unread))


def of_job(state: Path, job: str, found: Listing) -> list[str]:
    """The runs of a scheduler's job, by what it was told of them: ids, labels, and what agents know; each once."""
    ids = [run.id for run in found.runs if _is_of_job(run.id, job) or _names_job(run.header.labels, job)]
    with contextlib.suppress(OSError):
        for path in node_paths(node_folder(state)):
            with contextlib.suppress(JournalError, OSError):
                known = [stint.facts for stint in stints_of(path).stints if stint.facts is not None]
                ours = [each for each in known if each.run and (each.job == job or _is_of_job(each.run, job))]
                labelled = [each for each in known if each.run and _names_job(each.labels, job)]
                ids += [each.run if each.run in ids else of_user(each.key) for each in (*ours, *labelled)]
    return list(dict.fromkeys(ids))


def _folders(runs: Path) -> frozenset[str]:
    """What wrappers' runs are called; of a folder that nobody may look into, nothing."""
    try:
        return frozenset(os.listdir(runs))
    except OSError:
        return frozenset()


def _is_of_job(run: str, job: str) -> bool:
    """Whether a run is a Slurm job, or a step or a task of it, by its id."""
    rest = run.removeprefix(f"slurm-{job}")
    return rest != run and rest[:1] in ("", "-", "_")


def _names_job(labels: Mapping[str, str], job: str) -> bool:
    return any(value == job and "job" in key for key, value in labels.items())


def _together(wrapped: Listed, seen: Sequence[Brief]) -> Listed:
    """A run that wrappers recorded, with what agents saw of it on hosts where none did."""
    more = [part for part in seen if part.header.host not in wrapped.hosts]
    if not more:
        return wrapped
    parts = sorted((*wrapped.parts, *more), key=lambda part: part.ending.started_utc_ns)
    return replace(wrapped, parts=tuple(parts))


def _seen(state: Path, is_checked: bool, unread: list[str]) -> dict[RunKey, list[Brief]]:
    """The parts of every run in order, those of a host one after the other."""
    folder = node_folder(state)
    try:
        paths = node_paths(folder)
    except OSError as refusal:
        unread.append(f"{folder}: cannot be read: {refusal.strerror}")
        return {}
    found: dict[RunKey, list[Brief]] = {}
    for path in paths:
        try:
            told = stints_of(path, is_checked)
        except (JournalError, OSError) as refusal:
            unread.append(refusal.message if isinstance(refusal, JournalError) else f"{path}: {refusal.strerror}")
            continue
        for stint in told.stints:
            if stint.facts is not None and stint.facts.run:
                _add(found.setdefault(stint.facts.key, []), stint, told, str(path))
    return {key: _with_last_ends(parts) for key, parts in found.items() if parts}


def _add(parts: list[Brief], stint: Stint, told: Told, path: str) -> None:
    """Add a stint to the parts of its run; one that has only an end ends the last on its host."""
    assert stint.facts is not None
    if stint.whole.quantities.nanoseconds == 0 and stint.ended is not None:
        last = next((place for place in reversed(range(len(parts))) if _is_on(parts[place], told)), None)
        if last is not None:
            parts[last] = replace(parts[last], ending=_ended(parts[last].ending, stint.ended))
        return
    facts, header = stint.facts, told.header
    header = replace(
        header,
        run=facts.run,
        name=facts.name,
        labels=facts.labels,
        user=facts.user,
        command=None,
        start_ns=header.anchor.boottime(stint.began_utc_ns),
    )
    length_ns = max(0, stint.until_utc_ns - stint.began_utc_ns)
    ending = Ending(stint.began_utc_ns, stint.until_utc_ns, length_ns, "running")
    progress = None
    if stint.ended is not None:
        ending, progress = _ended(ending, stint.ended), stint.ended.progress
    summary = Summary(0, stint.until_utc_ns, stint.whole, stint.gpus, stint.redone, None, progress)
    parts.append(Brief(header, ending, summary, stint.currency, path, told.problems, of=facts.key))


def _is_on(part: Brief, told: Told) -> bool:
    return part.header.host == told.header.host


def _ended(ending: Ending, end: RunEnded) -> Ending:
    """An ending as the node was told of it."""
    ended_utc_ns = max(ending.started_utc_ns, end.at_utc_ns)
    length_ns = ended_utc_ns - ending.started_utc_ns
    return Ending(ending.started_utc_ns, ended_utc_ns, length_ns, end.outcome, end.exit_code, end.signal)


def _with_last_ends(parts: Sequence[Brief]) -> list[Brief]:
    """The parts with how the last on each host came out, where nobody told: as long as its agent lives it goes on."""
    listed = list(parts)
    lasts = {part.header.host: place for place, part in enumerate(listed)}
    for place in lasts.values():
        last = listed[place]
        if last.ending.outcome == "running":
            outcome: Outcome = "running" if goes_on(last.header, last.ending.ended_utc_ns) else "interrupted"
            listed[place] = replace(last, ending=replace(last.ending, outcome=outcome))
    return listed
