"""A decision becomes counts always, and one event when something changed or would have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar.policy.engine.plan import RoutePlan
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import Mode
from sidecar.settings import Log, Settings
from sidecar.telemetry import Events, Metrics, Telemetry
from sidecar.telemetry.counters import Cap
from tests.policy.making import facts, plan
from tests.telemetry import Collected

GOLDEN = Path(__file__).parent.parent / "golden" / "events"
RULES: dict[str, Any] = {
    "frames": {"header": "X-Frame-Options", "action": "set", "value": "DENY"},
    "no-server": {"header": ["Server", "X-Powered-By"], "action": "remove"},
    "token": {"header": "X-Session-Token", "action": "remove"},
    "csp": {"header": "Content-Security-Policy", "action": "set", "value": "script-src 'self'"},
    "jar": {"cookie": "sid", "attributes": {"Secure": True}},
    "html": {
        "header": "Content-Type",
        "action": "require",
        "value": "text/*",
        "when": {"status": 200},
    },
}
ANSWER = [
    (b"Server", b"shop/1.0"),
    (b"X-Powered-By", b"framework"),
    (b"X-Session-Token", b"geheim"),
    (b"Content-Security-Policy", b"script-src 'nonce-geheim'"),
    (b"Set-Cookie", b"sid=geheim; Path=/"),
    (b"Content-Type", b"application/json"),
]
REQUEST = [
    (b"Authorization", b"Bearer geheim"),
    (b"Cookie", b"sid=geheim"),
    (b"TraceParent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
]


class Harness:
    """Telemetry over kept lines, and one plan in force."""

    def __init__(
        self,
        mode: Mode = "enforce",
        *,
        rules: dict[str, Any] | None = None,
        routes: Sequence[dict[str, Any]] = (),
        value_bytes: int = 256,
        per_second: int = 100,
    ) -> None:
        self.lines = Collected()
        self.telemetry = Telemetry(
            Events(self.lines, per_second=per_second, clock=lambda: 1.0),
            Metrics(process=False),
            Settings(log=Log(value_bytes=value_bytes)),
        )
        self.plan = plan(RULES if rules is None else rules, mode=mode, routes=[*routes])
        self.tallies = self.telemetry.activated(self.plan, "0123456789ab")

    def record(
        self, response: Facts, origin: str = "upstream", *, route: RoutePlan | None = None
    ) -> None:
        """Judge one response and record it, as of the default route unless another is named."""
        route = route or self.plan.routes[-1]
        self.telemetry.record(
            self.tallies[route.name],
            "0123456789ab",
            route,
            response,
            route.judge(response),
            origin=origin,
            request_id="req-1",
        )

    def value(self, metric: str, *labels: str) -> float:
        """One number as it would be scraped."""
        return self.telemetry.metrics.value(metric, *labels)


@pytest.mark.parametrize(
    ("mode", "event"), [("enforce", "header.changed"), ("report-only", "header.would_change")]
)
def test_an_event_is_exactly_as_documented(mode: Mode, event: str):
    """Names and shapes that dashboards and log queries rely on; no secret of the exchange is in
    it.
    """
    harness = Harness(mode)
    harness.record(facts(*ANSWER, request=REQUEST, path="/account"))

    (data,) = harness.lines.events
    data.pop("timestamp")
    assert data == json.loads((GOLDEN / f"{event}.json").read_text("utf-8"))
    assert "geheim" not in harness.lines.lines[0]


def test_a_right_response_tells_nothing_and_counts():
    """Only evaluations and the response are counted."""
    harness = Harness(rules={"frames": RULES["frames"]})
    harness.record(facts((b"x-frame-options", b"DENY"), status=404), origin="sidecar")

    assert harness.lines.lines == []
    assert harness.value("sidecar_rule_evaluations_total", "default", "frames", "enforce") == 1
    assert harness.value("sidecar_rule_affected_total", "default", "frames", "enforce") == 0
    assert harness.value("sidecar_responses_total", "default", "4xx", "sidecar") == 1


def test_counts_by_rule_kind_and_mode():
    """A rule that did not apply is not evaluated; a rule with two findings has two violations,
    one response affected.
    """
    harness = Harness()
    harness.record(facts(*ANSWER, status=500))

    assert harness.value("sidecar_rule_evaluations_total", "default", "html", "enforce") == 0
    assert (
        harness.value("sidecar_violations_total", "default", "no-server", "forbidden", "enforce")
        == 2
    )
    assert harness.value("sidecar_rule_affected_total", "default", "no-server", "enforce") == 1
    assert harness.value("sidecar_header_changes_total", "default", "no-server", "remove") == 2
    assert harness.value("sidecar_violations_total", "default", "frames", "missing", "enforce") == 1


def test_what_only_judges_counts_no_change():
    """Require has no series of changes."""
    harness = Harness()
    harness.record(facts(*ANSWER))

    assert harness.value("sidecar_violations_total", "default", "html", "mismatch", "enforce") == 1
    assert harness.value("sidecar_header_changes_total", "default", "html", "require") == 0


@pytest.mark.parametrize(
    ("status", "data"),
    [(100, "1xx"), (204, "2xx"), (599, "5xx"), (600, "5xx"), (999, "5xx"), (0, "5xx"), (99, "5xx")],
)
def test_a_status_beyond_the_classes_counts_as_5xx(status: int, data: str):
    """RFC 9110 section 15; a service may send any three digits, and counting must not fall over
    them.
    """
    harness = Harness(rules={})
    harness.record(facts(status=status))

    assert harness.value("sidecar_responses_total", "default", data, "upstream") == 1


def test_beyond_the_cap_only_counts_go_on():
    """What is held back is counted, and told with the next tick."""
    harness = Harness(per_second=3)
    for _ in range(10):
        harness.record(facts(*ANSWER))
    harness.telemetry.tick()

    assert [event["event"] for event in harness.lines.events] == ["header.changed"] * 3 + [
        "events.suppressed"
    ]
    assert (
        harness.lines.events[-1]["count"] == harness.value("sidecar_events_suppressed_total") == 7
    )
    assert (
        harness.value("sidecar_violations_total", "default", "frames", "missing", "enforce") == 10
    )


def test_dropped_lines_count_as_suppressed():
    """A blocked stdout is seen in the metrics."""
    harness = Harness()
    harness.lines.dropped = 4
    harness.telemetry.tick()

    assert harness.value("sidecar_events_suppressed_total") == 4


def test_texts_of_the_wire_are_cut():
    """Values, paths and hosts have their caps."""
    harness = Harness(value_bytes=5)
    harness.record(facts((b"Server", b"0123456789"), path="/" + "a" * 10_000, host="h" * 10_000))

    (data,) = harness.lines.events
    assert data["changes"][1]["before"] == ["01234"]
    assert (len(data["url.path"]), len(data["server.address"])) == (512, 256)
    assert len(harness.lines.lines[0]) < 3000


@pytest.mark.parametrize("value", [b"", b"00-short-01", b"\xff" * 55 + b"x"])
def test_only_a_whole_traceparent_gives_a_trace_id(value: bytes):
    """W3C Trace Context section 3.2: 55 characters."""
    harness = Harness()
    harness.record(facts(*ANSWER, request=[(b"traceparent", value)]))

    assert "trace_id" not in harness.lines.events[0]


def test_breakage_tests_are_counted_for_rules_that_are_reported():
    """What requests say a rule would have broken, by outcome; a rule that did not apply is not
    asked.
    """
    rules = {"frames": RULES["frames"], "late": RULES["frames"] | {"when": {"status": 500}}}
    harness = Harness("report-only", rules=rules)
    harness.record(
        facts(
            request=[
                (b"Sec-Fetch-Dest", b"iframe"),
                (b"Sec-Fetch-Site", b"cross-site"),
                (b"Sec-Fetch-Mode", b"navigate"),
            ]
        )
    )
    harness.record(facts())

    def counted(rule: str) -> list[float]:
        return [
            harness.value("sidecar_would_break_total", "default", rule, outcome)
            for outcome in ("break", "safe", "unknown", "irrelevant")
        ]

    assert counted("frames") == [1, 0, 0, 1]
    assert counted("late") == [0, 0, 0, 0]


API = {"name": "api", "match": {"path": "/api/**"}, "rules": {}}
PAGE = (b"Content-Type", b"text/html")
SETS = (b"Set-Cookie", b"sid=1; Secure")
LAX = {"SameSite": "Lax"}
CARRIES = [
    (b"Sec-Fetch-Dest", b"empty"),
    (b"Sec-Fetch-Site", b"cross-site"),
    (b"Sec-Fetch-Mode", b"cors"),
    (b"Cookie", b"sid=1"),
]


@pytest.mark.parametrize(
    ("when", "name", "expected"),
    [
        ({"content-type": "text/html"}, "default", 1),
        ({"content-type": "text/html"}, "api", 1),
        ({}, "default", 1),
        ({}, "api", 1),
        ({"status": 500}, "api", 0),
    ],
)
def test_a_cookie_is_carried_where_its_rule_leaves_responses_alone(
    when: dict[str, Any], name: str, expected: float
):
    """Responses of one route and type set it; requests for others carry it from other sites, and
    each counts once. A cookie that the rule does not write says nothing.
    """
    lax = {"cookie": "sid", "attributes": {"SameSite": "Lax"}, "when": when}
    harness = Harness("report-only", rules={"lax": lax}, routes=[API])
    login, route = harness.plan.routes[-1], {one.name: one for one in harness.plan.routes}[name]
    harness.record(facts(PAGE, SETS), route=login)
    harness.record(facts((b"Content-Type", b"application/json"), request=CARRIES), route=route)

    assert expected == sum(
        harness.value("sidecar_would_break_total", one.name, "lax", "break")
        for one in harness.plan.routes
    )


def test_the_same_rule_on_many_routes_costs_each_response_one_look():
    """A route whose own rule leaves no response alone asks nothing of the others' copies of it."""
    lax = {"cookie": "sid", "attributes": {"SameSite": "Lax"}}
    harness = Harness("report-only", rules={"lax": lax}, routes=[API])

    assert [route.elsewhere for route in harness.plan.routes] == [(), ()]


def test_an_example_is_short_whatever_a_request_says():
    """A request may write a whole head of anything where browsers write a word."""
    harness = Harness("report-only", rules={"lax": {"cookie": "sid", "attributes": LAX}})
    told: list[str] = []
    harness.telemetry.example = lambda *example: told.append(example[3])
    said = [(b"Sec-Fetch-Dest", b"a" * 5_000), *CARRIES[1:]]
    harness.record(facts(PAGE, SETS, request=said))

    assert [len(one) < 200 for one in told] == [True]


def test_a_socket_carries_the_cookies_of_other_routes():
    """A rule of one route writes the cookie, and a page of another site opens a socket of
    another.
    """
    lax = {"cookie": "sid", "attributes": {"SameSite": "Lax"}}
    login = {"name": "login", "match": {"path": "/login"}, "rules": {"lax": lax}}
    harness = Harness("report-only", rules={}, routes=[login])
    first, last = harness.plan.routes
    harness.record(facts(PAGE, SETS), route=first)
    handshake = facts(request=[(b"Origin", b"https://away.test"), *CARRIES], status=101)
    harness.telemetry.opened(harness.tallies[last.name], last, handshake)

    assert harness.value("sidecar_would_break_total", "login", "lax", "break") == 1


def test_the_observer_sees_the_services_responses_alone():
    """Responses of our own are no baseline."""
    harness = Harness(rules={})
    seen: list[int] = []
    harness.telemetry.observer = lambda route, response: seen.append(response.status)
    harness.record(facts(status=200))
    harness.record(facts(status=502), origin="sidecar")

    assert seen == [200]


def test_failures_and_refusals_are_counted_and_reported_under_the_cap():
    """Each by its reason from the closed list; the counter goes on when the events are capped."""
    harness = Harness(per_second=2)
    harness.telemetry.upstream_failed("refused", request_id="r1", detail="x" * 1000)
    harness.telemetry.request_rejected("host", status=400, request_id="r2", client="192.0.2.1")
    harness.telemetry.upstream_failed("refused")
    harness.telemetry.request_rejected("host", status=400)

    failed, rejected = harness.lines.events
    assert (failed["event"], failed["reason"], failed["request_id"], len(failed["detail"])) == (
        "upstream.failed",
        "refused",
        "r1",
        256,
    )
    assert (
        rejected["event"],
        rejected["http.response.status_code"],
        rejected["client.address"],
    ) == ("request.rejected", 400, "192.0.2.1")
    assert (
        harness.value("sidecar_upstream_errors_total", "refused")
        == harness.value("sidecar_rejected_requests_total", "host")
        == 2
    )


@pytest.mark.parametrize(
    ("upstream", "server"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("http://shop.internal", ("shop.internal", 80)),
        ("https://[2001:db8::1]", ("2001:db8::1", 443)),
        ("unix:/run/shop.sock", ("/run/shop.sock", None)),
    ],
)
def test_a_failure_names_the_address_of_the_service(
    upstream: str, server: tuple[str, int | None]
) -> None:
    """As OpenTelemetry names it: address and port, or the path of the Unix socket."""
    lines = Collected()
    settings = Settings(upstream=upstream)
    Telemetry(Events(lines), Metrics(process=False), settings).upstream_failed("refused")

    (failed,) = lines.events
    assert (failed["server.address"], failed.get("server.port")) == server


def test_browser_reports_are_counted_by_closed_words_and_reported_under_their_own_cap():
    """Whoever posts many of them silences no event of ours."""
    harness = Harness()
    harness.telemetry._reports_cap = Cap(2, clock=lambda: 1.0)
    report = {
        "csp-report": {
            "effective-directive": "img-src",
            "disposition": "report",
            "blocked-uri": "https://a.example/x?geheim",
            "document-uri": "https://shop.example/p?geheim",
        }
    }
    for _ in range(5):
        harness.telemetry.browser_reports(
            "", json.dumps(report).encode(), "application/csp-report", "192.0.2.1", b""
        )
    harness.telemetry.browser_reports("", b"{", "application/csp-report", "192.0.2.1", b"")

    assert harness.value("sidecar_browser_reports_total", "csp-violation", "img-src", "report") == 5
    assert len(harness.lines.named("browser.report")) == 2
    assert harness.lines.events[0]["directive"] == "img-src"
    assert "geheim" not in "".join(harness.lines.lines)
    assert harness.telemetry.events.cap.missed == 0


def test_watchers_are_handed_every_told_event_until_they_leave():
    """As data, with the name and time; events of workers likewise."""
    harness = Harness()
    data: list[dict[str, object]] = []
    leave = harness.telemetry.watch(data.append)
    harness.telemetry.emit("service.state", level="warning", count=1)
    harness.telemetry.pass_on('{"event": "header.changed", "n": 2}')
    leave()
    harness.telemetry.emit("service.state")
    harness.telemetry.pass_on('{"event": "header.changed"}')

    assert [(event["event"], event.get("count"), event.get("n")) for event in data] == [
        ("service.state", 1, None),
        ("header.changed", None, 2),
    ]
    assert set(data[0]) == {"event", "level", "timestamp", "count"}
    assert [event["event"] for event in harness.lines.events] == [
        "service.state",
        "header.changed",
        "service.state",
        "header.changed",
    ]


def test_activation_tells_mode_and_revision():
    """One mode stands at 1, one revision is named."""
    harness = Harness("report-only")

    assert [harness.value("sidecar_mode", mode) for mode in ("off", "report-only", "enforce")] == [
        0,
        1,
        0,
    ]
    assert harness.value("sidecar_policy_info", "policy", "0123456789ab") == 1
    harness.telemetry.activated(plan({}, mode="off"), "ba9876543210")
    assert [harness.value("sidecar_mode", mode) for mode in ("off", "report-only", "enforce")] == [
        1,
        0,
        0,
    ]
    assert harness.value("sidecar_policy_info", "policy", "0123456789ab") == 0


def test_responses_that_are_counted_together_are_all_there_when_the_counts_are_read():
    """However often a verdict came, remembered or not, each reader sees every response."""
    harness = Harness()
    for size in (0, 10, 5000, 10):
        harness.record(facts((b"x-frame-options", b"a" * size)))
        harness.record(facts((b"x-frame-options", b"a" * size)))

    assert harness.value("sidecar_rule_evaluations_total", "default", "frames", "enforce") == 8
    assert harness.telemetry.metrics.total("sidecar_responses_total") == 8
    harness.telemetry.metrics.settle()
    assert (
        b'sidecar_rule_evaluations_total{mode="enforce",route="default",rule="frames"} 8.0'
        in harness.telemetry.metrics.render()
    )


def test_a_request_that_outlives_its_revision_is_counted():
    """What is counted by the tallies of a plan that has been replaced is neither lost nor
    counted twice.
    """
    harness = Harness()
    harness.record(facts())
    tallies = harness.tallies
    harness.telemetry.activated(harness.plan, "another")
    harness.record(facts())
    harness.tallies = harness.telemetry.activated(harness.plan, "a third")
    harness.record(facts())
    harness.tallies = tallies
    harness.record(facts())

    assert harness.value("sidecar_rule_evaluations_total", "default", "frames", "enforce") == 4
