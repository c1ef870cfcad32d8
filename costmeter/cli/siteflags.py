"""The flags of a site that `estimate`, `when` and `init` share: each is a setting, and is checked as one."""

import argparse
from collections.abc import Callable, Sequence

from costmeter.errors import UsageError


def add_site_flags(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """PUE, carbon and currency; what a kWh costs has a flag of its own in each command."""
    parser.add_argument("--pue", metavar="PUE", help="facility energy over IT energy")
    parser.add_argument("--carbon", metavar="G", help="grams of CO2e per kWh, a zone such as DE, or a series (.csv)")
    parser.add_argument("--currency", metavar="CODE", help="currency of all prices, such as EUR")


def add_owner_flags(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """What an owner pays: the GPUs and a kWh."""
    parser.add_argument("--purchase", metavar="P", help="what one GPU costs to buy, with its share of the server")
    parser.add_argument("--electricity", metavar="P", help="price per kWh, or a tariff (.yaml) or dated series (.csv)")


def unused_settings(args: argparse.Namespace) -> frozenset[str]:
    """The settings that these flags put out of use: a market-based factor stands beside the settings' own grid only."""
    return frozenset() if args.carbon is None else frozenset({"carbon.market"})


def site_settings(args: argparse.Namespace, flag: str, paid: Sequence[str], plan: str | None = None) -> dict[str, str]:
    """The settings behind these flags and `paid`, the values of the flag that says what a kWh costs, by dotted name.

    Raises UsageError, with the flag, for what can be no such setting.
    """
    from costmeter.config.shorthand import carbon, electricity

    typed = {"--pue": (args.pue,), "--currency": (args.currency,), "--carbon": (args.carbon,), flag: paid}
    empty = [name for name, texts in typed.items() if any(text is not None and not text.strip() for text in texts)]
    if empty:
        raise UsageError(
            "\n".join(f'{name} "": there is nothing; leave it out to take the settings\'' for name in empty)
        )
    given = {"electricity.pue": args.pue, "currency": args.currency}
    settings = {name: text for name, text in given.items() if text is not None}
    if paid:
        settings["electricity.price"] = _named(flag, lambda: electricity(paid, plan))
    elif plan is not None:
        raise UsageError(f"--plan is one of a tariff: give its file, {flag} tariff.yaml")
    if args.carbon is not None:
        settings["carbon.intensity"] = _named("--carbon", lambda: carbon(args.carbon))
    return settings


def _named(flag: str, read: Callable[[], str]) -> str:
    try:
        return read()
    except UsageError as error:
        raise UsageError(f"{flag}: {error.message}", error.hint) from None
