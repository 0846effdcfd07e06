"""What a policy lets through, by the matching of CSP Level 3."""

from __future__ import annotations

import pytest

from sidecar.policy.csp import parse
from sidecar.policy.csp.match import (
    address,
    allows_address,
    allows_inline,
    allows_nonce,
    matches,
)
from sidecar.policy.csp.sources import parse_source

PAGE = "https://shop.test"
HASH = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize(
    ("value", "directive", "url", "let"),
    [
        ("img-src 'self'", "script-src-elem", "https://any.test/", True),
        ("default-src 'none'", "img-src", "https://shop.test/a.png", False),
        ("default-src 'self'", "img-src", "https://shop.test/a.png", True),
        ("default-src 'self'", "img-src", "https://shop.test:8443/a.png", False),
        ("default-src 'self'", "connect-src", "wss://shop.test/", True),
        ("default-src 'self'; script-src 'none'", "worker-src", "https://shop.test/w.js", False),
        ("script-src https://cdn.test", "script-src-elem", "https://cdn.test/lib.js", True),
        ("script-src http://cdn.test", "script-src-elem", "https://cdn.test/lib.js", True),
        ("script-src https://cdn.test", "script-src-elem", "http://cdn.test/lib.js", False),
        ("script-src cdn.test", "script-src-elem", "http://cdn.test/lib.js", False),
        ("script-src https://cdn.test/a/", "script-src-elem", "https://cdn.test/a/b.js", True),
        ("script-src https://cdn.test/a", "script-src-elem", "https://cdn.test/a/b.js", False),
        ("script-src https://cdn.test/%61.js", "script-src-elem", "https://cdn.test/a.js", True),
        ("script-src *.cdn.test", "script-src-elem", "https://cdn.test/lib.js", False),
        ("script-src *.cdn.test", "script-src-elem", "https://a.cdn.test/lib.js", True),
        ("script-src cdn.test:*", "script-src-elem", "https://cdn.test:99/lib.js", True),
        ("script-src *", "script-src-elem", "data:text/javascript,1", False),
        ("img-src data:", "img-src", "data:image/png,", True),
        ("script-src 'strict-dynamic' *", "script-src-elem", "https://cdn.test/lib.js", False),
        ("default-src 'self'", "form-action", "https://any.test/", True),
    ],
)
def test_addresses(value: str, directive: str, url: str, let: bool):
    """Scheme, host, port and path, by the directive that governs."""
    assert allows_address(parse(value)[0], directive, url, PAGE) == let


def test_after_a_redirect_the_path_does_not_count():
    """Or a page could read from a report where another site redirects to."""
    source, target = parse_source("https://cdn.test/a.js"), address("https://cdn.test/b.js")
    assert not matches(source, target, None)
    assert matches(source, target, None, redirected=True)


@pytest.mark.parametrize(
    ("value", "directive", "let"),
    [
        ("default-src 'self'", "script-src-elem", False),
        ("default-src 'unsafe-inline'", "script-src-elem", True),
        (f"script-src 'unsafe-inline' '{HASH}'", "script-src-elem", True),
        ("script-src 'unsafe-inline' 'sha256-AAAA'", "script-src-elem", False),
        ("script-src 'unsafe-inline' 'nonce-{request}'", "script-src-elem", False),
        ("script-src 'unsafe-inline' 'strict-dynamic'", "script-src-elem", False),
        (f"script-src '{HASH}'", "script-src-attr", False),
        (f"script-src 'unsafe-hashes' '{HASH}'", "script-src-attr", True),
        ("img-src 'self'", "style-src-attr", True),
    ],
)
def test_inline_code(value: str, directive: str, let: bool):
    """A hash lets it in, for handlers with 'unsafe-hashes'; beside hash and nonce
    'unsafe-inline' is nothing.
    """
    assert allows_inline(parse(value)[0], directive, HASH) == let


def test_nonces():
    """The word that stands for a fresh nonce."""
    assert allows_nonce(parse("script-src 'nonce-{request}'")[0], "script-src-elem")
    assert not allows_nonce(parse("script-src 'self'")[0], "script-src-elem")
