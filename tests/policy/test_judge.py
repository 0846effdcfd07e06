"""A judge remembers, and yet says what fresh checks say of every response."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.policy.engine import judge
from sidecar.policy.engine.plan import RoutePlan, compile_policy, decide
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import Mode
from tests.policy.making import OVERRIDES, POLICIES, SITUATIONS, facts, plan
from tests.portion import examples

FRAMES = {"header": "X-Frame-Options", "action": "set", "value": "DENY"}
UNSEEN = st.tuples(st.sampled_from((b"Date", b"X-Request-ID", b"etag", b"")), st.binary(max_size=4))


def same(route: RoutePlan, situation: Facts) -> None:
    """The judge of this route says what its checks say."""
    decision, verdict = decide(route, situation), route.judge(situation)
    said = (
        verdict.fields(situation.fields),
        verdict.findings,
        verdict.skipped,
        verdict.report_only,
        verdict.changed,
    )
    assert said == (*decision, decision.changed)
    assert (
        verdict.changed
        or verdict.report_only
        or verdict.fields(situation.fields) is situation.fields
    )


@settings(max_examples=examples(200))
@given(POLICIES, OVERRIDES, st.lists(SITUATIONS, min_size=2, max_size=4), st.data())
def test_what_is_remembered_is_what_would_be_said_anew(
    resolved: Resolved, override: Mode | None, situations: list[Facts], data: st.DataObject
):
    """Whatever came before, and whatever lines that no rule looks at stand between, the verdict
    is that of fresh checks.
    """
    route = compile_policy(resolved, override=override).routes[-1]
    for situation in (*situations, *situations):
        fields = list(situation.fields)
        for line in data.draw(st.lists(UNSEEN, max_size=3)):
            fields.insert(data.draw(st.integers(0, len(fields))), line)
        mixed = data.draw(st.sampled_from(situations))
        same(route, situation._replace(fields=fields))
        same(route, mixed._replace(fields=fields, status=situation.status))


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        pytest.param(
            FRAMES | {"when": {"scheme": "https"}},
            {"scheme": "https"},
            {"scheme": "http"},
            id="scheme",
        ),
        pytest.param(
            FRAMES | {"when": {"status": "404"}}, {"status": 404}, {"status": 200}, id="status"
        ),
        pytest.param(
            FRAMES | {"when": {"class": "logout"}},
            {"path": "/logout"},
            {"path": "/in"},
            id="class by path",
        ),
        pytest.param(
            FRAMES | {"when": {"class": "docs"}},
            {"path": "/docs"},
            {"path": "/page"},
            id="documentation by path",
        ),
        pytest.param(
            FRAMES | {"when": {"request": {"Origin": True}}},
            {"request": [(b"origin", b"x")]},
            {"request": []},
            id="request",
        ),
        pytest.param(
            FRAMES | {"when": {"request": {"Accept": "*json*"}}},
            {"request": [(b"accept", b"application/json")]},
            {"request": [(b"accept", b"text/html")]},
            id="request by value",
        ),
        pytest.param(
            FRAMES | {"share": "50%"},
            {"client": "192.0.2.1"},
            {"client": "192.0.2.2"},
            id="share by client",
        ),
        pytest.param(
            FRAMES | {"share": "99%"},
            {"method": "GET", "client": "192.0.2.1"},
            {"method": "POST", "client": "192.0.2.1"},
            id="share by method",
        ),
    ],
)
def test_a_verdict_is_not_taken_for_another_request_s(
    rule: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
):
    """What a condition takes from the request tells verdicts apart, though the responses are the
    same.
    """
    route = plan({"it": rule}).routes[-1]
    fields = ((b"Content-Type", b"text/html"), (b"Cache-Control", b"max-age=1"))
    for situation in (one, other, one):
        same(route, facts(*fields, **situation))


def test_responses_that_look_alike_share_one_verdict():
    """Lines that no rule looks at do not tell responses apart; lines that one looks at do."""
    ask = plan({"it": FRAMES}).routes[-1].judge

    first = ask(facts((b"Date", b"now"), (b"x-frame-options", b"SAMEORIGIN")))

    assert (
        ask(facts((b"x-frame-options", b"SAMEORIGIN"), (b"Date", b"later"), (b"ETag", b"1")))
        is first
    )
    assert ask(facts((b"x-frame-options", b"DENY"))) is not first
    assert ask(facts((b"X-Frame-Options", b"SAMEORIGIN"))) is not first, (
        "the spelling stays as the service wrote it"
    )


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        pytest.param(
            {"cookie": "*", "action": "set", "attributes": {"secure": True}},
            (b"Set-Cookie", b"sid=secret"),
            id="a cookie",
        ),
        pytest.param(FRAMES, (b"X-Frame-Options", b"a" * 5000), id="a line longer than is kept"),
    ],
)
def test_secrets_and_bulk_are_not_remembered(rule: dict[str, Any], line: tuple[bytes, bytes]):
    """Such responses are judged rightly each time, and leave nothing behind."""
    route = plan({"it": rule}).routes[-1]

    assert not route.judge(facts(line)).remembered
    assert route.judge(facts(line)) is not route.judge(facts(line))
    same(route, facts(line))


def test_a_service_that_never_repeats_itself_does_not_fill_the_memory():
    """However many values and names are seen, what is kept stays bounded, and right."""
    route = plan({"it": FRAMES}).routes[-1]
    for count in range(3 * judge.REMEMBERED):
        same(route, facts((b"X-Frame-Options", b"%d" % count), (b"X-%d" % count, b"")))

    assert len(route.judge._verdicts) <= judge.REMEMBERED
    assert len(route.judge._watching) <= judge.REMEMBERED
