"""The seven actions: what each finds in an answer, and the edit that answers it."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.policy import headers
from sidecar.policy.checks import value_text
from sidecar.policy.model import Directives
from tests.policy.making import facts, judged, plan

XFO, ODD, STS = "X-Frame-Options", "X-Odd", "Strict-Transport-Security"
DENY = (b"X-Frame-Options", b"DENY")


def rule(action: str, value: Any = None, header: Any = ODD) -> dict[str, Any]:
    """One rule as written."""
    return {"header": header, "action": action} | ({} if value is None else {"value": value})


@pytest.mark.parametrize(
    ("rule", "before", "kind", "after"),
    [
        (rule("set", "a"), [], "missing", [(b"X-Odd", b"a")]),
        (rule("set", "a"), [(b"x-odd", b"a")], None, None),
        (rule("set", "a"), [(b"x-odd", b"A")], "mismatch", [(b"x-odd", b"a")]),
        (rule("set", "a"), [(b"x-odd", b"b"), (b"Y", b"1"), (b"X-ODD", b"a")], "duplicate", [(b"x-odd", b"a"), (b"Y", b"1")]),
        (rule("set", "a"), [(b"x-odd", b"b"), (b"x-odd", b"c")], "mismatch", [(b"x-odd", b"a")]),
        (rule("default", "a"), [], "missing", [(b"X-Odd", b"a")]),
        (rule("default", "a"), [(b"X-Odd", b"\xff")], None, None),
        (rule("default", "a"), [(b"X-Odd", b"b"), (b"X-Odd", b"c")], None, None),
        (rule("append", "a"), [], "missing", [(b"X-Odd", b"a")]),
        (rule("append", "a"), [(b"x-odd", b"b"), (b"x-odd", b"a")], None, None),
        (rule("append", "a"), [(b"x-odd", b"b"), (b"Y", b"1")], "missing", [(b"x-odd", b"b"), (b"Y", b"1"), (b"X-Odd", b"a")]),
        (rule("remove"), [(b"Y", b"1")], None, None),
        (rule("remove"), [(b"x-odd", b"b"), (b"Y", b"1"), (b"X-ODD", b"")], "forbidden", [(b"Y", b"1")]),
        (rule("require"), [], "missing", None),
        (rule("require"), [(b"X-Odd", b"")], None, None),
        (rule("require", "a*"), [(b"X-Odd", b"b"), (b"X-Odd", b"ab")], None, None),
        (rule("require", "a*"), [(b"X-Odd", b"Ab")], "mismatch", None),
        (rule("require", header=XFO), [DENY, DENY], "duplicate", None),
        (rule("forbid"), [], None, None),
        (rule("forbid"), [(b"x-odd", b"")], "forbidden", None),
        (rule("forbid", "*secret*"), [(b"x-odd", b"a"), (b"x-odd", b"\xffa secret\n")], "forbidden", None),
        (rule("forbid", "*secret*"), [(b"x-odd", b"SECRET")], None, None),
    ],
)
def test_an_action_finds_and_edits(rule: dict[str, Any], before: list[tuple[bytes, bytes]], kind: str | None, after: list[tuple[bytes, bytes]] | None):
    """Each action's kind of violation, and the lines that leave: in place where the header stood, names kept."""
    decision = judged(rule, *before)

    assert [finding.kind for finding in decision.findings] == ([] if kind is None else [kind])
    assert decision.fields == (before if after is None else after)
    assert decision.changed is (after is not None)


@pytest.mark.parametrize("action", ["set", "default", "append", "remove", "merge"])
def test_report_only_tells_the_change_and_does_not_make_it(action: str):
    """Before and after are the same in both modes; only `made` differs."""
    header = "Content-Security-Policy" if action == "merge" else ODD
    before = [] if action != "remove" else [(b"X-Odd", b"b")]
    asked = rule(action, None if action == "remove" else "default-src 'self'", header)
    (told,), (made,) = judged(asked, *before, mode="report-only").findings, judged(asked, *before).findings

    assert (told.before, told.after, told.kind) == (made.before, made.after, made.kind)
    assert (told.made, made.made) == (False, True)


@pytest.mark.parametrize("action", ["require", "forbid"])
def test_what_only_judges_never_writes(action: str):
    """Even in enforce there is no change to make."""
    (finding,) = judged(rule(action, "x" if action == "require" else None), (b"X-Odd", b"b")).findings

    assert (finding.after, finding.made) == (None, False)


@pytest.mark.parametrize("action", ["set", "default"])
def test_a_header_for_https_is_not_written_over_http(action: str):
    """HSTS over plain HTTP is forbidden (RFC 6797 section 7.2), so such a rule has an unsaid condition."""
    asked = rule(action, "max-age=1", STS)

    assert judged(asked, scheme="http").findings == ()
    assert len(judged(asked).findings) == 1
    assert len(judged(rule("remove", header=STS), (b"Strict-Transport-Security", b"x"), scheme="http").findings) == 1


def test_a_list_of_headers_skips_only_the_one_that_may_not_be_written():
    """The unsaid condition belongs to one header, not to the rule."""
    decision = judged(rule("set", "max-age=1", [STS, ODD]), scheme="http")

    assert decision.fields == [(b"X-Odd", b"max-age=1")]
    assert decision.skipped == ()


def test_merge_takes_the_answer_of_the_headers_own_grammar():
    """What `headers.merge` says is what is told; an answer that already says it is left alone."""
    asked = rule("merge", "default-src 'self'", "Content-Security-Policy")
    merged = headers.merge("Content-Security-Policy", "img-src a.example, img-src b.example", "default-src 'self'").encode()
    decision = judged(asked, (b"content-security-policy", b"img-src a.example"), (b"Content-Security-Policy", b"img-src b.example"))

    assert decision.fields == [(b"content-security-policy", merged)]
    assert [finding.kind for finding in decision.findings] == ["mismatch"]
    assert judged(asked, (b"content-security-policy", merged)).findings == ()


def test_default_keeps_one_of_several_where_the_header_knows_how():
    """A once-only header that the service sent twice is sent once, with the value its row chooses."""
    before = [DENY, (b"x-frame-options", b"DENY")]
    kept = headers.collapse(XFO, ("DENY", "DENY"))
    decision = judged(rule("default", "SAMEORIGIN", XFO), *before)

    assert decision.fields == (before if kept is None else [(b"X-Frame-Options", kept.encode())])


def test_a_removal_of_many_names_says_each_that_stands():
    """One finding for each name, in the order of the answer."""
    before = [(b"X-Powered-By", b"x"), (b"Y", b"1"), (b"server", b"s"), (b"SERVER", b"t")]
    decision = judged(rule("remove", header=["Server", "X-Powered-By", "X-None"]), *before)

    assert [(finding.header, finding.before) for finding in decision.findings] == [("X-Powered-By", (b"x",)), ("Server", (b"s", b"t"))]
    assert decision.fields == [(b"Y", b"1")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ({"default-src": ("'self'", "a.example"), "upgrade-insecure-requests": True, "img-src": False, "sandbox": ()}, "default-src 'self' a.example; upgrade-insecure-requests; sandbox"),
        ({}, ""),
    ],
)
def test_a_value_as_it_is_sent(value: str | Directives, text: str):
    """Directives are joined as CSP writes them; true stands alone, false is left out."""
    assert value_text(value) == text


def test_a_finding_names_its_rule_by_index():
    """Counters are bound by it."""
    made = plan({"a": rule("remove", header="Y"), "b": rule("set", "1")})
    check = made.routes[0].checks[1]

    (finding,) = check.judge(facts(), {})

    assert (finding.rule, finding.position, finding.header, finding.key) == ("b", 1, "X-Odd", b"x-odd")
    assert set(check.kinds) == {"missing", "mismatch", "duplicate"}
