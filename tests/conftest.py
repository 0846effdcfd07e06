"""What holds for every test: which run, how they are spread over workers, that examples are not
timed, that in CI a skipped test is a failed one, that signals stay as they are.
"""

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.portion import FULL, SEARCH, examples
from tests.world import World

settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not SEARCH,
    max_examples=examples(100),
)
settings.load_profile("default")

_FIRST = (
    "zoo/test_zoo.py",
    "zoo/test_suggest.py",
    "rollout/test_working_day.py",
    "exporting/test_targets.py",
    "deploy/test_image.py",
    "deploy/test_live.py",
    "browser/test_accessible.py",
    "browser/test_page.py",
    "e2e/test_enforce.py",
    "e2e/test_readme.py",
    "e2e/test_storm.py",
    "e2e/test_lifecycle.py",
    "wire/test_faults.py",
    "browser/presets/test_presets.py",
    "e2e/test_start.py",
)
"""The files that take long, the longest first, so that no worker is left alone with one of them
at the end.
"""


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Folders are run by one worker more than there are cores, as much of the time is waiting;
    files and tests that are named, in this process.
    """
    cores = yield
    return cores + 1 if all(Path(arg).is_dir() for arg in config.args) else 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long files first, all else as it stands; no file is torn apart, so what its tests
    share is made once.
    """
    if not FULL:
        left_out = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)
    place = {Path(__file__).parent / name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A folder with a good policy file, for one process after another."""
    return World(tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Whoever ignores a signal makes every process of later tests ignore it too."""
    yield
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "this test left SIGTERM ignored"


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
