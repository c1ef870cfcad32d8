"""Answers that are nearly right: every feed reads them or refuses them, and never anything else."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.feeds import series_csv
from costmeter.feeds.directory import FEEDS
from costmeter.feeds.http import FeedError
from costmeter.feeds.series import Row
from tests.config.fuzz import mutations
from tests.feeds import (
    test_awattar,
    test_azure,
    test_carbonintensitygb,
    test_electricitymaps,
    test_energycharts,
    test_octopus,
)
from tests.feeds.servers import DAY_NS, NOON_NS, NOON_S, Said, asked, door, serving

COUNT = 150
HALF_HOURS = [
    test_octopus.rate("2026-11-22T12:30:00Z", "2026-11-22T13:00:00Z", "-3.15"),
    test_octopus.rate("2026-11-22T12:00:00Z", "2026-11-22T12:30:00Z", "12.6"),
]
VALID = {
    "octopus": (("P", "T"), test_octopus.page(*HALF_HOURS)),
    "awattar": (("de",), test_awattar.market((test_awattar.MS, "42.09"), (test_awattar.MS + 3_600_000, "-1.5"))),
    "energy-charts": (("DE-LU",), test_energycharts.prices([NOON_S, NOON_S + 900], ["2.16", "-0.5"])),
    "electricity-maps": (
        ("DE", "history"),
        test_electricitymaps.history(test_electricitymaps.point(12), test_electricitymaps.point(13)),
    ),
    "carbon-intensity-gb": (
        (),
        test_carbonintensitygb.data(
            test_carbonintensitygb.half_hour("2026-11-22T12:00Z", 266, 263),
            test_carbonintensitygb.half_hour("2026-11-22T12:30Z", 266, None),
        ),
    ),
    "azure": (
        (test_azure.SKU, test_azure.REGION, "on_demand"),
        json.dumps({"Items": test_azure.ITEMS, "NextPageLink": None}),
    ),
}


def test_every_feed_is_here() -> None:
    """A new feed is fuzzed too."""
    assert FEEDS.keys() == VALID.keys()


@pytest.mark.parametrize("name", VALID)
def test_a_mutated_answer_is_read_or_refused(name: str) -> None:
    """No exception but our own, whose text names the feed or its address; what is read is in order."""
    words, valid = VALID[name]
    spread = valid.replace(", ", ",\n")  # lines, for the mutations that work on them
    bodies = iter([valid, *mutations(spread, COUNT, seed=4)])
    said = [""]
    read, refusals = 0, list[str]()
    with serving(lambda request: Said(said[0].encode("utf-8", "replace"))) as server:
        wanted = replace(asked(server, *words, token="t"), gpus=Decimal(8))
        for said[0] in bodies:
            try:
                answer = FEEDS[name].fetch(door(), wanted)
            except FeedError as refusal:
                refusals.append(refusal.message)
            else:
                read += 1
                starts = [row.start_utc_ns for row in answer.rows]
                assert starts == sorted(set(starts))
                assert all(row.value.is_finite() for row in answer.rows)
    assert read > 1
    assert len(refusals) > COUNT // 10
    assert [] == [text for text in refusals if not text.startswith((f"{name}: ", server.base))]


def test_a_mutated_file_is_read_or_refused(tmp_path: Path) -> None:
    """A file that somebody edited is merged into or refused by its name, and nothing else happens."""
    valid = (
        "# feed: f\n# source: s\nstart_utc,end_utc,value,unit,estimated\n"
        "2026-11-22T12:00Z,2026-11-22T12:30Z,12.60,GBp/kWh,\n2026-11-22T12:30Z,,-3.1,GBp/kWh,yes\n"
    )
    read, refusals = 0, list[str]()
    for text in mutations(valid, 2 * COUNT, seed=5):
        (tmp_path / "a.csv").write_text(text, encoding="utf-8", errors="replace")
        try:
            rows = series_csv.read(str(tmp_path / "a.csv"), "f", "GBp/kWh", "a.csv")
        except FeedError as refusal:
            refusals.append(refusal.message)
        else:
            read += 1
            series_csv.merge(rows, (Row(NOON_NS, NOON_NS + DAY_NS, Decimal(1)),))
    assert read > 1
    assert len(refusals) > COUNT // 10
    assert [] == [text for text in refusals if not text.startswith("a.csv")]
