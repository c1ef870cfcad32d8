"""How a run came along: what was furthest, and few points however long it goes on."""

from decimal import Decimal

from costmeter.meter.progress import UNTOLD, Progress
from costmeter.meter.projection import project
from costmeter.runtime.course import POINTS_KEPT, Course
from costmeter.runtime.events import Told

SECOND = 1_000_000_000


def play(course: Course, steps: range, started_ns: int = 0) -> None:
    """A step and a cent a second, with a tick each second that comes a little early or late."""
    for second, step in enumerate(steps):
        at_ns = started_ns + second * SECOND + (second % 3 - 1) * SECOND // 50
        course.tell(Told(at_ns, "training", Progress(step, step * 10, 1.0, 200_000)))
        if course.is_due(at_ns):
            course.see(at_ns, Decimal(step) / 100)


def test_nothing_is_seen_of_a_run_that_tells_nothing() -> None:
    """Nor of one that tells of its phase alone."""
    course = Course()
    assert (course.furthest, course.points, course.is_due(SECOND)) == (UNTOLD, (), False)
    course.tell(Told(0, "eval", Progress(loss=1.0)))

    assert not course.is_due(SECOND)


def test_a_long_run_has_few_points() -> None:
    """A day of seconds: at most 128 points, over all of it, from which the end is known within 2 %."""
    course = Course()
    play(course, range(86_400))
    projection = project(course.points, 200_000)

    assert POINTS_KEPT // 2 <= len(course.points) <= POINTS_KEPT
    assert course.points[0].steps == 0
    assert projection is not None
    seconds_left = 200_000 - course.points[-1].steps
    assert abs(projection.remaining_ns - seconds_left * SECOND) < seconds_left * SECOND // 50


def test_early_ticks_are_taken() -> None:
    """A minute of seconds makes a point each."""
    course = Course()
    play(course, range(60))

    assert len(course.points) == 60


def test_a_step_backwards_is_seen_at_once_and_counts_nothing_down() -> None:
    """What is exposed as a counter stays at the most; the points say where the run is."""
    course = Course()
    play(course, range(3_000))
    play(course, range(2_000, 2_010), 3_000 * SECOND)

    assert (course.furthest.steps, course.furthest.tokens) == (2_999, 29_990)
    assert any(after.steps < before.steps for before, after in zip(course.points, course.points[1:], strict=False))
