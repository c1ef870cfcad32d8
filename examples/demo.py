"""The demonstration behind `make demo`: a training run under the meter, scraped halfway, and its receipt.

It starts what anybody would type, passes every line on as it comes, and when half of the epochs are done fetches the
metrics page at the address that costmeter printed, as Prometheus would. GPUs are simulated; the training is real.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

TRAINING = Path(__file__).parent / "digits" / "train.py"
ADDRESS = re.compile(r"https?://[^\s/]+(?:/metrics)?")
EPOCH = re.compile(r"epoch +(\d+)/(\d+)")
# For so small a network one thread is as fast as many, and fair to a machine that is busy with other things.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
SHOWN = ("costmeter_run_cost_usd_total", "costmeter_run_energy_kwh_total", "costmeter_run_emissions_grams_total")


def command(training_options: list[str], checkpoint: Path) -> list[str]:
    """The command line: the meter's own part, `--`, and the job."""
    meter = [sys.executable, "-m", "costmeter", "run", "--simulate", "healthy", "--listen", "127.0.0.1:0"]
    job = [sys.executable, str(TRAINING), "--checkpoint", str(checkpoint), *training_options]
    return [*meter, "--", *job]


def is_halfway(line: str) -> bool:
    """Whether this line reports the epoch that completes half of them."""
    epoch = EPOCH.match(line)
    return epoch is not None and int(epoch[1]) == (int(epoch[2]) + 1) // 2


def scrape(url: str) -> list[str]:
    """What Prometheus would read now, less the families that are not about this run's totals."""
    with urllib.request.urlopen(url.removesuffix("/metrics") + "/metrics", timeout=5) as page:
        return [line for line in page.read().decode().splitlines() if line.startswith(SHOWN)]


def main() -> int:
    address = None
    with tempfile.TemporaryDirectory() as folder:
        argv = command(sys.argv[1:], Path(folder) / "digits.joblib")
        print("$", shlex.join(argv), flush=True)
        pipe, environment = subprocess.PIPE, {**os.environ, **ONE_THREAD}
        with subprocess.Popen(argv, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment) as run:
            assert run.stdout is not None
            for line in run.stdout:
                print(line, end="", flush=True)
                address = address or ADDRESS.search(line)
                if address and is_halfway(line):
                    print(f"\n$ curl -s {address[0]}", *scrape(address[0]), "", sep="\n", flush=True)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
