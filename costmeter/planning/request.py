"""What somebody asks an estimate of, and what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_LARGEST = Decimal("1e30")


@dataclass(frozen=True, slots=True)
class Request:
    """One run in the words of its flags; None is not said. Exactly one of hours, GPU-hours, FLOPs and params is needed.

    `count` is GPUs, `tflops` what one of them achieves, `watts` what one draws, `host_watts` what a machine draws
    beside its GPUs. `load` and `mfu` are shares of one, and so is `buffer`, a reserve on top of all runs.
    """

    gpu: str | None = None
    count: int | None = None
    hours: Decimal | None = None
    gpu_hours: Decimal | None = None
    flops: Decimal | None = None
    params: Decimal | None = None
    tokens: Decimal | None = None
    mfu: Decimal | None = None
    tflops: Decimal | None = None
    watts: Decimal | None = None
    host_watts: Decimal | None = None
    load: Decimal | None = None
    purchase: Decimal | None = None
    runs: int = 1
    buffer: Decimal = Decimal(0)


def complaints(request: Request) -> list[str]:
    """Everything that is wrong with a request, each with what to type; empty when nothing is."""
    return [*_amount(request), *_speed(request), *_bounds(request)]


def _amount(request: Request) -> Iterator[str]:
    """How much work it is: said once, and completely."""
    ways = {
        "--hours": request.hours,
        "--gpu-hours": request.gpu_hours,
        "--flops": request.flops,
        "--params": request.params,
    }
    said = [flag for flag, value in ways.items() if value is not None]
    if len(said) > 1:
        yield f"{' and '.join(said)} each say how much work it is; give one of them"
    if not said and request.tokens is None:
        yield "how much work? Give --hours 12, --gpu-hours 1000, --flops 3e23, or --params 7B --tokens 140B"
    if request.params is not None and request.tokens is None:
        yield "--params needs the tokens it is trained on, such as --tokens 140B"
    if request.tokens is not None and request.params is None:
        yield "--tokens needs the parameters that are trained, such as --params 7B"


def _speed(request: Request) -> Iterator[str]:
    if request.mfu is not None and request.tflops is not None:
        yield "--mfu and --tflops each say how fast a GPU computes; give one of them"


def _bounds(request: Request) -> Iterator[str]:
    """Nonsense in single values."""
    positive = {
        "--count": request.count,
        "--hours": request.hours,
        "--gpu-hours": request.gpu_hours,
        "--flops": request.flops,
        "--params": request.params,
        "--tokens": request.tokens,
        "--mfu": request.mfu,
        "--tflops": request.tflops,
        "--watts": request.watts,
        "--load": request.load,
        "--purchase": request.purchase,
        "--runs": request.runs,
    }
    for flag, value in positive.items():
        if value is not None and not 0 < value <= _LARGEST:
            yield f"{flag} {value}: expected more than 0"
    for flag, share in (("--mfu", request.mfu), ("--load", request.load)):
        if share is not None and share > 1:
            meant = f"; did you mean {share}%?" if share <= 100 else ""
            yield f"{flag} {share}: expected a share of at most 1, such as 0.4 or 40%{meant}"
    if request.buffer > 10:
        yield f"--buffer {request.buffer}: expected a share, such as 0.15 or 15%"
