"""The checks that Google's CSP Evaluator publishes, each with a policy that fails it and one
that passes.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy import csp
from sidecar.policy.csp import weaknesses
from sidecar.policy.csp.table import ANGULAR_HOSTS, JSONP_HOSTS, PLUGIN_HOSTS
from sidecar.policy.csp.weaknesses import csp_faults, csp_weaknesses
from tests.policy.test_faults import codes_in

NONCE = "'nonce-aGVhZGVyc2lkZWNhcg=='"
HASH = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
STRICT = (
    f"script-src {NONCE} 'strict-dynamic' 'unsafe-inline' https:; object-src 'none'; base-uri"
    " 'none'; require-trusted-types-for 'script'; report-uri /r; report-to r"
)

EVALUATOR = [
    # security
    ("csp-unsafe-inline", "script-src 'unsafe-inline'", f"script-src 'unsafe-inline' {NONCE}"),
    (
        "csp-unsafe-inline",
        "default-src 'unsafe-inline'",
        "default-src 'self'; style-src 'unsafe-inline'",
    ),
    (
        "csp-unsafe-hashes",
        f"script-src 'unsafe-hashes' {HASH}",
        f"script-src {HASH}; style-src 'unsafe-hashes'",
    ),
    ("csp-unsafe-eval", "script-src 'unsafe-eval'", "script-src 'wasm-unsafe-eval'"),
    ("csp-broad-source", "script-src https:", "script-src https: 'strict-dynamic'"),
    ("csp-broad-source", "object-src data:", "object-src 'none'; script-src 'none'; img-src data:"),
    ("csp-broad-source", "script-src-elem *", "script-src 'self'; img-src *"),
    ("csp-base-broad", "base-uri https:", "base-uri https://a.example"),
    ("csp-base-broad", "base-uri *", "base-uri 'none'"),
    ("csp-object-open", "script-src 'none'", "object-src 'none'"),
    ("csp-object-open", "img-src 'self'", "default-src 'none'"),
    ("csp-scripts-open", "object-src 'none'", "script-src 'none'"),
    ("csp-scripts-open", "img-src 'self'", "default-src 'none'"),
    ("csp-base-open", f"script-src {NONCE}", f"script-src {NONCE}; base-uri 'self'"),
    ("csp-base-open", f"script-src {HASH} 'strict-dynamic'", f"script-src {HASH}"),
    (
        "csp-jsonp-host",
        "script-src accounts.google.com",
        "script-src accounts.google.com 'strict-dynamic'",
    ),
    (
        "csp-jsonp-host",
        "default-src https://*.googleapis.com",
        "script-src https://www.googleapis.com/mine/a.js",
    ),
    (
        "csp-angular-host",
        "script-src https://cdnjs.cloudflare.com/",
        "script-src https://cdnjs.cloudflare.com/mine.js",
    ),
    (
        "csp-angular-host",
        "script-src *.jsdelivr.net",
        "img-src cdn.jsdelivr.net; script-src 'none'",
    ),
    ("csp-script-host", "script-src 'self'", f"script-src {NONCE}"),
    ("csp-script-host", "script-src static.example", "script-src static.example 'strict-dynamic'"),
    ("csp-object-host", "object-src https://vk.com", "object-src 'none'"),
    ("csp-object-allowed", "object-src 'self'", "default-src 'self'; object-src 'none'"),
    ("csp-ip-source", "img-src 10.0.0.1", "img-src a.example 127.0.0.1"),
    ("csp-nonce-short", "script-src 'nonce-abc'", f"script-src {NONCE}"),
    ("csp-bad-nonce", "script-src 'nonce-a b'", f"script-src {NONCE}"),
    ("csp-bad-nonce", "script-src 'nonce-@@@@@@@@@@@@'", f"style-src {NONCE}"),
    ("csp-insecure-source", "img-src http://a.example", "img-src https://a.example http:"),
    ("csp-insecure-source", "report-uri http://a.example/r", "report-uri /r"),
    ("csp-deprecated", "reflected-xss block", "default-src 'none'"),
    ("csp-deprecated", "prefetch-src 'self'", "manifest-src 'self'"),
    ("csp-deprecated", "referrer origin", "report-to r"),
    ("csp-deprecated", "disown-opener", "upgrade-insecure-requests"),
    # syntax
    ("csp-unknown-directive", "script-srcs 'self'", "script-src 'self'"),
    (
        "csp-missing-semicolon",
        "default-src 'self' script-src 'none'",
        "default-src 'self'; script-src 'none'",
    ),
    ("csp-unquoted", "script-src self", "script-src 'self'"),
    ("csp-unquoted", "script-src nonce-abcdefgh", f"script-src {NONCE}"),
    ("csp-unknown-keyword", "script-src 'selfish'", "script-src 'self'"),
    ("csp-bad-hash", "script-src 'sha256-@'", f"script-src {HASH}"),
    # what was meant otherwise
    (
        "csp-comma",
        "default-src 'self', script-src 'none'",
        "default-src 'self', default-src 'none'",
    ),
    ("csp-comma", "img-src 'self', https://a.example", "img-src 'self' https://a.example"),
    ("csp-keyword-idle", "frame-ancestors 'unsafe-inline'", "style-src 'unsafe-inline'"),
    ("csp-keyword-idle", f"img-src {HASH}", f"script-src {HASH}"),
    ("csp-keyword-idle", "style-src 'strict-dynamic'", f"script-src 'strict-dynamic' {HASH}"),
    ("csp-report-uri-name", "report-uri group", "report-uri /group"),
    # a strict policy
    ("csp-allow-list", "script-src a.example", "script-src a.example 'strict-dynamic'"),
    ("csp-allow-list", "script-src https:", "script-src 'self'"),
    (
        "csp-dynamic-alone",
        "script-src 'strict-dynamic' 'self'",
        f"script-src 'strict-dynamic' {HASH}",
    ),
    ("csp-no-inline-fallback", f"script-src {NONCE}", f"script-src {NONCE} 'unsafe-inline'"),
    ("csp-no-inline-fallback", f"script-src {HASH}", "script-src 'self'"),
    (
        "csp-no-host-fallback",
        f"script-src 'strict-dynamic' {NONCE}",
        f"script-src 'strict-dynamic' {NONCE} https:",
    ),
    (
        "csp-no-trusted-types",
        "script-src 'self'",
        "script-src 'self'; require-trusted-types-for 'script'",
    ),
    ("csp-no-trusted-types", "script-src 'self'; require-trusted-types-for", "script-src 'none'"),
    # reports
    ("csp-no-reports", "default-src 'none'", "default-src 'none'; report-uri /r"),
    ("csp-report-to-alone", "report-to r", "report-to r; report-uri /r"),
]


def kinds(text: str) -> set[str]:
    """The kinds of fault of one value."""
    return {fault.code for fault in csp_weaknesses(text)}


@pytest.mark.parametrize(("kind", "failing", "passing"), EVALUATOR)
def test_each_check_has_a_policy_that_fails_and_one_that_passes(
    kind: str, failing: str, passing: str
):
    """What the Evaluator finds is found, and no more."""
    assert kind in kinds(failing)
    assert kind not in kinds(passing)


def test_every_check_is_in_the_table():
    """No check stands without its two cases."""
    assert codes_in(weaknesses) <= {kind for kind, _, _ in EVALUATOR}


def test_a_strict_policy_is_flawless():
    """The policy that the Evaluator recommends has nothing against it."""
    assert csp_weaknesses(STRICT) == ()


@pytest.mark.parametrize(
    ("text", "kind", "stands"),
    [
        ("script-src accounts.google.com, script-src 'none'", "csp-jsonp-host", False),
        ("script-src accounts.google.com, img-src 'self'", "csp-jsonp-host", True),
        ("script-src accounts.google.com, script-src www.google.com", "csp-jsonp-host", True),
        ("img-src 'self', object-src 'none'", "csp-object-open", False),
        ("img-src 'self', img-src a.example", "csp-object-open", True),
        ("default-src 'self', report-uri /r", "csp-no-reports", False),
        (f"script-src {NONCE}, script-src 'self'", "csp-no-inline-fallback", True),
        ("img-src http://a.example, default-src 'none'", "csp-insecure-source", True),
    ],
)
def test_of_several_policies_one_that_passes_is_enough(text: str, kind: str, stands: bool):
    """Every policy must be passed; only what old browsers make of one is said as soon as one
    fails.
    """
    assert (kind in kinds(text)) is stands


def test_the_value_at_fault_is_named_without_its_nonce():
    """A fault names the host, never a nonce."""
    faults = csp_weaknesses("script-src 'nonce-c2VjcmV0' accounts.google.com")

    assert "accounts.google.com" in {fault.part for fault in faults}
    assert not any("c2VjcmV0" in fault.text + fault.fix for fault in faults)


@pytest.mark.parametrize("hosts", [JSONP_HOSTS, ANGULAR_HOSTS, PLUGIN_HOSTS])
def test_hosts_are_host_names(hosts: frozenset[str]):
    """Each is a source of its own, in lower case."""
    assert all(
        csp.parse(f"script-src {host}")[0].faults == () and host == host.lower() and "." in host
        for host in hosts
    )


@given(
    st.lists(
        st.sampled_from([text for _, failing, passing in EVALUATOR for text in (failing, passing)]),
        max_size=4,
    ),
    st.text(max_size=40),
)
def test_it_says_at_least_what_csp_says_and_never_raises(policies: list[str], odd: str):
    """Law: the faults of any value are those of `csp.judge` and more, and can be printed."""
    text = ", ".join([*policies, odd])
    found = csp_weaknesses(text)

    assert found[: len({*csp_faults(text)})] == tuple(dict.fromkeys(csp_faults(text)))
    assert all(
        (fault.text + fault.fix).isprintable() and (fault.text + fault.fix).isascii()
        for fault in found
    )
