"""How long a proxy takes from its command to ready: by the clock, and as CPU time of its processes.

Ready is the first 200 from the port and path that are asked all the time.
"""

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .process import cpu_seconds, running
from .verify import Unfit

GIVE_UP = 30.0
PAUSE = 0.001


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds to ready."""

    took: float
    cpu: float


def started(argv: Sequence[str], core: int, log: Path, port: int, path: str) -> Start:
    """Start it, wait until it is ready, end it. Raises Unfit when that does not come."""
    begun = time.perf_counter()
    with running(argv, cores=[core], log=log) as child:
        while not _ready(port, path):
            if child.poll() is not None or time.perf_counter() - begun > GIVE_UP:
                raise Unfit(f"not ready: {log.read_text(errors='replace')[-200:].strip()}")
            time.sleep(PAUSE)
        return Start(time.perf_counter() - begun, cpu_seconds(child.pid))


def _ready(port: int, path: str) -> bool:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        link.request("GET", path)
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
