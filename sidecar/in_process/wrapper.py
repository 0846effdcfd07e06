"""What the middlewares of ASGI and WSGI share: how they are made."""

from __future__ import annotations

import os
from typing import Any, Generic, TypeVar

from sidecar.in_process.host import Host

App = TypeVar("App")


class PolicyWrapper(Generic[App]):
    """An application around another: each response passes through the policy.

    Args:
        app: the application.
        policy: the policy file. [default: as the settings say, policy.yaml]
        config: the settings file.
        events: the file that events are appended to, as JSON lines. [default: stdout]
        settings: single settings, as in the settings file: `admin="127.0.0.1:0"`.

    Raises:
        PolicyError: the settings or the policy cannot be used; with every problem.
    """

    def __init__(
        self,
        app: App,
        policy: str | os.PathLike[str] | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        events: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        self._app = app
        self.host = Host(policy, config, events, settings)
