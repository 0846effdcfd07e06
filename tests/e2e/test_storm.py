"""Many reloads under load: no failed request, no response that mixes two policies, flat memory."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e import wire
from tests.e2e.conftest import Start
from tests.e2e.processes import Service
from tests.patience import PATIENCE
from tests.portion import FULL

RELOADS = 1000 if FULL else 80
SETTLED = RELOADS // 5
GROWTH = 4 << 20
CLIENTS = 4
PAUSE = 0.002
"""Seconds between a client's requests, so that the load leaves the reloads their share of two
cores.
"""


def policy(name: str) -> str:
    """A policy whose two marks must agree in every response."""
    return f"""\
version: 1
name: storm
mode: enforce
rules:
  first: {{header: X-First, action: set, value: {name}}}
  no-server: {{action: remove, header: [Server, X-Powered-By]}}
  csp: {{header: Content-Security-Policy, action: set, value: "default-src 'self'; report-to {name}"}}
  last: {{header: X-Last, action: set, value: {name}}}
"""  # noqa: E501


class Load:
    """Clients that keep asking on kept connections; what they saw."""

    def __init__(self, address: wire.Address) -> None:
        self.seen: Counter[str] = Counter()
        self.faults: list[str] = []
        self.stop = threading.Event()
        self._address = address

    def hammer(self) -> None:
        """Ask until told to stop."""
        asked = wire.request("GET", "/")
        try:
            with wire.Line(self._address) as line:
                while not self.stop.wait(PAUSE):
                    self._judge(line.exchange(asked))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a failed request
            self.faults.append(repr(error))

    def _judge(self, response: wire.Response) -> None:
        marks = {
            response.value("X-First"),
            response.value("X-Last"),
            (response.value("Content-Security-Policy") or "")[-1:],
        }
        if response.status == 200 and len(marks) == 1 and not response.values("Server"):
            self.seen[str(marks.pop())] += 1
        else:
            self.faults.append(repr(response))


@contextmanager
def load(address: wire.Address) -> Iterator[Load]:
    """Hammer until the block ends."""
    made = Load(address)
    threads = [threading.Thread(target=made.hammer) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.stop.set()
        for thread in threads:
            thread.join(PATIENCE)


def test_many_reloads_under_load(start: Start, shop: Service) -> None:
    """Over a thousand reloads under load every response is whole and wholly of one policy, and
    memory stays flat.
    """
    sidecar = start(policy("b"), shop.url)
    texts = [policy("a"), policy("b")]
    host, port = sidecar.admin.removeprefix("http://").split(":")
    asked = wire.request(
        "POST",
        "/-/reload",
        [("Host", f"{host}:{port}"), ("Content-Type", "application/json")],
        b"{}",
    )
    revisions: set[str] = set()
    settled = 0
    with load(sidecar.listen) as clients, wire.Line((host, int(port))) as admin:
        for turn in range(RELOADS):
            sidecar.write(texts[turn % 2])
            data = json.loads(admin.exchange(asked).body)
            assert data["result"] in ("activated", "unchanged"), data
            revisions.add(data["revision"])
            if turn == SETTLED:
                settled = sidecar.resident()
        grown = sidecar.resident() - settled
    assert clients.faults == []
    assert len(revisions) == 2
    assert min(clients.seen["a"], clients.seen["b"]) > RELOADS // 2, clients.seen
    assert grown < GROWTH, f"{grown >> 20} MiB more after {RELOADS - SETTLED} reloads"
    assert sidecar.metric("sidecar_config_reloads_total", result="activated") == RELOADS + 1
