"""Flag values that are checked before the job starts. Imports nothing heavy: the wrapper has 30 ms in all."""

import re

from costmeter.errors import UsageError

_PRICE = r"([0-9]{1,12}(?:\.[0-9]{1,12})?|\.[0-9]{1,12})(?:\s?/\s?(?:gpu-?)?h(?:our|r)?)?"


def parse_price(text: str) -> str:
    """The number in `--price` (`2.49`, `2.49/gpu-h`), still as text: exact, and Decimal is not needed yet.

    Raises UsageError for everything else, so that a mistyped price never becomes another price. A currency sign is
    refused too: the currency is the settings', and nothing is converted.
    """
    match = re.fullmatch(_PRICE, text.strip(), re.ASCII | re.DOTALL)
    if match is None:
        advice = ", with a point" if "," in text else ", without a currency" if re.search("[$€£A-Z]", text) else ""
        raise UsageError(f'--price "{text}": expected a price per GPU-hour such as 2.49 or 2.49/gpu-h{advice}')
    number: str = match[1]
    return number


_ADDRESS = r"(?:(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]|):)?(?P<port>[0-9]{1,5})"
LOOPBACK = "127.0.0.1"
#: Where an agent serves, and a run that is told to, unless another is named (docs/agent.md).
PORT = 26_786


def parse_address(text: str, option: str = "--listen") -> tuple[str, int]:
    """`127.0.0.1:26786`, `[::1]:0` or a port alone, as host and port. Loopback unless told otherwise.

    Raises UsageError for everything else.
    """
    match = re.fullmatch(_ADDRESS, text.strip(), re.ASCII | re.DOTALL)
    if match is None or int(match["port"]) > 65_535:
        raise UsageError(
            f'{option} "{text}": expected an address such as 127.0.0.1:26786, or a port (0 for any free one)'
        )
    return (match["host"] or LOOPBACK).strip("[]"), int(match["port"])


SHORTEST_INTERVAL_SECONDS, LONGEST_INTERVAL_SECONDS = 0.05, 60.0


def parse_interval(text: str) -> float:
    """Seconds between readings. Raises UsageError outside 0.05 to 60: a slot is a minute long."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not SHORTEST_INTERVAL_SECONDS <= seconds <= LONGEST_INTERVAL_SECONDS:
        raise UsageError(f'--interval "{text}": expected seconds between 0.05 and 60, such as 1')
    return seconds


_LABEL = r"([A-Za-z_][A-Za-z0-9_]{0,63})=(.{0,200})"


def parse_label(text: str) -> tuple[str, str]:
    """`team=nlp` as name and value. Raises UsageError when the name could not be a metric label."""
    match = re.fullmatch(_LABEL, text, re.ASCII | re.DOTALL)
    if match is None:
        raise UsageError(f'--label "{text}": expected NAME=VALUE such as project=llm')
    return match[1], match[2]


#: A budget in one word: an amount, its currency, whose spending counts. Groups: amount, currency, per.
BUDGET = (
    r"([0-9]{1,12}(?:\.[0-9]{1,12})?|\.[0-9]{1,12})(?: ?([A-Z]{3}))?"
    r"(?: ?/ ?(run|day|month|project/day|project/month|project))?"
)


def split_budget(text: str) -> tuple[str, str, str] | None:
    """Amount, currency and whose spending counts, in `80`, `80 USD` or `80/day`; None for everything else.

    What is not said is empty. Nothing is nothing to spend: 0 is no budget.
    """
    match = re.fullmatch(BUDGET, text.strip(), re.ASCII)
    if match is None or not match[1].strip("0."):
        return None
    return match[1], match[2] or "", match[3] or ""


def parse_budget(text: str, on_exceed: str | None) -> str:
    """`80`, `80USD` or `80/day` as a budget of the settings, in flow YAML. Raises UsageError for everything else."""
    said = split_budget(text)
    if said is None:
        raise UsageError(f'--budget "{text}": expected an amount such as 80, 80USD or 80/day')
    amount, currency, per = said
    keys = {"amount": f"{amount} {currency}".strip(), "per": per, "on_exceed": on_exceed or ""}
    return "{" + ", ".join(f"{name}: {value}" for name, value in keys.items() if value) + "}"


_GRACE = r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s?(s|m|h)?"
_SECONDS = {"s": 1, "m": 60, "h": 3_600}
LONGEST_GRACE_SECONDS = 86_400.0


def parse_grace(text: str) -> float:
    """Seconds in `10m`, `90s`, `1h` or `600`. Raises UsageError outside 1 s to 24 h: nothing is stopped without any."""
    match = re.fullmatch(_GRACE, text.strip(), re.ASCII)
    seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0
    if not 1.0 <= seconds <= LONGEST_GRACE_SECONDS:
        raise UsageError(f'--grace "{text}": expected a time from 1s to 24h, such as 10m')
    return seconds


_GPU = r"(?:[0-9]{1,4}(?::[0-9]{1,3})?|(?:GPU|MIG)-[0-9A-Za-z/-]+)"
_GPU_LIST = rf"all|none|{_GPU}(,{_GPU})*"


def parse_gpus(text: str) -> str:
    """`0,1`, `0:1` (a MIG instance), UUIDs, `all` or `none`, unchanged. Raises UsageError for what can be none."""
    if re.fullmatch(_GPU_LIST, text.strip(), re.ASCII | re.DOTALL | re.IGNORECASE) is None:
        forms = "0,1 or 0:1 (a MIG instance) or GPU-8932f937, or all, or none"
        raise UsageError(f'--gpus "{text}": expected indices or UUIDs such as {forms}')
    return text.strip()
