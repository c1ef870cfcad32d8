"""What people say of a site on the command line, in the grammar of settings: files by endings, zones by names."""

from collections.abc import Sequence

from costmeter.config.grammar import Number, Price, keys
from costmeter.config.number import complaint
from costmeter.config.quoting import quoted
from costmeter.errors import UsageError

_TARIFF, _SERIES = (".yaml", ".yml"), ".csv"
_BEGIN_NUMBERS = frozenset("0123456789.+-")


def carbon(text: str) -> str:
    """`380`, `gb.csv`, `DE` or flow YAML, as `carbon.intensity` takes it.

    Raises UsageError, without the name of a flag, for a number out of bounds and for a zone that is none or several.
    """
    from costmeter.rates.grid import zone

    text = text.strip()
    if _is_number(text, "carbon.intensity") or text.casefold().endswith(_SERIES) or text.startswith("{"):
        return text
    try:
        zone(text)
    except LookupError as error:
        raise UsageError(str(error.args[0]), "a number such as 380, a zone such as DE, or a FILE.csv") from None
    return f"{{zone: {quoted(text)}}}"


def electricity(texts: Sequence[str], plan: str | None = None) -> str:
    """`0.12`, `agile.csv`, flow YAML, or tariff files and the plan of them, as `electricity.price` takes it.

    Raises UsageError, without the name of a flag, for a number that is none, and for files that do not go together.
    """
    texts = [text.strip() for text in texts]
    if all(text.casefold().endswith(_TARIFF) for text in texts):
        chosen = f", plan: {quoted(plan)}" if plan is not None else ""
        return f"{{tariff: [{', '.join(map(quoted, texts))}]{chosen}}}"
    if plan is not None:
        raise UsageError("a plan is chosen from a tariff file (.yaml)")
    if len(texts) > 1:
        raise UsageError("only the price sheets (.yaml) of one tariff may be several; give one series or one price")
    _is_number(texts[0], "electricity.price")
    return texts[0]


def _is_number(text: str, setting: str) -> bool:
    """Whether a text begins as a number does, and is one within the setting's bounds. Raises UsageError where not."""
    if text[:1] not in _BEGIN_NUMBERS or text.casefold().endswith((_SERIES, *_TARIFF)):
        return False
    problem = complaint(number_of(setting), text)
    if problem is not None:
        raise UsageError(problem)
    return True


def number_of(setting: str) -> Number:
    """The kind of number that a setting is, or is one of the forms of."""
    kind = dict(keys())[setting].kind
    number = kind.number if isinstance(kind, Price) else kind
    assert isinstance(number, Number)
    return number
