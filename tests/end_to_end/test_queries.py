"""The queries of docs/metrics.md, asked of a real Prometheus that holds ten minutes of a node with a shared GPU.

The node is rented at $3.60 an hour a GPU: a tenth of a cent a second. maya has the first GPU alone and shares the
second with lee; the third is idle in kim's hands, of whom no run is known; the fourth is nobody's. In ten minutes
(600 s) maya's run comes to $0.60 + $0.30, lee's to $0.30, the fourth GPU to $0.60 unheld.
"""

import json
import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.ledger.node.record import Holders, RunSeen
from costmeter.ledger.record import SlotEntry
from costmeter.meter.interval import Interval
from costmeter.outputs.nodepage import page
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.outputs.snapshot import Seen
from tests.end_to_end.installed import eventually
from tests.end_to_end.test_prometheus import ABSENT, get, started
from tests.outputs.test_nodepage import FIRST, LAST, LEE, MAYA, SECOND_GPU, THIRD, USER, facts, node_of, slot
from tests.outputs.test_prometheus import OPENMETRICS
from tests.samples import BEGAN_NS, BEGAN_UTC_NS, JOULE, MINUTE, SECOND, measured, rates, rates_from_start, rental

pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"{' and '.join(ABSENT)} not installed")

PRICES = rates({uuid: rental("3.60") for uuid in (FIRST, SECOND_GPU, THIRD, LAST)})
BY = {FIRST: (MAYA,), SECOND_GPU: (MAYA, LEE), THIRD: (USER,)}
MINUTES = 10
#: For each query of the table, what the node above answers.
EXPECTED = {
    "cost by user": {"maya": 0.9, "lee": 0.3},
    "cost by run": {"r-maya": 0.9, "lee": 0.3},
    "idle by run": {"r-maya": 0.3, "lee": 0.0},
    "$/h now, by user": {"maya": 5.4, "lee": 1.8, "kim": 3.6},
    "$/h of what nobody holds": {"": 3.6},
    "power of a run's GPUs": {"r-maya": 900.0, "lee": 300.0, "": 100.0},
}


def after(minutes: int) -> str:
    """The node's page so many minutes after its beginning, as OpenMetrics."""
    did = {
        FIRST: measured(MINUTE // 2, 18_000 * JOULE, MINUTE // 2, 3_000 * JOULE),
        SECOND_GPU: measured(MINUTE, 36_000 * JOULE),
        THIRD: measured(0, 0, MINUTE, 6_000 * JOULE),
        LAST: measured(0, 0, MINUTE, 6_000 * JOULE),
    }
    seen = [RunSeen(BEGAN_UTC_NS, facts(each)) for each in (MAYA, LEE)]
    slots = [SlotEntry(slot(did, BY, minute)) for minute in range(minutes)]
    part = node_of([rates_from_start(PRICES), *seen, Holders(BEGAN_UTC_NS, BY), *slots])
    now_ns, watts = BEGAN_NS + minutes * MINUTE, {FIRST: 600, SECOND_GPU: 600, THIRD: 100}
    last = {
        uuid: Interval(uuid, now_ns - SECOND, now_ns, "busy", power * JOULE, "counter", 0.9)
        for uuid, power in watts.items()
    }
    shown = (MAYA.key, LEE.key)
    at_ns = BEGAN_UTC_NS + minutes * MINUTE
    snapshot = NodeSnapshot(at_ns, BEGAN_UTC_NS, part, seen=Seen(last), shown=shown)
    return page(snapshot, OPENMETRICS)[0].decode()


def stored(text: str, at_s: int) -> Iterator[str]:
    """A page as a scrape of that time would be stored: with the labels that Prometheus adds."""
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        if not line.startswith("#"):
            name, _, labels = series.partition("{")
            own = f",{labels.removesuffix('}')}" if labels else ""
            yield f'{name}{{instance="gpu01:26786",job="costmeter"{own}}} {value} {at_s}'


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that holds a scrape of every minute."""
    folder = tmp_path_factory.mktemp("queries")
    lines = [
        line for minute in range(MINUTES + 1) for line in stored(after(minute), BEGAN_UTC_NS // SECOND + 60 * minute)
    ]
    (folder / "pages").write_text("\n".join([*lines, "# EOF\n"]))
    backfill = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "pages"), str(folder / "tsdb")]
    subprocess.run(backfill, check=True, capture_output=True, timeout=60)
    (folder / "empty.yml").write_text("{}\n")
    argv = ["prometheus", f"--config.file={folder / 'empty.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    argv += ["--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0", "--log.level=info"]
    log = folder / "prometheus.log"
    with log.open("w") as writing, started(argv, stdout=writing, stderr=subprocess.STDOUT):
        found = eventually(lambda: re.search(r'"Listening on" address=(\S+)', log.read_text()), "Prometheus")
        eventually(lambda: "Server is ready" in log.read_text() or None, "Prometheus to be ready")
        yield found[1]


def queries() -> dict[str, str]:
    """What docs/metrics.md has, by what it asks for."""
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = text.partition("## Queries")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| ([^|`]+) \| `(.+)` \|$", table, re.MULTILINE))


def test_every_query_of_the_table_has_an_answer_here() -> None:
    """None is in the documentation that is not asked."""
    assert set(EXPECTED) == set(queries())


@pytest.mark.parametrize("what", EXPECTED)
def test_the_answer_is_the_one_by_hand(what: str, address: str) -> None:
    """Every user, run and GPU once, though a GPU has two holders."""
    at_s = BEGAN_UTC_NS // SECOND + 60 * MINUTES
    asked = urllib.parse.urlencode({"query": queries()[what], "time": at_s})
    answer = json.loads(get(f"http://{address}/api/v1/query?{asked}"))
    found = {next(iter(each["metric"].values()), ""): float(each["value"][1]) for each in answer["data"]["result"]}
    assert found == pytest.approx(EXPECTED[what], rel=1e-6)
