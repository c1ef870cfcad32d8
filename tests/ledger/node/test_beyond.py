"""The marker that says that more was shown than the journal has."""

from pathlib import Path

import pytest

from costmeter.ledger.node.beyond import Marker, Shown, marker_paths, shown_by

BOOT = "5f4d3c2b"


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, ...]:
    return marker_paths(tmp_path / "node", "gpu01", tmp_path / "run")


def made(paths: tuple[Path, ...], boot_id: str = BOOT) -> Marker:
    marker = Marker(paths, boot_id)
    marker.prepare()
    return marker


def test_nothing_was_shown_beyond_a_journal_before_anybody_says_so(paths: tuple[Path, ...]) -> None:
    """Markers that are not there, or only made, tell nothing."""
    assert Shown() == shown_by(paths, BOOT)
    made(paths)
    assert Shown() == shown_by(paths, BOOT)


@pytest.mark.parametrize("place", [0, 1], ids=["in-memory", "beside-the-journal"])
def test_either_marker_is_enough(paths: tuple[Path, ...], place: int) -> None:
    """One that was set is found, and cleared again with the journal that has everything by then."""
    marker = made(paths)
    assert marker.set(paths[place])
    assert shown_by(paths, BOOT).beyond
    marker.clear("gpu01.2026-11-22.1.jsonl")
    assert Shown(journals=frozenset(("gpu01.2026-11-22.1.jsonl",))) == shown_by(paths, BOOT)


def test_a_marker_takes_no_room_when_it_is_set(paths: tuple[Path, ...]) -> None:
    """It is overwritten in place: a full disk takes it, too."""
    marker = made(paths)
    before = [path.stat().st_size for path in paths]
    assert all(marker.set(path) for path in paths)
    assert before == [path.stat().st_size for path in paths]


def test_a_marker_of_another_boot_tells_nothing(paths: tuple[Path, ...]) -> None:
    """After a boot all counters begin at nothing anyway."""
    made(paths).set(paths[1])
    assert Shown() == shown_by(paths, "another")


def test_a_marker_stays_set_when_another_agent_makes_its_own(paths: tuple[Path, ...]) -> None:
    """What one agent said holds until the next one's first values are on disk."""
    made(paths).set(paths[0])
    made(paths)
    assert shown_by(paths, BOOT).beyond


def test_agents_that_share_a_folder_in_memory_do_not_hear_each_other(tmp_path: Path) -> None:
    """Another state directory has other journals: neither what its agent showed nor what it names is of them."""
    runtime = tmp_path / "run"
    ours, theirs = (marker_paths(tmp_path / state / "node", "gpu01", runtime) for state in ("a", "b"))
    marker = made(theirs)
    marker.clear("gpu01.2026-11-22.2.jsonl", opened=True)
    assert Shown() == shown_by(ours, BOOT)
    marker.set(theirs[0])
    assert Shown() == shown_by(ours, BOOT)
    assert shown_by(theirs, BOOT).beyond


def test_a_marker_under_the_name_of_another_is_told(tmp_path: Path) -> None:
    """Copied by hand, it says nothing of this folder, and nobody knows what stood there before."""
    ours, theirs = (marker_paths(tmp_path / state / "node", "gpu01", tmp_path) for state in ("a", "b"))
    made(theirs).clear("gpu01.2026-11-22.2.jsonl")
    theirs[0].rename(ours[0])
    (why,) = shown_by(ours, BOOT).unreadable
    assert f"{ours[0]}: it was written as {theirs[0].name}" == why


def test_a_marker_that_was_removed_is_made_again(paths: tuple[Path, ...]) -> None:
    """A folder of a service may go while it runs; setting the marker makes it anew."""
    marker = made(paths)
    paths[0].unlink()
    paths[0].parent.rmdir()
    assert marker.set(paths[0])
    assert shown_by(paths, BOOT).beyond


def test_a_marker_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Where a file is in the place of its folder, nothing can be said, and whoever asks learns it."""
    (tmp_path / "node").write_text("in the way")
    (path,) = marker_paths(tmp_path / "node", "gpu01", None)
    assert not made((path,)).set(path)


@pytest.mark.parametrize("content", [b"half a line", b'{"type":"shown"}\n', b"\xff" * 1_024])
def test_a_marker_that_nobody_can_read_is_told(paths: tuple[Path, ...], content: bytes) -> None:
    """Nobody can say what was shown then."""
    made(paths)
    paths[1].write_bytes(content)
    (why,) = shown_by(paths, BOOT).unreadable
    assert str(paths[1]) in why
