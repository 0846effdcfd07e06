"""What holds for every test: examples are not timed, because the machine may be busy."""

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
