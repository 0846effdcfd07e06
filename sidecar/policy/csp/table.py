"""What is known of Content Security Policy Level 3: directives, keywords, schemes, kinds of fault.

Sources: CSP Level 3 (https://www.w3.org/TR/CSP3/) and the specifications that add directives to it.
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

from types import MappingProxyType
from typing import Literal, TypeAlias

from sidecar.policy import faults
from sidecar.policy.faults import nearest

Grammar: TypeAlias = Literal[
    "sources", "flags", "names", "types", "sinks", "uris", "token", "webrtc", "valueless"
]
"""How a directive's value is read, and so how two of them merge.

`sources`: a source list; `flags`: sandbox tokens, each a grant; `names`: Trusted Types policy
names; `types`: media types; `sinks`: each one a further restriction; `uris` and `token`: where
reports go.
"""

_FETCH = """
default-src child-src connect-src fenced-frame-src font-src frame-src img-src manifest-src media-src
object-src prefetch-src script-src script-src-attr script-src-elem style-src style-src-attr
style-src-elem worker-src
""".split()

DIRECTIVES: MappingProxyType[str, Grammar] = MappingProxyType(
    {
        **dict.fromkeys(_FETCH, "sources"),
        "base-uri": "sources",
        "form-action": "sources",
        "frame-ancestors": "sources",
        "navigate-to": "sources",
        "sandbox": "flags",
        "trusted-types": "names",
        "plugin-types": "types",
        "require-trusted-types-for": "sinks",
        "require-sri-for": "sinks",
        "report-uri": "uris",
        "report-to": "token",
        "webrtc": "webrtc",
        "upgrade-insecure-requests": "valueless",
        "block-all-mixed-content": "valueless",
        "disown-opener": "valueless",
        "referrer": "token",
        "reflected-xss": "token",
    }
)
"""Every directive of Level 3 and of older drafts, with its grammar."""

DEPRECATED: MappingProxyType[str, str] = MappingProxyType(
    {
        "block-all-mixed-content": "browsers block or upgrade mixed content by themselves",
        "disown-opener": "use the header Cross-Origin-Opener-Policy",
        "navigate-to": "it is no longer part of Level 3",
        "plugin-types": "use object-src 'none'",
        "prefetch-src": "default-src governs prefetches",
        "referrer": "use the header Referrer-Policy",
        "reflected-xss": "the filters that it steered are gone",
        "require-sri-for": "use the header Integrity-Policy",
    }
)
"""Directives that browsers dropped, with what to do instead."""

FALLBACKS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        **{name: (name, "default-src") for name in _FETCH},
        "default-src": ("default-src",),
        "fenced-frame-src": ("fenced-frame-src", "frame-src", "child-src", "default-src"),
        "frame-src": ("frame-src", "child-src", "default-src"),
        "script-src-attr": ("script-src-attr", "script-src", "default-src"),
        "script-src-elem": ("script-src-elem", "script-src", "default-src"),
        "style-src-attr": ("style-src-attr", "style-src", "default-src"),
        "style-src-elem": ("style-src-elem", "style-src", "default-src"),
        "worker-src": ("worker-src", "child-src", "script-src", "default-src"),
    }
)
"""Fetch directive -> the directives that govern it, first one present wins (section 6.8.3).

Directives that are not here (base-uri, form-action, frame-ancestors...) fall back to nothing.
"""

KEYWORDS = frozenset(
    f"'{word}'"
    for word in """
    none self unsafe-inline unsafe-eval unsafe-hashes strict-dynamic report-sample wasm-unsafe-eval
    trusted-types-eval inline-speculation-rules unsafe-allow-redirects report-sha256 report-sha384
    report-sha512
    """.split()
)
"""Keyword sources (section 2.3.1), in lower case with their quotes."""

REPORTING_KEYWORDS = frozenset(
    {"'report-sample'", "'report-sha256'", "'report-sha384'", "'report-sha512'"}
)
"""Keywords that say what is reported, and allow nothing."""

BROAD = frozenset({"*", "http:", "https:", "ws:", "wss:", "data:", "blob:", "filesystem:"})
"""Sources under which any attacker can host files, so that they protect no script."""

SCHEMES = frozenset(
    "http https ws wss data blob filesystem mediastream about file javascript".split()
)
"""Schemes that people name as sources; without the colon each is a host of that name."""

QUOTED_WORDS: MappingProxyType[str, frozenset[str]] = MappingProxyType(
    {
        "require-trusted-types-for": frozenset({"'script'"}),
        "trusted-types": frozenset({"'allow-duplicates'", "'none'"}),
        "webrtc": frozenset({"'allow'", "'block'"}),
    }
)
"""Directives whose quoted keywords are their own, with these keywords."""

_SCRIPTS = frozenset("default-src script-src script-src-attr script-src-elem worker-src".split())
_INLINE = _SCRIPTS | frozenset("style-src style-src-attr style-src-elem".split())
COUNTS_IN: MappingProxyType[str, frozenset[str]] = MappingProxyType(
    {
        "'unsafe-eval'": _SCRIPTS,
        "'wasm-unsafe-eval'": _SCRIPTS,
        "'trusted-types-eval'": _SCRIPTS,
        "'strict-dynamic'": _SCRIPTS,
        "'inline-speculation-rules'": _SCRIPTS,
        "'unsafe-inline'": _INLINE,
        "'unsafe-hashes'": _INLINE,
        "hash": _INLINE,
    }
)
"""Keywords and hashes -> the directives in which they have an effect (sections 6.1 and 6.7)."""

SANDBOX_FLAGS = frozenset(
    f"allow-{word}"
    for word in """
    downloads forms modals orientation-lock pointer-lock popups popups-to-escape-sandbox
    presentation same-origin scripts storage-access-by-user-activation top-navigation
    top-navigation-by-user-activation top-navigation-to-custom-protocols
    """.split()
)
"""Sandbox tokens of the HTML standard."""

_HEADERS = frozenset({"content-security-policy", "content-security-policy-report-only"})


class CspFaultKind(faults.FaultKind):
    """All that can be wrong in a policy's text, and the weaknesses seen without context."""

    TOO_LONG = "csp-too-long"
    TOO_MANY = "csp-too-many"
    TYPOGRAPHIC = "csp-typographic-quotes"
    NOT_ASCII = "csp-not-ascii"
    CONTROL = "csp-control"
    REPEATED = "csp-repeated"
    UNKNOWN_DIRECTIVE = "csp-unknown-directive"
    DEPRECATED = "csp-deprecated"
    MISSING_SEMICOLON = "csp-missing-semicolon"
    UNQUOTED = "csp-unquoted"
    QUOTED = "csp-quoted"
    NO_COLON = "csp-no-colon"
    COMMA = "csp-comma"
    KEYWORD_IDLE = "csp-keyword-idle"
    HASH_LENGTH = "csp-hash-length"
    REPORT_TO_ADDRESS = "csp-report-to-address"
    REPORT_URI_NAME = "csp-report-uri-name"
    UNKNOWN_KEYWORD = "csp-unknown-keyword"
    BAD_NONCE = "csp-bad-nonce"
    BAD_HASH = "csp-bad-hash"
    BAD_SOURCE = "csp-bad-source"
    NONE_WITH_OTHERS = "csp-none-with-others"
    VALUE_UNEXPECTED = "csp-value-unexpected"
    VALUE_MISSING = "csp-value-missing"
    BAD_FLAG = "csp-bad-flag"
    BAD_WORD = "csp-bad-word"
    UNSAFE_INLINE = "csp-unsafe-inline"
    UNSAFE_EVAL = "csp-unsafe-eval"
    BROAD_SOURCE = "csp-broad-source"
    SCRIPTS_OPEN = "csp-scripts-open"
    BASE_OPEN = "csp-base-open"

    def hint_for(self, part: str) -> str:
        """The word that a misspelt one is nearest to."""
        near, otherwise = "", "Correct the spelling, or remove it"
        if self is CspFaultKind.UNKNOWN_DIRECTIVE:
            if part.rstrip(":") in _HEADERS:
                return "Write the value alone, without the header's name"
            near = nearest(part.partition("=")[0], DIRECTIVES)
        elif self is CspFaultKind.UNKNOWN_KEYWORD:
            near = nearest(part, KEYWORDS)
        elif self is CspFaultKind.BAD_FLAG:
            near, otherwise = nearest(part, SANDBOX_FLAGS), "Use the tokens of the HTML standard"
        return f"Write {near}" if near else otherwise
