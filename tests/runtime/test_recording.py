"""Recordings on disk: what was posted is read back, whatever happens to disk, meter and file meanwhile."""

import gzip
import resource
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costmeter.clock import ManualClock
from costmeter.errors import JournalError, SourceStopped
from costmeter.ledger.line import encode, seal, unseal
from costmeter.readings import Missing, Reading
from costmeter.runtime import recording as module
from costmeter.runtime.eventline import Beginning, Taken
from costmeter.runtime.events import Batch, Ended, Event, Opened, OpenFailed
from costmeter.runtime.recording import SCHEMA, Recording, RecordingWriter, event_line, first_line
from tests.end_to_end.installed import eventually
from tests.recordings.making import lines
from tests.runtime.spoken import events
from tests.samples import BEGAN_NS, BEGAN_UTC_NS, SECOND, device, devices, header

PATIENCE_SECONDS = 20
HELD = devices(2)


def tick(seconds: int) -> Batch:
    """One board answers, the other does not."""
    at_ns = BEGAN_NS + seconds * SECOND
    answer = Reading(HELD[0].uuid, at_ns + 1_000, seconds * 300_000_000, 300.0, 0.6)
    return Batch(at_ns, {HELD[0].uuid: answer, HELD[1].uuid: Missing("silent")}, slow=False)


STORY: list[Event] = [Opened(HELD, 2, None), *map(tick, range(5)), Ended(BEGAN_NS + 5 * SECOND, 0, None)]


class Writing:
    """A recording being written, on a clock of its own; what it warned of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(BEGAN_UTC_NS, BEGAN_NS)
        self.warnings: list[str] = []
        self.writer = RecordingWriter(path, header(), 2, self.clock, self.warnings.append)

    def post(self, story: list[Event]) -> None:
        """Each event a second after the one before."""
        for event in story:
            self.clock.advance(SECOND)
            self.writer.post(event)

    def events(self) -> list[Event]:
        """What stands in the file."""
        return [taken.event for taken in Recording(self.path).events()]


def lines_of(story: list[Event]) -> list[bytes]:
    """A recording line by line."""
    return lines(Beginning(header(), 2), [Taken(event, BEGAN_NS, BEGAN_UTC_NS) for event in story])


CUT = ["the recording ends here without the end of its run: its meter was killed, or the file was cut"]


def refusal(path: Path) -> JournalError:
    """What reading a whole recording is refused with."""
    with pytest.raises(JournalError) as caught:
        list(Recording(path).events())
    return caught.value


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(events, max_size=6))
def test_what_is_posted_is_read(name: str, tmp_path: Path, story: list[Event]) -> None:
    """Every event in order, with both clocks as they stood; a name in .gz is packed and unpacked on the way."""
    path = tmp_path / name
    path.unlink(missing_ok=True)
    writing = Writing(path)
    writing.writer.start()
    story = [STORY[0], *story, STORY[-1]]
    writing.post(story)
    writing.writer.finish(PATIENCE_SECONDS)
    recording = Recording(path)
    read = list(recording.events())
    assert story == [taken.event for taken in read]
    seconds = [second * SECOND for second in range(1, len(story) + 1)]
    assert [BEGAN_NS + passed for passed in seconds] == [taken.boot_ns for taken in read]
    assert [BEGAN_UTC_NS + passed for passed in seconds] == [taken.utc_ns for taken in read]
    assert Beginning(header(), 2) == recording.beginning
    assert ([], []) == (recording.problems, writing.warnings)


def test_a_packed_recording_is_the_plain_one_packed(tmp_path: Path) -> None:
    """gunzip gives the very lines, and only their user may read either."""
    for name in ("plain.jsonl", "packed.jsonl.gz"):
        writing = Writing(tmp_path / name)
        writing.writer.start()
        writing.post(STORY[:-1])  # the end says how much CPU was used, which differs
        writing.writer.finish(PATIENCE_SECONDS)
        assert 0o600 == writing.path.stat().st_mode & 0o777
    packed, plain = (tmp_path / "packed.jsonl.gz").read_bytes(), (tmp_path / "plain.jsonl").read_bytes()
    assert plain == gzip.decompress(packed)


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_a_killed_meters_recording_holds_every_event_it_took(name: str, tmp_path: Path) -> None:
    """Without any end, what was posted can be read as soon as the writer has come to it."""
    writing = Writing(tmp_path / name)
    writing.writer.start()
    writing.post(STORY[:3])

    def whole() -> list[Event] | None:
        try:
            read = writing.events()
        except JournalError:
            return None
        return read if len(read) == 3 else None

    assert STORY[:3] == eventually(whole, "three events in the file")
    writing.writer.finish(PATIENCE_SECONDS)


def test_another_file_is_never_overwritten(tmp_path: Path) -> None:
    """A file that has come to stand there meanwhile is left as it is, and that nothing is recorded is told once."""
    writing = Writing(tmp_path / "run.jsonl")
    writing.path.write_text("precious")
    writing.writer.start()
    writing.post(STORY)
    writing.writer.finish(PATIENCE_SECONDS)
    assert "precious" == writing.path.read_text()
    (warning,) = writing.warnings
    assert f"--record {writing.path}: nothing is recorded from here on: File exists" == warning


@contextmanager
def full_beyond(size: int) -> Iterator[None]:
    """Files of this process can grow no larger, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_the_recording_and_is_told_once(tmp_path: Path) -> None:
    """The line for which there is no room is torn; all before it are there; the meter hears of it once."""
    whole = lines_of(STORY)
    writing = Writing(tmp_path / "run.jsonl")
    with full_beyond(len(b"".join(whole[:4])) + 10):
        writing.writer.start()
        writing.post(STORY)
        writing.writer.finish(PATIENCE_SECONDS)
    (warning,) = writing.warnings
    assert "nothing is recorded from here on: File too large" in warning
    recording = Recording(writing.path)
    assert STORY[:3] == [taken.event for taken in recording.events()]
    assert ["the recording's last line is torn, and dropped"] == recording.problems


def test_what_cannot_be_written_ends_the_recording_and_not_the_meter(tmp_path: Path) -> None:
    """An event that is no JSON is a fault of ours: told once, and later events are taken as before."""
    writing = Writing(tmp_path / "run.jsonl")
    writing.writer.start()
    impossible = Opened((device(speed=object()),), 1, None)
    writing.post([STORY[0], impossible, *STORY[1:]])
    writing.writer.finish(PATIENCE_SECONDS)
    (warning,) = writing.warnings
    assert "nothing is recorded from here on: TypeError" in warning
    assert STORY[:1] == writing.events()


def test_where_no_thread_can_be_had_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on threads is told once; events are taken, and nothing waits for what will never be written."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writing = Writing(tmp_path / "run.jsonl")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    writing.writer.start()
    writing.post(STORY)
    writing.writer.finish(PATIENCE_SECONDS)
    assert [f"--record {writing.path}: nothing is recorded from here on: can't start new thread"] == writing.warnings
    assert not writing.path.exists()


def test_a_slow_disk_costs_events_and_the_recording_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for 3 events and 2 more while nothing is written, 2 are lost; the next that is written says so."""
    monkeypatch.setattr(module, "EVENTS_KEPT", 3)
    writing = Writing(tmp_path / "run.jsonl")
    writing.post(STORY[:5])
    writing.writer.start()
    eventually(lambda: content(writing.path).count(b"\n") == 4 or None, "the first line and three events")
    writing.post(STORY[5:])
    writing.writer.finish(PATIENCE_SECONDS)
    recording = Recording(writing.path)
    assert [*STORY[:3], *STORY[5:]] == [taken.event for taken in recording.events()]
    assert ["the recording lacks 2 events: the disk was too slow for them"] == recording.problems
    assert [f"--record {writing.path}: the disk was too slow for 2 events, which it lacks"] == writing.warnings


def content(path: Path) -> bytes:
    """What stands in a file, which may not be there yet."""
    return path.read_bytes() if path.exists() else b""


def test_a_disk_that_does_not_answer_is_told_and_not_waited_for(tmp_path: Path) -> None:
    """A writer whose thread never comes back from its first write takes every event and holds nobody up."""
    writing = Writing(tmp_path / "run.jsonl")  # never started
    writing.post(STORY * module.EVENTS_KEPT)
    writing.writer.finish(0)
    assert [f"--record {writing.path}: the disk does not answer; the recording may lack its end"] == writing.warnings


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_a_recording_torn_anywhere_is_read_up_to_there(name: str, tmp_path: Path) -> None:
    """Cut after any byte, it gives its first events and says that it is torn; within its first line it is refused."""
    writing = Writing(tmp_path / name)
    writing.writer.start()
    writing.post(STORY[:3])
    writing.writer.finish(PATIENCE_SECONDS)
    content, torn = writing.path.read_bytes(), tmp_path / f"torn-{name}"
    ends = {len(b"".join(lines_of(STORY[:count]))) for count in range(4)}  # of whole lines, where nothing is packed
    refusals, counts = [], set()
    for size in range(len(content)):
        torn.write_bytes(content[:size])
        try:
            recording = Recording(torn)
        except JournalError as refused:
            refusals.append(refused.message)
            continue
        read = [taken.event for taken in recording.events()]
        assert STORY[: len(read)] == read
        is_whole = name == "run.jsonl" and size in ends
        assert CUT == recording.problems if is_whole else "torn" in " ".join(recording.problems)
        counts.add(len(read))
    assert refusals
    assert all(refused.startswith(f"{torn}, line 1: ") for refused in refusals)
    assert {0, 1, 2} <= counts


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_character_is_found_and_its_line_named(tmp_path: Path, data: st.DataObject) -> None:
    """Wherever one byte within a line is changed, reading stops there and says file, line and what to do."""
    whole = lines_of(STORY)
    number = data.draw(st.integers(1, len(whole)))
    line = bytearray(whole[number - 1])
    place = data.draw(st.integers(0, len(line) - 2))
    line[place] ^= data.draw(st.sampled_from((1, 2, 4, 64)))
    if line[place] == ord("\n"):
        return  # that makes two lines of it, which is another damage
    path = tmp_path / "changed.jsonl"
    path.write_bytes(b"".join([*whole[: number - 1], bytes(line), *whole[number:]]))
    refused = refusal(path)
    assert refused.message.startswith(f"{path}, line {number}: ")
    assert refused.hint


def test_the_advice_for_a_damaged_line_gives_what_is_before_it(tmp_path: Path) -> None:
    """The command in the hint makes a recording that can be read."""
    whole = lines_of(STORY)
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join([*whole[:4], b"{}\n", *whole[5:]]))
    assert f"cat {path} | head -n 4 > before.jsonl" in refusal(path).hint
    path.write_bytes(b"".join(whole[:4]))
    assert STORY[:3] == [taken.event for taken in Recording(path).events()]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_line_that_was_taken_out_repeated_or_moved_is_found(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is done to whole lines but at the end, reading stops at the first that is not where it belongs."""
    lines_were = lines_of(STORY)
    taken_out = data.draw(st.integers(1, len(lines_were) - 2))
    put_in = data.draw(st.none() | st.integers(1, len(lines_were) - 1))
    said = lines_were[:taken_out] + lines_were[taken_out + 1 :]
    if put_in is not None:
        said.insert(put_in, lines_were[data.draw(st.integers(1, len(lines_were) - 1))])
    wrong = [number for number, (is_now, was) in enumerate(zip(said, lines_were, strict=False), 1) if is_now != was]
    if not wrong:
        return  # put back where it was
    path = tmp_path / "edited.jsonl"
    path.write_bytes(b"".join(said))
    refused = refusal(path)
    assert refused.message.startswith(f"{path}, line {wrong[0]}: event ")
    assert f"where event {wrong[0] - 2} belongs: a line was taken out, added or moved" in refused.message
    assert "Copy the file again" in refused.hint


@pytest.mark.parametrize("place", range(1, len(STORY) + 1))
def test_a_line_said_twice_is_found(place: int, tmp_path: Path) -> None:
    """Any event, the last one too."""
    said = lines_of(STORY)
    said.insert(place, said[place])
    path = tmp_path / "twice.jsonl"
    path.write_bytes(b"".join(said))
    assert f"{path}, line {place + 2}: event {place - 1} where event {place} belongs" in refusal(path).message


def test_two_recordings_in_one_file_are_refused(tmp_path: Path) -> None:
    """The first line of the second has no number."""
    path = tmp_path / "both.jsonl"
    path.write_bytes(b"".join(lines_of(STORY) * 2))
    assert f"line {len(STORY) + 2}: an event without number where event {len(STORY)} belongs" in refusal(path).message


@pytest.mark.parametrize("begins", [[], [STORY[-1]]], ids=["first", "after-the-end"])
def test_a_tick_before_the_driver_answered_is_refused(begins: list[Event], tmp_path: Path) -> None:
    """Numbered right or not, a tick says nothing before it is known of which devices."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(lines_of([*begins, tick(1)])))
    assert f"{path}, line {len(begins) + 2}: a tick before the driver answered" in refusal(path).message


@pytest.mark.parametrize("opening", [STORY[0], OpenFailed(SourceStopped("no driver"))], ids=["opened", "open-failed"])
def test_a_tick_after_the_driver_answered_or_refused_is_read(opening: Event, tmp_path: Path) -> None:
    """Whether there are devices is known then."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(lines_of([opening, tick(1), STORY[-1]])))
    assert tick(1) == list(Recording(path).events())[1].event


def test_a_driver_that_hangs_in_its_opening_is_a_recording(tmp_path: Path) -> None:
    """The meter gives up on it with a last, empty tick and the end: two events, and nothing is amiss."""
    end = Ended(BEGAN_NS + SECOND, 0, None)
    story: list[Event] = [Batch(end.at_ns, {}, slow=False, until_ns=end.at_ns), end]
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(lines_of(story)))
    recording = Recording(path)
    assert story == [taken.event for taken in recording.events()]
    assert [] == recording.problems


def test_an_event_of_a_newer_costmeter_is_named(tmp_path: Path) -> None:
    """It is no damage: another version reads it."""
    repainted = event_line(1, Taken(tick(1), BEGAN_NS, BEGAN_UTC_NS), ())
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join([*lines_of(STORY[:1]), seal(unseal(repainted) | {"type": "repainted"})]))
    refused = refusal(path)
    assert f'{path}, line 3: "repainted" is no event that this costmeter knows' in refused.message
    assert "pip install -U costmeter" == refused.hint


#: A first line whose checksum is right, and which does not say whose run it was.
NAMELESS = {"type": "recording", "schema": SCHEMA}


def newer() -> bytes:
    """The first line of a recording by a costmeter to come."""
    return seal(unseal(first_line(Beginning(header(), 2))) | {"schema": "costmeter.recording/2"})


@pytest.mark.parametrize(
    ("content", "said", "advice"),
    [
        pytest.param(lambda: b"", "line 1: not a recording", "--record FILE", id="empty"),
        pytest.param(lambda: b"Dear all,\n", "line 1: not a recording", "--record FILE", id="a-letter"),
        pytest.param(lambda: encode(header()), "line 1: a journal of costmeter", "costmeter report", id="a-journal"),
        pytest.param(
            lambda: seal(NAMELESS), "line 1: damaged: first line lacks", "Copy the file again", id="no-header"
        ),
        pytest.param(newer, "line 1: a recording of schema costmeter.recording/2", "pip install -U", id="newer"),
    ],
)
def test_what_is_no_recording_is_refused_by_name(
    content: Callable[[], bytes], said: str, advice: str, tmp_path: Path
) -> None:
    """Another file, or a recording of a newer costmeter, is refused with what to do about it."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(content())
    refused = refusal(path)
    assert f"{path}, {said}" in refused.message
    assert advice in refused.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Its name and the system's reason."""
    path = tmp_path / "gone.jsonl"
    assert f"{path}: cannot be read: No such file or directory" == refusal(path).message
    assert f"{tmp_path}: cannot be read: Is a directory" == refusal(tmp_path).message


@pytest.mark.parametrize("name", ["run.jsonl.gz", "a run.jsonl"])
def test_a_name_that_is_not_what_the_file_is_can_be_mended(name: str, tmp_path: Path) -> None:
    """A plain recording that ends in .gz, and a packed one that does not, are called that; the hint's command helps."""
    path = tmp_path / name
    whole = b"".join(lines_of(STORY))
    path.write_bytes(whole if name.endswith(".gz") else gzip.compress(whole))
    refused = refusal(path)
    said = "plain text, and its name ends in .gz" if name.endswith(".gz") else "packed (gzip), and its name does not"
    assert f"{path}, line 1: {said}" in refused.message
    command, old, new = shlex.split(refused.hint)
    assert ("mv", str(path)) == (command, old)
    path.rename(new)
    assert STORY == [taken.event for taken in Recording(Path(new)).events()]


def test_a_packed_name_with_other_content_is_damaged(tmp_path: Path) -> None:
    """What is neither packed nor a recording is not said to be one under another name."""
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(b"Dear all,\n")
    assert f"{path}, line 1: damaged: Not a gzipped file" in refusal(path).message
