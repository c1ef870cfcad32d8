"""`python -m tests.bench [NAME…]`: run the benchmarks and print measured figures against their bars."""

import sys
from collections.abc import Callable, Iterable, Iterator

from tests.bench import (
    agent,
    ending,
    energy,
    fates,
    fleet,
    http,
    hung,
    journal,
    killed,
    killed_agent,
    launch,
    listing,
    month,
    nodelist,
    notify,
    pricing,
    refusals,
    resumed,
    scrape,
    tick,
    whatif,
)
from tests.bench.table import Row, text

BENCHES: dict[str, Callable[[], Iterable[Row]]] = {
    "launch": launch.measure,
    "ending": ending.measure,
    "tick": tick.measure,
    "agent": agent.measure,
    "energy": energy.measure,
    "fates": fates.measure,
    "killed": killed.measure,
    "agentkills": killed_agent.measure,
    "resumed": resumed.measure,
    "month": month.measure,
    "journal": journal.measure,
    "pricing": pricing.measure,
    "listing": listing.measure,
    "nodelist": nodelist.measure,
    "notify": notify.measure,
    "hung": hung.measure,
    "http": http.measure,
    "refusals": refusals.measure,
    "whatif": whatif.measure,
    "scrape": scrape.measure,
    "fleet": fleet.measure,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; 1 when a bar is missed."""
    missed = 0
    for name in names or BENCHES:
        print(name, flush=True)
        seen: list[Row] = []
        for line in text(_remembered(BENCHES[name](), seen)):
            print(line, flush=True)
        missed += sum(not row.is_kept for row in seen)
    print(f"{missed} bars missed" if missed else "every bar kept")
    return int(missed > 0)


def _remembered(rows: Iterable[Row], seen: list[Row]) -> Iterator[Row]:
    for row in rows:
        seen.append(row)
        yield row


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
