"""The seven actions: what each finds in a response, and the edit that answers it."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.policy import headers
from sidecar.policy.model import Rule
from sidecar.policy.values import Directives
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
        (
            rule("set", "a"),
            [(b"x-odd", b"b"), (b"Y", b"1"), (b"X-ODD", b"a")],
            "duplicate",
            [(b"x-odd", b"a"), (b"Y", b"1")],
        ),
        (rule("set", "a"), [(b"x-odd", b"b"), (b"x-odd", b"c")], "mismatch", [(b"x-odd", b"a")]),
        (rule("default", "a"), [], "missing", [(b"X-Odd", b"a")]),
        (rule("default", "a"), [(b"X-Odd", b"\xff")], None, None),
        (rule("default", "a"), [(b"X-Odd", b"b"), (b"X-Odd", b"c")], None, None),
        (rule("append", "a"), [], "missing", [(b"X-Odd", b"a")]),
        (rule("append", "a"), [(b"x-odd", b"b"), (b"x-odd", b"a")], None, None),
        (
            rule("append", "a"),
            [(b"x-odd", b"b"), (b"Y", b"1")],
            "missing",
            [(b"x-odd", b"b"), (b"Y", b"1"), (b"X-Odd", b"a")],
        ),
        (rule("remove"), [(b"Y", b"1")], None, None),
        (
            rule("remove"),
            [(b"x-odd", b"b"), (b"Y", b"1"), (b"X-ODD", b"")],
            "forbidden",
            [(b"Y", b"1")],
        ),
        (rule("require"), [], "missing", None),
        (rule("require"), [(b"X-Odd", b"")], None, None),
        (rule("require", "a*"), [(b"X-Odd", b"b"), (b"X-Odd", b"ab")], None, None),
        (rule("require", "a*"), [(b"X-Odd", b"Ab")], "mismatch", None),
        (rule("require", header=XFO), [DENY, DENY], "duplicate", None),
        (rule("forbid"), [], None, None),
        (rule("forbid"), [(b"x-odd", b"")], "forbidden", None),
        (
            rule("forbid", "*secret*"),
            [(b"x-odd", b"a"), (b"x-odd", b"\xffa secret\n")],
            "forbidden",
            None,
        ),
        (rule("forbid", "*secret*"), [(b"x-odd", b"SECRET")], None, None),
    ],
)
def test_an_action_finds_and_edits(
    rule: dict[str, Any],
    before: list[tuple[bytes, bytes]],
    kind: str | None,
    after: list[tuple[bytes, bytes]] | None,
):
    """Each action's kind of violation, and the lines that leave: in place where the header
    stood, names kept.
    """
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
    (data,), (made,) = (
        judged(asked, *before, mode="report-only").findings,
        judged(asked, *before).findings,
    )

    assert (data.before, data.after, data.kind) == (made.before, made.after, made.kind)
    assert (data.made, made.made) == (False, True)


@pytest.mark.parametrize("action", ["require", "forbid"])
def test_what_only_judges_never_writes(action: str):
    """Even in enforce there is no change to make."""
    (finding,) = judged(
        rule(action, "x" if action == "require" else None), (b"X-Odd", b"b")
    ).findings

    assert (finding.after, finding.made) == (None, False)


@pytest.mark.parametrize("action", ["set", "default", "require"])
def test_a_header_for_https_is_neither_written_nor_missed_over_http(action: str):
    """HSTS over plain HTTP is forbidden (RFC 6797 section 7.2), so such a rule, a demand too,
    has an unsaid condition.
    """
    asked = rule(action, "max-age=1", STS)

    assert judged(asked, scheme="http").findings == ()
    assert len(judged(asked).findings) == 1
    assert (
        len(
            judged(
                rule("remove", header=STS), (b"Strict-Transport-Security", b"x"), scheme="http"
            ).findings
        )
        == 1
    )


def test_a_list_of_headers_skips_only_the_one_that_may_not_be_written():
    """The unsaid condition belongs to one header, not to the rule."""
    decision = judged(rule("set", "max-age=1", [STS, ODD]), scheme="http")

    assert decision.fields == [(b"X-Odd", b"max-age=1")]
    assert decision.skipped == ()


CSP = "Content-Security-Policy"


def test_merge_takes_the_response_of_the_headers_own_grammar():
    """What `headers.merge` says is what is reported; a response that already says it is left
    alone.
    """
    asked = rule("merge", "default-src 'self'", CSP)
    merged = headers.merge(
        CSP, "img-src a.example, img-src b.example", "default-src 'self'"
    ).encode()
    decision = judged(
        asked,
        (b"content-security-policy", b"img-src a.example"),
        (b"Content-Security-Policy", b"img-src b.example"),
    )

    assert decision.fields == [(b"content-security-policy", merged)]
    assert [finding.kind for finding in decision.findings] == ["mismatch"]
    assert judged(asked, (b"content-security-policy", merged)).findings == ()


@pytest.mark.parametrize(
    ("header", "lines", "ours"),
    [
        (CSP, ("default-src 'self'", "img-src a.example"), "default-src 'self'"),
        ("Cache-Control", ("no-store", "max-age=0"), "no-store"),
        ("Vary", ("Accept", "Cookie"), "cookie"),
        ("Permissions-Policy", ("camera=()", "usb=()"), "usb=(), camera=()"),
        ("Clear-Site-Data", ('"cache"', '"cookies"'), '"cookies"'),
    ],
)
def test_several_lines_that_say_it_already_are_left_alone(
    header: str, lines: tuple[str, ...], ours: str
):
    """Lines of a list are one value: what it means is compared, not how it is cut."""
    before = [(header.encode(), line.encode()) for line in lines]

    assert judged(rule("merge", ours, header), *before).findings == ()


@pytest.mark.parametrize(
    ("widen", "after"),
    [(None, b"img-src 'none'"), (False, b"img-src 'none'"), (True, b"img-src 'self' a.example")],
)
def test_a_merge_widens_only_with_leave(widen: bool | None, after: bytes):
    """Without `widen: true` the response never allows more than the service did."""
    asked = rule("merge", "img-src a.example", CSP) | ({} if widen is None else {"widen": widen})

    assert judged(asked, (b"Content-Security-Policy", b"img-src 'self'")).fields == [
        (b"Content-Security-Policy", after)
    ]


@pytest.mark.parametrize(
    ("header", "lines", "kind"),
    [
        (STS, ("max-age=63072000",), None),
        (STS, ("max-age=300",), "weak"),
        (STS, ("max-age",), "invalid"),
        (CSP, ("default-src 'self'",), None),
        (CSP, ("script-src 'unsafe-inline'",), "weak"),
        (CSP, ("default-src 'self'", "script-src 'unsafe-inline'"), None),
        (CSP, ("default-src self; script-src 'unsafe-inline'",), "invalid"),
        ("Referrer-Policy", ("no-referrer, unsafe-url",), "weak"),
        ("X-Content-Type-Options", ("sniff",), "invalid"),
        ("Permissions-Policy", ("camera=*",), "weak"),
        ("Set-Cookie", ("a=1; Secure; HttpOnly; SameSite=Lax", "b=2"), "weak"),
        ("Set-Cookie", ("a=1; Secure; HttpOnly; SameSite=Lax", "b=2; SameSite=None"), "invalid"),
        (ODD, ("anything",), None),
        (ODD, ("\xff\x00",), None),
    ],
)
def test_require_without_a_value_judges_the_one_that_stands(
    header: str, lines: tuple[str, ...], kind: str | None
):
    """By the header's own grammar, all lines together: what browsers ignore is invalid, what
    protects little is weak.
    """
    before = [(header.encode(), line.encode("latin-1")) for line in lines]
    decision = judged(rule("require", header=header), *before)

    assert [(finding.kind, finding.after) for finding in decision.findings] == (
        [] if kind is None else [(kind, None)]
    )
    assert decision.fields == before


def test_require_with_a_value_does_not_judge_it():
    """Whoever names a value knows what it is worth."""
    assert (
        judged(
            rule("require", "max-age=1*", STS), (b"Strict-Transport-Security", b"max-age=1")
        ).findings
        == ()
    )


def test_require_judges_a_cookie_by_the_scheme():
    """Secure is not demanded over plain HTTP, and a response judged before over another scheme
    is judged anew.
    """
    made = plan({"it": rule("require", header="Set-Cookie")}).routes[-1].checks[0]
    seen = {b"set-cookie": (b"a=1; HttpOnly; SameSite=Lax",)}

    assert [
        len(made.judge(facts(scheme=scheme), seen)) for scheme in ("https", "http", "https")
    ] == [1, 0, 1]


FIRST = {
    "Connection-Allowlist",
    "Connection-Allowlist-Report-Only",
    "X-Content-Type-Options",
    "Service-Worker-Allowed",
    "X-DNS-Prefetch-Control",
    "Strict-Transport-Security",
    "X-Permitted-Cross-Domain-Policies",
    "NEL",
    "Expires",
    "Server",
    "X-Powered-By",
    "X-Generator",
    "X-AspNet-Version",
    "X-AspNetMvc-Version",
    "SourceMap",
    "X-SourceMap",
    "X-XSS-Protection",
    "Expect-CT",
    "Public-Key-Pins",
    "Public-Key-Pins-Report-Only",
    "Feature-Policy",
    "P3P",
    "X-Download-Options",
    "X-UA-Compatible",
}
STRICTEST = {
    "X-Frame-Options": ("SAMEORIGIN", "DENY"),
    "Cross-Origin-Opener-Policy": ("unsafe-none", "same-origin"),
    "Cross-Origin-Opener-Policy-Report-Only": ("same-origin-allow-popups", "same-origin"),
    "Cross-Origin-Embedder-Policy": ("unsafe-none", "require-corp"),
    "Cross-Origin-Embedder-Policy-Report-Only": ("credentialless", "require-corp"),
    "Cross-Origin-Resource-Policy": ("cross-origin", "same-site"),
    "Document-Isolation-Policy": ("none", "isolate-and-credentialless"),
    "Document-Isolation-Policy-Report-Only": ("none", "isolate-and-require-corp"),
}
LEFT = {
    "Content-Type": ("text/html", "text/plain"),
    "Content-Disposition": ("inline", "attachment"),
    "Origin-Agent-Cluster": ("?1", "?0"),
    "Access-Control-Allow-Origin": ("https://a.example", "*"),
    "Access-Control-Allow-Credentials": ("true", "false"),
    "Access-Control-Max-Age": ("600", "60"),
    "Access-Control-Allow-Private-Network": ("true", "no"),
}
"""What becomes of two copies that differ: each once-only header of the table stands in one of
the three.
"""


def test_the_once_only_headers_are_all_below():
    """A new row has to say what becomes of its copies."""
    assert {row.name for row in headers.ALL if row.single} == FIRST | STRICTEST.keys() | LEFT.keys()


@pytest.mark.parametrize(
    ("header", "copies", "left"),
    [
        *((name, ("one", "two"), ("one",)) for name in sorted(FIRST)),
        *((name, copies, copies[1:]) for name, copies in STRICTEST.items()),
        *((name, copies, copies) for name, copies in LEFT.items()),
        *((row.name, ("same", "same"), ("same",)) for row in headers.ALL if row.single),
        *(
            (row.name, ("same", "same"), ("same", "same"))
            for row in headers.ALL
            if not row.single and row.key != "set-cookie"
        ),
    ],
)
def test_default_leaves_one_copy_by_the_headers_own_rule(
    header: str, copies: tuple[str, ...], left: tuple[str, ...]
):
    """As browsers take them, or stricter; where that is not known, or copies give leave, they
    stay. The kind is duplicate.
    """
    decision = judged(
        rule("default", "ours", header), *((header.encode(), copy.encode()) for copy in copies)
    )

    assert tuple(value.decode() for _, value in decision.fields) == left
    assert [(finding.kind, finding.after) for finding in decision.findings] == (
        [] if left == copies else [("duplicate", (left[0].encode(),))]
    )


@pytest.mark.parametrize(
    "row", [row for row in headers.ALL if row.single], ids=lambda row: row.name
)
def test_set_leaves_one_copy_with_its_own_value(row: headers.Header):
    """Copies of which one is right are a duplicate, others a mismatch."""
    name = row.name.encode()
    doubled = judged(rule("set", "ours", row.name), (name, b"ours"), (name.lower(), b"theirs"))
    wrong = judged(rule("set", "ours", row.name), (name, b"theirs"), (name, b"theirs"))

    assert doubled.fields == wrong.fields == [(name, b"ours")]
    assert [finding.kind for finding in (*doubled.findings, *wrong.findings)] == [
        "duplicate",
        "mismatch",
    ]


def test_a_removal_of_many_names_says_each_that_stands():
    """One finding for each name, in the order of the response."""
    before = [(b"X-Powered-By", b"x"), (b"Y", b"1"), (b"server", b"s"), (b"SERVER", b"t")]
    decision = judged(rule("remove", header=["Server", "X-Powered-By", "X-None"]), *before)

    assert [(finding.header, finding.before) for finding in decision.findings] == [
        ("X-Powered-By", (b"x",)),
        ("Server", (b"s", b"t")),
    ]
    assert decision.fields == [(b"Y", b"1")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (
            {
                "default-src": ("'self'", "a.example"),
                "upgrade-insecure-requests": True,
                "img-src": False,
                "sandbox": (),
            },
            "default-src 'self' a.example; upgrade-insecure-requests; sandbox",
        ),
        ({}, ""),
    ],
)
def test_a_value_as_it_is_sent(value: str | Directives, text: str):
    """Directives are joined as CSP writes them; true stands alone, false is left out."""
    assert Rule(value=value).text == text


def test_a_finding_names_its_rule_by_index():
    """Counters are bound by it."""
    made = plan({"a": rule("remove", header="Y"), "b": rule("set", "1")})
    check = made.routes[0].checks[1]

    (finding,) = check.judge(facts(), {})

    assert (finding.rule, finding.position, finding.header, finding.key) == (
        "b",
        1,
        "X-Odd",
        b"x-odd",
    )
    assert set(check.kinds) == {"missing", "mismatch", "duplicate"}
