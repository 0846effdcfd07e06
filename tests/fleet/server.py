"""Real redis-servers and a sentinel, each in a folder and on a port of its own, started, killed
and stopped by the test.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.certificates import certificate
from tests.e2e.processes import Child, free_port, until
from tests.patience import PATIENCE

ALONE = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no")


class Server:
    """One redis-server in a folder and on a port of its own; what it holds is gone when it ends."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis(port=self.port, decode_responses=True, socket_timeout=PATIENCE)
        self._runs = 0
        self.start()

    def start(self) -> None:
        """Start it, empty."""
        self._runs += 1
        folder = self._folder / f"run-{self._runs}"
        folder.mkdir(parents=True)
        options = (*ALONE, "--dir", str(folder), *self._options)
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


class SentinelServer:
    """One sentinel that watches a master called `shop` and replaces it, alone, when it is gone
    for half a second.
    """

    def __init__(self, folder: Path, master: Server) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        written = folder / "sentinel.conf"
        written.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor shop 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 2000\n"
        )
        self.child = Child(["redis-server", str(written), "--sentinel"], folder)
        self.client = Redis(port=self.port, decode_responses=True, socket_timeout=PATIENCE)
        until(lambda: self._replicas() > 0, "the sentinel knows a replica of the master")

    def _replicas(self) -> int:
        try:
            return len(self.client.execute_command("SENTINEL", "REPLICAS", "shop"))
        except RedisError:
            return 0

    def close(self) -> None:
        """End it."""
        self.client.close()
        self.child.ask_to_end()
        self.child.end()


def speaks_tls(folder: Path) -> str:
    """Why the redis-server here cannot be asked over TLS; "" when it can."""
    if shutil.which("openssl") is None:
        return "openssl is not installed"
    chain, key = certificate(folder)
    words = (
        "--port",
        "0",
        "--tls-port",
        str(free_port()),
        "--tls-cert-file",
        str(chain),
        "--tls-key-file",
        str(key),
        "--tls-auth-clients",
        "no",
    )
    child = Child(["redis-server", *ALONE, "--dir", str(folder), *words], folder)
    ready = until(
        lambda: child.returncode is not None or "Ready to accept" in child.stdout.read_text(),
        "redis-server starts or refuses",
    )
    child.ask_to_end()
    child.end()
    return (
        ""
        if ready and "Ready to accept" in child.stdout.read_text()
        else "this redis-server has no TLS"
    )
