"""Structured fields: reading and writing them, merging dictionaries by key, judging the headers
written so.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.headers import fields
from sidecar.policy.headers.fields import (
    both_lists,
    merge_dictionary,
    narrower,
    wider,
)

SHAPED = st.text(st.sampled_from("abA1*=(),; \t\"':?%@-.\\/\x00\xe9\u20ac"), max_size=60)
KEYS = st.sampled_from(["camera", "geolocation", "fullscreen", "a"])
MEMBERS = st.sampled_from(
    [
        "()",
        "*",
        "self",
        "(self)",
        "(*)",
        '("https://a.com")',
        '(self "https://a.com")',
        '("https://b.com" "https://a.com")',
        "(self);report-to=x",
        "",
        "1",
    ]
)
DICTIONARIES = st.dictionaries(KEYS, MEMBERS, max_size=4).map(
    lambda made: ", ".join(f"{key}={member}" if member else key for key, member in made.items())
)
ANY_TEXT = st.one_of(SHAPED, DICTIONARIES, st.text(max_size=100))
PARSERS = [fields.parse_item, fields.parse_list, fields.parse_dictionary]


@given(ANY_TEXT, st.sampled_from(PARSERS))
def test_parse_serialise_parse_is_the_identity(text, parser):
    """Law: what was read, written and read again writes the same text."""
    value = parser(text).value
    if value:
        again = fields.serialise(value)
        assert again == fields.serialise(parser(again).value)


@given(ANY_TEXT, ANY_TEXT)
def test_no_text_raises(text, other):
    """Law: every function takes any text."""
    for combine in (None, narrower, wider, both_lists):
        merge_dictionary(text, other, combine)
    for judge in (fields.judge_permissions, fields.judge_endpoints, fields.judge_integrity):
        judge(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "(" * 200_000,
        "a," * 100_000,
        "a=(" + "a " * 30_000 + ")",
        ";" * 60_000,
        '"' * 60_000,
        "a;a" * 20_000,
    ],
)
def test_huge_texts_are_read(text):
    """Up to 64 KiB of anything is read, and beyond that nothing is."""
    for parser in PARSERS:
        parser(text)
    merge_dictionary(text, "a=1")
    fields.judge_permissions(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a=1, b=2, a=3", "sf-repeated-key"),
        ("A=1", "sf-bad-syntax"),
        ("a=\xe9", "sf-bad-syntax"),
        ("a,", "sf-bad-syntax"),
        ("a" * 70_000, "sf-too-long"),
    ],
)
def test_a_bad_dictionary_is_reported(text, kind):
    """A text that is dropped or half counted says so; repeats leave a value."""
    parsed = fields.parse_dictionary(text)

    assert [kind] == [fault.code for fault in parsed.faults]
    assert (parsed.value is None) == (kind != "sf-repeated-key")


def test_items_and_lists_are_read():
    """White space around a value is no part of it; empty text is an empty list but no item."""
    assert (
        fields.serialise(fields.parse_item('\t same-origin;report-to="x" ').value)
        == 'same-origin;report-to="x"'
    )
    assert fields.parse_list("").value == []
    assert fields.serialise([]) == ""
    assert fields.parse_item("").value is None


@pytest.mark.parametrize(
    ("app", "ours", "expected"),
    [
        ('a="/x"', 'b="/y"', 'a="/x", b="/y"'),
        ('a="/x", b="/z"', 'b="/y"', 'a="/x", b="/y"'),
        ("a=self", 'a="self"', 'a="self"'),
        ('a = "broken', 'b="/y"', 'b="/y"'),
        ("", 'b="/y"', 'b="/y"'),
        ('a="/x"', "broken=", 'a="/x"'),
        ('a="/x",   b="/y"', 'b="/y"', 'a="/x",   b="/y"'),
        ("a" * 70_000, "b=1", "a" * 70_000),
    ],
)
def test_dictionaries_merge_by_key(app, ours, expected):
    """Keys add up, ours wins; what browsers drop gives way, what does not change stays as
    written.
    """
    assert expected == merge_dictionary(app, ours)


@pytest.mark.parametrize(
    ("app", "ours", "expected"),
    [
        ("camera=(self)", "geolocation=()", "camera=(self), geolocation=()"),
        ("camera=*", "camera=(self)", "camera=(self)"),
        ("camera=(self)", "camera=*", "camera=(self)"),
        (
            'camera=(self "https://a.com")',
            'camera=("https://a.com" "https://b.com")',
            'camera=("https://a.com")',
        ),
        ("camera=self", 'camera=("self")', "camera=()"),
        ("camera=();report-to=x", "camera=*;report-to=y", "camera=();report-to=x"),
        ("camera=*;report-to=x", "camera=(self);report-to=y", "camera=(self);report-to=x"),
        ("camera=self", "camera=(self)", "camera=self"),
        ("camera", "camera=(self)", "camera"),
    ],
)
def test_allowlists_narrow_without_leave(app, ours, expected):
    """An origin stays allowed only where both allow it."""
    assert expected == merge_dictionary(app, ours, narrower)


@pytest.mark.parametrize(
    ("app", "ours", "expected"),
    [
        ("camera=()", "camera=(self)", "camera=(self)"),
        ("camera=(self)", 'camera=("https://a.com" self)', 'camera=("https://a.com" self)'),
        ("camera=(self)", "camera=*", "camera=*"),
        ("camera=*", "camera=(self)", "camera=*"),
    ],
)
def test_allowlists_widen_with_leave(app, ours, expected):
    """An origin is allowed where either allows it."""
    assert expected == merge_dictionary(app, ours, wider)


def allowed(text: str, feature: str) -> set[str]:
    """The entries of an allowlist, from the text alone; "all" for everyone."""
    member = next(
        (part.partition("=")[2] for part in text.split(", ") if part.partition("=")[0] == feature),
        "*",
    )
    words = set(member.partition(";")[0].strip("()").split())
    return {"self", '"https://a.com"', '"https://b.com"'} if "*" in words else words - {"1"}


@given(DICTIONARIES, DICTIONARIES)
def test_a_narrowing_merge_never_widens(app, ours):
    """Law: for features that both name, nothing is allowed that either forbids; it is idempotent
    and commutative in effect.
    """
    made = merge_dictionary(app, ours, narrower)

    for feature in ("camera", "geolocation", "fullscreen", "a"):
        if f"{feature}=" in app and f"{feature}=" in ours:
            assert allowed(made, feature) == allowed(app, feature) & allowed(ours, feature)
            assert allowed(made, feature) == allowed(merge_dictionary(ours, app, narrower), feature)
    assert made == merge_dictionary(made, ours, narrower)


@given(DICTIONARIES, DICTIONARIES, st.sampled_from([None, wider, both_lists]))
def test_every_merge_is_idempotent(app, ours, combine):
    """Law: merging the same again changes nothing, and a text merged with itself is itself."""
    made = merge_dictionary(app, ours, combine)

    assert made == merge_dictionary(made, ours, combine)
    assert app == merge_dictionary(app, app, combine)


def test_protections_add_up():
    """Integrity-Policy lists ask for more with each entry, so both lists hold."""
    made = merge_dictionary(
        "blocked-destinations=(script), endpoints=(a)",
        "blocked-destinations=(style), endpoints=(a)",
        both_lists,
    )

    assert made == "blocked-destinations=(script style), endpoints=(a)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            (
                'geolocation=(self "https://a.com"), camera=(), fullscreen=*, payment=self,'
                " usb=();report-to=x"
            ),
            [],
        ),
        ("", []),
        ("geolocation 'self'; camera 'none'", ["pp-old-syntax"]),
        ("geolocation=('self')", ["pp-old-syntax"]),
        ("camera=();microphone=()", ["pp-old-syntax"]),
        ("camera=(", ["sf-bad-syntax"]),
        ("camera=(), camera=(self)", ["sf-repeated-key"]),
        ("gelocation=()", ["pp-unknown-feature"]),
        ("camera", ["pp-not-allowlist"]),
        ("camera=none", ["pp-not-allowlist"]),
        ('camera=("self")', ["pp-bad-origin"]),
        ("camera=(self https://a.com)", ["pp-bad-origin"]),
        ("camera=(self self)", []),
        ("camera=();microphone", ["pp-bad-parameter"]),
        ("camera=*", ["pp-broad-allowlist"]),
        ("camera=(self *)", ["pp-broad-allowlist"]),
        ("x" * 70_000, ["sf-too-long"]),
    ],
)
def test_permissions_policy_is_judged(text, expected):
    """Each fault has its own kind; the old syntax is recognised and has its own fix."""
    assert expected == [fault.code for fault in fields.judge_permissions(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('csp="/reports", default="https://a.com/r", rel="r"', []),
        ('a="http://a.com/r", b=/r, c="", d=1', ["sf-bad-syntax"]),
        ('a="http://a.com/r", b=r, c="", d=1', ["reporting-bad-endpoint"] * 4),
    ],
)
def test_reporting_endpoints_are_judged(text, expected):
    """An endpoint is a secure address or a path, in double quotes."""
    assert expected == [fault.code for fault in fields.judge_endpoints(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blocked-destinations=(script style), sources=(inline), endpoints=(a)", []),
        ("sources=(inline)", ["integrity-no-destinations"]),
        ("blocked-destinations=(image)", ["integrity-unknown-word", "integrity-no-destinations"]),
        (
            'blocked-destinations=("script")',
            ["integrity-unknown-word", "integrity-no-destinations"],
        ),
        ("blocked-destinations=(script), blocked=(style)", ["integrity-unknown-word"]),
        ("blocked-destinations=", ["sf-bad-syntax"]),
    ],
)
def test_integrity_policy_is_judged(text, expected):
    """A policy that blocks nothing, and words that browsers ignore, are reported."""
    assert expected == [fault.code for fault in fields.judge_integrity(text)]
