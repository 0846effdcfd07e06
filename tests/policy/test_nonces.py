"""`'nonce-{request}'`: what is written where, what caches are reported, and what is remembered
of it.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.policy.engine.explain import explain
from sidecar.policy.engine.judge import Decision
from sidecar.policy.engine.nonces import SOURCE, hidden
from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.headers.shapes import shape
from sidecar.policy.headers.strength import weaker
from sidecar.policy.rules.conditions import Facts
from sidecar.telemetry.events import shown
from tests.policy.making import POLICIES, facts, judged, plan
from tests.portion import examples

CSP, RO, CACHE = (
    b"Content-Security-Policy",
    b"Content-Security-Policy-Report-Only",
    b"Cache-Control",
)
VALUE = "script-src 'nonce-{request}'"
RULE = {"header": CSP.decode(), "action": "set", "value": VALUE}
NONCE = b"AAAAAAAAAAAAAAAAAAAAAA"
OURS = (CSP, VALUE.encode())
PRIVATE = (CACHE, b"private")
OWN = (CSP, b"default-src 'self'")


def left(decision: Decision) -> list[tuple[bytes, bytes]]:
    return decision.fields


@pytest.mark.parametrize(
    ("sent", "leaves"),
    [
        ([], [OURS, PRIVATE]),
        ([OWN], [OURS, PRIVATE]),
        ([OURS, PRIVATE], [OURS, PRIVATE]),
        ([(CACHE, b"no-store")], [(CACHE, b"no-store"), OURS]),
        (
            [(CACHE, b"must-understand, no-store, public")],
            [(CACHE, b"must-understand, no-store, private"), OURS],
        ),
        ([(CACHE, b"public, max-age=60")], [(CACHE, b"max-age=60, private"), OURS]),
        ([(CACHE, b"s-maxage=60")], [PRIVATE, OURS]),
        ([(CACHE, b'private="x"')], [PRIVATE, OURS]),
        ([(b"CDN-Cache-Control", b"max-age=60"), (b"surrogate-control", b"a")], [OURS, PRIVATE]),
        ([(b"X-Accel-Expires", b"60")], [OURS, PRIVATE]),
    ],
)
def test_a_response_with_a_nonce_is_private(
    sent: list[tuple[bytes, bytes]], leaves: list[tuple[bytes, bytes]]
) -> None:
    """What the service said of caches stays as far as it lets no shared cache keep the response."""
    assert left(judged(RULE, *sent)) == leaves


@pytest.mark.parametrize(
    ("rule", "sent", "leaves"),
    [
        ({"action": "default"}, [OWN], [OWN]),
        ({"action": "default"}, [], [OURS, PRIVATE]),
        ({"action": "append"}, [OWN, PRIVATE], [OWN, PRIVATE, OURS]),
        ({"action": "merge"}, [OWN, PRIVATE], [(CSP, OWN[1] + b"; script-src 'none'"), PRIVATE]),
        (
            {"action": "merge", "widen": True},
            [OWN, PRIVATE],
            [(CSP, OWN[1] + b"; script-src 'self' 'nonce-{request}'"), PRIVATE],
        ),
        (
            {"action": "merge"},
            [(CSP, b"script-src 'self' 'nonce-{request}'"), PRIVATE],
            [OURS, PRIVATE],
        ),
        ({"value": {"script-src": ["'nonce-{request}'"]}}, [PRIVATE], [PRIVATE, OURS]),
    ],
)
def test_every_action_that_writes(
    rule: dict[str, Any],
    sent: list[tuple[bytes, bytes]],
    leaves: list[tuple[bytes, bytes]],
) -> None:
    """The nonce follows the law of the action; where it does not leave, caches hear nothing."""
    assert left(judged(RULE | rule, *sent)) == leaves


@pytest.mark.parametrize(
    "when", [None, {"class": "html"}, {"status": 200}, {"response": {"X-A": True}}]
)
@pytest.mark.parametrize(
    ("action", "leaves"), [("set", []), ("append", []), ("merge", []), ("default", [OWN])]
)
def test_304(action: str, leaves: list[tuple[bytes, bytes]], when: dict[str, Any] | None) -> None:
    """No nonce comes to a stored body, nor a value of the service's in the place of the stored
    one.
    """
    rule = RULE | {"action": action, "widen": True if action == "merge" else None, "when": when}
    rule = {key: value for key, value in rule.items() if value is not None}
    for sent in ([], [OWN]):
        assert left(judged(rule, *sent, status=304)) == (leaves if sent else [])


@pytest.mark.parametrize(
    "later",
    [
        {"header": CACHE.decode(), "action": "set", "value": "public"},
        {"header": CACHE.decode(), "action": "remove"},
        {"header": "CDN-Cache-Control", "action": "set", "value": "max-age=60"},
    ],
)
def test_no_later_rule_undoes_it(later: dict[str, Any]) -> None:
    """Whatever the order of rules, a nonce leaves in private responses alone."""
    route = plan({"it": RULE, "later": later}).routes[-1]
    assert sorted(decide(route, facts()).fields) == sorted([OURS, PRIVATE])


def test_a_second_policy_on_a_304() -> None:
    """A later rule's line would replace the stored ones, the nonce's among them: it stays away
    too.
    """
    second = {"header": CSP.decode(), "action": "append", "value": "frame-ancestors 'none'"}
    for rules in ({"it": RULE, "second": second}, {"second": second, "it": RULE}):
        route = plan(rules).routes[-1]
        assert left(decide(route, facts(OWN, status=304))) == []
        assert SOURCE in b"".join(value for _, value in left(decide(route, facts(OWN))))


def test_a_share_of_clients() -> None:
    """Outside the share a 304 leaves as it came, as every response does."""
    route = plan({"it": RULE | {"share": "50%"}}).routes[-1]
    inside, outside = "192.0.2.1", "192.0.2.2"
    assert left(decide(route, facts(OWN, status=304, client=inside))) == []
    assert left(decide(route, facts(OWN, status=304, client=outside))) == [OWN]
    assert left(decide(route, facts(client=inside))) == [OURS, PRIVATE]
    assert left(decide(route, facts(client=outside))) == []


def test_304_on_which_the_rule_has_no_say() -> None:
    """How the client asked is known of a 304 too."""
    rule = RULE | {"when": {"scheme": "http"}}
    assert left(judged(rule, OWN, status=304)) == [OWN]


def test_report_only_writes_nothing_and_says_all() -> None:
    """The changes that would be made to caching are named beside the policy's."""
    decision = judged(RULE, (CACHE, b"public"), mode="report-only")
    assert left(decision) == [(CACHE, b"public")]
    assert [(one.header, one.kind, one.after) for one in decision.findings] == [
        ("Content-Security-Policy", "missing", (VALUE.encode(),)),
        ("Cache-Control", "mismatch", (b"private",)),
    ]


@pytest.mark.parametrize(
    ("status", "sent", "changes"),
    [
        (200, [], [(CSP, "missing", (), (OURS[1],)), (CACHE, "missing", (), (b"private",))]),
        (
            200,
            [OWN, (CACHE, b"public"), (CACHE, b"max-age=5"), (b"x-accel-expires", b"60")],
            [
                (CSP, "mismatch", (OWN[1],), (OURS[1],)),
                (CACHE, "mismatch", (b"public", b"max-age=5"), (b"max-age=5, private",)),
                (b"X-Accel-Expires", "forbidden", (b"60",), ()),
            ],
        ),
        (304, [OWN], [(CSP, "forbidden", (OWN[1],), ())]),
    ],
)
def test_changes_are_named_as_others_are(
    status: int, sent: list[tuple[bytes, bytes]], changes: list[tuple[Any, ...]]
) -> None:
    """With the rule, its action and mode, the header as it is spelt, before and after; enforced
    or not. Metrics know each kind beforehand.
    """
    for mode in ("report-only", "enforce"):
        route = plan({"it": RULE}, mode=mode).routes[-1]
        found = decide(route, facts(*sent, status=status)).findings
        assert [(one.name, one.kind, one.before, one.after) for one in found] == changes
        assert {(one.rule, one.action, one.mode) for one in found} == {("it", "set", mode)}
        assert {one.header.encode() for one in found} == {change[0] for change in changes}
        assert {one.kind for one in found} <= {
            kind for check in route.checks for kind in check.kinds
        }


def test_trial_carries_the_nonce_in_the_report_only_header_alone() -> None:
    """Not on a 304, whose stored body has another nonce; caches are left alone."""
    own, reporting = left(judged(RULE, (CACHE, b"public"), mode="trial"))
    assert own == (CACHE, b"public")
    assert reporting[0] == RO
    assert SOURCE in reporting[1]
    assert left(judged(RULE, OWN, mode="trial", status=304)) == [OWN]


@pytest.mark.parametrize(
    ("rules", "routes"),
    [
        ({"it": RULE}, [True]),
        ({"it": RULE | {"mode": "report-only"}}, [True]),
        ({"it": RULE | {"mode": "off"}}, [False]),
        (
            {"it": {"header": CSP.decode(), "action": "require", "value": f"*{SOURCE.decode()}*"}},
            [True],
        ),
        ({"it": {"header": "X-Odd", "action": "set", "value": VALUE}}, [False]),
        ({"it": RULE | {"value": "default-src 'self'"}}, [False]),
    ],
)
def test_which_routes_ask_for_a_nonce(rules: dict[str, Any], routes: list[bool]) -> None:
    """Those with a rule on CSP that names it and is not off."""
    assert [route.nonced for route in plan(rules).routes] == routes


def test_a_verdict_is_remembered_without_the_nonce() -> None:
    """One verdict serves all responses, and each leaves with its own nonce."""
    route = plan({"it": RULE}).routes[-1]
    first, second = (route.judge(facts()) for _ in range(2))
    assert first is second
    for nonce in (NONCE, NONCE.lower()):
        assert first.spelled(nonce).fields([]) == [
            (CSP, b"script-src 'nonce-%b'" % nonce),
            PRIVATE,
        ]
    assert first.fields([]) == [OURS, PRIVATE]


def test_a_nonce_in_the_place_of_the_services_own_line() -> None:
    """It is spelt there as well, and what was found is the same; each such verdict is used once."""
    sent = [OWN, PRIVATE, (b"X-Other", b"1")]
    route = plan({"it": RULE | {"action": "merge", "widen": True}}).routes[-1]
    found = route.judge(facts(*sent))
    spelt = found.spelled(NONCE)
    ours = OWN[1] + b"; script-src 'self' 'nonce-%b'" % NONCE
    assert spelt.fields(sent) == [(CSP, ours), *sent[1:]]
    assert (spelt.findings, spelt.skipped, spelt.report_only) == (
        found.findings,
        found.skipped,
        found.report_only,
    )
    assert (found.remembered, spelt.remembered) == (True, False)


def test_only_a_policy_has_its_nonce_hidden() -> None:
    """Other lines of the service may hold the same text; without one, the lines are the same."""
    text = b"script-src 'nonce-%b'" % NONCE
    assert hidden([(CSP.lower(), text), (b"X-Other", text)], NONCE) == [
        (CSP.lower(), OURS[1]),
        (b"X-Other", text),
    ]
    sent = [(CSP, b"script-src '%b'" % NONCE)]
    assert hidden(sent, NONCE) is sent


def test_the_service_that_writes_its_nonce_itself_is_right() -> None:
    """It was given the nonce, so its own header may hold it: nothing is left to change."""
    theirs = [(CSP, b"script-src 'nonce-%b'" % NONCE), PRIVATE]
    route = plan({"it": RULE}).routes[-1]
    assert route.judge(facts(*hidden(theirs, NONCE))).spelled(NONCE).fields(theirs) == theirs


@given(POLICIES, st.binary(max_size=40))
def test_the_placeholder_of_nobody_is_left_alone(policy: Any, text: bytes) -> None:
    """What no rule has written leaves as it came, even where it looks like our placeholder."""
    sent = [(b"X-Other", SOURCE + text), (CSP, SOURCE + text)]
    for route in compile_policy(policy, override="report-only").routes:
        situation = facts(*sent)
        assert route.judge(situation).spelled(NONCE).fields(situation.fields) == sent
        assert decide(route, situation).fields == sent


RULES = st.fixed_dictionaries(
    {
        "header": st.sampled_from((CSP.decode(), RO.decode())),
        "action": st.sampled_from(("set", "default", "append", "merge")),
        "value": st.sampled_from((VALUE, "default-src 'self'")),
        "mode": st.sampled_from(("report-only", "trial", "enforce", "enforce")),
    },
    optional={
        "share": st.just("50%"),
        "when": st.sampled_from(({"class": "html"}, {"status": 200}, {"request": {"X-A": True}})),
    },
)
CACHING = st.fixed_dictionaries(
    {
        "header": st.sampled_from((CACHE.decode(), "CDN-Cache-Control")),
        "action": st.sampled_from(("set", "append")),
        "value": st.sampled_from(("public", "s-maxage=60", "no-store")),
    }
)
LINES = st.lists(
    st.sampled_from((OURS, OWN, PRIVATE, (CACHE, b"public"), (b"content-type", b"text/html"))),
    max_size=4,
)


@settings(max_examples=examples(200))
@given(
    st.dictionaries(st.sampled_from("abcd"), st.one_of(RULES, CACHING), max_size=4),
    st.lists(
        st.builds(
            lambda status, request, client, lines: facts(
                *lines, status=status, request=request, client=client
            ),
            st.sampled_from((200, 304, 404)),
            st.sampled_from(([], [(b"x-a", b"1")])),
            st.sampled_from(("192.0.2.1", "192.0.2.2")),
            LINES,
        ),
        max_size=4,
    ),
)
@example(
    {
        "a": {"header": CACHE.decode(), "action": "set", "value": "public", "mode": "enforce"},
        "b": {"header": CSP.decode(), "action": "set", "value": VALUE, "mode": "trial"},
        "c": {"header": RO.decode(), "action": "set", "value": VALUE, "share": "50%"},
    },
    [facts(client="192.0.2.1")],
)
def test_laws(rules: dict[str, Any], situations: list[Facts]) -> None:
    """Remembered or fresh, the same leaves; a nonce that a rule has written leaves in private
    responses, never on a 304.
    """
    route = plan(rules).routes[-1]
    for situation in situations * 2:
        decision = decide(route, situation)
        assert sorted(route.judge(situation).fields(situation.fields)) == sorted(decision.fields)
        assert sorted(explain(route, situation).after) == sorted(decision.fields)
        enforced = any(
            one.made and one.key in (CSP.lower(), RO.lower()) for one in decision.findings
        )
        new = [
            line for line in decision.fields if line not in situation.fields and SOURCE in line[1]
        ]
        if any(SOURCE in value for _, value in situation.fields):
            continue  # the service's own text, which a rule without a nonce may merge into
        if new and enforced and any(name == CSP for name, _ in new):
            caching = b",".join(value for name, value in decision.fields if name == CACHE)
            assert b"private" in caching or b"no-store" in caching
            assert situation.status != 304


def test_events_name_the_placeholder_and_no_nonce() -> None:
    """A policy's own word is no secret; a nonce is."""
    lines = (SOURCE, b"'nonce-abc'", b"'NONCE-{request}abc'")
    assert shown(CSP.decode(), lines, 99) == [SOURCE.decode(), "'nonce-...'", "'NONCE-...'"]


def test_a_nonce_is_no_drift() -> None:
    """What a baseline holds of a policy is the same for every nonce, and for the placeholder."""
    texts = (VALUE, "script-src 'nonce-YWJj'", "script-src 'nonce-ZGVm'")
    shapes = {shape("content-security-policy", text) for text in texts}
    assert len(shapes) == 1
    assert not weaker(CSP.decode(), tuple(shapes), (VALUE,))
    assert not weaker(CSP.decode(), (VALUE,), tuple(shapes))
