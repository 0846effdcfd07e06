"""Children of the tests: started with their output in files, awaited by what they do, ended by
their own handle; ports for them.
"""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tests.e2e import wire
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]

T = TypeVar("T")


def until(asked: Callable[[], T], what: str, within: float = PATIENCE) -> T:
    """Ask again and again until the response is true; fails with `what` when time is over. Asks
    the more seldom the longer it takes, as each question costs the one who is asked.
    """
    begun = time.monotonic()
    while not (found := asked()):
        waited = time.monotonic() - begun
        if waited > within:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(min(0.25, max(0.01, waited / 20)))
    return found


def accepting(process: subprocess.Popen[bytes], port: int, output: Path, text: str = "") -> None:
    """Wait until the process takes connections."""

    def accepts() -> bool:
        assert process.poll() is None, f"{output.read_text()}\n{text}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return True
        return False

    until(accepts, f"it accepts, as {output} says")


def free_port() -> int:
    """A port of the loopback for who cannot take 0 and tell: below those that the system gives,
    so that no neighbour is given it meanwhile.
    """
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.SystemRandom().randrange(20_000, 32_768)))
            except OSError:
                continue
            return int(probe.getsockname()[1])


class Child:
    """One process. `stdout` and `stderr` are files in `folder`."""

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=clean_environment() | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=err,
            )
        self.pid = self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self, within: float = PATIENCE) -> int:
        """Its exit code."""
        return self._process.wait(within)

    def ask_to_end(self) -> None:
        """TERM, if it runs."""
        if self._process.poll() is None:
            self._process.terminate()

    def end(self, within: float = 5.0) -> int:
        """Wait for its end for so many seconds, then KILL; returns the exit code."""
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._process.wait()


def clean_environment() -> dict[str, str]:
    """The environment without the settings of a sidecar or a framework that happen to be set."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SIDECAR_", "DJANGO_", "FLASK_", "GUNICORN_", "PYTHON"))
    }
    return kept | {"NO_COLOR": "1", "COLUMNS": "200"}


COMMANDS: dict[str, tuple[str, ...]] = {
    "fastapi": (
        "-m",
        "uvicorn",
        "--port",
        "0",
        "--no-access-log",
        "tests.services.fastapi_app:app",
    ),
    "flask": (
        "-m",
        "gunicorn",
        "-b",
        "127.0.0.1:0",
        "-c",
        "python:tests.services.gunicorn_conf",
        "tests.services.flask_app:app",
    ),
    "django": (
        "-m",
        "gunicorn",
        "-b",
        "127.0.0.1:0",
        "-c",
        "python:tests.services.gunicorn_conf",
        "tests.services.django_app:app",
    ),
}


class Service:
    """One sample service in a process of its own, on a port that the system chose and its server
    tells.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.child = Child([sys.executable, *COMMANDS[name]], folder)
        self.address: wire.Address = ("127.0.0.1", until(self._port, f"{name} listens"))

    def _port(self) -> int:
        said = self.child.stderr.read_text()
        assert self.child.returncode is None, said
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        return int(found[1]) if found else 0

    @property
    def url(self) -> str:
        """As `--upstream` takes it."""
        return f"http://127.0.0.1:{self.address[1]}"

    def open_gate(self, name: str) -> None:
        """Let the response that waits at this gate go on."""
        assert wire.ask(self.address, wire.request("POST", f"/open/{name}", body=b"")).status == 204
