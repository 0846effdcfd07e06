"""HSTS, Referrer-Policy, Cache-Control and word lists: reading, judging, merging."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.headers import tokens
from sidecar.policy.headers.tokens import Hsts, merge_cache, merge_words

SHAPED = st.text(st.sampled_from("abAx1,;= \t\"*-'\\/\x00\x0b\xe9\xb2\u20ac"), max_size=60)
ANY_TEXT = st.one_of(SHAPED, st.text(max_size=100))
JUDGES = [
    tokens.judge_hsts,
    tokens.judge_referrer,
    tokens.judge_names,
    tokens.judge_site_data,
    tokens.judge_cache,
]


@given(ANY_TEXT, ANY_TEXT)
def test_no_text_raises(text, other):
    """Law: every function takes any text."""
    for judge in JUDGES:
        judge(text)
    tokens.referrer_policy(text)
    merge_words(text, other)
    merge_cache(text, other, widen=True)
    merge_cache(text, other)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "," * 200_000,
        ";" * 200_000,
        '"' * 200_000,
        "a," * 100_000,
        "max-age=" + "9" * 200_000,
        'a="b",' * 30_000,
    ],
)
def test_huge_texts_are_read(text):
    """200 kB of anything is judged and merged; work that grows with the square of the length
    would not end.
    """
    for judge in JUDGES:
        judge(text)
    merge_words(text, "a")
    merge_cache(text, "no-store")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "max-age=63072000; includeSubDomains",
            Hsts(63_072_000, include_subdomains=True, preload=False),
        ),
        (
            ' MAX-AGE = "31536000" ;INCLUDESUBDOMAINS;; preload;',
            Hsts(31_536_000, include_subdomains=True, preload=True),
        ),
        ("max-age=0", Hsts(0, include_subdomains=False, preload=False)),
        ("max-age=" + "9" * 5_000, Hsts(10**15 - 1, include_subdomains=False, preload=False)),
    ],
)
def test_hsts_is_read(text, expected):
    """Names fold, quotes are allowed, empty directives do no harm, and absurd ages are capped."""
    assert expected == tokens.parse_hsts(text)
    assert expected.valid


@pytest.mark.parametrize(
    ("text", "expected", "valid"),
    [
        ("max-age=63072000", [], True),
        ("includeSubDomains", ["hsts-no-max-age"], False),
        ("", ["hsts-no-max-age"], False),
        ("max-age=1y", ["hsts-no-max-age"], False),
        ("max-age=\xb2", ["hsts-no-max-age"], False),
        ("max-age=63072000; max-age=1", ["hsts-repeated"], False),
        ("max-age=63072000, max-age=1", ["hsts-no-max-age"], False),
        ("max-age=63072000; includeSubDomain", ["hsts-bad-directive"], True),
        ("max-age=63072000; includeSubDomains=1", ["hsts-bad-directive"], True),
        ("max-age=63072000; =1", ["hsts-bad-directive"], True),
        ("max-age=300", ["hsts-short"], True),
        ("max-age=0", ["hsts-off"], True),
        ("max-age=63072000; preload", ["hsts-preload-refused"], True),
        ("max-age=15552000; includeSubDomains; preload", ["hsts-preload-refused"], True),
        ("max-age=31536000; includeSubDomains; preload", [], True),
    ],
)
def test_hsts_is_judged(text, expected, valid):
    """Each fault has its own kind, and a value that browsers ignore is not valid."""
    assert expected == [fault.code for fault in tokens.judge_hsts(text)]
    assert valid == tokens.parse_hsts(text).valid


@pytest.mark.parametrize(
    ("text", "policy", "expected"),
    [
        ("no-referrer", "no-referrer", []),
        ("no-referrer, strict-origin-when-cross-origin", "strict-origin-when-cross-origin", []),
        ("Same-Origin, future-policy", "same-origin", ["referrer-unknown"]),
        ("unsafe-url", "unsafe-url", ["referrer-unsafe"]),
        ("unsafe-url, no-referrer", "no-referrer", []),
        ("origin", "origin", ["referrer-unsafe"]),
        ("never", None, ["referrer-unknown"]),
        ("", None, ["referrer-unknown"]),
        ("no referrer", None, ["referrer-unknown"]),
    ],
)
def test_the_last_recognised_referrer_policy_counts(text, policy, expected):
    """Unknown entries are skipped and reported; what is weak is judged of the policy in force
    alone.
    """
    assert policy == tokens.referrer_policy(text)
    assert expected == [fault.code for fault in tokens.judge_referrer(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"cache","cookies","storage"', []),
        ('"*"', []),
        ("cache, cookies", ["site-data-unquoted"] * 2),
        ('"cash"', ["site-data-unknown"]),
        ('"Cache"', ["site-data-unknown"]),
    ],
)
def test_clear_site_data_is_judged(text, expected):
    """Types are case-sensitive and stand in double quotes."""
    assert expected == [fault.code for fault in tokens.judge_site_data(text)]


def test_a_list_of_names_holds_names():
    """Spaces and quotes make an entry no name; empty entries do no harm."""
    assert [fault.part for fault in tokens.judge_names('X-A, "X-B", X C,, *')] == ['"X-B"', "X C"]


@pytest.mark.parametrize(
    ("app", "ours", "expected"),
    [
        ("Accept", "Cookie, accept", "Accept, Cookie"),
        ("Accept,  Cookie", "cookie", "Accept,  Cookie"),
        ("Accept", "*", "*"),
        ("*", "Accept", "*"),
        ("", "Accept", "Accept"),
        ("a b, Accept", "Cookie", "Accept, Cookie"),
        ("a," * 40_000, "Accept", "a," * 40_000),
    ],
)
def test_vary_adds_up(app, ours, expected):
    """Names add up whatever their case, * stands for all, and no change leaves the text as
    written.
    """
    assert expected == merge_words(app, ours)


def test_clear_site_data_adds_up():
    """Types add up, case counts, and the type for everything stands for all."""
    assert (
        merge_words('"cache"', '"Cache","cookies"', '"*"', fold=False)
        == '"cache", "Cache", "cookies"'
    )
    assert merge_words('"cache"', '"*"', '"*"', fold=False) == '"*"'


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("no-store, max-age=0", {"no-store": None, "max-age": "0"}, []),
        ('Private="a, b" , MAX-AGE = 5', {"private": '"a, b"', "max-age": "5"}, []),
        ("", {}, []),
        (",,", {}, []),
        ("no-store; private", {}, ["cache-bad-directive"]),
        ("=1", {}, ["cache-bad-directive"]),
        ('private="x', {}, ["cache-bad-directive"]),
        ("max-age=9, max-age=5, max-age=x", {"max-age": "5"}, ["cache-repeated"] * 2),
        ('private="a", private', {"private": None}, ["cache-repeated"]),
        ("a=1, a=2", {"a": "1"}, ["cache-repeated"]),
        (
            "no-store, public, max-age=60",
            {"no-store": None, "public": None, "max-age": "60"},
            ["cache-conflict"] * 2,
        ),
        ("private, s-maxage=1", {"private": None, "s-maxage": "1"}, ["cache-conflict"]),
        ('private="a", public', {"private": '"a"', "public": None}, []),
    ],
)
def test_cache_control_is_read_and_judged(text, said, expected):
    """Commas inside quotes separate nothing; of repeats the stricter one is kept; contradictions
    are reported.
    """
    assert said == tokens.parse_cache(text)[0]
    assert expected == [fault.code for fault in tokens.judge_cache(text)]


@pytest.mark.parametrize(
    ("app", "ours", "expected"),
    [
        ("public, max-age=3600", "no-store, max-age=0", "max-age=0, no-store"),
        ("public, max-age=3600", "no-store", "no-store"),
        ("public, max-age=3600, immutable", "private", "max-age=3600, immutable, private"),
        ("private", "public, max-age=60", "private, max-age=60"),
        ("no-store", "public, max-age=60", "no-store"),
        ("max-age=60", "max-age=30", "max-age=30"),
        ("max-age=60", "max-age=90", "max-age=60"),
        ("max-age=60", "s-maxage=600, stale-while-revalidate=30, immutable", "max-age=60"),
        ("max-age=x", "max-age=90", "max-age=90"),
        ('private="a"', 'private="b"', "private"),
        ("no-cache", "must-revalidate", "no-cache, must-revalidate"),
        ("max-age=60, immutable", "no-cache", "max-age=60, no-cache"),
        ("", "no-store", "no-store"),
        ("Public ,max-age=5", "max-age=10", "Public ,max-age=5"),
        ("no-store, public", "no-store", "no-store, public"),
        ("a," * 40_000, "no-store", "a," * 40_000),
    ],
)
def test_the_stricter_cache_control_wins_without_leave(app, ours, expected):
    """What is merged is never kept longer, or by more caches, than the service said."""
    assert expected == merge_cache(app, ours)


@pytest.mark.parametrize(
    ("app", "ours", "expected"),
    [
        ("no-store, max-age=0", "public, max-age=600", "max-age=600, public"),
        ("private, max-age=5", "public, max-age=600, immutable", "max-age=600, public, immutable"),
        ("max-age=5", "max-age=600", "max-age=600"),
        ("public, max-age=600", "no-store", "no-store"),
        ("must-revalidate, private", "max-age=60", "must-revalidate, private, max-age=60"),
    ],
)
def test_our_cache_control_wins_with_leave(app, ours, expected):
    """Ours decides on storing, sharing and seconds; what it does not speak of stays."""
    assert expected == merge_cache(app, ours, widen=True)


DIRECTIVES = st.lists(
    st.sampled_from(
        ["no-store", "no-cache", "private", "public", "must-revalidate", "immutable"]
        # seconds
        + [
            f"{name}={seconds}"
            for name in ("max-age", "s-maxage", "stale-while-revalidate", "stale-if-error")
            for seconds in (0, 60, 600)
        ]
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda text: text.partition("=")[0],
).map(", ".join)


def reuse(text: str) -> tuple[int, ...]:
    """What a browser and a shared cache may do with a response (RFC 9111 sections 3, 4.2 and
    4.3), each as a number: more is looser.
    """
    said = dict(part.partition("=")[::2] for part in text.split(", "))
    guess = 100
    browser = int(said.get("max-age", guess))
    shared = int(said.get("s-maxage", browser))
    if "no-cache" in said:
        browser = shared = -1
    stale = 0 if "no-cache" in said else int(said.get("stale-while-revalidate", 0))
    if "private" in said:
        shared = -2
    if "no-store" in said:
        browser = shared = stale = -2
    loose = "public" in said and "private" not in said and "no-store" not in said
    return browser, shared, stale, int(loose)


@given(DIRECTIVES, DIRECTIVES)
def test_a_merge_without_leave_never_loosens(app, ours):
    """Law: by the rules of caching, what was merged allows nothing that the service's value did
    not.
    """
    guessed = "max-age" in ours and "max-age" not in app
    made = merge_cache(app, ours)

    if not guessed:
        assert all(now <= before for now, before in zip(reuse(made), reuse(app), strict=True))
    for restriction in ("no-store", "private", "no-cache", "must-revalidate"):
        assert restriction not in ours or restriction in made


@given(DIRECTIVES, DIRECTIVES, st.booleans())
def test_a_cache_merge_is_idempotent(app, ours, widen):
    """Law: merging the same again changes nothing."""
    made = merge_cache(app, ours, widen=widen)

    assert made == merge_cache(made, ours, widen=widen)
    assert app == merge_cache(app, app)
