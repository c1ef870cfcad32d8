"""What the FinOps Foundation's own validator says of our FOCUS files, where it is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.installed import COSTMETER, own_home
from tests.ledger.written import write
from tests.outputs.test_focus import mixed

#: It wants libraries of its own, older than ours: it lives in a virtual environment of its own, named by this variable.
VALIDATOR = os.environ.get("FOCUS_VALIDATOR") or shutil.which("focus-validator")
#: Rules of focus-validator 1.0.0 that no file can pass: they ask for columns by names that FOCUS 1.0 gave up before it
#: was published (Provider is ProviderName since), or read a list of currencies that is not in the package.
BROKEN = {
    "BillingCurrency_IsCurrencyCode",
    "InvoiceIssuer_Required",
    "Provider_Required",
    "Publisher_Required",
    "ResourceID_Required",
    "SkuPriceId_Nullable",
}


@pytest.mark.skipif(VALIDATOR is None, reason="focus-validator is not installed (FOCUS_VALIDATOR=/path/to/it)")
@pytest.mark.parametrize(
    "gpu",
    ["price: 2.49", "price: {catalog: aws/p4d.24xlarge/us-east-2/spot}", "{billing: owned, owned: {purchase: 30000}}"],
    ids=["rented", "spot", "owned"],
)
def test_the_validator_finds_nothing(tmp_path: Path, gpu: str) -> None:
    """Every rule of FOCUS 1.0 that a file can pass is passed by rented and by owned runs, and by their line items."""
    block = gpu if gpu.startswith("{") else f"{{{gpu}}}"
    config, file = tmp_path / "costmeter.yaml", tmp_path / "focus.csv"
    items = "items: [{name: people, per_hour: 85}, {name: scratch, gb: 500, per_gb_month: 0.1}]"
    config.write_text(f"gpu: {block}\nelectricity: {{price: 0.17}}\n{items}\n")
    with own_home() as environ:
        metered = [COSTMETER, "run", "-q", "--simulate", "healthy", "-c", str(config), "--label", "project=llm"]
        subprocess.run([*metered, "--", "sleep", "1"], env=environ, check=True, timeout=60)
        told = [COSTMETER, "report", "--format", "focus", "--simulated", "-o", str(file)]
        subprocess.run(told, env=environ, check=True, timeout=60)
        failed = faults(file, environ)
    assert 3 <= len(file.read_text().splitlines())
    assert set() == failed


@pytest.mark.skipif(VALIDATOR is None, reason="focus-validator is not installed (FOCUS_VALIDATOR=/path/to/it)")
def test_the_validator_finds_nothing_where_owned_and_rented_gpus_stand_together(tmp_path: Path) -> None:
    """A run of an owned H100 and a rented one: three rows, which pass every rule that a file can pass."""
    first, records = mixed()
    write(tmp_path / "runs" / first.run, first, records)
    file = tmp_path / "focus.csv"
    with own_home() as environ:
        told = [COSTMETER, "report", "--format", "focus", "--state", str(tmp_path), "-o", str(file)]
        subprocess.run(told, env=environ, check=True, timeout=60)
        failed = faults(file, environ)
    assert 4 == len(file.read_text().splitlines())
    assert set() == failed


def faults(file: Path, environ: dict[str, str]) -> set[str]:
    """The rules that the validator says a file breaks, but for those that none can keep."""
    assert VALIDATOR is not None
    checked = [VALIDATOR, "--data-file", str(file), "--validate-version", "1.0"]
    done = subprocess.run(checked, env=environ, capture_output=True, text=True, timeout=100)
    assert "Validation" in done.stdout, done.stderr
    return set(re.findall(r"^(\w+) failed:", done.stdout, re.MULTILINE)) - BROKEN
