"""A real Prometheus as tests start it: on a port of its own choice."""

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.end_to_end.installed import eventually

_LISTENS = re.compile(r'"Listening on" address=(\S+)')


class StartedPrometheus:
    """One that runs, by its address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str | float) -> list[dict[str, Any]]:
        """The series of an answer; an error is the caller's failure, in the server's words."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", query.encode(), timeout=30) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return found
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"{parameters.get('query')}: {refusal.read().decode()}") from None

    def query(self, query: str) -> list[dict[str, Any]]:
        """What a query comes to now."""
        return self.ask("query", query=query)

    def value(self, query: str) -> float | None:
        """The one value that a query comes to; None where it comes to none."""
        found = self.query(query)
        return float(found[0]["value"][1]) if found else None

    def wait_for(self, query: str) -> None:
        """Until a query comes to something."""
        eventually(lambda: self.query(query) or None, query)

    def wait_for_scrapes(self, more: int = 2) -> None:
        """Until every target has been read so many times more: the last of them began after we were called."""
        before = self._scrapes()
        eventually(lambda: self._have_come(before, more), f"{more} scrapes of {len(before)} targets")

    def _have_come(self, before: Mapping[str, float], more: int) -> bool | None:
        now = self._scrapes()
        return all(now[target] >= count + more for target, count in before.items()) or None

    def _scrapes(self) -> dict[str, float]:
        return {
            json.dumps(each["metric"], sort_keys=True): float(each["value"][1])
            for each in self.query("sum_over_time(up[1h])")
        }

    def _is_ready(self) -> bool | None:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10) as answer:
                return bool(answer.read())
        except urllib.error.HTTPError:
            return None


@contextmanager
def prometheus(folder: Path, targets: list[dict[str, Any]], *options: str) -> Iterator[StartedPrometheus]:
    """A server that scrapes these entries of `static_configs` five times a second."""
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
        "scrape_configs": [{"job_name": "costmeter", "static_configs": targets}],
    }
    with configured(folder, json.dumps(config), *options) as server:  # JSON is YAML
        yield server


@contextmanager
def configured(folder: Path, text: str, *options: str) -> Iterator[StartedPrometheus]:
    """A server with a configuration of its own, which does not outlive the test."""
    config = folder / "prometheus.yml"
    config.write_text(text)
    storage = f"--storage.tsdb.path={folder / 'tsdb'}"
    argv = ["prometheus", f"--config.file={config}", storage, "--web.listen-address=127.0.0.1:0", *options]
    log = folder / "prometheus.log"
    with log.open("w") as writing, subprocess.Popen(argv, stdout=writing, stderr=subprocess.STDOUT) as process:
        try:
            found = eventually(lambda: _LISTENS.search(log.read_text()), "Prometheus")
            server = StartedPrometheus(f"http://{found[1]}")
            eventually(server._is_ready, "Prometheus to be ready")
            yield server
        finally:
            process.kill()
