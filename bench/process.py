"""Child processes: start one pinned to its cores, end it by pid, read what it cost.

Knows Linux (/proc, taskset); must not know proxies, load or reports.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TICK = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 5.0
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}
"""Installed programs have their byte code beside them: without it a start would compile every
module.
"""


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where. Origin and load share a core unless there is a third."""

    proxy: int
    load: int
    origin: int
    shared: bool
    """True when the proxy must share a core with the load: ratios are then not clean."""


def share_out(allowed: Sequence[int]) -> Cores:
    """The first core to the proxy, the next to the load, the one after to the origin."""
    proxy, *rest = sorted(allowed)
    load, origin, *_ = (*rest, *rest, proxy, proxy) if len(rest) < 2 else rest
    return Cores(proxy, load, origin, shared=not rest)


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    argv: Sequence[str], *, cores: Sequence[int], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``argv`` on ``cores`` from the repository's root, output to ``log``; end it on exit.

    The child leads a session of its own, so that whatever it has started goes with it.
    """
    pin = ["taskset", "-c", ",".join(map(str, cores))]
    with log.open("wb") as out:
        child = subprocess.Popen(
            [*pin, *argv],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def family(pid: int) -> list[int]:
    """The process and all its living descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time that the family has used so far (proc(5), fields 14 and 15)."""
    total = 0
    for member in family(pid):
        try:
            stat = Path(f"/proc/{member}/stat").read_text()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def machine_seconds() -> float:
    """CPU time of all cores that somebody used since boot, a hypervisor's other guests included.

    Interrupts count: the kernel charges a process for the loopback packets that it sends.
    """
    user, nice, system, _idle, _iowait, *interrupts_and_steal = map(
        int, Path("/proc/stat").read_text().split()[1:9]
    )
    return (user + nice + system + sum(interrupts_and_steal)) / TICK


def own_seconds() -> float:
    """CPU time of this process and of all its children that have ended."""
    return sum(os.times()[:4])


def resident_bytes(pid: int) -> int:
    """Resident memory of the family; pages shared by its members count once for each."""
    total = 0
    for member in family(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        total += sum(
            int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:")
        )
    return total
