"""Load on one proxy: a case, what it gave, what it cost.

Throughput is wrk's work (closed loop); latency at a fixed rate is ``paced.py``'s (open loop).
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .origin import VARIED, size_in_bytes
from .process import cpu_seconds

LARGE = 1 << 20
HERE = Path(__file__).resolve().parent
UPLOAD, FRESH, MESSAGES = "upload", "fresh", "websocket"
"""Kinds of load besides pages on kept connections."""
KINDS = {
    UPLOAD: "bodies sent, short responses",
    FRESH: "a connection for each page",
    MESSAGES: "messages there and back through a tunnel",
}

# wrk's own table rounds; its done() hook has the exact numbers.
WRK_REPORT = """\
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '\\nRESULT {"requests":%d,"bytes":%d,"microseconds":%d,"errors":%d}\\n',
        summary.requests, summary.bytes, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


# What wrk asks, for the kinds that are no plain GET.
WRK_UPLOAD = 'wrk.method = "POST"\nwrk.body = string.rep("x", {size})\n'
WRK_FRESH = 'wrk.headers["Connection"] = "close"\n'


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of load: a body size by name, a number of connections, and what is not a plain
    GET.
    """

    size: str
    connections: int
    kind: str = ""

    def __str__(self) -> str:
        words = [self.kind, "" if self.kind == MESSAGES else self.size, str(self.connections)]
        return "-".join(filter(None, words))

    @property
    def taken(self) -> bool:
        """Whether it goes to the service that takes bodies and messages."""
        return self.kind in (UPLOAD, MESSAGES)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What a proxy gave when asked as fast as it can."""

    requests: float
    """Whole pages; for large bodies counted by bytes, as many are on their way at the end."""
    seconds: float
    errors: int
    cpu: float
    """CPU seconds used by the proxy meanwhile, kernel time included."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def cpu_each(self) -> float:
        """CPU microseconds a request."""
        return self.cpu * 1e6 / self.requests if self.requests else float("inf")

    @property
    def busy(self) -> float:
        """Cores kept busy: near 1.0 when the proxy, not the load, was the limit."""
        return self.cpu / self.seconds


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the moment a request was due to the end of its response."""

    p50: float
    p99: float
    worst: float
    achieved: float
    """Responses a second: below the offered rate when the proxy could not bear it."""
    lost: int
    """Requests that were due and got no response."""


def parse_case(text: str) -> Case:
    """``"1k-32"`` -> one KiB at 32 connections, ``"varied-32"``, ``"upload-1m-8"``,
    ``"fresh-1k-32"``, ``"websocket-32"``.

    Raises ValueError otherwise.
    """
    *words, connections = text.split("-")
    kind = words.pop(0) if words and words[0] in KINDS else ""
    size = "1k" if kind == MESSAGES and not words else "-".join(words)
    size_in_bytes(size)
    if not connections.isdecimal() or int(connections) == 0:
        raise ValueError(f"{text!r} is not a case such as 1k-32")
    return Case(size, int(connections), kind)


def parse_wrk(output: str, case: Case, cpu: float) -> Throughput:
    """Read what WRK_REPORT printed. Raises ValueError when it is not there."""
    for line in output.splitlines():
        if line.startswith("RESULT "):
            found = json.loads(line.removeprefix("RESULT "))
            size = size_in_bytes(case.size)
            return Throughput(
                requests=found["requests"] if case.kind or size < LARGE else found["bytes"] / size,
                seconds=found["microseconds"] / 1e6,
                errors=found["errors"],
                cpu=cpu,
            )
    said = output.strip().splitlines()[-1:] or ["nothing"]
    raise ValueError(f"the load said: {said[0]}")


def _wrk(port: int, case: Case, seconds: int, folder: Path) -> list[str]:
    asked = {
        UPLOAD: WRK_UPLOAD.format(size=size_in_bytes(case.size)),
        FRESH: WRK_FRESH,
    }.get(case.kind, "")
    if case.size == VARIED:
        asked += (HERE / "varied.lua").read_text()
    script = folder / "report.lua"
    script.write_text(asked + WRK_REPORT)
    argv = ["wrk", "-t", "1", "-c", str(case.connections), "-d", f"{seconds}s"]
    return [*argv, "--timeout", "20s", "-s", str(script), f"http://127.0.0.1:{port}/{case.size}"]


def throughput(pid: int, port: int, case: Case, seconds: int, folder: Path) -> Throughput:
    """Ask as fast as it answers for so many seconds; ``pid`` is the proxy that pays. Raises
    ValueError.
    """
    if case.kind == MESSAGES:
        argv = [sys.executable, str(HERE / "messages.py"), "--port", str(port)]
        argv += ["--connections", str(case.connections), "--seconds", str(seconds)]
    else:
        argv = _wrk(port, case, seconds, folder)
    before = cpu_seconds(pid)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)
    return parse_wrk(done.stdout + done.stderr, case, cpu_seconds(pid) - before)


def latency(port: int, case: Case, rate: float, seconds: int) -> Latency:
    """Offer a constant rate for so many seconds, whatever the proxy makes of it."""
    argv = [sys.executable, str(HERE / "paced.py"), "--port", str(port)]
    argv += ["--path", f"/{case.size}", "--connections", str(case.connections)]
    argv += ["--rate", str(rate), "--seconds", str(seconds)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=True)
    return Latency(**json.loads(done.stdout))


def warm(port: int, case: Case, folder: Path) -> None:
    """One unmeasured second: connections to the origin opened, caches and allocators filled."""
    throughput(0, port, case, 1, folder)
    time.sleep(0.05)
