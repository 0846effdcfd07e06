"""How long the sidecar takes from its command to ready, and verbs that speak to a running one to their end.

`python -m bench.start` prints the best and the median of some starts, in milliseconds, by the clock and as
CPU time of the process. Run it on an idle machine. Must not know what takes the time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.e2e.processes import free_port

STARTS = 5
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
POLICY = """\
version: 1
name: start
mode: enforce
extends: [baseline-2026-11]
"""


def started(folder: Path, *flags: str) -> tuple[float, float]:
    """Seconds from the command to ready: by the clock, and of CPU."""
    ports = [free_port() for _ in range(3)]
    names = ("--listen", "--admin", "--health")
    where = [
        word
        for name, port in zip(names, ports, strict=True)
        for word in (name, f"127.0.0.1:{port}")
    ]
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "sidecar", "run", *where, "--policy", "policy.yaml", *flags],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    ) as child:
        try:
            while not ready(f"http://127.0.0.1:{ports[2]}/readyz"):
                time.sleep(0.002)
            took = time.perf_counter() - begun
            ticks = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        finally:
            child.terminate()
    return took, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def ready(url: str) -> bool:
    """Whether the probe says yes."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as refusal:
        raise AssertionError(refusal.read()) from refusal
    except OSError:
        return False


def ended(*words: str) -> tuple[float, float]:
    """Seconds that a verb takes to its end, by the clock and of CPU."""
    before, begun = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "sidecar", *words],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    after = os.times()
    cpu = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return time.perf_counter() - begun, cpu


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policy.yaml").write_text(POLICY, "utf-8")
        nobody = f"http://127.0.0.1:{free_port()}"
        cases = {
            "python alone": lambda: ended("--version"),
            "run, to ready": lambda: started(folder),
            "run with two workers": lambda: started(folder, "--workers", "2"),
            "rollback": lambda: ended("rollback", "--admin", nobody),
            "mode report-only": lambda: ended("mode", "report-only", "--admin", nobody),
        }
        print(f"{'':24}{'best':>8}{'median':>8}{'CPU':>8}  ms")
        for what, measured in cases.items():
            found = [measured() for _ in range(STARTS)]
            clock = [took for took, _ in found]
            figures = (min(clock), statistics.median(clock), min(cpu for _, cpu in found))
            print(f"{what:24}" + "".join(f"{seconds * 1000:8.0f}" for seconds in figures))


if __name__ == "__main__":
    main()
