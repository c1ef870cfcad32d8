"""A driver that answers nonsense: no value of it is believed, and no board of it keeps the others from being read."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.errors import SourceError, SourceStopped
from costmeter.readings import Missing
from tests.sources.nodes import SECOND, STEADY
from tests.sources.nvml_bench import COUNTER, POWER, TIMEOUT, UTILIZATION, Bench, fill, let_go

BLANK_32, BLANK_64 = 2**32 - 1, 2**64 - 1
#: nvmlValueType_t.
DOUBLE, UNSIGNED_INT, UNSIGNED_LONG_LONG, SIGNED_LONG_LONG = 0, 1, 3, 4


@pytest.fixture(autouse=True)
def _real_driver_afterwards() -> Iterator[None]:
    """No test leaves its library below pynvml."""
    yield
    let_go()


def refused_but_filled(value: Any) -> None:
    """A code, and beside it a number that nobody may read."""
    value.nvmlReturn, value.value.ullVal = TIMEOUT, 12_345


def typed(kind: int, **member: float) -> Callable[[Any], None]:
    """Every value of this type, with this content."""

    def change(value: Any) -> None:
        value.valueType = kind
        for name, number in member.items():
            setattr(value.value, name, number)

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(refused_but_filled, id="refused-but-filled"),
        pytest.param(typed(7), id="type-of-tomorrow"),
        pytest.param(typed(-1), id="negative-type"),
        pytest.param(typed(DOUBLE, dVal=math.nan), id="not-a-number"),
        pytest.param(typed(DOUBLE, dVal=math.inf), id="infinite"),
        pytest.param(typed(DOUBLE, dVal=-1e300), id="far-below-zero"),
        pytest.param(typed(UNSIGNED_INT, uiVal=BLANK_32), id="blank-32"),
        pytest.param(typed(UNSIGNED_LONG_LONG, ullVal=BLANK_64), id="blank-64"),
        pytest.param(typed(UNSIGNED_LONG_LONG, ullVal=10**17), id="huge"),
        pytest.param(typed(SIGNED_LONG_LONG, sllVal=-5), id="negative"),
    ],
)
@pytest.mark.parametrize("since", [0, 1], ids=["from-the-start", "in-the-middle"])
def test_fields_of_nonsense_are_not_believed(change: Callable[[Any], None], since: int) -> None:
    """Whatever the fields say instead, counter and power are the functions': 605 J and 300 W after 2 s."""
    bench = Bench(STEADY)
    if not since:
        bench.fields(change)
    bench.source.open()
    if since:
        bench.fields(change)
    bench.clock.advance(2 * SECOND)
    reading = bench.read(slow=True)
    assert (reading.energy_microjoules, reading.power_watts) == (605_000_000, 300.0)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(typed(DOUBLE), id="whole-numbers-called-real"),
        pytest.param(typed(UNSIGNED_LONG_LONG, ullVal=7), id="behind"),
        pytest.param(typed(UNSIGNED_LONG_LONG, ullVal=1_001_000_000), id="ahead"),
    ],
)
def test_a_field_that_is_not_the_function_s_counter_is_not_chosen(change: Callable[[Any], None]) -> None:
    """When the field says something else than the function as the board is probed, the function is the counter.

    It holds 1 MJ then, and 600 J more after 2 s. Behind: 7 mJ. Ahead: 1.001 MJ.
    """
    bench = Bench(STEADY.replace("5 J", "1 MJ"))
    bench.fields(change)
    bench.source.open()
    bench.clock.advance(2 * SECOND)
    assert bench.read().energy_microjoules == 1_000_600_000_000


@pytest.mark.parametrize("milliwatts", [0, 1_400_001, BLANK_32], ids=["zero", "huge", "blank"])
def test_an_impossible_field_of_power_is_not_chosen(milliwatts: int) -> None:
    """A board whose mean of a second says nonsense when it is probed is asked for its instant power."""
    bench = Bench(STEADY)

    def spoil(value: Any) -> None:
        if value.fieldId == 185:
            value.value.uiVal = milliwatts

    bench.fields(spoil)
    [device] = bench.source.open()
    assert bench.read(slow=True).power_watts == 300.0
    assert not device.power_is_mean


@pytest.mark.parametrize("limit", [0, 10_000_001, BLANK_32], ids=["zero", "huge", "blank"])
def test_an_impossible_limit_is_not_believed(limit: int) -> None:
    """A limit that no board has is Missing, and the board's powers are judged without it."""
    bench = Bench(STEADY)
    limits = ("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit")
    bench.driver.instead |= dict.fromkeys(limits, fill(value=limit))
    [device] = bench.source.open()
    assert device.power_limit_watts == Missing("impossible power limit")
    assert bench.read(slow=True).power_watts == 300.0


@pytest.mark.parametrize(
    ("function", "answer", "value", "reason"),
    [
        pytest.param(UTILIZATION, fill(gpu=101), "utilization_ratio", "impossible utilization", id="above-all"),
        pytest.param(UTILIZATION, fill(gpu=BLANK_32), "utilization_ratio", "impossible utilization", id="blank"),
        pytest.param(
            "nvmlDeviceGetMemoryInfo_v2",
            fill(used=BLANK_64, total=1),
            "memory_used_bytes",
            "impossible memory reading",
            id="memory",
        ),
    ],
)
def test_an_impossible_value_is_missing(function: str, answer: Callable[..., int], value: str, reason: str) -> None:
    """A value that cannot be is Missing and says so; the energy beside it is kept."""
    bench = Bench(STEADY)
    bench.source.open()
    bench.driver.instead[function] = answer
    reading = bench.read(slow=True)
    assert getattr(reading, value) == Missing(reason)
    assert reading.energy_microjoules == 5_000_000


@given(code=st.integers(-(2**31), 2**31 - 1), number=st.integers(0, BLANK_64), kind=st.integers(-9, 9))
@settings(max_examples=60, deadline=None)
def test_every_answer_is_a_reading_or_an_error_of_ours(code: int, number: int, kind: int) -> None:
    """Whatever code, type and number: a value is possible or Missing, or the reading raises what callers expect."""
    bench = Bench(STEADY)

    def answer(value: Any) -> None:
        value.nvmlReturn, value.valueType, value.value.ullVal = code, kind, number

    def function(*_: Any) -> int:
        return code

    try:
        bench.source.open()
        bench.fields(answer)
        bench.driver.instead |= {COUNTER: function, POWER: function}
        reading = bench.read(slow=True)
    except SourceError:
        return
    finally:
        bench.source.close()
    energy_uj, watts = reading.energy_microjoules, reading.power_watts
    assert isinstance(energy_uj, Missing) or 0 <= energy_uj <= 10**19
    assert isinstance(watts, Missing) or 0 < watts <= 1_400


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(fill(value=0), "lists no GPU", id="none"),
        pytest.param(fill(value=BLANK_32), "lists 4,294,967,295 GPUs", id="all-ones"),
        pytest.param(lambda *_: TIMEOUT, "did not start: the driver timed out", id="refused"),
        pytest.param(lambda *_: 777, "did not start: driver error 777", id="unknown-code"),
    ],
)
def test_a_number_of_gpus_that_is_none_stops_the_source(answer: Callable[..., int], words: str) -> None:
    """Without a number of GPUs to believe in, opening says why, and lets go of the driver."""
    bench = Bench(STEADY)
    bench.driver.instead["nvmlDeviceGetCount_v2"] = answer
    with pytest.raises(SourceStopped, match=words):
        bench.source.open()
    assert pynvml.nvmlLib is None


def test_many_boards_are_opened_and_read() -> None:
    """Sixty-four boards each have an identity, and each is read."""
    bench = Bench(STEADY + "    count: 64\n")
    devices = bench.source.open()
    assert {bench.source.read(device.board, slow=False).power_watts for device in devices} == {300.0}
    assert len({device.uuid for device in devices}) == 64


def text_of(raw: bytes) -> Callable[..., int]:
    """A function that answers these bytes."""

    def answer(_: Any, buffer: Any, __: Any) -> int:
        buffer.value = raw
        return 0

    return answer


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        pytest.param(b"", "the driver gives it no UUID", id="empty"),
        pytest.param(b"GPU-\xff\xfe", "the driver's answer cannot be used (UnicodeDecodeError)", id="no-text"),
    ],
)
def test_a_board_without_a_usable_uuid_is_listed_by_its_index(raw: bytes, why: str) -> None:
    """A UUID that is none identifies nothing: the board is held and paid for under its index."""
    bench = Bench(STEADY)
    bench.driver.instead["nvmlDeviceGetUUID"] = text_of(raw)
    [device] = bench.source.open()
    assert (device.uuid, device.method) == ("unidentified-0", Missing(why))


def test_two_boards_of_one_uuid_are_two_devices() -> None:
    """Of two boards that claim one UUID the first has it; the other is held under its index, at later looks as well."""
    bench = Bench(STEADY + "    count: 2\n")
    bench.driver.instead["nvmlDeviceGetUUID"] = text_of(b"GPU-1")
    devices = bench.source.open()
    assert [device.uuid for device in devices] == ["GPU-1", "unidentified-1"]
    assert bench.source.seek() == devices


def test_a_name_that_is_no_text_leaves_the_board_unnamed() -> None:
    """A name of bytes that are no text costs the name and nothing else."""
    bench = Bench(STEADY)
    bench.driver.instead["nvmlDeviceGetName"] = text_of(b"\xff")
    [device] = bench.source.open()
    assert (device.name, device.method) == ("unknown GPU", "counter")


@pytest.mark.parametrize(
    "function",
    [
        "nvmlDeviceGetNumGpuCores",
        "nvmlDeviceGetC2cModeInfoV",
        "nvmlDeviceGetMaxMigDeviceCount",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetMaxClockInfo",
        "nvmlDeviceGetEnforcedPowerLimit",
        "nvmlMemory_v2",
    ],
)
def test_older_bindings_lack_some_functions(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pynvml that does not know a function leaves that value missing: the board opens and is read."""
    monkeypatch.delattr(pynvml, function)
    bench = Bench(STEADY)
    [device] = bench.source.open()
    reading = bench.read(slow=True)
    assert (device.method, device.name) == ("counter", "NVIDIA H100 80GB HBM3")
    assert (reading.power_watts, isinstance(reading.memory_used_bytes, int)) == (300.0, True)
