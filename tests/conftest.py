"""What all tests share: with COSTMETER_TEST_NO_SKIPS=1, as CI sets it, a skipped test is a failed one."""

import os
from collections.abc import Generator

import pytest


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"no test may be skipped here (COSTMETER_TEST_NO_SKIPS is set): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Refuse the skip of a test, unless it needs a real GPU."""
    report = yield
    if os.environ.get("COSTMETER_TEST_NO_SKIPS") and item.get_closest_marker("gpu") is None:
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse the skip of a whole module."""
    report = yield
    if os.environ.get("COSTMETER_TEST_NO_SKIPS"):
        _refuse_skip(report)
    return report
