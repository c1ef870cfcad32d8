"""The tally: every held board, its account, and the intervals that what it says makes of its devices."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from costmeter.ledger.record import MarkKind
from costmeter.ledger.resume import Resume
from costmeter.meter.account import Account, covered, ended, enter, opened, resumed, silent, standing
from costmeter.meter.activity import IdleRule
from costmeter.meter.division import divide
from costmeter.meter.interval import Interval, measured, silence
from costmeter.meter.standing import Standing
from costmeter.readings import Device, Reading, how_found, is_identified
from costmeter.runtime.ailments import Ailments
from costmeter.units import NANOSECONDS_PER_SECOND


@dataclass(slots=True)
class _Board:
    """One board, the held devices that it is, and where it stands.

    After silence it `is_returning` until a second answer: only then its counter is known to have gone on or not.
    """

    devices: tuple[Device, ...]
    account: Account
    has_answered: bool = False
    is_resumed: bool = False
    silent_because: str = ""
    is_returning: bool = False
    tells_activity: bool = False
    resets: int = 0
    ailments: Ailments = field(default_factory=Ailments)


class Tally:
    """Books time and energy of every held board. `note` is told faults, with the device they concern.

    `watched_ns` is the longest time between two readings whose state the second one may tell, and over which power may
    be taken to have held.
    """

    def __init__(self, rule: IdleRule, watched_ns: int, note: Callable[[MarkKind, str, str], None]) -> None:
        self._rule, self._watched_ns, self._note = rule, watched_ns, note
        self._boards: dict[str, _Board] = {}
        self._stand_ins: dict[str, str] = {}
        self.readings = self.failures = 0

    def hold(self, devices: Iterable[Device], start_ns: int, resume: Mapping[str, Resume]) -> dict[str, int]:
        """Hold these devices, and say from when each that is new is counted (CLOCK_BOOTTIME).

        A device that could not be identified is followed by the one that now stands at its index, or by another that
        is known at last. New ones begin at `start_ns` when none was known yet, else with the latest that was booked.
        Where held boards are not listed any more, devices that cannot say who they are stand in for them, and are not
        held on top.
        """
        was_known = any(map(is_identified, self._boards))
        begins_ns = self.latest_ns if was_known else start_ns
        since_ns: dict[str, int] = {}
        listed = _by_board(devices)
        nameless = self._retire(listed)
        self._stand_ins = _stand_ins(self._boards, listed)
        for board, pieces in listed.items():
            known = self._boards.get(board)
            if known is not None:
                held = {device.uuid for device in known.devices}
                since_ns |= {d.uuid: known.account.booked_ns for d in pieces if d.uuid not in held}
                known.devices = pieces
                continue
            if board in self._stand_ins.values():
                continue
            index = pieces[0].index
            predecessor = nameless.pop(index if index in nameless else next(iter(nameless), index), None)
            left = resume.get(board)
            if left is not None:
                booked_ns = predecessor.account.booked_ns if predecessor else left.booked_ns
                account = resumed(booked_ns, left.standing)
            else:
                account = opened(predecessor.account.booked_ns if predecessor else begins_ns)
            self._boards[board] = _Board(pieces, account, is_resumed=left is not None and not predecessor)
            since_ns |= dict.fromkeys((device.uuid for device in pieces), account.booked_ns)
        return since_ns

    def judge(self, rule: IdleRule) -> None:
        """Decide by another rule what the next readings tell; what was decided stays."""
        self._rule = rule

    def answers(self, said: Reading, last_tick_ns: int, is_last: bool) -> list[Interval]:
        """The intervals up to a reading, for each device of its board.

        What lies before the first reading was silence as far as ticks went by in it: no driver was open yet.
        """
        board = self._boards[said.uuid]
        is_late = not (board.has_answered or board.is_resumed) and board.account.booked_ns < last_tick_ns
        before = self.falls_silent(said.uuid, last_tick_ns, None) if is_late else []
        start_ns = board.account.booked_ns
        board.account, entry = enter(board.account, said, board.devices[0], self._watched_ns, is_last)
        told = entry.told
        if board.silent_because and (board.is_returning or is_last):
            told = ("; ".join((f"answers again (was: {board.silent_because})", *told)),)
            board.silent_because, board.is_returning = "", False
        board.is_returning = bool(board.silent_because)
        if board.tells_activity and not said.activity:
            told = (*told, "the driver no longer tells what each MIG instance does; energy by slices")
        board.tells_activity = bool(said.activity)
        for fault in (*told, *board.ailments.see(said, entry, board.devices[0])):
            self._note("fault", fault, said.uuid)
        board.resets += entry.was_reset
        interval = measured(start_ns, said, entry, board.devices[0], self._rule)
        is_watched = self._is_watched(board, interval)
        parts = divide(interval, board.devices, self._rule, said if is_watched and entry.is_own else None)
        board.has_answered, board.is_resumed = True, False
        self.readings += 1
        return before + (parts if is_watched else [_unwatched(part) for part in parts])

    def falls_silent(self, uuid: str, until_ns: int, reason: str | None) -> list[Interval]:
        """The intervals of a board that said nothing up to an instant; without a reason nobody asked it."""
        board = self._boards[uuid]
        start_ns, until_ns = board.account.booked_ns, max(until_ns, board.account.booked_ns)
        board.account = silent(board.account, until_ns)
        board.is_returning = False
        if reason is not None:
            self.failures += 1
            if reason != board.silent_because:
                board.silent_because = reason
                self._note("fault", reason, uuid)
        return divide(silence(uuid, start_ns, until_ns), board.devices, self._rule)

    def listed_as(self, board: str) -> str:
        """The name under which the driver lists a held board: its own, or that of what stands in for it."""
        return self._stand_ins.get(board, board)

    def close(self) -> None:
        """Tell what is left to be told when nothing will be read any more."""
        for uuid, board in self._boards.items():
            for told in ended(board.account):
                self._note("fault", told, uuid)

    @property
    def boards(self) -> dict[str, int]:
        """Every held board, and the instant up to which it is booked."""
        return {uuid: board.account.booked_ns for uuid, board in self._boards.items()}

    @property
    def devices(self) -> frozenset[str]:
        """The devices that the held boards are now."""
        return frozenset(device.uuid for board in self._boards.values() for device in board.devices)

    @property
    def reached_ns(self) -> int:
        """The instant up to which every board is booked."""
        return min(board.account.booked_ns for board in self._boards.values())

    @property
    def latest_ns(self) -> int:
        """The latest instant up to which any board is booked."""
        return max(board.account.booked_ns for board in self._boards.values())

    @property
    def counters(self) -> dict[str, int]:
        """By device, its board's counter up to which everything is booked."""
        found = ((board.devices, covered(board.account)) for board in self._boards.values())
        return {device.uuid: counter for devices, counter in found if counter is not None for device in devices}

    @property
    def standings(self) -> dict[str, Standing]:
        """By device, how its board's counter stands, where more than that value is to be said."""
        found: dict[str, Standing] = {}
        for board in self._boards.values():
            left = standing(board.account)
            if left is not None and not left.is_plain:
                found |= {device.uuid: left for device in board.devices}
        return found

    @property
    def resets(self) -> dict[str, int]:
        """By device, how often its board's counter began anew."""
        boards = self._boards.values()
        return {device.uuid: board.resets for board in boards if board.resets for device in board.devices}

    @property
    def silent(self) -> frozenset[str]:
        """The boards that did not answer when they were last asked."""
        silent = (uuid for uuid, board in self._boards.items() if board.silent_because and not board.is_returning)
        return frozenset(silent)

    def _retire(self, listed: Mapping[str, tuple[Device, ...]]) -> dict[int, _Board]:
        """Let go of devices that nobody could name and that are not listed any more: by index, for their successors.

        One that is listed stays, unless a known board stands at its index.
        """
        taken = {pieces[0].index for board, pieces in listed.items() if is_identified(board)}
        nameless = {uuid: board for uuid, board in self._boards.items() if not is_identified(uuid)}
        gone = {uuid: b for uuid, b in nameless.items() if uuid not in listed or b.devices[0].index in taken}
        for uuid in gone:
            del self._boards[uuid]
        return {board.devices[0].index: board for board in gone.values()}

    def _is_watched(self, board: _Board, interval: Interval) -> bool:
        """Whether somebody watched: not where the meter was stopped, or the machine slept, which is told."""
        length_ns = interval.end_ns - interval.start_ns
        if board.is_resumed:
            why = "the meter was not running"
        elif board.has_answered and length_ns > self._watched_ns:
            why = "nothing was read"
        else:
            return True
        seconds = length_ns / NANOSECONDS_PER_SECOND
        self._note("gap", f"{why} for {seconds:.0f} s; {how_found(interval.method)}", interval.uuid)
        return False


def _unwatched(interval: Interval) -> Interval:
    """An interval in which nobody watched: its state is unknown."""
    return replace(interval, state="unknown", utilization_ratio=None)


def _by_board(devices: Iterable[Device]) -> dict[str, tuple[Device, ...]]:
    found: dict[str, tuple[Device, ...]] = {}
    for device in devices:
        found[device.board] = (*found.get(device.board, ()), device)
    return found


def _stand_ins(held: Iterable[str], listed: Iterable[str]) -> dict[str, str]:
    """By held board that is not listed, a device that is listed and cannot say who it is; as far as there are any."""
    known = set(held)
    nameless = [board for board in listed if not is_identified(board) and board not in known]
    absent = [board for board in known.difference(listed) if is_identified(board)]
    return dict(zip(sorted(absent), nameless, strict=False))
