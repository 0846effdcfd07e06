"""Trials: page loads and canaries, counted where a browser can bear witness."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sidecar.policy.rules.conditions import Facts
from sidecar.telemetry.metric_table import ENGINES
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.trials import FIRST, LASTS, Trials, page_load
from tests.policy.making import facts, plan

CHROME = (
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"
    b" Safari/537.36"
)
FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
CSP = {"header": "Content-Security-Policy", "action": "default", "value": "default-src 'self'"}
COEP = {"header": "Cross-Origin-Embedder-Policy", "action": "set", "value": "require-corp"}


def page(
    *fields: tuple[bytes, bytes],
    agent: bytes = CHROME,
    dest: bytes = b"document",
    media: bytes = b"text/html",
    mode: bytes = b"",
    referer: bytes = b"",
    **more: Any,
) -> Facts:
    """A page as a browser asks for it."""
    request = [
        (b"User-Agent", agent),
        *([(b"Sec-Fetch-Dest", dest)] if dest else []),
        *([(b"Accept", b"text/html,*/*")] if not dest or mode == b"navigate" else []),
        *([(b"Sec-Fetch-Mode", mode)] if mode else []),
        *([(b"Referer", referer)] if referer else []),
    ]
    return facts((b"Content-Type", media), *fields, request=request, **more)


class Harness:
    """Counters of a plan whose rules are in trial."""

    def __init__(self, rule: dict[str, Any], share: float = 0.0, draw: float = 0.5) -> None:
        self.now = 1_000_000.0
        self.metrics = Metrics(process=False)
        self.route = plan({"it": rule}, mode="trial").routes[-1]
        self.tally = self.metrics.bind(plan({"it": rule}, mode="trial"))["default"]
        self.trials = Trials(self.metrics, share, b"secret", lambda: self.now, lambda: draw)

    def count(self, response: Facts) -> str:
        """Count one response; the lines that are added."""
        return self.trials.count(
            self.tally, self.route, response, self.route.judge(response)
        ).decode()

    def loads(self) -> float:
        """Page loads in trial."""
        return self.metrics.value("sidecar_trial_page_loads_total", "default", "it")

    def outcomes(self) -> dict[str, float]:
        """Page loads that said something else."""
        names = ("safe", "unknown", "waiting", "script", "data")
        return {
            name: count
            for name in names
            if (count := self.metrics.value("sidecar_would_break_total", "default", "it", name))
        }

    def canaries(self, what: str) -> dict[str, float]:
        """Canaries by engine."""
        return {
            engine: count
            for engine in ENGINES
            if (count := self.metrics.value(f"sidecar_canaries_{what}_total", engine))
        }


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (page(), ("chromium", 156)),
        (page(dest=b"iframe"), ("chromium", 156)),
        (page(dest=b""), ("chromium", 156)),
        (page(method="POST"), ("chromium", 156)),
        (page(dest=b"empty"), None),
        (page(media=b"application/json"), None),
        (page(agent=b"curl/8"), None),
        (page(method="HEAD"), None),
        (
            page()._replace(
                request=[
                    (b"User-Agent", CHROME),
                    (b"Sec-Fetch-Dest", b"document"),
                    (b"Sec-Purpose", b"prefetch"),
                ]
            ),
            None,
        ),
        (facts(request=[]), None),
    ],
)
def test_what_a_page_load_is(response: Facts, expected: tuple[str, int] | None):
    """A page or frame, loaded by a browser; on plain http names told by Accept."""
    assert page_load(response) == expected


@pytest.mark.parametrize(
    ("rule", "response", "loads", "outcomes"),
    [
        pytest.param(CSP, page(), 1, {}, id="the header went along"),
        pytest.param(
            CSP,
            page((b"Content-Security-Policy", b"img-src *")),
            0,
            {"safe": 1},
            id="nothing would be changed",
        ),
        pytest.param(COEP, page(scheme="https"), 1, {}, id="by the Reporting API on https"),
        pytest.param(COEP, page(scheme="http"), 0, {"unknown": 1}, id="not delivered on http"),
        pytest.param(
            COEP,
            page(scheme="https", agent=FIREFOX),
            0,
            {"unknown": 1},
            id="a browser that does not report it",
        ),
        pytest.param(
            COEP,
            page((b"Cross-Origin-Embedder-Policy-Report-Only", b"require-corp"), scheme="https"),
            0,
            {"waiting": 1},
            id="the service's own header",
        ),
        pytest.param(CSP, page(agent=b"curl/8"), 0, {}, id="no browser"),
        pytest.param(CSP | {"share": "1%"}, page(client="out"), 0, {}, id="outside the share"),
        pytest.param(
            CSP,
            page(dest=b"empty", media=b"application/json"),
            0,
            {"data": 1},
            id="fetched by a page",
        ),
        pytest.param(CSP, page(dest=b"empty", mode=b"navigate"), 1, {}, id="by a service worker"),
        pytest.param(
            CSP,
            page(dest=b"empty", mode=b"cors", referer=b"https://shop.test/sw.js"),
            0,
            {},
            id="by a service worker, it is not said for what",
        ),
        pytest.param(CSP, page(dest=b"empty", mode=b"cors"), 0, {"data": 1}, id="a part of a page"),
        pytest.param(
            CSP,
            page(dest=b"worker", media=b"text/javascript"),
            0,
            {"script": 1},
            id="a worker's script",
        ),
        pytest.param(
            CSP | {"share": "1%"},
            page((b"Content-Security-Policy", b"img-src *"), client="out"),
            0,
            {"safe": 1},
            id="nothing would be changed for anybody",
        ),
    ],
)
def test_a_page_load_counts_where_it_can_bear_witness(
    rule: dict[str, Any], response: Facts, loads: float, outcomes: dict[str, float]
):
    """What a browser cannot report is unknown, never a page load without a report."""
    counted = Harness(rule)
    counted.count(response)
    assert (counted.loads(), counted.outcomes()) == (loads, outcomes)


def targets(lines: str) -> list[str]:
    """Identities of the canaries in added lines, each with the way it takes."""
    return re.findall(r"/reports/canary/([^\s;\"]+)", lines)


def test_the_first_page_loads_of_each_engine_carry_canaries():
    """Small sites have their proof early; afterwards the share counts, and an activation begins
    anew.
    """
    harness = Harness(CSP)
    lines = [harness.count(page()) for _ in range(FIRST + 5)]
    harness.count(page(agent=FIREFOX))

    assert [bool(targets(line)) for line in lines] == [True] * FIRST + [False] * 5
    assert harness.canaries("sent") == {"chromium": FIRST, "firefox": 1}
    harness.trials.activated()
    assert targets(harness.count(page()))


@pytest.mark.parametrize(("share", "carried"), [(0.6, True), (0.4, False), (0.0, False)])
def test_a_share_of_page_loads_carries_canaries(share: float, carried: bool):
    """One draw for each page load."""
    harness = Harness(CSP, share, draw=0.5)
    for _ in range(FIRST):
        harness.count(page())
    assert bool(targets(harness.count(page()))) is carried


def test_a_canary_that_comes_back_counts_once():
    """Whatever else is posted to its address counts for nothing."""
    harness = Harness(CSP)
    (identity,) = targets(harness.count(page()))
    for back in (
        identity,
        identity,
        identity.replace("chromium", "firefox"),
        "x/u",
        "",
        identity[:-2] + "/a",
        "chromium-zz-u_1-2/u",
    ):
        harness.trials.returned(back)
    assert harness.canaries("returned") == {"chromium": 1}


def test_a_canary_of_both_ways_comes_back_by_both():
    """Where rules report by the Reporting API, that is tried too."""
    harness = Harness(COEP)
    ways = sorted(targets(harness.count(page(scheme="https"))))
    assert [way[-2:] for way in ways] == ["/a", "/u"] or len(ways) == 2
    harness.trials.returned(ways[0])
    assert harness.canaries("returned") == {}
    harness.trials.returned(ways[1])
    assert harness.canaries("returned") == {"chromium": 1}


def test_an_old_canary_counts_no_more():
    """A report that comes after its time proves nothing of now."""
    harness = Harness(CSP)
    (identity,) = targets(harness.count(page()))
    harness.now += LASTS + 120
    harness.trials.returned(identity)
    assert harness.canaries("returned") == {}
