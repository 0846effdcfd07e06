"""Evidence and the gate: three-valued verdicts from stated minimums, and books that keep what
still holds.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from sidecar.policy.engine.plan import Plan
from sidecar.policy.words import counted
from sidecar.rollout.evidence import SETTLE, EvidenceStore, ViolationTrend
from sidecar.rollout.gate import describe, judge
from sidecar.rollout.model import Cause, Climb, Evidence, Minimums, TrialEvidence, read, span
from sidecar.telemetry import Events, Metrics, Telemetry
from sidecar.telemetry.metric_table import SEEN
from tests.policy.making import facts, plan
from tests.telemetry import Collected

OLD = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.0.0"
    " Safari/537.36"
)
"""A browser of before Fetch Metadata."""
ENOUGH = Minimums(requests=100, time=3600, routes=1, breaks=0)
NOW = 10_000.0
HARMLESS = ({"kind": "harmless", "why": "w", "source": "s", "next": ""},)
PROXY = ({"kind": "proxy", "why": "w", "source": "s", "next": "n"},)
BROWSERS = ({"kind": "browsers", "why": "w", "source": "s", "next": "n"},)
NOBODY = ({"kind": "nobody", "why": "w", "source": "s", "next": "n"},)
CAUSE = Cause(
    *("c1", "default", "it", "served", "csp-violation", "script-src-elem", "inline", "x()", ""),
    *(("/",), 3, 1, ("chromium",), 1.0, 2.0, "w", "https://s.test", ()),
)


def tried(**known: Any) -> dict[str, Any]:
    """A rule in trial that enough page loads have carried, with proof that reports come through."""
    whole: dict[str, Any] = {
        "loads": 400.0,
        "settle": 5.0,
        "settled": 400.0,
        "canaries": {"chromium": (20.0, 20.0)},
    }
    return {"mode": "trial", "witnesses": BROWSERS, "trial": TrialEvidence(**(whole | known))}


NOSNIFF = {"header": "X-Content-Type-Options", "action": "set", "value": "nosniff"}


def evidence(**known: Any) -> Evidence:
    """A rule that has been seen enough."""
    fixed = {
        "route": "default",
        "rule": "it",
        "mode": "report-only",
        "since": 0.0,
        "evaluated": 100,
        "affected": 40,
        "witnesses": HARMLESS,
    }
    return Evidence(**(fixed | known))


@pytest.mark.parametrize("mode", ["off", "report-only", "trial", "enforce"])
def test_rules_in_any_mode_have_evidence(mode: str):
    """One that is off counts nothing, though requests could say what it would break."""
    rules = {"nosniff": NOSNIFF, "frames": {"header": "X-Frame-Options", "action": "set"}}
    rules["frames"]["value"] = "DENY"
    telemetry = Telemetry(Events(Collected()), Metrics(process=False))
    made, book = plan(rules, mode=mode), EvidenceStore(telemetry.metrics)
    telemetry.activated(made, "r")
    book.activated(made)

    assert [item.mode for item in book.evidence()] == [mode, mode]
    assert [sum(item.outcomes.values()) for item in book.evidence()] == [0, 0]


@pytest.mark.parametrize(
    ("case", "known", "outcome"),
    [
        ("enough of everything", {}, "pass"),
        ("one response too few", {"evaluated": 99}, "inconclusive"),
        ("one second too short", {"since": NOW - 3599}, "inconclusive"),
        ("one request would have broken", {"outcomes": {"break": 1, "safe": 99}}, "fail"),
        (
            "breakage outweighs too little traffic",
            {"evaluated": 5, "outcomes": {"break": 1}},
            "fail",
        ),
        ("requests that say enough", {"witnesses": PROXY, "outcomes": {"safe": 100}}, "pass"),
        (
            "a cookie that requests carry and no response set",
            {"witnesses": NOBODY, "affected": 0, "outcomes": {"safe": 100, "carried": 1}},
            "inconclusive",
        ),
        (
            "the same, and a response set it as the rule would",
            {"witnesses": NOBODY, "affected": 0, "outcomes": {"carried": 99, "set": 1}},
            "pass",
        ),
        (
            "requests that do not say",
            {"witnesses": PROXY, "outcomes": {"unknown": 100}},
            "inconclusive",
        ),
        (
            "requests of no browser",
            {"witnesses": PROXY, "outcomes": {"irrelevant": 1000}},
            "inconclusive",
        ),
        (
            "what pages fetched, and no page, as requests say",
            {"witnesses": PROXY, "outcomes": {"data": 100}},
            "pass",
        ),
        (
            "too little that pages fetched",
            {"witnesses": PROXY, "outcomes": {"data": 99}},
            "inconclusive",
        ),
        (
            "what pages fetched, and one page",
            {"witnesses": PROXY, "outcomes": {"data": 100, "safe": 1}},
            "inconclusive",
        ),
        (
            "what pages fetched, and what may be a page",
            {"witnesses": PROXY, "outcomes": {"data": 100, "unknown": 1}},
            "inconclusive",
        ),
        (
            "what pages fetched, and a page that may break",
            {"witnesses": PROXY, "outcomes": {"data": 100, "open": 1}},
            "inconclusive",
        ),
        (
            "data that is right already",
            {"witnesses": PROXY, "affected": 0, "outcomes": {"data": 100}},
            "pass",
        ),
        (
            "one of nine requests unknown",
            {"witnesses": PROXY, "outcomes": {"safe": 400, "unknown": 50}},
            "inconclusive",
        ),
        (
            "one of ten requests unknown",
            {"witnesses": PROXY, "outcomes": {"safe": 450, "unknown": 50}},
            "pass",
        ),
        (
            "one request that may break",
            {"witnesses": PROXY, "outcomes": {"safe": 10_000, "open": 1}},
            "inconclusive",
        ),
        ("a rule that would change nothing", {"witnesses": NOBODY, "affected": 0}, "pass"),
        (
            "a cookie that no response set meanwhile, and that may be missed",
            {"witnesses": PROXY, "affected": 0, "outcomes": {"safe": 100, "open": 1}},
            "inconclusive",
        ),
        ("nobody can tell", {"witnesses": NOBODY}, "inconclusive"),
        ("browsers were not asked", {"witnesses": BROWSERS}, "inconclusive"),
        ("a trial without a report", tried(), "pass"),
        ("a trial of too few page loads", tried(loads=99.0, settled=99.0), "inconclusive"),
        ("reports of the last page loads may still come", tried(settled=50.0), "inconclusive"),
        (
            "the only page loads that it would change are new",
            tried(loads=1.0, settled=0.0) | {"outcomes": {"safe": 400}},
            "inconclusive",
        ),
        (
            "no page load that it would change",
            tried(loads=0.0, settled=0.0) | {"outcomes": {"safe": 400}},
            "pass",
        ),
        (
            "what pages fetched, and no page",
            tried(loads=0.0, settled=0.0, canaries={}) | {"outcomes": {"data": 100}},
            "pass",
        ),
        (
            "what pages fetched, and a page",
            tried(loads=1.0, settled=1.0) | {"outcomes": {"data": 100}},
            "inconclusive",
        ),
        (
            "what pages fetched, and a worker",
            tried(loads=0.0, settled=0.0) | {"outcomes": {"data": 100, "script": 1}},
            "inconclusive",
        ),
        (
            "what pages fetched, and a page that cannot report",
            tried(loads=0.0, settled=0.0) | {"outcomes": {"data": 100, "unknown": 1}},
            "inconclusive",
        ),
        ("no canary came back", tried(canaries={"chromium": (20.0, 0.0)}), "inconclusive"),
        ("no canary was sent", tried(canaries={}), "inconclusive"),
        ("most canaries were lost", tried(canaries={"chromium": (20.0, 9.0)}), "inconclusive"),
        ("browsers reported what the site does", tried(causes=(CAUSE,)), "fail"),
        ("a report found no room", tried(reports={"dropped": 1.0}), "inconclusive"),
        ("a fleet's browsers reported it", tried(reports={"script": 2.0}), "fail"),
        (
            "a fleet's browsers reported what no page explains",
            tried(reports={"unserved": 2.0}),
            "inconclusive",
        ),
        ("an extension was reported", tried(causes=(replace(CAUSE, kind="noise"),)), "pass"),
        (
            "one report that names no page",
            tried(causes=(replace(CAUSE, kind="unexplained"),)),
            "inconclusive",
        ),
        (
            "one report that no page explains",
            tried(causes=(replace(CAUSE, kind="unserved"),)),
            "inconclusive",
        ),
        (
            "on almost half of the page loads",
            tried(causes=(replace(CAUSE, kind="unserved", count=199),)),
            "inconclusive",
        ),
        (
            "on half of the page loads",
            tried(causes=(replace(CAUSE, kind="unserved", count=200),)),
            "fail",
        ),
        (
            "reports that counted as the site's before its pages were read",
            tried(causes=(replace(CAUSE, kind="unserved"),), reports={"served": 3.0}),
            "inconclusive",
        ),
        (
            "mostly browsers that do not report",
            tried() | {"outcomes": {"unknown": 401}},
            "inconclusive",
        ),
        (
            "the service's own header stands in the place",
            tried() | {"outcomes": {"waiting": 1}},
            "inconclusive",
        ),
        (
            "sandbox beside what browsers report",
            tried() | {"witnesses": (*BROWSERS, *NOBODY)},
            "inconclusive",
        ),
        ("a rule that is off is not judged", {"mode": "off"}, "inconclusive"),
    ],
)
def test_verdicts(case: str, known: dict[str, Any], outcome: str):
    """The gate passes on enough, fails on breakage, and says inconclusive where it does not
    know.
    """
    assert judge("it", [evidence(**known)], ENOUGH, NOW).outcome == outcome, case


def test_what_reports_nowhere_is_not_waited_for():
    """More page loads of browsers that never report would say nothing."""
    mute = tried(loads=0.0, settled=0.0) | {"outcomes": {"unknown": 18.0}}
    assert judge("it", [evidence(**mute)], ENOUGH, NOW).next.startswith("Serve the site over https")


def test_a_frame_is_looked_at_not_disowned():
    """It is the site's own: whether it needs what the rule takes decides on a waiver."""
    found = {"kind": "unexplained", "directive": "allow", "blocked": "https://pay.test"}
    frame = replace(CAUSE, **found, sample="")
    verdict = judge("it", [evidence(**tried(causes=(frame,)))], ENOUGH, NOW)
    assert verdict.reasons[0].startswith("a frame of https://pay.test may need")
    assert verdict.next == (
        "Find out whether that frame needs what the rule takes; if it does not: promote --waive c1."
    )


def test_what_a_report_does_not_show_is_said():
    """A page may well have it: why it is unclear decides on a waiver."""
    worker = replace(CAUSE, kind="unexplained", why="what it loads is not reported")
    (reason, *_) = judge("it", [evidence(**tried(causes=(worker,)))], ENOUGH, NOW).reasons
    assert reason.startswith("browsers reported: script-src-elem")
    assert reason.endswith("[c1]; what it loads is not reported")


@pytest.mark.parametrize("outcome", ["break", "open"])
def test_a_verdict_names_requests(outcome: str):
    """Who has to find out what may break is told where to look."""
    known = {"witnesses": PROXY, "outcomes": {"safe": 400, outcome: 1}}
    seen = evidence(**known, examples={outcome: ("GET /LICENSE none document",)})
    assert "(GET /LICENSE none document)" in judge("it", [seen], ENOUGH, NOW).reasons[0]


def test_witnesses_of_one_kind_all_have_their_say():
    """The step is the first that is more than to wait."""
    wait = {"kind": "proxy", "why": "one", "source": "s", "next": ""}
    look = {"kind": "proxy", "why": "two", "source": "s", "next": "Look."}
    seen = evidence(witnesses=(wait, look), outcomes={"safe": 400, "open": 1})
    verdict = judge("it", [seen], ENOUGH, NOW)
    assert verdict.reasons[0].endswith("may break: one; two")
    assert verdict.next == "Look."


CLIMB = Climb(2, (300, 86_400, 2_592_000))


@pytest.mark.parametrize(
    ("case", "known", "outcome"),
    [
        ("all over https", {"outcomes": {"safe": 1000}}, "pass"),
        ("just enough over https", {"outcomes": {"safe": 990, "plain": 10}}, "pass"),
        ("one more over plain http", {"outcomes": {"safe": 989, "plain": 11}}, "fail"),
        ("all over plain http", {"outcomes": {"plain": 1000}}, "fail"),
        ("too few requests", {"outcomes": {"safe": 99}}, "inconclusive"),
        ("nobody vouches", {"outcomes": {"unknown": 1000}}, "inconclusive"),
        ("mostly nobody vouches", {"outcomes": {"safe": 100, "unknown": 101}}, "inconclusive"),
        ("no evidence", {"evaluated": 0, "affected": 0, "outcomes": {}}, "inconclusive"),
        ("the service sends it already", {"affected": 0, "outcomes": {"plain": 1000}}, "fail"),
        ("too short a time", {"since": NOW - 5, "outcomes": {"safe": 1000}}, "inconclusive"),
        (
            "subdomains",
            {"witnesses": (*PROXY, *NOBODY), "outcomes": {"safe": 1000}},
            "inconclusive",
        ),
        ("before the first step", {"mode": "report-only", "outcomes": {"safe": 1000}}, "pass"),
    ],
)
def test_the_gate_of_a_step(case: str, known: dict[str, Any], outcome: str):
    """The share over https that somebody vouches for, and time; plain http counts against, what
    is unsure does not count.
    """
    seen = evidence(**({"mode": "enforce", "witnesses": PROXY, "climb": CLIMB} | known))
    verdict = judge("it", [seen], ENOUGH, NOW)

    assert verdict.outcome == outcome, (case, verdict.reasons)
    assert "on step 2 of 3 (1d)" in verdict.reasons


def test_a_share_is_never_rounded_up():
    """98.999% is not 99%, and the reader sees why."""
    seen = evidence(
        mode="enforce",
        witnesses=PROXY,
        climb=CLIMB,
        outcomes={"safe": 98_999.0, "plain": 1_001.0},
    )
    verdict = judge("it", [seen], ENOUGH, NOW)

    assert verdict.reasons[0] == "98.99% of them came over https; needed: 99%"
    assert "--min-https" in verdict.next


def test_routes_count_together():
    """Responses add up over routes, time is that of the youngest, and unseen routes are named."""
    both = [
        evidence(evaluated=60),
        evidence(route="api", evaluated=50, since=5000.0),
        evidence(route="quiet", evaluated=0),
    ]

    verdict = judge("it", both, ENOUGH, NOW)

    assert (verdict.outcome, verdict.evaluated, verdict.elapsed) == ("pass", 110, 5000.0)
    assert "no response yet on route quiet" in verdict.reasons
    assert judge("it", both, Minimums(100, 3600, 3, 0), NOW).outcome == "inconclusive"


def test_a_rule_is_judged_by_what_it_reported():
    """Minutes of enforcing that were taken back neither shorten the watch nor count; a rule that
    only enforces is judged by that.
    """
    both = [
        evidence(evaluated=200, outcomes={"safe": 200}),
        evidence(mode="enforce", since=NOW - 5, evaluated=7),
    ]

    verdict = judge("it", both, ENOUGH, NOW)

    assert (verdict.outcome, verdict.evaluated, verdict.elapsed, verdict.at) == (
        "pass",
        200,
        NOW,
        NOW,
    )
    assert "seen on 1 of 1 route; needed: 1" in verdict.reasons
    assert judge("it", both[1:], ENOUGH, NOW).evaluated == 7


def test_a_test_report_is_not_back_before_it_is_sent():
    """The last ones return at once, and count as sent only when their page load does."""
    verdict = judge("it", [evidence(**tried(canaries={"chromium": (1.0, 6.0)}))], ENOUGH, NOW)

    assert any("6 of 6 test reports came back (chromium 6 of 6)" in one for one in verdict.reasons)


def test_a_verdict_says_how_sure_it_is():
    """The bound is the rule of three on the page loads that would have been heard: three in four
    canaries, 300 of 400.
    """
    verdict = judge("it", [evidence(**tried(canaries={"chromium": (20.0, 15.0)}))], ENOUGH, NOW)

    assert verdict.bound == pytest.approx(3 / 300)
    assert any(
        "15 of 20 test reports came back" in reason and "at most 1% of page loads" in reason
        for reason in verdict.reasons
    )


@pytest.mark.parametrize(
    ("known", "outcome"),
    [
        ({"causes": (CAUSE,)}, "fail"),
        ({"causes": (replace(CAUSE, kind="unexplained", clients=3),)}, "inconclusive"),
        ({"reports": {"served": 2.0}}, "fail"),
        ({"reports": {"served": 2.0}, "causes": (replace(CAUSE, kind="noise"),)}, "fail"),
    ],
)
def test_no_bound_beside_what_browsers_reported(known: dict[str, Any], outcome: str):
    """The rule of three holds for silence only: beside a cause no share of page loads is
    promised.
    """
    verdict = judge("it", [evidence(**tried(**known))], ENOUGH, NOW)

    assert (verdict.outcome, verdict.bound) == (outcome, None)
    assert not [reason for reason in verdict.reasons if "at most" in reason]


def test_what_no_page_explains_waits_for_a_word():
    """The verdict says so, the next step names the waiver, and a waived one does not stand in
    the way.
    """
    held = [evidence(**tried(causes=(replace(CAUSE, kind="unserved"),)))]
    verdict = judge("it", held, ENOUGH, NOW)

    assert verdict.reasons[0].startswith("not explained by any page we served: script-src-elem")
    assert "promote --waive c1" in verdict.next
    assert judge("it", held, ENOUGH, NOW, {"c1"}).outcome == "pass"


def test_a_waived_cause_does_not_count_and_is_named():
    """Who waives a cause by its id takes it on; the verdict says which."""
    held = [evidence(**tried(causes=(CAUSE,)))]

    assert judge("it", held, ENOUGH, NOW).causes == ("c1",)
    waived = judge("it", held, ENOUGH, NOW, ("c1",))
    assert waived.outcome == "pass"
    assert "waived: c1" in waived.reasons


def test_a_verdict_that_does_not_pass_says_what_to_do():
    """One sentence, the most urgent thing first."""
    first = judge("it", [evidence(witnesses=BROWSERS)], ENOUGH, NOW)
    assert first.next == "Run `sidecar promote it --to trial`, and let browsers load pages."
    assert "sidecar suggest" in judge("it", [evidence(**tried(causes=(CAUSE,)))], ENOUGH, NOW).next
    assert judge("it", [evidence()], ENOUGH, NOW).next == ""


def test_an_unknown_rule_is_inconclusive():
    """No evidence is no leave."""
    assert judge("other", [evidence()], Minimums(0, 0, 0, 0), NOW).outcome == "inconclusive"


def test_evidence_survives_the_wire():
    """What the admin API sends is what the gate judges."""
    held = evidence(
        kinds={"missing": 40.0},
        outcomes={"break": 0.0, "safe": 1.0, "unknown": 2.0},
        trial=TrialEvidence(causes=(CAUSE,)),
    )

    assert read(Evidence, held.data()) == held
    assert held.data()["would"] == {"add": 40.0, "replace": 0, "remove": 0.0}


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 reports"),
        (1, "1 report"),
        (1.0, "1 report"),
        (2.5, "2.5 reports"),
        (12_345_678.0, "12,345,678 reports"),
    ],
)
def test_counts(count: float, text: str):
    """One is singular, and no number reads as 1e+07."""
    assert counted(count, "report") == text


def test_a_cause_reads_as_english():
    """One report of one client."""
    assert "(1 report, 1 client)" in describe(replace(CAUSE, count=1))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3600, "1h"),
        (9000, "2h 30m"),
        (90_000, "1d 1h"),
        (172_800, "2d"),
    ],
)
def test_spans(seconds: float, text: str):
    """Times read as people say them."""
    assert span(seconds) == text


class Sink:
    """A sink that keeps nothing."""

    dropped = 0

    def write(self, line: str) -> None:
        """Forget it."""


class Harness:
    """Telemetry, a book and a clock; `responses` lets a plan judge so many faulty responses."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.telemetry = Telemetry(Events(Sink()), Metrics(process=False))
        self.set_by = 0.0
        self.book = EvidenceStore(
            self.telemetry.metrics, lambda: self.now + self.set_by, steady=lambda: self.now
        )

    def activate(self, made: Plan) -> Plan:
        """Put a plan in force, as revisions do."""
        self.tallies = self.telemetry.activated(made, "r")
        self.book.activated(made)
        return made

    def responses(
        self,
        made: Plan,
        count: int,
        *fields: tuple[bytes, bytes],
        request: tuple[tuple[bytes, bytes], ...] = (),
        path: str = "/",
    ) -> None:
        """Judge and count."""
        route = made.routes[-1]
        harness = facts(*fields, request=list(request), path=path)
        for _ in range(count):
            self.telemetry.record(
                self.tallies["default"],
                "r",
                route,
                harness,
                route.judge(harness),
                origin="upstream",
                request_id="",
            )


def test_a_book_reads_what_was_added():
    """Evidence is what the counters gained since the rule came as it is."""
    harness = Harness()
    made = harness.activate(plan({"nosniff": NOSNIFF}, mode="report-only"))
    harness.responses(made, 3)
    harness.responses(made, 2, (b"X-Content-Type-Options", b"nosniff"))

    (seen,) = harness.book.evidence()

    assert (seen.evaluated, seen.affected, seen.right, seen.kinds) == (5, 3, 2, {"missing": 3})
    assert seen.outcomes == dict.fromkeys(SEEN, 0) | {"irrelevant": 5}


@pytest.mark.parametrize(
    ("sent", "kinds"),
    [
        ((), ["harmless"]),
        (((b"Cross-Origin-Opener-Policy", b"same-origin"),), ["harmless", "nobody"]),
    ],
)
def test_a_line_of_the_services_that_is_replaced_has_a_witness_of_its_own(
    sent: tuple[tuple[bytes, bytes], ...], kinds: list[str]
):
    """What browsers do anyway is harmless where nothing was sent; who needs what the service's
    own line gave, nobody sees.
    """
    harness = Harness()
    rule = {
        "header": "Cross-Origin-Opener-Policy",
        "action": "set",
        "value": "unsafe-none",
    }
    harness.responses(harness.activate(plan({"it": rule}, mode="report-only")), 3, *sent)

    assert [witness["kind"] for witness in harness.book.evidence()[0].witnesses] == kinds


def test_requests_that_may_break_are_named():
    """The first few paths of each outcome, as long as the rule stays as it is."""
    harness = Harness()
    harness.telemetry.example = harness.book.example
    made = harness.activate(plan({"it": NOSNIFF}, mode="report-only"))
    lines = ((b"Sec-Fetch-Site", b"none"), (b"Sec-Fetch-Mode", b"navigate"))
    request = (*lines, (b"Sec-Fetch-Dest", b"document"))
    for path in ("/a", "/a", "/b\x1b", "/c", "/d"):
        harness.responses(made, 1, (b"Content-Type", b"text/plain"), request=request, path=path)

    named = tuple(f"GET {path} none document" for path in ("/a", "/b?", "/c"))
    assert harness.book.evidence()[0].examples == {"open": named}
    harness.activate(plan({"it": NOSNIFF, "other": NOSNIFF}, mode="report-only"))
    assert harness.book.evidence()[0].examples == {"open": named}
    harness.activate(plan({"it": NOSNIFF}, mode="enforce"))
    assert harness.book.evidence()[0].examples == {}


def test_evidence_is_of_the_responses_that_were_seen():
    """A route taken away leaves its responses to another: what that saw before says nothing of
    them.
    """
    harness = Harness()
    shop = {"name": "shop", "match": {"path": "/shop/**"}}
    parted = plan({"it": NOSNIFF}, mode="report-only", routes=[shop])
    harness.responses(harness.activate(parted), 4)
    harness.activate(plan({"it": NOSNIFF}, mode="report-only"))
    assert [item.evaluated for item in harness.book.evidence()] == [0]


def test_a_rule_that_is_off_counts_nothing():
    """One of which requests could say what it breaks too, from the start or after it was in
    force.
    """
    harness = Harness()
    for mode, evaluated in (("off", 0), ("report-only", 3), ("off", 0)):
        harness.responses(harness.activate(plan({"it": NOSNIFF}, mode=mode)), 3)
        (found,) = harness.book.evidence()
        assert (found.mode, found.evaluated) == (mode, evaluated)
        assert sum(found.outcomes.values()) == evaluated


def test_an_unchanged_rule_keeps_its_evidence():
    """Another rule's change costs it nothing; a change of its own, or of its mode, starts it
    anew.
    """
    harness = Harness()
    first = harness.activate(
        plan(
            {
                "nosniff": NOSNIFF,
                "frames": {"header": "X-Frame-Options", "action": "set", "value": "DENY"},
            },
            mode="report-only",
        )
    )
    harness.responses(first, 4)
    harness.now = 2000.0

    second = harness.activate(
        plan(
            {
                "nosniff": NOSNIFF,
                "frames": {"header": "X-Frame-Options", "action": "set", "value": "SAMEORIGIN"},
            },
            mode="report-only",
        )
    )
    harness.responses(second, 1)
    kept = {item.rule: (item.since, item.evaluated) for item in harness.book.evidence()}
    harness.activate(plan({"nosniff": NOSNIFF}, mode="enforce"))
    moved = harness.book.evidence()[0]

    assert kept == {"nosniff": (1000.0, 5), "frames": (2000.0, 1)}
    assert (moved.since, moved.evaluated) == (2000.0, 0)


def test_a_promotion_of_another_rule_costs_no_evidence():
    """A rule whose mode is written where it came from the policy before, and whose owner is
    named, is the same rule.
    """
    harness = Harness()
    harness.responses(harness.activate(plan({"nosniff": NOSNIFF}, mode="report-only")), 4)
    harness.now = 2000.0
    written = NOSNIFF | {"mode": "report-only", "owner": "web@example.com"}

    harness.responses(harness.activate(plan({"nosniff": written}, mode="enforce")), 1)

    found = harness.book.evidence()[0]
    assert (found.since, found.evaluated) == (1000.0, 5)


def test_evidence_survives_a_restart():
    """A new process that is given what the old one saved goes on counting, for rules that are
    the same; what was watched counts on from now.
    """
    old = Harness()
    made = old.activate(
        plan(
            {"nosniff": NOSNIFF, "odd": {"header": "X-Odd", "action": "remove"}}, mode="report-only"
        )
    )
    old.responses(made, 7)
    new = Harness()
    new.now = 5000.0

    new.book.restore(old.book.saved())
    again = new.activate(
        plan(
            {"nosniff": NOSNIFF, "odd": {"header": "X-Other", "action": "remove"}},
            mode="report-only",
        )
    )
    new.responses(again, 1)

    assert {
        item.rule: (item.since, item.evaluated, item.affected) for item in new.book.evidence()
    } == {
        "nosniff": (5000.0, 8, 8),
        "odd": (5000.0, 1, 0),
    }


HSTS = {"header": "Strict-Transport-Security", "action": "set", "ladder": ["5m", "1d", "30d"]}


def test_what_browsers_keep_outlives_the_step_and_a_restart():
    """The age that ends last counts, whatever is sent now: a lower step does not take a higher
    one back.
    """
    harness = Harness()
    for step, moment in ((3, 1000.0), (1, 5000.0)):
        harness.now = moment
        made = harness.activate(plan({"hsts": HSTS | {"step": step}}))
        assert harness.book.evidence()[0].evaluated == 0  # a new step starts anew
        harness.responses(made, 2)
        harness.book.tick()
    new = Harness()
    new.book.restore(harness.book.saved())
    new.activate(plan({"hsts": HSTS}))

    for book in (harness.book, new.book):
        (seen,) = book.evidence()
        assert seen.climb == Climb(1, (300, 86_400, 2_592_000), 2_592_000, 1000.0 + 2_592_000)
        assert read(Evidence, json.loads(json.dumps(seen.data()))).climb is not None
    assert "keep to https for 30d, the last until 1970-01-31 00:16" in str(seen.climb.promise(6e3))
    assert seen.climb.promise(3e6) == ""


def test_nothing_is_kept_of_what_was_not_sent():
    """In report-only no header leaves."""
    harness = Harness()
    made = harness.activate(plan({"hsts": HSTS}, mode="report-only"))
    harness.responses(made, 2)
    harness.book.tick()

    assert harness.book.evidence()[0].climb == Climb(1, (300, 86_400, 2_592_000))


def test_trend_counts_by_interval():
    """A sparkline's numbers are the violations of each interval, oldest first, at most so many."""
    harness = Harness()
    made = harness.activate(plan({"nosniff": NOSNIFF}, mode="report-only"))
    trend, counts = ViolationTrend(harness.book), [5, 0, 2, 1, *[0] * 27]
    for count in counts:
        harness.responses(made, count)
        for _ in range(10):
            trend.tick()

    assert trend.of("default", "nosniff") == counts[1:]
    assert trend.of("default", "other") == []


def test_what_was_kept_over_a_restart_is_in_no_interval():
    """The first number is of what came since, not of all that the evidence holds."""
    harness = Harness()
    made = harness.activate(plan({"nosniff": NOSNIFF}, mode="report-only"))
    harness.responses(made, 5)
    trend = ViolationTrend(harness.book)
    harness.responses(made, 2)
    for _ in range(10):
        trend.tick()

    assert trend.of("default", "nosniff") == [2]


@pytest.mark.parametrize("set_by", [-7200.0, 86_400.0])
def test_a_clock_that_is_set_watches_nothing(set_by: float):
    """What counts as watched is the time that passed, not the time that the clock says."""
    harness = Harness()
    harness.activate(plan({"nosniff": NOSNIFF}, mode="report-only"))
    harness.book.tick()
    harness.now += 10
    harness.set_by = set_by
    harness.book.tick()
    (seen,) = harness.book.evidence()
    assert harness.now + set_by - seen.since == 10


def test_a_sidecar_that_is_stopped_watches_nothing():
    """Over a restart the time in which it ran counts on."""
    harness, later = Harness(), Harness()
    made = harness.activate(plan({"nosniff": NOSNIFF}, mode="report-only"))
    harness.responses(made, 1)
    harness.now += 10
    later.now = harness.now + 3600
    later.book.restore(harness.book.saved())
    later.activate(made)
    later.now += 5
    (seen,) = later.book.evidence()
    assert (seen.evaluated, later.now - seen.since) == (1, 15)


@pytest.mark.parametrize(
    ("rule", "request_lines", "fields", "outcome"),
    [
        ("frames", {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}, (), "break"),
        ("frames", {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}, (), "safe"),
        ("frames", {"Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "cross-site"}, (), "data"),
        ("frames", {}, (), "irrelevant"),
        ("frames", {"User-Agent": OLD}, (), "unknown"),
        (
            "corp",
            {
                "Sec-Fetch-Mode": "no-cors",
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Dest": "image",
            },
            (),
            "break",
        ),
        (
            "lax",
            {
                "Cookie": "sid=1",
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "cors",
                "Sec-Fetch-Dest": "empty",
            },
            (),
            "break",
        ),
    ],
)
def test_what_requests_say_would_have_broken(
    rule: str, request_lines: dict[str, str], fields: tuple[tuple[bytes, bytes], ...], outcome: str
):
    """Fetch Metadata tells what a header without a report-only form would have done (W3C Fetch
    Metadata).
    """
    rules: dict[str, Any] = {
        "frames": {"header": "X-Frame-Options", "action": "set", "value": "DENY"},
        "corp": {"header": "Cross-Origin-Resource-Policy", "action": "set", "value": "same-origin"},
        "lax": {"cookie": "s*", "attributes": {"SameSite": "Lax"}},
    }
    if "Sec-Fetch-Site" in request_lines:
        request_lines = {"Sec-Fetch-Mode": "navigate"} | request_lines
    harness = Harness()
    made = harness.activate(plan({rule: rules[rule]}, mode="report-only"))
    harness.responses(
        made,
        1,
        *fields,
        request=tuple((name.encode(), value.encode()) for name, value in request_lines.items()),
    )

    (seen,) = harness.book.evidence()

    assert {name for name, count in seen.outcomes.items() if count} - {"carried"} == {outcome}


@pytest.mark.parametrize(
    ("kind", "safe", "expected"),
    [
        ("proxy", 0.0, "inconclusive"),
        ("proxy", 9.0, "inconclusive"),
        ("proxy", 10.0, "pass"),
        ("harmless", 0.0, "pass"),
    ],
)
def test_a_rule_that_changes_no_response_to_probes_may_change_pages(
    kind: str, safe: float, expected: str
):
    """What probes get proves nothing where requests of browsers do."""
    known = [{"kind": kind, "why": "w", "source": "s", "next": ""}]
    numbers = {"evaluated": 500.0, "affected": 0.0, "outcomes": {"safe": safe, "irrelevant": 500.0}}
    seen = Evidence("default", "it", "report-only", 0.0, **numbers, witnesses=known)

    assert judge("it", [seen], Minimums(10, 10), at=100.0).outcome == expected


def test_page_loads_before_a_restart_wait_for_their_reports_as_others_do():
    """A sidecar that is started again at once has not waited for them yet."""
    harness, later = Harness(), Harness()
    rule = {"header": "Content-Security-Policy", "action": "set", "value": "default-src 'self'"}
    made = harness.activate(plan({"csp": rule | {"mode": "trial"}}))
    counters = harness.telemetry.metrics.rule("default", "csp")
    assert counters.loads is not None
    counters.loads.n = 7.0
    harness.book.tick()
    harness.now += SETTLE + 1
    harness.book.tick()
    counters.loads.n = 10.0
    later.now = harness.now
    later.book.restore(harness.book.saved())
    later.activate(made)

    def settled() -> tuple[float, float]:
        (seen,) = later.book.evidence()
        return seen.trial.loads, seen.trial.settled

    assert settled() == (10.0, 7.0)
    later.now += SETTLE
    assert settled() == (10.0, 10.0)
