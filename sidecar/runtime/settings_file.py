"""Settings as a process reads them: file, environment, flags. Must not know what is run with
them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.policy.terms import PolicyError, Problem
from sidecar.settings import Settings, layered
from sidecar.source import load, located


def read_settings(config: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Settings from file, environment and flags.

    Raises:
        PolicyError: with every problem, those of the file with line and column.
    """
    if config is None:
        return layered({}, os.environ, flags)
    try:
        source = load(config.read_bytes(), str(config))
    except OSError as error:
        raise PolicyError(
            (Problem(f"the settings cannot be read: {error.strerror}", "", file=str(config)),)
        ) from error
    data = source.data if source.data is not None else {}
    if not isinstance(data, dict):
        raise PolicyError(
            (
                Problem(
                    "settings are a mapping",
                    "start with: upstream: http://127.0.0.1:8000",
                    file=str(config),
                ),
            )
        )
    try:
        return layered(data, os.environ, flags)
    except PolicyError as error:
        raise PolicyError(located(error.problems, source)) from error
