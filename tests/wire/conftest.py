"""One stage for all cases that need nothing special of it.

The fixture `stage`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.stage import Stage


@pytest.fixture(scope="session")
def shared_stage() -> Iterator[Stage]:
    """A running pair for the whole session."""
    with Stage(
        {
            "timeouts": {"response": "60s", "idle": "60s", "header": "60s", "body_idle": "60s"},
            "limits": {"body": "1MiB"},
        }
    ).running() as stage:
        yield stage


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """The shared pair with nothing recorded; fails when anything inside complained."""
    shared_stage.origin.forget()
    shared_stage.complaints.clear()
    return shared_stage
