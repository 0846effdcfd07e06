"""What holds for every test: which run, how they are spread over workers, that examples are not
timed, that in CI a skipped test is a failed one, that signals stay as they are.
"""

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler.loadfile import LoadFileScheduling

from tests.harness import Harness
from tests.portion import FULL, SEARCH, examples

settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not SEARCH,
    max_examples=examples(100),
)
settings.load_profile("default")

_FIRST = (
    "zoo/",
    "browser/",
    "e2e/",
    "deploy/test_live.py",
    "rollout/test_working_day.py",
    "exporting/test_targets.py",
    "deploy/test_image.py",
    "fleet/",
    "in_process/",
    "rollout/test_fleet.py",
    "wire/test_faults.py",
)
"""What takes long, the longest first, so that no worker is left alone with it at the end."""
_TOGETHER = ("tests/browser/", "tests/e2e/")
"""Folders whose tests share a browser, and services with sidecars, which each worker would start
anew.
"""


class _Folders(LoadFileScheduling):
    """Files as they come, but the tests of some folders on one worker."""

    def _split_scope(self, nodeid: str) -> str:
        whole = next(filter(nodeid.startswith, _TOGETHER), None)
        return whole or str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Folders | None:
    """Where all is run, a folder would be too long for one worker."""
    return None if FULL or config.option.dist != "loadfile" else _Folders(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Folders are run by one worker more than there are cores, as much of the time is waiting;
    files and tests that are named, in this process.
    """
    cores = yield
    return cores + 1 if all(Path(arg).is_dir() for arg in config.args) else 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is long first, all else as it stands; no file is torn apart, so what its tests share
    is made once.
    """
    if not FULL:
        left_out = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)
    here = f"{Path(__file__).parent}/"

    def place(item: pytest.Item) -> int:
        name = str(item.path).removeprefix(here)
        return next((at for at, one in enumerate(_FIRST) if name.startswith(one)), len(_FIRST))

    items.sort(key=place)


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """A folder with a good policy file, for one process after another."""
    return Harness(tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Whoever ignores a signal makes every process of later tests ignore it too."""
    yield
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN, "this test left SIGTERM ignored"


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
