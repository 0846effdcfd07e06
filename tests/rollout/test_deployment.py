"""What a rehearsal finds around the policy, before it starts anything."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from sidecar.rollout import deployment
from sidecar.settings import Settings


@pytest.mark.parametrize(("flag", "outcome"), [(0, "pass"), (os.ST_RDONLY, "fail")])
def test_a_state_folder_on_a_read_only_file_system_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: int, outcome: str
):
    """Whatever its permissions say: `run` would refuse to start."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flag))
    (found,) = deployment._state(Settings(state=str(tmp_path / "state")))

    assert found[:2] == ("state", outcome)
