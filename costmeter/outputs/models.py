"""How a list names GPUs, in few letters: `8×H100`."""

from collections.abc import Iterable

_MAKERS = ("NVIDIA", "GeForce", "Tesla", "Quadro")
#: What follows the model in the driver's names: memory, form, and what is no part of any model's name.
_FORMS = ("SXM", "PCIE", "HBM", "NVL", "GENERATION", "WITH")
_MIG = " MIG "


def brief_names(gpus: Iterable[tuple[str, int]]) -> str:
    """Models and their counts, by the drivers' names; nothing where there is no GPU."""
    counts: dict[str, int] = {}
    for name, count in gpus:
        model = short_model(name)
        counts[model] = counts.get(model, 0) + count
    return " + ".join(f"{count}×{model}" for model, count in counts.items())


def short_model(name: str) -> str:
    """`H100` of `NVIDIA H100 80GB HBM3`, `RTX 6000 Ada` of `NVIDIA RTX 6000 Ada Generation`, a MIG profile kept."""
    board, mig, profile = name.partition(_MIG)
    kept: list[str] = []
    for word in board.replace("-", " ").split():
        if word in _MAKERS and not kept:
            continue
        if kept and (word.upper().startswith(_FORMS) or (word[:1].isdigit() and word.upper().endswith("GB"))):
            break
        kept.append(word)
    return (" ".join(kept) or name) + (f"{mig}{profile}" if mig else "")
