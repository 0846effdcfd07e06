"""What a request costs as the policy grows: routes and rules, from one to a thousand, as ratios.

`python -m bench.growth` prints CPU microseconds of what the policy does to one request: finding the
route, the judgement, the counting; all else does not know how large the policy is. For the compiled
build put its folder first: `PYTHONPATH=$(python -m bench.compiled | tail -1) python -m
bench.growth`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.engine.resolve import resolve
from sidecar.policy.rules.conditions import Facts
from sidecar.telemetry import Events, Metrics, Telemetry

ROUNDS, REQUESTS = 7, 4000
FIELDS = [
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Content-Length", b"1024"),
    (b"Server", b"uvicorn"),
    (b"Date", b"Sun, 29 Nov 2026 13:00:00 GMT"),
]
ASKED = [
    (name, b"some value")
    for name in (b"Host", b"User-Agent", b"Accept", b"Accept-Encoding", b"Cookie", b"X-Odd")
]


class _Nowhere:
    dropped = 0

    def write(self, line: str) -> None:
        """Drop it: writing costs the same whatever the policy says."""


def routes(count: int, path: str) -> dict[str, Any]:
    """A policy of so many routes, of which requests ask for the last, and one rule."""
    return {
        "rules": {"odd": {"header": "X-Odd", "action": "remove"}},
        "routes": [{"name": f"r{at}", "match": {"path": path.format(at)}} for at in range(count)],
    }


def rules(count: int, **more: Any) -> dict[str, Any]:
    """A policy of so many rules that find nothing to change."""
    return {
        "rules": {
            f"r{at}": {"header": f"X-Odd-{at}", "action": "remove", **more} for at in range(count)
        }
    }


def cost(policy: dict[str, Any], path: str) -> float:
    """CPU microseconds of one request, the best of some rounds."""
    plan = compile_policy(resolve({"version": 1, "mode": "enforce", **policy}, {}))
    telemetry = Telemetry(Events(_Nowhere()), Metrics())
    tallies = telemetry.activated(plan, "revision")
    statuses = itertools.cycle((200, 200, 200, 404))

    def request() -> None:
        route = plan.route("shop.example:8000", "GET", path)
        facts = Facts("GET", "shop.example:8000", path, "https", ASKED, next(statuses), FIELDS)
        verdict = route.judge(facts)
        telemetry.record(
            tallies[route.name],
            "revision",
            route,
            facts,
            verdict,
            origin="upstream",
            request_id="1",
        )

    return min(_timed(request) for _ in range(ROUNDS))


def _timed(request: Callable[[], None]) -> float:
    begun = time.process_time()
    for _ in range(REQUESTS):
        request()
    return (time.process_time() - begun) / REQUESTS * 1e6


def main() -> None:
    """Print the figures, each beside the smallest policy of its kind."""
    cases = (
        ("routes, literal", lambda n: (routes(n, "/shop/r{}/**"), f"/shop/r{n - 1}/x/y")),
        ("routes, * between", lambda n: (routes(n, "/shop/*/r{}"), f"/shop/x/r{n - 1}")),
        ("routes, none matches", lambda n: (routes(n, "/shop/r{}/**"), "/assets/app.js")),
        ("routes, odd spelling", lambda n: (routes(n, "/shop/r{}/**"), f"//shop%2Fr{n - 1}/x")),
        ("rules", lambda n: (rules(n), "/shop")),
        (
            "rules, when a request header says so",
            lambda n: (rules(n, when={"request": {"X-Other": "a*b"}}), "/shop"),
        ),
    )
    print(
        f"{'CPU us per request':38}" + "".join(f"{n:>9}" for n in (1, 10, 100, 999)) + "    ratio"
    )
    for name, policy in cases:
        found = [cost(*policy(count)) for count in (1, 10, 100, 999)]
        print(f"{name:38}" + "".join(f"{us:9.2f}" for us in found) + f"{found[-1] / found[0]:9.2f}")


if __name__ == "__main__":
    main()
