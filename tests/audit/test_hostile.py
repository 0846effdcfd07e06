"""Laws over any bytes: judging, writing and drafting never fail, never tell a secret, and always
make a policy.
"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.audit.first_files import draft, gather
from sidecar.audit.observatory import TESTS
from sidecar.audit.oshp import recommended, removed
from sidecar.audit.outcomes import POINTS
from sidecar.audit.report import as_data, report, sarif
from sidecar.audit.visit import Visit, from_har, from_raw, shown
from sidecar.observed import NoResponse, ObservedResponse
from sidecar.policy.headers.table import ALL
from sidecar.source import load_policy
from sidecar.templates import page
from tests.portion import examples

SECRET = "c2VjcmV0"
KNOWN = [row.name for row in ALL] + [one.header for one in recommended()] + [*removed().values()]
SPEECH = [
    b"default-src",
    b"'self'",
    b"'none'",
    b"*",
    b"http:",
    b"; ",
    b", ",
    b"max-age=",
    b"-1",
    b"99999999999999999999",
    b"includeSubDomains",
    b"SameSite=",
    b"Secure",
    b"'nonce-" + SECRET.encode() + b"'",
    b"https://x.example/?k=" + SECRET.encode(),
    b"=()",
    b"(",
    b'"',
    b"\\",
    b"\x00",
    b"\xff",
    b"report-to",
    b"sandbox",
    b"frame-ancestors",
    b"nosniff",
    b"DENY",
    b"sess=x",
    b"csrf=",
    b"__Host-",
    b"`|<b>",
    b"gzip",
    b"text/html",
    b"strict-dynamic",
    b"Expires=",
    b"[",
    b"?1",
]
# Hypothesis tries the constants of this file too: the secret stands only where one is expected.
BYTES = st.binary(max_size=60).filter(lambda data: SECRET.encode() not in data)
VALUES = st.one_of(
    BYTES,
    st.lists(st.sampled_from(SPEECH), max_size=8).map(b"".join),
    st.lists(st.sampled_from(SPEECH), max_size=8).map(b" ".join),
)
NAMES = st.one_of(
    st.sampled_from(KNOWN).map(str.encode),
    st.sampled_from(KNOWN).map(lambda name: name.upper().encode()),
    BYTES,
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12).map(tuple)
HTML = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"<script ",
                b"src=//x",
                b"integrity=y>",
                b'<meta http-equiv=content-security-policy content="',
                b"'",
                b"</script>",
                b"<!--",
                b">",
            ]
        ),
        BYTES,
    ),
    max_size=10,
).map(b"".join)
URLS = st.one_of(
    st.sampled_from(
        [
            "https://a.example/",
            "http://a.example/x?y",
            "https://[::1",
            "",
            "http://u:p@b.example:1/",
            "https://\x01\xff/",
        ]
    ),
    st.text(max_size=20).filter(lambda text: SECRET not in text),
)
ANSWERS = st.builds(ObservedResponse, URLS, st.integers(100, 599), FIELDS, HTML, st.booleans())
CHAINS = st.lists(ANSWERS, max_size=3).map(tuple)
VISITS = st.builds(
    Visit,
    URLS,
    CHAINS,
    CHAINS,
    CHAINS,
    st.none() | ANSWERS,
    st.sampled_from(["", "https://x.example"]),
    st.frozensets(st.sampled_from(["a.example", "b.example"])),
)


@settings(max_examples=examples(80), deadline=None)
@given(st.lists(VISITS, max_size=2))
def test_any_response_is_judged_written_and_answered(visits):
    """Whatever bytes come, there is a report in every format, and a draft that loads as
    report-only policy.
    """
    reports = [report(visit) for visit in visits]

    texts = [
        page("sidecar.audit", "report.md.jinja", reports=reports, gather=gather),
        json.dumps(sarif(reports)),
        json.dumps([as_data(one) for one in reports]),
    ]
    policy = draft(reports)

    assert load_policy(policy.encode(), "policy.yaml").mode == "report-only"
    assert all(text.isascii() and SECRET not in text for text in (*texts, policy))
    for one in reports:
        assert len(one.results) in (0, len(TESTS))
        assert one.score is None or 0 <= one.score <= 100 + sum(
            points for points in POINTS.values() if points > 0
        )


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(
        st.sampled_from([*SPEECH, b"'", b" ", b"x", b"?", b"&k=" + SECRET.encode()]), max_size=8
    ).map(b"".join)
)
def test_what_is_shown_is_visible_ascii_without_nonces_and_queries(value):
    """A shown value has no control character, and no secret that stood in a nonce or behind a
    question mark.
    """
    text = shown(value.decode("latin-1"))

    assert text.isascii()
    assert text.isprintable()
    assert f"nonce-{SECRET}" not in text
    assert f"?k={SECRET}" not in text


@settings(max_examples=examples(80), deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"HTTP/1.1 200 OK",
                    b"HTTP/2 301",
                    b"HTTP/1.1 100 x",
                    b"Location: /",
                    b"Set-Cookie: a=b",
                    b" folded",
                    b"",
                    b"\r",
                ]
            ),
            st.binary(max_size=20),
        ),
        max_size=12,
    ),
    URLS,
)
def test_any_text_is_read_as_raw_responses_or_refused(lines, url):
    """Raw text becomes visits, each with at least one response in a chain, or is refused."""
    try:
        visits = from_raw(b"\n".join(lines), url)
    except NoResponse:
        return

    assert visits
    for visit in visits:
        report(visit)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 999) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "value", "text", "encoding"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {
        "request": (
            st.fixed_dictionaries({"method": st.just("GET") | JSON, "url": URLS | JSON}) | JSON
        ),
        "response": (
            st.fixed_dictionaries(
                {
                    "status": st.just(200) | st.just(302) | JSON,
                    "headers": (
                        st.lists(
                            st.fixed_dictionaries(
                                {
                                    "name": st.sampled_from(KNOWN) | JSON,
                                    "value": st.text(max_size=9) | JSON,
                                }
                            ),
                            max_size=3,
                        )
                        | JSON
                    ),
                    "content": JSON,
                }
            )
            | JSON
        ),
    }
)


@settings(max_examples=examples(80), deadline=None)
@given(st.lists(ENTRY | JSON, max_size=4))
def test_any_archive_is_read_or_refused(entries):
    """An archive with any entries becomes visits that can be judged, or is refused."""
    try:
        visits = from_har(json.dumps({"log": {"entries": entries}}).encode())
    except NoResponse:
        return

    for visit in visits:
        report(visit)
