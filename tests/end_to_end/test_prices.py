"""`costmeter prices fetch` and `detect` through the installed command: real servers, kills, full disks, and a run."""

import json
import os
import re
import resource
import signal
import subprocess
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from tests.end_to_end.installed import COSTMETER, eventually, own_home, receipt, uncovered
from tests.feeds import test_detect, test_electricitymaps, test_octopus
from tests.feeds.servers import Request, Said, Script, always, serving

OCTOPUS = ["octopus", "AGILE-18-02-21", "E-1R-AGILE-18-02-21-C"]
ONE = test_octopus.rate("2026-11-22T12:00:00Z", "2026-11-22T12:30:00Z", "12.6")
TWO = test_octopus.rate("2026-11-22T12:30:00Z", "2026-11-22T13:00:00Z", "-3.15")
TOKEN = "em-s3cret"
AWS_SPOT = test_detect.aws("spot")


def prices(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The installed command in a home of its own."""
    return _done(folder, arguments, environ, resource.RLIM_INFINITY)


def _done(
    folder: Path, arguments: tuple[str, ...], environ: dict[str, str], most_bytes: int
) -> subprocess.CompletedProcess[str]:
    """The command where no file may become larger than `most_bytes`, which is what a full disk looks like."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))

    with own_home() as home:
        done = subprocess.run(
            [COSTMETER, "prices", *arguments],
            cwd=folder,
            env=uncovered(home | environ),
            capture_output=True,
            text=True,
            timeout=60,
            preexec_fn=limit,
        )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def fetched(folder: Path, script: Script, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`prices fetch` from a server that is scripted, into a.csv."""
    with serving(script) as server:
        return prices(folder, "fetch", *words, "-o", "a.csv", "--url", server.base, **environ)


def test_a_fetch_makes_a_file_and_the_next_adds_to_it(tmp_path: Path) -> None:
    """New values are added, changed ones replaced, history kept; each is counted."""
    first = fetched(tmp_path, always(test_octopus.page(ONE)), *OCTOPUS)
    assert (0, "") == (first.returncode, first.stderr)
    changed = test_octopus.rate("2026-11-22T12:00:00Z", "2026-11-22T12:30:00Z", "13")
    second = fetched(tmp_path, always(test_octopus.page(TWO, changed)), *OCTOPUS)
    assert "a.csv: 2 values (1 new, 1 replaced, 0 kept), 2026-11-22T12:00Z to 2026-11-22T13:00Z\n" == second.stdout
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert f"# feed: {' '.join(OCTOPUS)}" == lines[0]
    assert [
        "2026-11-22T12:00Z,2026-11-22T12:30Z,13,GBp/kWh,",
        "2026-11-22T12:30Z,2026-11-22T13:00Z,-3.15,GBp/kWh,",
    ] == lines[-2:]


def test_to_stdout_goes_the_file_alone(tmp_path: Path) -> None:
    """`-o -` prints the CSV and writes nothing."""
    with serving(always(test_octopus.page(ONE))) as server:
        done = prices(tmp_path, "fetch", *OCTOPUS, "-o", "-", "--url", server.base)
    assert done.stdout.splitlines()[-1] == "2026-11-22T12:00Z,2026-11-22T12:30Z,12.6,GBp/kWh,"
    assert [] == os.listdir(tmp_path)


def test_a_partial_answer_is_kept_and_told(tmp_path: Path) -> None:
    """The second page fails: the first is in the file, the exit code is 1, and what is missing is on stderr."""

    def script(request: Request) -> Said:
        if request.path == "/2":
            return Said("oops", 500)
        return Said(test_octopus.page(TWO, following=f"http://{request.headers['host']}/2"))

    done = fetched(tmp_path, script, *OCTOPUS)
    assert 1 == done.returncode
    assert "status 500" in done.stderr
    assert (tmp_path / "a.csv").read_text().endswith("-3.15,GBp/kWh,\n")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param(always("", 404), "status 404", id="404"),
        pytest.param(always("", 429), "status 429", id="429"),
        pytest.param(always("<html>"), "no JSON", id="html"),
        pytest.param(always(test_octopus.page()), "holds no values", id="empty"),
        pytest.param(lambda request: Said("{", promised_bytes=99), "cut off", id="cut-off"),
    ],
)
def test_when_nothing_comes_the_file_is_untouched(script: Script, words: str, tmp_path: Path) -> None:
    """Exit code 1, one message with a hint, and the old file to the byte."""
    fetched(tmp_path, always(test_octopus.page(ONE)), *OCTOPUS)
    before = (tmp_path / "a.csv").read_bytes(), (tmp_path / "a.csv").stat().st_mtime_ns
    done = fetched(tmp_path, script, *OCTOPUS)
    assert (1, True, True) == (done.returncode, words in done.stderr, "hint: " in done.stderr)
    assert before == ((tmp_path / "a.csv").read_bytes(), (tmp_path / "a.csv").stat().st_mtime_ns)
    assert ["a.csv"] == os.listdir(tmp_path)


def test_a_file_of_another_feed_is_refused(tmp_path: Path) -> None:
    """Prices of another tariff are not merged in."""
    fetched(tmp_path, always(test_octopus.page(ONE)), *OCTOPUS)
    done = fetched(tmp_path, always(test_octopus.page(TWO)), "octopus", "OTHER", "E-1R-OTHER-C")
    assert 1 == done.returncode
    assert "is of octopus AGILE-18-02-21" in done.stderr
    assert "-3.15" not in (tmp_path / "a.csv").read_text()


def test_a_kill_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """kill -9 while the server holds back the second page: the old file is as it was, with nothing beside it."""
    fetched(tmp_path, always(test_octopus.page(ONE)), *OCTOPUS)
    before = (tmp_path / "a.csv").read_bytes()

    def script(request: Request) -> Said | None:
        if request.path == "/2":
            return None
        return Said(test_octopus.page(TWO, following=f"http://{request.headers['host']}/2"))

    with serving(script) as server, own_home() as home:
        argv = [COSTMETER, "prices", "fetch", *OCTOPUS, "-o", "a.csv", "--url", server.base]
        with subprocess.Popen(argv, cwd=tmp_path, env=home) as process:
            eventually(lambda: len(server.requests) > 1 or None, "the second request")
            process.kill()
            assert -signal.SIGKILL == process.wait()
    assert before == (tmp_path / "a.csv").read_bytes()
    assert ["a.csv"] == os.listdir(tmp_path)


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """A file that may not grow is told, and neither the old one nor the folder is spoilt."""
    fetched(tmp_path, always(test_octopus.page(ONE)), *OCTOPUS)
    before = (tmp_path / "a.csv").read_bytes()
    with serving(always(test_octopus.page(ONE, TWO))) as server:
        done = _done(tmp_path, ("fetch", *OCTOPUS, "-o", "a.csv", "--url", server.base), {}, 100)
    assert 1 == done.returncode
    assert "a.csv was not written: File too large" in done.stderr
    assert before == (tmp_path / "a.csv").read_bytes()
    assert ["a.csv"] == os.listdir(tmp_path)


def test_fetches_at_once_into_one_file_lose_nothing(tmp_path: Path) -> None:
    """Four fetches that are answered together, into a file whose merging takes a while: every value is in it."""
    (tmp_path / "a.csv").write_text(history(20_000))
    together = threading.Barrier(4)

    def script(request: Request) -> Said:
        together.wait(timeout=50)
        day = re.search(r"period_from=2026-(\d\d)", request.path)
        assert day is not None
        return Said(
            test_octopus.page(test_octopus.rate(f"2026-{day[1]}-05T00:00:00Z", f"2026-{day[1]}-05T00:30:00Z", "7"))
        )

    with serving(script) as server, own_home() as home:
        flags = ["-o", "a.csv", "--url", server.base, "--to", "2027-01-01"]
        argv = [COSTMETER, "prices", "fetch", *OCTOPUS, *flags, "--from"]
        running = [subprocess.Popen([*argv, f"2026-0{month}-05"], cwd=tmp_path, env=home) for month in (1, 2, 3, 4)]
        for process in running:
            process.wait(timeout=60)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert [f"2026-0{month}-05T00:00Z,2026-0{month}-05T00:30Z,7,GBp/kWh," for month in (1, 2, 3, 4)] == lines[-4:]
    assert 20_000 + 4 == sum(line[0].isdigit() for line in lines)
    assert ["a.csv"] == os.listdir(tmp_path)


def history(count: int) -> str:
    """A fetched file of so many half hours since 2010."""
    from datetime import datetime, timedelta

    half = timedelta(minutes=30)
    starts = (datetime(2010, 1, 1) + at * half for at in range(count))
    rows = (f"{start:%Y-%m-%dT%H:%MZ},{start + half:%Y-%m-%dT%H:%MZ},9.25,GBp/kWh," for start in starts)
    return "\n".join([f"# feed: {' '.join(OCTOPUS)}", "start_utc,end_utc,value,unit,estimated", *rows, ""])


def test_a_file_that_nothing_could_read_is_not_written(tmp_path: Path) -> None:
    """More than 8 MB are not read again: the old file stays, and another is proposed."""
    before = history(160_000)[:8_000_000]
    before = before[: before.rindex("\n") + 1]  # whole rows; one more does not fit
    (tmp_path / "a.csv").write_text(before)
    done = fetched(tmp_path, always(test_octopus.page(ONE)), *OCTOPUS)
    assert 1 == done.returncode
    assert "and more than 8,000,000 are not read" in done.stderr
    assert "-o" in done.stderr.splitlines()[-1]
    assert before == (tmp_path / "a.csv").read_text()


def test_values_from_far_ahead_are_told(tmp_path: Path) -> None:
    """What an earlier fetch said of a day that is more than three days ahead is kept, and may have changed since."""
    ahead = test_octopus.rate("2199-01-01T00:00:00Z", "2199-01-01T00:30:00Z", "7")
    first = fetched(tmp_path, always(test_octopus.page(ONE, ahead)), *OCTOPUS)
    assert "lie ahead" not in first.stderr
    second = fetched(tmp_path, always(test_octopus.page(TWO)), *OCTOPUS)
    assert "warning: a.csv: 1 of the kept values lie ahead, from 2199-01-01T00:00Z on" in second.stderr
    assert 0 == second.returncode


def test_a_price_that_was_withdrawn_goes(tmp_path: Path) -> None:
    """A price until one o'clock and 99 after it, then one price without an end: nothing of the 99 is left."""
    later = test_octopus.rate("2026-11-22T12:30:00Z", None, "99")
    fetched(tmp_path, always(test_octopus.page(ONE, later)), *OCTOPUS)
    open_end = test_octopus.rate("2026-11-22T12:00:00Z", None, "11")
    assert 0 == fetched(tmp_path, always(test_octopus.page(open_end)), *OCTOPUS).returncode
    assert ["2026-11-22T12:00Z,,11,GBp/kWh,"] == (tmp_path / "a.csv").read_text().splitlines()[-1:]
    assert "99" not in (tmp_path / "a.csv").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_fetch_that_is_told_to_end_ends_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """SIGTERM and SIGHUP while the server is silent: exit code 128 and the number, no words, and no file."""
    with serving(lambda request: None) as server, own_home() as home:
        argv = [COSTMETER, "prices", "fetch", *OCTOPUS, "-o", "a.csv", "--url", server.base]
        with subprocess.Popen(argv, cwd=tmp_path, env=home, stderr=subprocess.PIPE) as process:
            eventually(lambda: server.requests or None, "the request")
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
    assert (128 + number, b"") == (process.returncode, said)
    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("status", [200, 401, 500])
def test_the_key_is_sent_and_never_shown(status: int, tmp_path: Path) -> None:
    """The key of Electricity Maps comes from the environment, goes in a header, and stands in no output and no file."""
    body = test_electricitymaps.history(test_electricitymaps.point(12))
    with serving(always(body, status)) as server:
        done = prices(
            tmp_path,
            "fetch",
            "electricity-maps",
            "DE",
            "-o",
            "a.csv",
            "--url",
            server.base,
            ELECTRICITYMAPS_TOKEN=TOKEN,
        )
        assert TOKEN == server.requests[0].headers["auth-token"]
    kept = "".join(path.read_text() for path in tmp_path.iterdir())
    assert TOKEN not in done.stdout + done.stderr + kept
    assert (0 if status == 200 else 1) == done.returncode


def test_the_key_does_not_travel_in_the_clear(tmp_path: Path) -> None:
    """Over plain HTTP a key goes to this machine only."""
    done = prices(
        tmp_path,
        "fetch",
        "electricity-maps",
        "DE",
        "-o",
        "a.csv",
        "--url",
        "http://em.invalid",
        ELECTRICITYMAPS_TOKEN=TOKEN,
    )
    assert (2, True, False) == (done.returncode, "in the clear" in done.stderr, TOKEN in done.stderr)


def test_a_fetched_file_prices_a_run(tmp_path: Path) -> None:
    """Bought GPUs on a fetched tariff of 12.6 pence without end: electricity is kWh of GPUs x 0.126 GBP."""
    fetched(tmp_path, always(test_octopus.page(test_octopus.rate("2020-01-01T00:00:00Z", None, "12.6"))), *OCTOPUS)
    config = "currency: GBP\ngpu: {billing: owned, owned: {purchase: 30000}}\n"
    (tmp_path / "c.yaml").write_text(config + "electricity: {price: a.csv}\nhost: {power: none}\n")
    with own_home() as home:
        argv = [COSTMETER, "run", "--simulate", "healthy", "--config", "c.yaml", "--json", "r.json", "--", "sleep", "1"]
        done = subprocess.run(argv, cwd=tmp_path, env=home, capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode, done.stderr
    made = receipt(tmp_path / "r.json")
    kwh = Decimal(made["energy"]["total_kwh"])
    assert kwh > 0
    expected = kwh * Decimal("0.126")
    assert abs(Decimal(made["cost"]["components"]["electricity"]) - expected) < Decimal("1e-9") + expected / 1000
    assert "a.csv" in json.dumps(made["origins"], default=str)


def detected(folder: Path, *arguments: str, script: Script = AWS_SPOT) -> subprocess.CompletedProcess[str]:
    """`prices detect` where a metadata service answers and the firmware is hidden."""
    with serving(script) as server:
        places = {"COSTMETER_METADATA_URL": server.base, "COSTMETER_SYSFS": str(folder / "none")}
        done = prices(folder, "detect", *arguments, **places)
    assert test_detect.TOKEN not in done.stdout + done.stderr
    assert test_detect.ACCOUNT not in done.stdout + done.stderr
    return done


def test_detect_writes_settings_that_work(tmp_path: Path) -> None:
    """What is found becomes a file without faults; a second time nothing is overwritten."""
    script = test_detect.azure("Spot")
    done = detected(tmp_path, "--write", script=script)
    assert 0 == done.returncode, done.stderr
    text = (tmp_path / "costmeter.yaml").read_text()
    assert "gpu: {price: {catalog: azure/Standard_ND96isr_H100_v5/eastus/spot}}\n" in text
    assert "carbon: {intensity: {zone: azure/eastus}}\n" in text
    with own_home() as home:
        argv = [COSTMETER, "config", "check", "costmeter.yaml"]
        assert 0 == subprocess.run(argv, cwd=tmp_path, env=home, timeout=60, check=False).returncode
    again = detected(tmp_path, "--write", script=script)
    assert 1 == again.returncode
    assert "left as it is" in again.stderr
    assert "catalog: azure" in again.stdout
    assert text == (tmp_path / "costmeter.yaml").read_text()


@pytest.mark.parametrize(
    ("before", "is_added"),
    [
        pytest.param("currency: USD", True, id="no-newline"),
        pytest.param("# nothing yet\n", True, id="comment"),
        pytest.param("carbon: {intensity: 100}\n", False, id="carbon-set"),
        pytest.param("{currency: USD}\n", False, id="braces"),
        pytest.param("- a list\n", False, id="list"),
        pytest.param("a: [\n", False, id="faulty"),
    ],
)
def test_detect_adds_to_a_file_that_says_nothing_of_it(before: str, is_added: bool, tmp_path: Path) -> None:
    """Lines are added after those of a file without GPUs and carbon; any other file stays as it was."""
    (tmp_path / "mine.yaml").write_text(before)
    done = detected(tmp_path, "--write", "mine.yaml", script=test_detect.azure(""))
    text = (tmp_path / "mine.yaml").read_text()
    assert (int(not is_added), is_added) == (done.returncode, text != before)
    assert text.startswith(before)


def test_detect_says_what_the_catalogue_does_not_know(tmp_path: Path) -> None:
    """AWS's spot price of this machine is not in the catalogue: it is said, and the zone is there all the same."""
    done = detected(tmp_path)
    assert 0 == done.returncode
    assert "Set the price you pay" in done.stderr
    assert "carbon: {intensity: {zone: aws/us-east-1}}" in done.stdout


def test_detect_fails_where_nothing_is_known(tmp_path: Path) -> None:
    """No cloud: exit code 1, what was looked at, and what to type."""
    done = detected(tmp_path, script=always("", 404))
    assert 1 == done.returncode
    assert "firmware: no DMI table to read" in done.stdout
    assert "gpu: {price: 2.49}" in done.stderr


URDB = {
    "label": "5f0d2b5a5457a3",
    "utility": "A Utility",
    "name": "Time of use",
    "sector": "Commercial",
    "energyratestructure": [[{"rate": 0.1, "adj": 0.01, "unit": "kWh"}], [{"rate": 0.3, "unit": "kWh"}]],
    "energyweekdayschedule": [[0] * 16 + [1] * 5 + [0] * 3] * 12,
    "energyweekendschedule": [[0] * 24] * 12,
    "fixedchargefirstmeter": 12.5,
    "fixedchargeunits": "$/month",
}


def test_an_imported_record_is_a_tariff_that_can_be_checked_and_shown(tmp_path: Path) -> None:
    """URDB's record becomes a file without faults: 0.1 + 0.01 off peak, 0.3 on weekdays from 16:00 to 21:00."""
    (tmp_path / "urdb.json").write_text(json.dumps({"items": [URDB]}))
    done = prices(tmp_path, "import", "urdb.json", "--timezone", "America/Los_Angeles", "-o", "t.yaml")
    assert (0, "") == (done.returncode, done.stderr)
    assert 0 == prices(tmp_path, "check", "t.yaml").returncode
    shown = prices(tmp_path, "show", "t.yaml").stdout
    assert "00:00 0.11, 16:00 0.3, 21:00 0.11" in shown
    again = prices(tmp_path, "import", "urdb.json", "--timezone", "America/Los_Angeles", "-o", "t.yaml")
    assert (1, True) == (again.returncode, "left as it is" in again.stderr)


@pytest.mark.parametrize("text", ["{", "[]", '{"items": []}', json.dumps({**URDB, "energyratestructure": 7})])
def test_a_record_that_cannot_be_carried_is_told(text: str, tmp_path: Path) -> None:
    """Every reason names the file, the exit code is 1, and no file appears."""
    (tmp_path / "urdb.json").write_text(text)
    done = prices(tmp_path, "import", "urdb.json", "--timezone", "UTC", "-o", "t.yaml")
    assert 1 == done.returncode
    assert done.stderr.startswith("urdb.json")
    assert ["urdb.json"] == os.listdir(tmp_path)
