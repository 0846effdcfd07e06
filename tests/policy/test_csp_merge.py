"""Merging two Content Security Policies: the laws, proved against a small browser that is
written apart.
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.policy import csp
from sidecar.policy.csp import CspDirective, CspPolicy, parse, serialise
from sidecar.policy.csp.sources import source_list
from tests.portion import FULL, examples

CHAINS = {
    "img-src": ["img-src", "default-src"],
    "script-src-elem": ["script-src-elem", "script-src", "default-src"],
    "style-src-elem": ["style-src-elem", "style-src", "default-src"],
    "worker-src": ["worker-src", "child-src", "script-src", "default-src"],
    "frame-src": ["frame-src", "child-src", "default-src"],
    "connect-src": ["connect-src", "default-src"],
    "frame-ancestors": ["frame-ancestors"],
}


@dataclass(frozen=True)
class Page:
    """Where a page came from, and whose browser shows it.

    `upgrades_ports`: the specification lets http://a:8080 match https://a:8080, Chromium does not;
    `sees_ws`: Chromium matches WebSocket addresses as ws and wss, the specification as http and
    https.
    """

    scheme: str
    upgrades_ports: bool
    sees_ws: bool


@dataclass(frozen=True)
class Load:
    """One thing that a page may want: an address, inline text, or leave to evaluate."""

    directive: str
    address: tuple[str, str, int, str] | None = None
    nonce: str = ""
    digest: str = ""
    evaluates: str = ""


ADDRESSES = [
    (scheme, host, port, path)
    for scheme, own in (("http", 80), ("https", 443), ("ws", 80), ("wss", 443))
    for host in ("page.test", "a.com", "b.a.com", "evil.com")
    for port in (own, 8443)
    for path in ("/", "/x/y")
] + [("data", "", 0, "")]
PAGES = [
    Page(*facts) for facts in itertools.product(("http", "https"), (True, False), (True, False))
]
LOADS = (
    [
        Load(directive, address, nonce)
        for directive in CHAINS
        for address in ADDRESSES
        for nonce in ("", "n1")
    ]
    + [
        Load(name, nonce=nonce, digest=digest)
        for name in ("script-src-elem", "style-src-elem")
        for nonce in ("", "n1", "n2")
        for digest in ("", "d1")
    ]
    + [Load("script-src-elem", evaluates=what) for what in ("text", "wasm")]
)


def governing(policy: CspPolicy, name: str) -> tuple[str, ...] | None:
    """The words of the directive that governs, None = ungoverned."""
    chain = CHAINS.get(name, [name])
    return next(
        (one.values for wanted in chain for one in policy.directives if one.name == wanted), None
    )


def allows(words: tuple[str, ...] | None, load: Load, page: Page) -> bool:
    """What a browser would say, from CSP Level 3 sections 6.7.2 and 6.7.3, sentence by sentence."""
    if words is None:
        return True
    is_script = load.directive == "script-src-elem"
    marked = [word for word in words if word.startswith(("'nonce-", "'sha256-"))]
    dynamic = is_script and "'strict-dynamic'" in words
    if load.evaluates:
        return "'unsafe-eval'" in words or (
            load.evaluates == "wasm" and "'wasm-unsafe-eval'" in words
        )
    named = f"'nonce-{load.nonce}'" in words and load.directive in (
        "script-src-elem",
        "style-src-elem",
    )
    if load.address is None:
        at_all = "'unsafe-inline'" in words and not marked and not dynamic
        return at_all or named or (load.digest != "" and f"'sha256-{load.digest}'" in words)
    return named or (not dynamic and any(matches(word, load.address, page) for word in words))


@functools.cache
def matches(word: str, address: tuple[str, str, int, str], page: Page) -> bool:
    """Whether one source expression matches one address."""
    scheme, host, port, path = address
    if not page.sees_ws:
        scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    own_port = {"http": 80, "ws": 80, "https": 443, "wss": 443}.get(scheme)
    if word == "*":
        return scheme in (("http", "https", "ws", "wss") if page.sees_ws else ("http", "https"))
    if word == "'self'":
        return (
            host == "page.test" and port == own_port and scheme_matches(page.scheme, scheme, page)
        )
    if word.startswith("'"):
        return False
    if word.endswith(":"):
        return scheme_matches(word[:-1], scheme, page)
    wanted, _, rest = word.rpartition("://")
    origin, slash, tail = rest.partition("/")
    wanted_host, _, wanted_port = origin.partition(":")
    if not host or not scheme_matches(wanted or page.scheme, scheme, page):
        return False
    upgraded = (wanted or page.scheme) != scheme
    if wanted_port == "":
        port_ok = port == own_port
    else:
        port_ok = wanted_port == "*" or (
            int(wanted_port) == port and (page.upgrades_ports or not upgraded)
        )
    host_ok = wanted_host in ("*", host) or (
        wanted_host.startswith("*.") and host.endswith(wanted_host[1:])
    )
    return (
        port_ok
        and host_ok
        and (
            not slash
            or path == slash + tail
            or (word.endswith("/") and path.startswith(slash + tail))
        )
    )


def scheme_matches(wanted: str, scheme: str, page: Page) -> bool:
    """Scheme-part match (6.7.2.9), as the specification or as Chromium has it."""
    upgrades = {("http", "https"), ("ws", "wss")}
    if not page.sees_ws:
        upgrades |= {("ws", "http"), ("ws", "https"), ("wss", "https")}
    return wanted == scheme or (wanted, scheme) in upgrades


WORDS = st.sampled_from(
    "'none' 'self' * https: http: wss: ws: data: a.com *.a.com b.a.com https://a.com http://a.com"
    " https://a.com:8443 http://a.com:8443 a.com:* a.com/x/ https://a.com/x/y *.b.a.com https://*"
    " *:8443 wss://a.com http://*.a.com:* 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval'"
    " 'nonce-n1' 'nonce-n2' 'sha256-d1' 'strict-dynamic' 'report-sample' 'unsafe-hashes'".split()
)
NAMES = (
    "default-src script-src script-src-elem style-src style-src-elem img-src child-src worker-src"
    " frame-src connect-src frame-ancestors".split()
)
LISTS = st.lists(WORDS, max_size=5).map(tuple)


def policies(names: list[str] = NAMES) -> st.SearchStrategy[CspPolicy]:
    """Random policies over a few directives and sources that have much to do with one another."""
    return st.dictionaries(st.sampled_from(names), LISTS, max_size=5).map(
        lambda made: CspPolicy(tuple(CspDirective(*item) for item in made.items()))
    )


def assert_never_more(
    made: tuple[str, ...] | None, than: tuple[str, ...] | None, directive: str
) -> None:
    """Everything that the first list allows in any browser, the second allows too."""
    for load, page in itertools.product(
        [load for load in LOADS if load.directive == directive], PAGES
    ):
        if allows(made, load, page):
            assert allows(than, load, page), f"{made} allows {load} on {page}, {than} does not"


@settings(deadline=None)
@given(policies(), policies())
def test_without_leave_a_merge_never_widens_the_services_policy(app, ours):
    """Law: in every browser, what the merged policy allows the service's policy allowed."""
    made = csp.merge(app, ours)

    for directive in CHAINS:
        assert_never_more(governing(made, directive), governing(app, directive), directive)


@settings(deadline=None)
@given(policies(), policies())
def test_without_leave_our_directives_are_a_ceiling(app, ours):
    """Law: in a directive that ours names, the merged policy allows nothing that ours forbids."""
    made = csp.merge(app, ours)

    for directive in ours.directives:
        found = made.get(directive.name)
        assert found is not None
        if directive.name in CHAINS:
            assert_never_more(found.values, directive.values, directive.name)


def test_no_script_comes_to_life():
    """Exhaustive: of any two script lists over the words that switch one another off, none is
    widened.
    """
    words = (
        "'unsafe-inline'",
        "'nonce-n1'",
        "'nonce-n2'",
        "'sha256-d1'",
        "'strict-dynamic'",
        "a.com",
        "https:",
    )
    lists = [
        tuple(chosen)
        for size in range(len(words) + 1)
        for chosen in itertools.combinations(words if FULL else words[:5], size)
    ]
    page = Page("https", upgrades_ports=False, sees_ws=True)
    loads = [Load("script-src-elem", ("https", "a.com", 443, "/"), nonce) for nonce in ("", "n1")]
    loads += [
        Load("script-src-elem", nonce=nonce, digest=digest)
        for nonce in ("", "n1", "n2")
        for digest in ("", "d1")
    ]
    allowed = {
        words: frozenset(load for load in loads if allows(words, load, page)) for words in lists
    }

    for one, other in itertools.product(lists, lists):
        made = (
            csp.merge(
                CspPolicy((CspDirective("script-src", one),)),
                CspPolicy((CspDirective("script-src", other),)),
            )
            .directives[0]
            .values
        )
        assert (
            allowed[tuple(word for word in words if word in made)] <= allowed[one] & allowed[other]
        ), (one, other, made)


@given(policies(), policies(), st.booleans())
def test_a_merge_is_idempotent(app, ours, widen):
    """Law: merging the same policy again changes nothing, and a policy merged with itself is
    itself.
    """
    once = csp.merge(app, ours, widen=widen)

    assert once == csp.merge(once, ours, widen=widen)
    assert app == csp.merge(app, app, widen=widen)


@given(st.data(), st.booleans())
def test_a_merge_is_commutative_where_no_fallback_is_leant_on(data, widen):
    """Law: for policies that name the same directives the order of the two makes no difference."""
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    one, other = (
        CspPolicy(tuple(CspDirective(name, data.draw(LISTS)) for name in names)) for _ in range(2)
    )

    assert csp.normalise(csp.merge(one, other, widen=widen)) == csp.normalise(
        csp.merge(other, one, widen=widen)
    )


@given(policies(), policies())
def test_with_leave_a_merge_is_the_union(app, ours):
    """Law: with leave every source of the service's governing list and of ours stands in the
    result.
    """
    made = csp.merge(app, ours, widen=True)

    for directive in ours.directives:
        held = csp.effective(app, directive.name)
        both = {*source_list(directive.values), *source_list(held.values if held else ())}
        assert both == {*source_list(made.get(directive.name).values)}
    for directive in app.directives:
        assert {*source_list(directive.values)} <= {*source_list(made.get(directive.name).values)}


@settings(deadline=None, max_examples=examples(50))
@given(st.lists(policies(), min_size=1, max_size=3), policies())
def test_several_policies_are_merged_without_widening_any(app, ours):
    """Law: of a header with several policies, each stays as tight as it was; merging again
    changes nothing.
    """
    app = tuple(policy for policy in app if policy.directives)
    text = csp.merge_text(serialise(*app), serialise(ours))

    if app:
        for held, made in zip(app, parse(text), strict=True):
            for directive in CHAINS:
                assert_never_more(governing(made, directive), governing(held, directive), directive)
    assert text == csp.merge_text(text, serialise(ours))


TABLE = [
    # what neither widens nor is in doubt
    ("default-src 'self'", "frame-ancestors 'none'", "default-src 'self'; frame-ancestors 'none'"),
    (
        "script-src 'nonce-a' 'strict-dynamic'",
        "default-src 'self'",
        "script-src 'nonce-a' 'strict-dynamic'; default-src 'self'",
    ),
    ("default-src 'self' https:", "default-src 'self'", "default-src 'self'"),
    ("default-src 'self'", "img-src 'self' data:", "default-src 'self'; img-src 'self'"),
    ("default-src https:", "img-src cdn.com", "default-src https:; img-src https://cdn.com"),
    ("img-src *.a.com", "img-src https://x.a.com b.com", "img-src https://x.a.com"),
    ("img-src a.com", "img-src b.com", "img-src 'none'"),
    ("object-src 'none'", "object-src 'self'", "object-src 'none'"),
    ("img-src 'none' a.com", "img-src a.com", "img-src 'none' a.com"),
    # what switches others off must not get lost
    ("script-src 'unsafe-inline' 'nonce-a'", "script-src 'unsafe-inline'", "script-src 'none'"),
    (
        "script-src 'strict-dynamic' 'nonce-a' https:",
        "script-src 'nonce-a' https:",
        "script-src 'nonce-a'",
    ),
    (
        "script-src 'url-sha256-a' https: 'unsafe-inline'",
        "script-src https: 'unsafe-inline'",
        "script-src 'none'",
    ),
    (
        "script-src 'eval-sha256-a' 'unsafe-eval' https:",
        "script-src 'unsafe-eval' https:",
        "script-src https:",
    ),
    ("script-src 'unsafe-eval'", "script-src 'wasm-unsafe-eval'", "script-src 'wasm-unsafe-eval'"),
    # a new directive that steps before an older one
    (
        "default-src *; script-src 'self'",
        "child-src x.com",
        "default-src *; script-src 'self'; child-src x.com; worker-src 'none'",
    ),
    # the other grammars
    ("sandbox allow-forms Allow-Scripts", "sandbox allow-scripts", "sandbox Allow-Scripts"),
    ("sandbox", "sandbox allow-scripts", "sandbox"),
    ("trusted-types *", "trusted-types a b 'allow-duplicates'", "trusted-types a b"),
    ("trusted-types a", "trusted-types A", "trusted-types 'none'"),
    ("plugin-types a/b", "plugin-types c/d", "plugin-types"),
    (
        "require-trusted-types-for 'script'",
        "require-trusted-types-for 'script' 'x'",
        "require-trusted-types-for 'script' 'x'",
    ),
    ("report-uri /a", "report-uri /b; report-to g", "report-uri /a /b; report-to g"),
    ("report-to theirs", "report-to ours", "report-to theirs"),
    ("webrtc 'allow'", "webrtc 'block'", "webrtc 'block'"),
    ("webrtc 'allow'", "webrtc 'allow'", "webrtc 'allow'"),
    ("upgrade-insecure-requests", "upgrade-insecure-requests", "upgrade-insecure-requests"),
    ("x-unknown a", "x-unknown b", "x-unknown a"),
    # several policies
    (
        "default-src 'self', frame-ancestors 'none'",
        "img-src 'self'; base-uri 'none'",
        "default-src 'self'; img-src 'self'; base-uri 'none', frame-ancestors 'none'",
    ),
    (
        "default-src a.com",
        "default-src a.com, base-uri 'none'",
        "default-src a.com; base-uri 'none'",
    ),
    (
        "default-src a.com, base-uri 'none'",
        "default-src a.com, base-uri 'none'",
        "default-src a.com, base-uri 'none'",
    ),
    ("", "img-src a.com b.com, img-src b.com", "img-src b.com"),
    ("img-src a.com", " ; ", "img-src a.com"),
    ("", "default-src 'self'", "default-src 'self'"),
    ("\xe9", "default-src 'self'", "default-src 'self'"),
    # nothing to change: the text stays as it was written
    ("Default-Src   'self' ;", "default-src 'self'", "Default-Src   'self' ;"),
]


@pytest.mark.parametrize(("app", "ours", "expected"), TABLE)
def test_a_merge_without_leave(app, ours, expected):
    """Directives add up, sources narrow."""
    assert expected == csp.merge_text(app, ours)


@pytest.mark.parametrize(
    ("app", "ours", "expected"),
    [
        ("script-src 'self'", "script-src https://a.com", "script-src 'self' https://a.com"),
        (
            "default-src 'self'",
            "script-src https://a.com",
            "default-src 'self'; script-src 'self' https://a.com",
        ),
        ("script-src 'none'", "script-src https://a.com", "script-src https://a.com"),
        ("script-src 'self'", "default-src 'none'", "script-src 'self'; default-src 'none'"),
        (
            "script-src 'self'",
            "child-src a.com",
            "script-src 'self'; child-src a.com; worker-src 'self' a.com",
        ),
        ("sandbox", "sandbox allow-forms", "sandbox allow-forms"),
        ("trusted-types 'none'", "trusted-types a", "trusted-types a"),
        ("webrtc 'block'", "webrtc 'allow'", "webrtc 'allow'"),
        (
            "default-src 'self', img-src a.com",
            "img-src b.com",
            "default-src 'self'; img-src 'self' b.com, img-src a.com b.com",
        ),
    ],
)
def test_a_merge_with_leave(app, ours, expected):
    """Sources add up, in every policy of the header that governs them."""
    assert expected == csp.merge_text(app, ours, widen=True)


def test_what_is_too_long_to_be_read_is_left_alone():
    """A policy that cannot be read whole is not rewritten: cutting it would widen it."""
    text = "img-src " + "a.com " * 2_000

    assert text == csp.merge_text(text, "default-src 'self'")
