"""What one event costs: CPU microseconds of a response that is reported, beside one that is only
counted.

`python -m bench.event`. Lines go to /dev/null through the sink and its thread, whose time counts.
"""

from __future__ import annotations

import os
import time
from typing import Any

from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.engine.resolve import resolve
from sidecar.policy.rules.conditions import Facts
from sidecar.telemetry import Events, Metrics, Telemetry
from sidecar.telemetry.events import QueuedOutput

ROUNDS, RESPONSES = 7, 4000
RULES: dict[str, Any] = {
    f"r{at}": {"header": f"X-Odd-{at}", "action": "set", "value": "a value of some length"}
    for at in range(10)
}
ASKED = [(b"Host", b"shop.example"), (b"Accept", b"*/*"), (b"Accept-Encoding", b"gzip")]


def cost(per_second: int, findings: int) -> float:
    """CPU microseconds of one response, the best of some rounds; so many findings in its event."""
    rules = dict(list(RULES.items())[:findings])
    plan = compile_policy(resolve({"version": 1, "mode": "enforce", "rules": rules}, {}))
    file = os.open(os.devnull, os.O_WRONLY)
    sink = QueuedOutput(file)
    telemetry = Telemetry(Events(sink, per_second=per_second), Metrics())
    tallies = telemetry.activated(plan, "revision")
    seen: list[Any] = [None]
    telemetry.watch(lambda event: seen.__setitem__(0, event))
    route = plan.route("shop.example", "GET", "/")

    def response() -> None:
        facts = Facts("GET", "shop.example", "/", "https", ASKED, 200, [])
        telemetry.record(
            tallies["default"],
            "revision",
            route,
            facts,
            route.judge(facts),
            origin="upstream",
            request_id="0123456789abcdef",
        )

    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(RESPONSES):
            response()
        found.append((time.process_time() - begun) / RESPONSES * 1e6)
    sink.close()
    os.close(file)
    return min(found)


def main() -> None:
    """Print the figures."""
    for findings in (1, 3, 10):
        told, counted = cost(10_000_000, findings), cost(0, findings)
        print(
            f"{findings:3} changes: {told - counted:6.1f} us an event ({told:.1f} - {counted:.1f})"
        )


if __name__ == "__main__":
    main()
