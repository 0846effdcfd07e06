"""One browser for all tests of this folder, and the fixtures of the end-to-end tests."""

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Chromium
from tests.e2e.conftest import begin, services, shop, start

__all__ = ["begin", "browser", "services", "shop", "start"]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless Chromium."""
    chromium = Chromium(tmp_path_factory.mktemp("browser"))
    yield chromium
    chromium.close()
