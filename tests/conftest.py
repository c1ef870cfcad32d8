"""What all tests share: with COSTMETER_TEST_NO_SKIPS=1, as CI sets it, a skipped test is a failed one."""

import compileall
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

import tests.depth  # noqa: F401  # loads the profile of hypothesis, before any property is made

ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Compile once what is started a thousand times: many containers say PYTHONDONTWRITEBYTECODE, so no start would.

    Here and not in the processes that tests start: some of these may write no whole file.
    """
    sys.dont_write_bytecode = False  # of this process alone: pytest keeps the tests that it has compiled
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(ROOT / "costmeter", quiet=2)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """No coverage where a test says `no_cover`: in a worker another tracer goes on when pytest-cov pauses its."""
    tracer = sys.gettrace()
    if item.get_closest_marker("no_cover") is None or tracer is None:
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


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
