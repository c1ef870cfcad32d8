"""Which feeds there are: what each is asked for, where its server is, and who fetches."""

from dataclasses import dataclass

from costmeter.errors import UsageError
from costmeter.feeds import awattar, azure, carbonintensitygb, electricitymaps, energycharts, octopus
from costmeter.feeds.series import Fetch


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed. `words` are the names of its arguments; `defaults` stand for the last of them when they are not given.

    `base` is the address of its server; `{0}` in it is the first argument.
    """

    name: str
    words: tuple[str, ...]
    brings: str
    base: str
    fetch: Fetch
    defaults: tuple[str, ...] = ()
    token_variable: str = ""
    is_dated: bool = True

    @property
    def usage(self) -> str:
        """How it is typed."""
        required = len(self.words) - len(self.defaults)
        words = [word if at < required else f"[{word}]" for at, word in enumerate(self.words)]
        return " ".join(["costmeter prices fetch", self.name, *words, "-o FILE"])

    def complete(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The words with defaults for those not given. Raises UsageError."""
        missing = len(self.words) - len(words)
        if missing < 0 or missing > len(self.defaults):
            raise UsageError(f"{self.name} takes {' '.join(self.words) or 'no words'}", self.usage)
        whole = words + self.defaults[len(self.defaults) - missing :]
        for name, word in zip(self.words, whole, strict=True):
            known = name.split("|")
            if not word or (len(known) > 1 and word not in known):
                raise UsageError(f'{self.name}: {name} cannot be "{word}"', self.usage)
            if not word.isprintable() or "/" in word or word in (".", ".."):
                raise UsageError(f"{self.name}: no {name} is written so", self.usage)
        return whole


FEEDS = {
    feed.name: feed
    for feed in (
        Feed(
            octopus.NAME,
            ("PRODUCT", "TARIFF-CODE"),
            "electricity price, Great Britain, half-hourly",
            "https://api.octopus.energy",
            octopus.fetch,
        ),
        Feed(
            awattar.NAME,
            ("de|at",),
            "electricity price, day-ahead, Germany or Austria",
            "https://api.awattar.{0}",
            awattar.fetch,
        ),
        Feed(
            energycharts.NAME,
            ("ZONE",),
            "electricity price, day-ahead, European bidding zones",
            "https://api.energy-charts.info",
            energycharts.fetch,
        ),
        Feed(
            electricitymaps.NAME,
            ("ZONE", "history|latest"),
            "carbon intensity of a zone, hourly, lifecycle",
            "https://api.electricitymaps.com",
            electricitymaps.fetch,
            ("history",),
            electricitymaps.TOKEN_VARIABLE,
            is_dated=False,
        ),
        Feed(
            carbonintensitygb.NAME,
            (),
            "carbon intensity of Great Britain, half-hourly, direct",
            "https://api.carbonintensity.org.uk",
            carbonintensitygb.fetch,
        ),
        Feed(
            azure.NAME,
            ("INSTANCE", "REGION", "|".join(azure.KINDS)),
            "GPU price of an Azure instance now, per GPU-hour",
            "https://prices.azure.com",
            azure.fetch,
            ("on_demand",),
            is_dated=False,
        ),
    )
}
