"""How a person names GPUs: `8 × H100 80GB HBM3`, `GPU 0-2, 5`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from costmeter.readings import Device

_MIG = " MIG "


def gpu_names(devices: Sequence[Mapping[str, Any]]) -> str:
    """`8 × H100 80GB HBM3`, several models joined by +; of divided boards `MIG 3g.40gb + 2 × 1g.10gb of H100 …`."""
    whole = Counter(_short(device["name"]) for device in devices if not device.get("mig"))
    parts = [f"{count} × {name}" for name, count in whole.items()]
    divided: dict[str, Counter[str]] = {}
    for device in devices:
        if device.get("mig"):
            model, _, profile = _short(device["name"]).partition(_MIG)
            divided.setdefault(model, Counter())[profile or "instance"] += 1
    for model, profiles in divided.items():
        parts.append(f"MIG {' + '.join(_times(count, profile) for profile, count in profiles.items())} of {model}")
    return " + ".join(parts)


def shown_order(device: Device) -> tuple[int, int, str]:
    """Sorts devices as they are shown everywhere: by index, and MIG instances by their place on the board."""
    return device.index, -1 if device.mig is None else device.mig.place, device.uuid


def numbers(indexes: Iterable[int]) -> str:
    """`0-2, 5`: the numbers in order, three and more in a row as a range."""
    runs: list[list[int]] = []
    for index in sorted(set(indexes)):
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _short(name: object) -> str:
    return str(name).removeprefix("NVIDIA ")


def _times(count: int, what: str) -> str:
    return what if count == 1 else f"{count} × {what}"
