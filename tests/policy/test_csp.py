"""Content Security Policy: reading, writing, normal form, fallbacks, and what is wrong with a
text.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy import csp
from sidecar.policy.csp import CspDirective, CspPolicy, parse, serialise
from sidecar.policy.csp.sources import covers, parse_source, source_list
from sidecar.policy.csp.table import DEPRECATED, DIRECTIVES, FALLBACKS
from sidecar.policy.csp.weaknesses import csp_faults
from sidecar.policy.model import Rule

OSHP = (
    "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors"
    " 'none'; upgrade-insecure-requests"
)
SHAPED = st.text(st.sampled_from("abcAZ09-_*:/.'; ,\t\n=+%?#\x00\x7f\xe9\u20ac"), max_size=80)
ANY_TEXT = st.one_of(
    SHAPED, st.text(max_size=200), st.text(st.characters(max_codepoint=255), max_size=200)
)


def kinds(text: str) -> list[str]:
    """The kinds of fault that parsing tells, in order."""
    return [fault.code for policy in parse(text) for fault in policy.faults]


def test_a_policy_is_read_into_directives_in_order():
    """Names fold to lower case, words keep their case and order, empty pieces vanish."""
    expected = (
        CspPolicy(
            (
                CspDirective("default-src", ("'Self'", "https://A.example/X")),
                CspDirective("sandbox"),
            )
        ),
    )

    assert expected == parse(" Default-Src  'Self'\thttps://A.example/X ;; SANDBOX ; ")


def test_several_policies_split_on_comma():
    """A comma ends a policy, also inside what looks like one value (section 2.2.2)."""
    assert [
        len(policy.directives) for policy in parse("img-src a.com; font-src b.com, img-src c.com,,")
    ] == [2, 1]


def test_the_first_of_two_equal_directives_counts():
    """A repeat is reported and has no effect."""
    (policy,) = parse("img-src a.com; IMG-SRC b.com")

    assert policy.directives == (CspDirective("img-src", ("a.com",)),)
    assert [fault.part for fault in policy.faults] == ["img-src"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OSHP, []),
        (
            (
                "script-src 'nonce-r4nd0m==' 'sha256-AbC/+_-7DEQpj8HBSa_TImW-5JCeuQeRkm5NMpJWZG3='"
                " 'strict-dynamic' https: *.a.com:* a.com/x/"
            ),
            [],
        ),
        ("img-src a.com; img-src b.com", ["csp-repeated"]),
        ("defualt-src 'self'", ["csp-unknown-directive"]),
        ("block-all-mixed-content", ["csp-deprecated"]),
        ("plugin-types application/pdf", ["csp-deprecated"]),
        ("default-src 'self' script-src 'self'", ["csp-missing-semicolon"]),
        ("default-src self", ["csp-unquoted"]),
        ("default-src NONE", ["csp-unquoted"]),
        ("script-src unsafe-inline nonce-abc sha256-abc", ["csp-unquoted"] * 3),
        ("script-src 'unsafe-inlin'", ["csp-unknown-keyword"]),
        ("script-src 'nonce-' 'nonce-a*b' 'nonce-a===' 'nonce-a", ["csp-bad-nonce"] * 4),
        (
            f"script-src 'sha256-AbC=' 'sha384-{'a' * 43}' 'SHA512-{'a' * 86}=='",
            ["csp-hash-length"] * 2,
        ),
        (f"script-src 'sha256-{'0a' * 32}'", ["csp-hash-length"]),
        ("script-src \"self\" 'self self' 'unsafe_inline' unsafe_eval", ["csp-unquoted"] * 5),
        ("trusted-types a allow-duplicates 'none'", ["csp-unquoted"]),
        ("require-trusted-types-for script; webrtc block", ["csp-unquoted"] * 2),
        ("require-trusted-types-for 'scripts' 'script'", ["csp-unknown-keyword"]),
        ("connect-src wss; img-src data blob:; font-src https//a.example", ["csp-no-colon"] * 3),
        ("connect-src http:80 data.example https:", []),
        ("img-src 'data:' 'https://a.example' 'a.example' '*'", ["csp-quoted"] * 4),
        ("report-to https://a.example/r; report-uri /r", ["csp-report-to-address"]),
        ("img-src \u2018self\u2019", ["csp-typographic-quotes"]),
        ("img-src \xe2\x80\x99self\xe2\x80\x99; font-src 'self'", ["csp-typographic-quotes"]),
        ("script-src 'sha256-' 'sha256-*' 'sha1-abc'", ["csp-bad-hash"] * 3),
        ("img-src https://a.com/x?y=1 [::1] http:// a_b.com", ["csp-bad-source"] * 3),
        ("img-src " + "a." * 200 + "com", ["csp-bad-source"]),
        ("img-src 'none' a.com", ["csp-none-with-others"]),
        ("img-src 'none'", []),
        ("upgrade-insecure-requests 1", ["csp-value-unexpected"]),
        ("report-uri; report-to; require-trusted-types-for; webrtc", ["csp-value-missing"] * 4),
        ("sandbox allow-scripts allow-everything", ["csp-bad-flag"]),
        ("sandbox", []),
        ("trusted-types", []),
        ("img-src h\xe9.com; font-src a.com", ["csp-not-ascii"]),
        ("img-src a\x00b.com; \x01 x", ["csp-control", "csp-control"]),
    ],
)
def test_what_is_wrong_is_reported_by_kind(text, expected):
    """Each oddity of a text has its own kind, and a sound text has none."""
    assert expected == kinds(text)


def test_what_is_said_of_directives_is_said_of_known_ones():
    """Neither a dropped directive nor one with fallbacks is missing from the list of all."""
    assert set(DEPRECATED) | set(FALLBACKS) <= set(DIRECTIVES)


def test_a_nonce_is_never_reported():
    """Faults blot nonces out, since they end up in logs and reports."""
    (fault,) = parse("script-src 'nonce-SECRET!'")[0].faults

    assert fault.part == "'nonce-...'"
    assert "SECRET" not in repr(fault) + fault.text + fault.fix


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("img-src " + "a.com/" * 20_000, "csp-too-long"),
        ("," * 70_000, "csp-too-long"),
        ("img-src " + "a.com " * 1_001, "csp-too-many"),
    ],
)
def test_a_text_beyond_the_caps_is_not_whole(text, kind):
    """What is longer than the caps is read up to them, and the policy says so."""
    policies = parse(text)

    assert kind in [fault.code for fault in policies[-1].faults]
    assert not policies[-1].whole


def test_reading_stops_at_the_cap():
    """After 1,000 words nothing more is read, in this policy or the next."""
    policies = parse(
        "img-src " + "a.com " * 990 + ", font-src " + "b.com " * 20 + ", media-src c.com"
    )

    assert [policy.whole for policy in policies] == [True, False]


@given(ANY_TEXT)
def test_parse_serialise_parse_is_the_identity(text):
    """Law: what was read, written and read again is what was read."""
    policies = tuple(policy for policy in parse(text) if policy.directives)

    assert policies == parse(serialise(*policies))


@given(ANY_TEXT)
def test_what_is_written_is_visible_ascii(text):
    """Law: no text, whatever is in it, can carry a control character or a byte outside ASCII
    into a header.
    """
    assert all(" " <= char <= "~" for char in serialise(*parse(text)))


@given(ANY_TEXT, ANY_TEXT)
def test_no_text_raises(text, other):
    """Law: every function takes any text."""
    csp_faults(text)
    csp.merge_text(text, other, widen=True)
    csp.merge_text(text, other)
    for policy in parse(text):
        csp.normalise(policy)


@pytest.mark.parametrize(
    "text",
    [
        *(char * 200_000 for char in "a';, \x00\xff"),
        *(
            "img-src " + part * 100_000
            for part in ("*.", "a:", "a.b ", "'nonce-a' ", "https://", "a/", "a.com,")
        ),
        "img-src 'nonce-" + "a" * 200_000,
    ],
)
def test_huge_texts_are_read(text):
    """200 kB of anything is judged and merged; work that grows with the square of the length
    would not end.
    """
    csp_faults(text)
    csp.merge_text(text, OSHP)


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (
            {"Default-Src": ["'self'", "https://a.com"], "frame-ancestors": "'none'"},
            "Default-Src 'self' https://a.com; frame-ancestors 'none'",
        ),
        ({"object-src": [], "img-src": None, "sandbox": []}, "object-src; img-src; sandbox"),
        ({"upgrade-insecure-requests": True, "img-src": False}, "upgrade-insecure-requests"),
        ({"script-src": "'self' https://a.com"}, "script-src 'self' https://a.com"),
        ({}, ""),
    ],
)
def test_the_yaml_form_becomes_a_value(mapping, expected):
    """Lists, texts, true and empty lists each have their one meaning."""
    assert expected == Rule(value=mapping).text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("img-src a.com b.com; font-src 'self'", "FONT-SRC 'SELF'; IMG-SRC B.com A.com a.COM"),
        ("img-src 'none'", "img-src"),
        ("img-src 'none' a.com", "img-src a.com"),
        ("script-src 'NONCE-Ab' 'SHA256-Cd'", "script-src 'sha256-Cd' 'nonce-Ab'"),
        ("sandbox Allow-Forms allow-scripts", "sandbox allow-scripts allow-forms"),
        ("upgrade-insecure-requests 1", "upgrade-insecure-requests"),
        ("trusted-types b a 'none'", "trusted-types a b"),
    ],
)
def test_what_means_the_same_has_one_normal_form(one, other):
    """Case where it means nothing, order, repeats and idle words make no difference."""
    assert csp.normalise(parse(one)[0]) == csp.normalise(parse(other)[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("img-src a.com/x", "img-src a.com/X"),
        ("script-src 'nonce-Ab'", "script-src 'nonce-ab'"),
        ("trusted-types A", "trusted-types a"),
        ("report-uri /A", "report-uri /a"),
        ("report-to A", "report-to a"),
    ],
)
def test_what_differs_keeps_two_normal_forms(one, other):
    """Paths, nonces, policy names and report addresses are told apart by case."""
    assert csp.normalise(parse(one)[0]) != csp.normalise(parse(other)[0])


@pytest.mark.parametrize(
    ("directive", "policy", "expected"),
    [
        ("img-src", "default-src a.com", "default-src"),
        ("img-src", "default-src a.com; img-src b.com", "img-src"),
        ("script-src-elem", "script-src a.com; default-src b.com", "script-src"),
        ("worker-src", "child-src a.com; script-src b.com", "child-src"),
        ("worker-src", "script-src b.com; default-src a.com", "script-src"),
        ("frame-src", "child-src a.com; default-src b.com", "child-src"),
        ("default-src", "default-src a.com", "default-src"),
        ("form-action", "default-src a.com", None),
        ("base-uri", "default-src a.com", None),
        ("frame-ancestors", "frame-ancestors a.com", "frame-ancestors"),
        ("img-src", "script-src a.com", None),
    ],
)
def test_fallbacks_follow_the_specification(directive, policy, expected):
    """Section 6.8.3: fetch directives fall back, the others do not."""
    found = csp.effective(parse(policy)[0], directive)

    assert expected == (found and found.name)


WIDER = [
    ("*", "a.com"),
    ("*", "https://a.com"),
    ("*", "'self'"),
    ("*", "https:"),
    ("*", "wss://a.com"),
    ("https:", "https://a.com:8443/x"),
    ("http:", "https:"),
    ("http:", "https://a.com"),
    ("ws:", "wss://a.com"),
    ("a.com", "https://a.com"),
    ("a.com", "a.com/x"),
    ("http://a.com", "https://a.com"),
    ("a.com:*", "https://a.com:8443"),
    ("*.a.com", "b.a.com"),
    ("*.a.com", "*.b.a.com"),
    ("*.a.com", "https://c.b.a.com/x"),
    ("https://*", "https://a.com"),
    ("a.com/", "a.com"),
    ("a.com/x/", "a.com/x/y"),
    ("'unsafe-eval'", "'wasm-unsafe-eval'"),
    ("A.com", "a.COM"),
]


@pytest.mark.parametrize(("wide", "narrow"), WIDER)
def test_a_wider_source_covers_a_narrower_one(wide, narrow):
    """The wider allows all that the narrower allows, and not the other way round unless they are
    one.
    """
    assert covers(parse_source(wide), parse_source(narrow))
    assert covers(parse_source(narrow), parse_source(wide)) == (
        wide.lower() == narrow.lower() or (wide, narrow) == ("a.com/", "a.com")
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("*", "data:"),
        ("https:", "http:"),
        ("https:", "a.com"),
        ("https:", "'self'"),
        ("https:", "wss://a.com"),
        ("http://a.com:80", "https://a.com:80"),
        ("a.com:8443", "https://a.com:8443"),
        ("*.a.com", "a.com"),
        ("*.a.com", "ba.com"),
        ("a.com/x", "a.com/x/y"),
        ("a.com/x/", "a.com/X/y"),
        ("a.com/x/", "a.com"),
        ("'self'", "a.com"),
        ("'nonce-a'", "'nonce-A'"),
        ("a.com", "*"),
        ("'unsafe-inline'", "'nonce-a'"),
        ("https:", "data:"),
        ("[::1]", "[::2]"),
        ("a.com", "a.com:443"),
    ],
)
def test_in_doubt_no_source_covers_another(one, other):
    """Where the page's scheme, an upgrade or a browser would decide, the response is no."""
    assert not covers(parse_source(one), parse_source(other))


def test_a_list_reads_none_as_nothing():
    """'none' alone, 'none' among others and repeats leave the sources that count."""
    assert [*source_list(["'none'", "a.com", "A.com", "'NONE'"])] == ["a.com"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OSHP, []),
        ("", []),
        ("frame-ancestors 'none'", ["csp-scripts-open"]),
        ("script-src 'unsafe-inline'", ["csp-unsafe-inline"]),
        ("script-src 'self'; script-src-attr 'unsafe-inline'", ["csp-unsafe-inline"]),
        ("script-src 'unsafe-inline' 'nonce-a'; base-uri 'none'", []),
        ("script-src 'unsafe-inline' 'sha256-a'", []),
        ("script-src 'unsafe-inline' 'strict-dynamic'", []),
        ("default-src 'self' 'unsafe-eval'", ["csp-unsafe-eval"]),
        ("default-src *", ["csp-broad-source"]),
        ("script-src https:", ["csp-broad-source"]),
        ("script-src https://*", ["csp-broad-source"]),
        ("script-src https: 'strict-dynamic' 'nonce-a'; base-uri 'self'", []),
        ("script-src 'self'; object-src data:", ["csp-broad-source"]),
        ("script-src 'nonce-a'", ["csp-base-open"]),
        ("script-src 'unsafe-inline', script-src 'self'", []),
        ("script-src 'unsafe-inline', frame-ancestors 'none'", ["csp-unsafe-inline"]),
        ("style-src 'unsafe-inline'; default-src 'self'", []),
    ],
)
def test_weaknesses_are_reported_of_the_policies_as_a_whole(text, expected):
    """A weakness stands where no policy of the header hinders it."""
    assert expected == [fault.code for fault in csp_faults(text) if fault.verdict == "weak"]
