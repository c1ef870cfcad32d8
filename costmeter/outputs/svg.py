"""Charts as inline SVG: where the money went as one bar, and what a run did over time as panels under each other.

Colours are the style sheet's, by class. Nothing is told by colour alone: parts carry a letter, idle time is hatched,
and every chart has a title and a description for those who do not see it.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate, pairwise

from costmeter.ledger.timeline import Timeline
from costmeter.meter.progress import START_UP
from costmeter.outputs.figures import money, significant
from costmeter.outputs.markup import Markup, element, joined
from costmeter.outputs.phases import NOT_TOLD
from costmeter.outputs.where import row_name
from costmeter.units import watts_from_energy

WIDTH = 760
_LEFT, _RIGHT = 62, 8
_PLOT = WIDTH - _LEFT - _RIGHT
_BAR_HEIGHT = 26
#: What a letter and a digit of the bar's labels take at most.
_CHARACTER = 6.4
#: Lengths of time between two marks on the time axis, in seconds, and what they are read in.
_TICKS = (
    *((seconds, 1, "s") for seconds in (1, 5, 10, 15, 30)),
    *((60 * minutes, 60, "min") for minutes in (1, 2, 5, 10, 15)),
    *((round(3_600 * hours), 3_600, "h") for hours in (0.5, 1, 2, 3, 6, 12)),
    *((86_400 * days, 86_400, "d") for days in (1, 2, 5, 10, 20, 50, 100)),
)
_MOST_TICKS = 8
#: From so many seconds on nobody counts in minutes.
_IN_HOURS = 7_200
_SECOND_NS = 1_000_000_000


def letter(place: int) -> str:
    """What the parts of a chart are called: A, B, … and, beyond Z, nothing."""
    return chr(ord("A") + place) if place < 26 else ""


def bar(parts: Sequence[tuple[str, float]], kinds: Sequence[str], title: str) -> Markup:
    """Names and shares of a whole (0 to 1) as one bar; `kinds` are the classes of their colours."""
    pieces, at = [], 0.0
    for place, ((name, share), kind) in enumerate(zip(parts, kinds, strict=True)):
        width = share * WIDTH
        pieces.append(element("rect", x=_n(at), y="0", width=_n(width), height=_BAR_HEIGHT, class_=kind))
        words = next((words for words in (name, letter(place)) if len(words) * _CHARACTER + 10 < width), "")
        if words:
            pieces.append(element("text", words, x=_n(at + 7), y="17", class_="in"))
        at += width
    told = "; ".join(f"{name} {100 * share:.1f} %" for name, share in parts)
    return _svg(_BAR_HEIGHT, title, told, joined(*pieces))


def over_time(
    timeline: Timeline, phases: Sequence[str], kinds: Sequence[str], currency: str, is_lost: bool = False
) -> Markup:
    """Cost so far, power, utilization and, where there are `phases`, what the run was doing; over the time elapsed.

    `is_lost`: what came after the last checkpoint came to nothing, and is shown so.
    """
    draw, bottom = _Drawing(timeline), _STRIP_AT
    panels = [_HATCH, draw.idle_bands(_COST_AT, _STRIP_AT - _COST_AT - 8)]
    if is_lost:
        panels.append(draw.lost(_COST_AT, 60))
    panels.append(draw.cost(_COST_AT, 60, currency))
    panels.append(draw.power(_POWER_AT, 70))
    panels.append(draw.utilization(_UTILIZATION_AT, 36))
    if phases:
        panels.append(draw.strip(_STRIP_AT, 14, phases, kinds))
        bottom += 20
    panels.append(draw.marks(_COST_AT, bottom))
    panels.append(draw.time_axis(bottom))
    saved = len(timeline.checkpoints_utc_ns)
    told = f"Cost so far, power and utilization over {draw.length_text}, with {saved} checkpoints."
    return _svg(bottom + 22, "The run over time", told, joined(*panels))


#: Where the panels begin, from the top.
_COST_AT, _POWER_AT, _UTILIZATION_AT, _STRIP_AT = 16, 98, 190, 236
_HATCH = Markup(
    '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line x1="0" y1="0" x2="0" y2="5" class="hatch"/></pattern></defs>'
)


class _Drawing:
    """The steps of a timeline on a plane: time to the right, values upwards."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._steps = timeline.steps
        self._start_ns, self._end_ns = self._steps[0].start_utc_ns, self._steps[-1].end_utc_ns

    @property
    def length_text(self) -> str:
        """How long it is, in its largest unit."""
        seconds = (self._end_ns - self._start_ns) / _SECOND_NS
        size, unit = next(
            ((s, unit) for s, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")) if seconds >= s),
            (1, "seconds"),
        )
        return f"{significant(seconds / size)} {unit}"

    def cost(self, top: int, height: int, currency: str) -> Markup:
        """What had been paid by each instant: within a step it grows evenly, from what the one before it left."""
        sums = [Decimal(0), *accumulate(step.cost for step in self._steps)]
        most = max(map(float, sums))
        label = money(Decimal(str(most)), currency) if most else ""
        values = [(float(before), float(after)) for before, after in pairwise(sums)]
        return self._panel(top, height, "cost so far", label, self._curve("cost so far", values, most, top, height))

    def lost(self, top: int, height: int) -> Markup:
        """What was paid after the last checkpoint, as a band of its own."""
        left = self._x(self._timeline.checkpoints_utc_ns[-1]) if self._timeline.checkpoints_utc_ns else _LEFT
        band = element(
            "rect", x=_n(left), y=top, width=_n(max(0.0, WIDTH - _RIGHT - left)), height=height, class_="lost"
        )
        words = "lost"
        room = WIDTH - _RIGHT - left > len(words) * _CHARACTER + 8
        return joined(
            band, element("text", words, x=_n(left + 4), y=top + height - 6, class_="lostname") if room else Markup("")
        )

    def power(self, top: int, height: int) -> Markup:
        """The GPUs' mean power in each step."""
        watts = [watts_from_energy(step.microjoules, step.end_utc_ns - step.start_utc_ns) for step in self._steps]
        most = _ceiling(max(watts))
        label = f"{most / 1_000:g} kW" if most >= 1_000 else f"{most:g} W"
        curve = self._curve("GPU power", _level(watts), most, top, height)
        return self._panel(top, height, "GPU power", label if most else "", curve)

    def utilization(self, top: int, height: int) -> Markup:
        """The GPUs' mean utilization in each step; nothing where nobody knows it."""
        ratios = [
            step.utilized_nanoseconds / step.observed_nanoseconds if step.observed_nanoseconds else None
            for step in self._steps
        ]
        curve = self._curve("utilization", _level(ratios), 1.0, top, height)
        return self._panel(top, height, "utilization", "100 %", curve)

    def strip(self, top: int, height: int, phases: Sequence[str], kinds: Sequence[str]) -> Markup:
        """Which phase it was in, and when; where that changed too often, in every step each phase's share of it."""
        paths: dict[str, list[str]] = {name: [] for name in phases}
        letters = []
        for start_utc_ns, end_utc_ns, shares in self._columns():
            left, right, upto = self._x(start_utc_ns), self._x(end_utc_ns), 0.0
            for phase, share in shares:
                box = f"M{_n(left)} {_n(top + height * upto)}h{_n(right - left)}v{_n(height * share)}H{_n(left)}z"
                name = _row_of(phase, phases)
                paths[name].append(box)
                upto += share
                if share == 1 and right - left >= 14:
                    letters.append(
                        element(
                            "text", letter(phases.index(name)), x=_n((left + right) / 2 - 4), y=top + 11, class_="in"
                        )
                    )
        drawn = [
            element("path", element("title", name), d="".join(paths[name]), class_=kind)
            for name, kind in zip(phases, kinds, strict=True)
            if paths[name]
        ]
        return joined(element("text", "phase", x=_LEFT - 6, y=top + 11, class_="axis end"), *drawn, *letters)

    def _columns(self) -> Iterator[tuple[int, int, list[tuple[str, float]]]]:
        """From when to when it was in which phases: in one, or in each for a share of the time."""
        if self._timeline.spans:
            yield from ((span.start_utc_ns, span.end_utc_ns, [(span.phase, 1.0)]) for span in self._timeline.spans)
            return
        for step in self._steps:
            whole = sum(step.phases.values()) or 1
            yield step.start_utc_ns, step.end_utc_ns, [(name, part / whole) for name, part in step.phases.items()]

    def idle_bands(self, top: int, height: int) -> Markup:
        """A hatched band wherever the GPUs were idle for most of a step."""
        idle = (step for step in self._steps if 2 * step.idle_nanoseconds > step.nanoseconds)
        ends = ((_n(self._x(step.start_utc_ns)), _n(self._x(step.end_utc_ns))) for step in idle)
        boxes = "".join(f"M{left} {top}H{right}v{height}H{left}z" for left, right in ends)
        return element("path", element("title", "mostly idle"), d=boxes, class_="idleband") if boxes else Markup("")

    def marks(self, top: int, bottom: int) -> Markup:
        """A tick for every checkpoint, and a dashed line where the run went back to one."""
        saved = {_n(self._x(at_ns)) for at_ns in self._timeline.checkpoints_utc_ns}
        back = {_n(self._x(at_ns)) for at_ns in self._timeline.resumes_utc_ns}
        ticks = "".join(f"M{x} {bottom}v-6" for x in sorted(saved, key=float))
        lines = "".join(f"M{x} {top}V{bottom}" for x in sorted(back, key=float))
        return joined(
            element("path", element("title", "checkpoints"), d=ticks, class_="saved") if ticks else Markup(""),
            element("path", element("title", "went back"), d=lines, class_="back") if lines else Markup(""),
        )

    def time_axis(self, top: int) -> Markup:
        """Time since the start, at even instants."""
        seconds = (self._end_ns - self._start_ns) / _SECOND_NS
        ticks = [tick for tick in _TICKS if seconds < _IN_HOURS or tick[1] >= 3_600]
        every, size, unit = next((tick for tick in ticks if seconds / tick[0] <= _MOST_TICKS), ticks[-1])
        pieces = [element("path", d=f"M{_LEFT} {top}h{_PLOT}", class_="line")]
        for number in range(int(seconds // every) + 1):
            x = self._x(self._start_ns + number * every * _SECOND_NS)
            if x > WIDTH - 30 and number:
                break
            words = f"{number * every / size:g} {unit}" if number else "start"
            pieces.append(element("path", d=f"M{_n(x)} {top}v4", class_="line"))
            pieces.append(element("text", words, x=_n(x), y=top + 16, class_="axis middle" if number else "axis"))
        return joined(*pieces)

    def _panel(self, top: int, height: int, name: str, most: str, curve: Markup) -> Markup:
        bottom = top + height
        return joined(
            element("path", d=f"M{_LEFT} {top}h{_PLOT}M{_LEFT} {bottom}h{_PLOT}", class_="grid"),
            element("text", most, x=_LEFT - 6, y=top + 8, class_="axis end"),
            element("text", "0", x=_LEFT - 6, y=bottom, class_="axis end"),
            element("text", name, x=_LEFT, y=top - 4, class_="name"),
            curve,
        )

    def _curve(
        self, name: str, values: Iterable[tuple[float, float] | None], most: float, top: int, height: int
    ) -> Markup:
        """Values at start and end of every step, with a gap where nothing was recorded or nobody knows."""
        if not most:
            return Markup("")
        bottom, lines = top + height, list[str]()
        starts, last_ns, last_y = list[str](), -1, ""
        for step, value in zip(self._steps, values, strict=True):
            if value is None:
                last_ns = -1
                continue
            before, after = (_n(bottom - height * max(0.0, each) / most) for each in value)
            if step.start_utc_ns != last_ns:
                starts.append(_n(self._x(step.start_utc_ns)))
                lines.append(f"M{starts[-1]} {before}")
            elif before != last_y:
                lines[-1] += f"V{before}"
            x = _n(self._x(step.end_utc_ns))
            lines[-1] += f"H{x}" if before == after else f"L{x} {after}"
            last_ns, last_y = step.end_utc_ns, after
        area = "".join(f"{line}V{bottom}H{start}z" for line, start in zip(lines, starts, strict=True))
        kind = name.replace(" ", "-")
        return joined(
            element("path", d=area, class_=f"{kind} area"),
            element("path", element("title", name), d="".join(lines), class_=kind),
        )

    def _x(self, utc_ns: int) -> float:
        length_ns = self._end_ns - self._start_ns
        return _LEFT + (_PLOT * (utc_ns - self._start_ns) / length_ns if length_ns else 0.0)


def _level(values: Iterable[float | None]) -> Iterator[tuple[float, float] | None]:
    """Values that hold for all of their step."""
    return (None if value is None else (value, value) for value in values)


def _row_of(phase: str, rows: Sequence[str]) -> str:
    """The row in which a phase is counted: its own, or, with all that have none, the last."""
    own = (row_name(phase),) if phase else (START_UP, NOT_TOLD)
    return next((name for name in own if name in rows), rows[-1])


def _ceiling(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10, … times a power of ten."""
    if value <= 0:
        return 0.0
    power = 10.0 ** (len(str(int(value))) - 1)
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value)


def _svg(height: int, title: str, told: str, inside: Markup) -> Markup:
    return element(
        "svg",
        element("title", title),
        element("desc", told),
        inside,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label=f"{title}. {told}",
    )


def _n(number: float) -> str:
    """A coordinate to a tenth, in as few characters as it takes."""
    return f"{number:.1f}".removesuffix(".0")
