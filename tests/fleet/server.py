"""A real redis-server in a folder and on a port of its own, started, killed and stopped by the test."""

from __future__ import annotations

import signal
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.e2e.processes import Child, free_port, until


class Server:
    """One redis-server in a folder and on a port of its own; what it holds is gone when it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis(port=self.port, decode_responses=True, socket_timeout=5)
        self._runs = 0
        self.start()

    def start(self) -> None:
        """Start it, empty."""
        self._runs += 1
        folder = self._folder / f"run-{self._runs}"
        folder.mkdir(parents=True)
        options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder))
        self.child = Child(["redis-server", "--port", str(self.port), *options], folder)
        until(self._answers, "redis-server answers")

    def kill(self) -> None:
        """End it as a crash does."""
        self.child.signal(signal.SIGKILL)
        self.child.wait()

    def key(self, name: str) -> str:
        """A key of the fleet that the tests use."""
        return f"sidecar:{{shop}}:{name}"

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError:
            return False

    def close(self) -> None:
        """End it for good."""
        self.client.close()
        self.child.signal(signal.SIGCONT)
        self.child.ask_to_end()
        self.child.end()
