"""How a person names GPUs: `8 × H100 80GB HBM3`, in a list `8×H100`, by number `0-2, 5`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from costmeter.readings import Device

_MAKERS = ("NVIDIA", "GeForce", "Tesla", "Quadro")
#: What follows the model in the driver's names: memory, form, and what is no part of any model's name.
_FORMS = ("SXM", "PCIE", "HBM", "NVL", "GENERATION", "WITH")
_MIG = " MIG "


def gpu_names(devices: Sequence[Mapping[str, Any]]) -> str:
    """`8 × H100 80GB HBM3`, several models joined by +; of divided boards `MIG 3g.40gb + 2 × 1g.10gb of H100 …`."""
    whole = Counter(without_maker(device["name"]) for device in devices if not device.get("mig"))
    parts = [f"{count} × {name}" for name, count in whole.items()]
    divided: dict[str, Counter[str]] = {}
    for device in devices:
        if device.get("mig"):
            model, _, profile = without_maker(device["name"]).partition(_MIG)
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


def brief_names(gpus: Iterable[tuple[str, int]]) -> str:
    """`8×H100`: models and their counts, by the drivers' names; nothing where there is no GPU."""
    counts: Counter[str] = Counter()
    for name, count in gpus:
        counts[short_model(name)] += count
    return " + ".join(f"{count}×{model}" for model, count in counts.items())


def without_maker(name: str) -> str:
    """`H100 80GB HBM3` of `NVIDIA H100 80GB HBM3`, `T4` of `Tesla T4`; what is nothing but makers stays."""
    words = name.split()
    while words and words[0] in _MAKERS:
        del words[0]
    return " ".join(words) or name


def short_model(name: str) -> str:
    """`H100` of `NVIDIA H100 80GB HBM3`, `RTX 6000 Ada` of `NVIDIA RTX 6000 Ada Generation`, a MIG profile kept."""
    board, mig, profile = without_maker(name).partition(_MIG)
    kept: list[str] = []
    for word in board.replace("-", " ").split():
        if kept and (word.upper().startswith(_FORMS) or (word[:1].isdigit() and word.upper().endswith("GB"))):
            break
        kept.append(word)
    return (" ".join(kept) or board) + mig + profile


def _times(count: int, what: str) -> str:
    return what if count == 1 else f"{count} × {what}"
