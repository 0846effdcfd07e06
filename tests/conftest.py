"""What holds for every test: examples are not timed, and where CI says so a skipped test is a failed one."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.world import World

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A folder with a good policy file, for one process after another."""
    return World(tmp_path)


def _unskipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("TESTS_SKIP_NOTHING") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip inside a test or its fixtures."""
    report = yield
    _unskipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A skip of a whole file."""
    report = yield
    _unskipped(report)
    return report
