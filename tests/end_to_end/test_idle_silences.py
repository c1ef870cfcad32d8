"""The silences that `costmeter idle` has one type: typed in a shell, with a real amtool and Alertmanager."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.outputs.idle import Holding, quieting
from tests.end_to_end.installed import eventually
from tests.end_to_end.test_alerts import serving

ABSENT = [each for each in ("amtool", "prometheus-alertmanager") if shutil.which(each) is None]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"{' and '.join(ABSENT)} not installed")

HOLDERS = [
    pytest.param(["lee"], id="plain"),
    pytest.param(["DOM\\lee"], id="domain"),
    pytest.param(["DOM\\lee", "x"], id="domain-shared"),
    pytest.param(['q"x'], id="quote"),
    pytest.param(['q"x', "a b", "it's|me"], id="quotes-shared"),
    pytest.param(["two\nlines", "x\ty"], id="ends-of-lines"),
    pytest.param(["m.ü-ller@corp", "$(id)"], id="shell"),
    pytest.param(["{lee}", "x,y"], id="braces"),
]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    argv = ["prometheus-alertmanager", f"--config.file={folder / 'alertmanager.yml'}", "--cluster.listen-address="]
    with serving(folder, "alertmanager", [*argv, f"--storage.path={folder / 'data'}"]) as address:
        yield address


@pytest.mark.parametrize("users", HOLDERS)
def test_it_silences_its_holders_and_nobody_else(users: list[str], manager: str, tmp_path: Path) -> None:
    """Whatever they are called: amtool takes the command as it is printed, and their alerts alone are suppressed."""
    holders = tuple({"run": None, "uid": 1, "user": user, "source": "user"} for user in users)
    command = quieting(Holding((), holders, "hang", None, 600.0, None, None))
    labels = [{"alertname": "TrainingStalled", "owner": user, "test": users[0]} for user in [*users, "other"]]
    asked = json.dumps([{"labels": each} for each in labels]).encode()
    url = f"http://{manager}/api/v2/alerts"
    request = urllib.request.Request(url, asked, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()

    argv = ["sh", "-c", f"{command} --author test --alertmanager.url http://{manager}"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    assert set(users) == eventually(lambda: _silenced(url, users[0]), "alerts that are silenced")


def _silenced(url: str, test: str) -> set[str] | None:
    with urllib.request.urlopen(url, timeout=10) as answer:
        alerts = [each for each in json.load(answer) if each["labels"].get("test") == test]
    return {each["labels"]["owner"] for each in alerts if each["status"]["state"] == "suppressed"} or None
