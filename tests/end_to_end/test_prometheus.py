"""A real Prometheus scrapes a metered run; what it stored is held against the page and against the receipt.

The comparison is exact, not "about right after some seconds". The test reads the page, and reads it again after
Prometheus has: where both readings are the same text, no tick came between, and what Prometheus stored in the meantime
must be that text's values to the last bit. The receipt then may only be higher, by no more than the rest of the run
could add: rent is linear, and no GPU draws more than its limit.
"""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.installed import COSTMETER, eventually, own_home, receipt

COST = "costmeter_run_cost_usd_total"
ENERGY = "costmeter_run_energy_kwh_total"
EMISSIONS = "costmeter_run_emissions_grams_total"
GPU_TIME = "costmeter_run_gpu_time_seconds_total"
FAMILIES = (COST, ENERGY, EMISSIONS, GPU_TIME)
LABELS = {
    COST: {"run_id", "host", "meter", "component", "state"},
    ENERGY: {"run_id", "host", "meter", "part"},
    EMISSIONS: {"run_id", "host", "meter", "scope"},
    GPU_TIME: {"run_id", "host", "meter", "state"},
}
JOULES_PER_KWH = 3_600_000
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: costmeter, static_configs: [{{targets: ["{target}"]}}]}}]
"""

ABSENT = [program for program in ("prometheus", "promtool") if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"{' and '.join(ABSENT)} not installed")

Series = tuple[str, frozenset[tuple[str, str]]]


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


@contextmanager
def started(argv: list[str], **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the test."""
    with subprocess.Popen(argv, text=True, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(pattern: str, stream: IO[str] | None) -> re.Match[str]:
    """Read a stream up to the line that matches; its end before that is a failure that shows what was read."""
    assert stream is not None
    read = []
    for line in stream:
        read.append(line)
        found = re.search(pattern, line)
        if found:
            return found
    raise AssertionError(f"no {pattern!r} in:\n{''.join(read)}")


@dataclass(frozen=True)
class Run:
    """A metered run that lasts until told to end."""

    process: subprocess.Popen[str]
    address: str
    receipt: Path

    @property
    def page(self) -> str:
        return get(f"http://{self.address}/metrics")

    def end(self) -> dict[str, Any]:
        """Let the child read the end of its input, and return the receipt."""
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return receipt(self.receipt)


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Iterator[Run]:
    """`cat` under the meter: it runs until its input ends. A tick every 4 s leaves many scrapes between two ticks."""
    path = tmp_path / "receipt.json"
    options = ["--simulate", "healthy", "--listen", "127.0.0.1:0", "--interval", "4", "--json", str(path)]
    argv = [COSTMETER, "run", *options, "--", "cat"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with own_home() as home, started(argv, env=home, cwd=tmp_path, **pipes) as process:
        yield Run(process, line_with(r"http://(127\.0\.0\.1:\d+)", process.stderr)[1], path)


@dataclass(frozen=True)
class Prometheus:
    """A running server's HTTP interface."""

    address: str

    def is_ready(self) -> bool | None:
        """True once it answers queries, which is some time after it listens."""
        try:
            return bool(get(f"http://{self.address}/-/ready"))
        except urllib.error.HTTPError:
            return None

    def samples(self, family: str) -> dict[Series, list[tuple[float, float]]]:
        """Every sample stored of a family's series: (time, value) as they were scraped."""
        query = urllib.parse.urlencode({"query": f"{family}[10m]"})
        answer = json.loads(get(f"http://{self.address}/api/v1/query?{query}"))
        assert answer["status"] == "success"
        return {
            series(family, entry["metric"]): [(float(at), float(value)) for at, value in entry["values"]]
            for entry in answer["data"]["result"]
        }

    def last(self) -> dict[Series, float]:
        """The last value stored of every series of a run's totals."""
        return {key: samples[-1][1] for family in FAMILIES for key, samples in self.samples(family).items()}

    def scrapes(self) -> int:
        """How often the target has been read with success."""
        return sum(value == 1 for samples in self.samples("up").values() for _, value in samples)


@pytest.fixture(name="prometheus")
def _prometheus(run: Run, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that reads the run five times a second, on a port of its own choice."""
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(target=run.address))
    storage = f"--storage.tsdb.path={tmp_path / 'tsdb'}"
    argv = ["prometheus", f"--config.file={config}", storage, "--web.listen-address=127.0.0.1:0", "--log.level=info"]
    log = tmp_path / "prometheus.log"
    with log.open("w") as writing, started(argv, stdout=writing, stderr=subprocess.STDOUT):
        found = eventually(lambda: re.search(r'"Listening on" address=(\S+)', log.read_text()), "Prometheus")
        server = Prometheus(found[1])
        eventually(server.is_ready, "Prometheus to be ready")
        eventually(lambda: server.scrapes() or None, "the first scrape")
        yield server


def series(family: str, labels: dict[str, str]) -> Series:
    """A series' name and own labels, without those that Prometheus adds."""
    added = {"__name__", "instance", "job"}
    return family, frozenset((name, value) for name, value in labels.items() if name not in added)


def totals(page: str) -> dict[Series, float]:
    """The run's totals on a metrics page."""
    return {
        series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name in FAMILIES
    }


def by_label(values: dict[Series, float], family: str, label: str) -> dict[str, float]:
    """A family's values summed over all labels but one."""
    sums: dict[str, float] = {}
    for (name, labels), value in values.items():
        if name == family:
            key = dict(labels)[label]
            sums[key] = sums.get(key, 0.0) + value
    return sums


def stored_between(run: Run, prometheus: Prometheus) -> tuple[dict[Series, float], dict[Series, float]] | None:
    """The totals of two equal pages and what Prometheus stored between them; None where a tick came between."""
    before = totals(run.page)
    scrapes = prometheus.scrapes()
    # The first of two further scrapes may have begun before the page was read; the second has not.
    eventually(lambda: prometheus.scrapes() >= scrapes + 2 or None, "two more scrapes")
    stored = prometheus.last()
    return (before, stored) if before == totals(run.page) else None


def has_cost(run: Run) -> bool | None:
    return sum(by_label(totals(run.page), COST, "component").values()) > 0 or None


def test_prometheus_stores_the_page_exactly(run: Run, prometheus: Prometheus) -> None:
    """Between two equal pages Prometheus stores exactly the page's totals: no value is lost, rounded or relabelled."""
    eventually(lambda: has_cost(run), "a cost above zero")

    page, stored = eventually(lambda: stored_between(run, prometheus), "two equal pages")

    assert page == stored
    assert {family: {name for name, _ in labels} for family, labels in page} == LABELS


def test_stored_totals_lead_up_to_the_receipt(run: Run, prometheus: Prometheus) -> None:
    """The last stored totals are not zero and the receipt adds to them no more than the rest of the run can."""
    eventually(lambda: sum(by_label(prometheus.last(), COST, "state").values()) > 0 or None, "a stored cost")
    final = run.end()
    stored = prometheus.last()

    gpus = len(final["devices"])
    gpu_seconds = sum(by_label(stored, GPU_TIME, "state").values())
    seconds_left = float(sum(final["gpu_seconds"].values())) / gpus - gpu_seconds / gpus
    assert gpu_seconds > 0
    assert seconds_left >= 0

    for component, text in final["cost"]["components"].items():
        dollars, whole = by_label(stored, COST, "component")[component], float(Decimal(text))
        share = seconds_left / float(final["run"]["seconds"])
        assert 0 < dollars <= whole + 1e-9
        assert whole - dollars == pytest.approx(whole * share, rel=1e-6, abs=1e-9), "rent is linear in time"

    kwh = by_label(stored, ENERGY, "part")
    for part in ("gpu", "host", "overhead"):
        whole = float(final["energy"][f"{part}_joules"] or 0) / JOULES_PER_KWH
        assert kwh.get(part, 0.0) <= whole + 1e-12
    assert kwh["gpu"] > 0

    grams = by_label(stored, EMISSIONS, "scope")
    for scope in ("operational", "embodied"):
        assert grams.get(scope, 0.0) <= float(final["emissions"][f"{scope}_grams"] or 0) + 1e-9
    assert grams["operational"] > 0


def test_stored_counters_never_fall(run: Run, prometheus: Prometheus) -> None:
    """Over a whole run no stored counter falls, and every series is there from its first scrape on."""
    eventually(lambda: has_cost(run), "a cost above zero")
    run.end()

    for family in FAMILIES:
        stored = prometheus.samples(family)
        assert stored, f"{family} was never stored"
        for labels, samples in stored.items():
            values = [value for _, value in samples]
            assert values == sorted(values), f"{labels} fell"


def test_the_page_is_clean(run: Run) -> None:
    """`promtool check metrics` has nothing to say about the page of a running meter."""
    eventually(lambda: has_cost(run), "a cost above zero")

    argv = ["promtool", "check", "metrics"]
    checked = subprocess.run(argv, input=run.page, capture_output=True, text=True, timeout=60, check=False)

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
