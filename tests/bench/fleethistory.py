"""A past for a fleet: a month of hourly series and six hours of the others, written into a Prometheus that is empty.

It is sent by remote write (https://prometheus.io/docs/specs/prw/remote_write_spec/), in order of time, because a query
costs what it reads: on a server that is five minutes old every board is fast. Every series has the same values.
"""

import math
import struct
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence

MONTH_SECONDS, DAY_PART_SECONDS = 30 * 86_400, 6 * 3_600
#: `costmeter-hours` is evaluated this often; the others are thinned to one sample a minute, which is said.
HOURLY_EVERY_SECONDS, OTHERS_EVERY_SECONDS = 300, 60
#: Samples more than an hour older than the newest are refused, so all series go on together.
_SLAB_SECONDS = 600

Labels = Mapping[str, str]


def write(url: str, series: Sequence[Labels], end_seconds: int) -> int:
    """All that these series would have been until an instant; how many samples that was."""
    hourly = [_labels(each) for each in series if each["__name__"].endswith(":increase1h")]
    others = [_labels(each) for each in series if not each["__name__"].endswith(":increase1h")]
    count, start = 0, end_seconds - MONTH_SECONDS
    while start < end_seconds:
        end = min(start + _SLAB_SECONDS, end_seconds)
        count += _send(url, hourly, range(start, end, HOURLY_EVERY_SECONDS))
        if start >= end_seconds - DAY_PART_SECONDS:
            count += _send(url, others, range(start, end, OTHERS_EVERY_SECONDS))
        start = end
    return count


def _send(url: str, series: Sequence[bytes], at_seconds: Iterable[int]) -> int:
    """One stretch of all of them, a few megabytes at a time."""
    instants = list(at_seconds)
    samples = b"".join(_field(2, _sample(at, 1 + math.sin(at))) for at in instants)
    for first in range(0, len(series), 5_000):
        body = b"".join(_field(1, labels + samples) for labels in series[first : first + 5_000])
        headers = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        urllib.request.urlopen(
            urllib.request.Request(f"{url}/api/v1/write", _snappy(body), headers), timeout=120
        ).close()
    return len(series) * len(instants)


def _labels(labels: Labels) -> bytes:
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels.items())
    )


def _sample(at_seconds: int, value: float) -> bytes:
    return b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(1_000 * at_seconds)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    return bytes(_sevens(number))


def _sevens(number: int) -> Iterator[int]:
    while number > 0x7F:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number


def _snappy(content: bytes) -> bytes:
    """As snappy has what it could not make smaller: one literal."""
    return _varint(len(content)) + b"\xfc" + struct.pack("<I", len(content) - 1) + content
