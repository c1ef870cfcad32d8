"""Several meters of one run at once: each has a part of its own, and no line of any is lost or mixed."""

import json
import subprocess
from pathlib import Path

from tests.end_to_end.installed import COSTMETER, own_home, uncovered
from tests.ledger import damage

METERS = 4


def test_meters_of_one_run_at_once_write_parts_of_their_own(tmp_path: Path) -> None:
    """Four commands with one run id, started together: parts 1 to 4, each whole, with its own header and its footer."""
    with own_home() as environ:
        environ = uncovered(environ) | {"COSTMETER_RUN_ID": "r-shared"}
        receipts = [tmp_path / f"{number}.json" for number in range(METERS)]
        runs = Path(environ["XDG_STATE_HOME"], "costmeter", "runs", "r-shared")
        job = f"until [ $(ls {runs}/*.jsonl 2>/dev/null | wc -l) -ge {METERS} ]; do sleep 0.1; done"
        begun = [
            subprocess.Popen(
                [COSTMETER, "run", "-q", "--simulate", "healthy", "--json", str(file), "--", "sh", "-c", job],
                env=environ,
            )
            for file in receipts
        ]
        assert [0] * METERS == [meter.wait(timeout=60) for meter in begun]
        journals = sorted(runs.iterdir())
        headers = {}
        for journal in journals:
            lines = [damage.intact(line) for line in journal.read_bytes().splitlines()]
            whole = [line for line in lines if line is not None]
            assert len(lines) == len(whole)
            assert ["header", "footer"] == [whole[0]["type"], whole[-1]["type"]]
            assert 1 == sum(line["type"] == "header" for line in whole)
            headers[journal.name] = whole[0]["part"], whole[0]["pid"]
    assert {f"{number}.jsonl" for number in range(1, METERS + 1)} == {
        ".".join(name.split(".")[-2:]) for name in headers
    }
    assert [1, 2, 3, 4] == sorted(part for part, _ in headers.values())
    assert {meter.pid for meter in begun} == {pid for _, pid in headers.values()}
    assert all(json.loads(file.read_text())["run"]["id"] == "r-shared" for file in receipts)
