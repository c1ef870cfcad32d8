"""What is published about each GPU model: power, arithmetic and the price of a card; found by short names.

The tables are snapshots of public facts, `data/gpu_models.csv` and for power `data/boards.csv`; their comment headers
state the sources.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from itertools import pairwise

from costmeter.rates.boards import power_range
from costmeter.rates.prices import rows

#: Of several boards that a short name fits, the one that training nodes mostly have.
_COMMON = frozenset(
    {"H100-80GB-SXM5", "A100-80GB-SXM4", "V100-16GB-SXM2", "P100-16GB-SXM2", "H200-141GB-SXM5", "GH200-96GB"}
)
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One model. `nvml_name` is the driver's; None is not known.

    `tdp_watts` is what it draws at full load. `dense_tflops` is the peak without sparsity at the precision that
    `tflops_basis` names. The prices are of one card, in USD before tax, and `price_basis` says of what kind.
    """

    key: str
    nvml_name: str
    aliases: tuple[str, ...]
    tdp_watts: Decimal | None
    dense_tflops: Decimal | None
    tflops_basis: str
    price_low_usd: Decimal | None
    price_high_usd: Decimal | None
    price_basis: str

    @property
    def price_middle_usd(self) -> Decimal | None:
        """Half-way between the lowest and the highest price of a card."""
        if self.price_low_usd is None or self.price_high_usd is None:
            return None
        return (self.price_low_usd + self.price_high_usd) / 2


@dataclass(frozen=True, slots=True)
class Meant:
    """The model a name was taken for, and the keys of the others that it fits as well."""

    model: GpuModel
    others: tuple[str, ...] = ()


def find(name: str) -> Meant:
    """The model of a short name: `h100`, `a100-80gb`, `H100 SXM`, `rtx 4090`, or the name the driver reports.

    Every word of the name must be one of the model's, or two of them written as one (`rtx4090`); `sxm` is any `sxm5`.
    A key or a driver's name is itself alone. Of several models the plain one is taken (no `D`, no `SUPER`), else
    the one common in training nodes, else the only SXM board. Raises LookupError, whose text lists what it fits or
    what is nearest, when that leaves none or more than one.
    """
    wanted = _words(name)
    exact = [model for model in models() if "".join(wanted) in map(_joined, (model.key, *model.aliases))]
    if len(exact) == 1:
        return Meant(exact[0])
    fitting = [model for model in models() if wanted and _fits(wanted, model)]
    if not fitting:
        near = get_close_matches(name.casefold(), {model.key.casefold(): 0 for model in models()}, 3, 0.5)
        keys = [model.key for model in models() if model.key.casefold() in near]
        raise LookupError(f'no GPU model "{name}" in the table' + (f"; near it: {', '.join(keys)}" if keys else ""))
    for choice in (fitting, _plain(fitting), _common(fitting), _sxm(fitting)):
        if len(choice) == 1:
            return Meant(choice[0], tuple(model.key for model in fitting if model is not choice[0]))
    keys = [model.key for model in fitting]
    raise LookupError(f'"{name}" fits {_listed(keys)}; name one of them')


@cache
def models() -> tuple[GpuModel, ...]:
    """Every model of the table."""
    return tuple(_model(row) for row in rows("gpu_models.csv"))


def _model(row: dict[str, str]) -> GpuModel:
    names = tuple(row["nvml_names"].split("|"))
    drawn = power_range(names[0])
    return GpuModel(
        row["gpu_key"],
        names[0],
        names,
        None if drawn is None else Decimal(repr(drawn.full_watts)),
        _number(row["dense_tflops"]),
        row["tflops_basis"],
        _number(row["price_usd_low"]),
        _number(row["price_usd_high"]),
        row["price_basis"],
    )


def _number(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def _words(name: str) -> tuple[str, ...]:
    """The words of a name without vendor and brand, in order."""
    words = re.findall(r"[0-9a-z.]+", name.casefold())
    return tuple(word for word in words if word not in ("nvidia", "tesla", "geforce", "gpu"))


def _joined(name: str) -> str:
    return "".join(_words(name))


def _fits(wanted: tuple[str, ...], model: GpuModel) -> bool:
    names = [_words(name) for name in (model.key, *model.aliases)]
    own = {word for name in names for word in name}
    own |= {first + second for name in names for first, second in pairwise(name)}
    return all(any(_is_word(word, known) for known in own) for word in wanted)


def _is_word(word: str, known: str) -> bool:
    """Whether a word is this one: `sxm` is `sxm5`, and `80g` is `80gb`, but `a10` is not `a100`."""
    if word == known or f"{word}b" == known:
        return True
    return word.isalpha() and known.startswith(word) and known[len(word) :].isdecimal()


def _plain(fitting: list[GpuModel]) -> list[GpuModel]:
    """The model whose name is a part of all the others': an RTX 4090 beside the RTX 4090 D."""
    return [model for model in fitting if all(set(_words(model.key)) <= set(_words(other.key)) for other in fitting)]


def _common(fitting: Iterable[GpuModel]) -> list[GpuModel]:
    return [model for model in fitting if model.key in _COMMON]


def _sxm(fitting: Iterable[GpuModel]) -> list[GpuModel]:
    return [model for model in fitting if "-SXM" in model.key]


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more
