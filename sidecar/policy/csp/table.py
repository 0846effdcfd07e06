"""What is known of Content Security Policy Level 3: directives, keywords, schemes, kinds of fault.

Lives here: data only. Must not know how a policy is read, merged or judged.
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

_FETCH = (
    "default-src child-src connect-src fenced-frame-src font-src frame-src img-src manifest-src"
    " media-src object-src prefetch-src script-src script-src-attr script-src-elem style-src"
    " style-src-attr style-src-elem worker-src"
).split()

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
    for word in (
        "none self unsafe-inline unsafe-eval unsafe-hashes strict-dynamic report-sample"
        " wasm-unsafe-eval trusted-types-eval inline-speculation-rules unsafe-allow-redirects"
        " report-sha256 report-sha384 report-sha512"
    ).split()
)
"""Keyword sources (section 2.3.1), in lower case with their quotes."""

REPORTING_KEYWORDS = frozenset(
    {"'report-sample'", "'report-sha256'", "'report-sha384'", "'report-sha512'"}
)
"""Keywords that say what is reported, and allow nothing."""

BROAD = frozenset({"*", "http:", "https:", "ws:", "wss:", "data:", "blob:", "filesystem:"})
"""Sources that an attacker can host under at will, so that they protect no script."""

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
        **dict.fromkeys(
            "'unsafe-eval' 'wasm-unsafe-eval' 'trusted-types-eval' 'strict-dynamic'"
            " 'inline-speculation-rules'".split(),
            _SCRIPTS,
        ),
        **dict.fromkeys("'unsafe-inline' 'unsafe-hashes' hash".split(), _INLINE),
    }
)
"""Keywords and hashes -> the directives in which they mean something (sections 6.1 and 6.7)."""

SANDBOX_FLAGS = frozenset(
    f"allow-{word}"
    for word in (
        "downloads forms modals orientation-lock pointer-lock popups popups-to-escape-sandbox"
        " presentation same-origin scripts storage-access-by-user-activation top-navigation"
        " top-navigation-by-user-activation top-navigation-to-custom-protocols"
    ).split()
)
"""Sandbox tokens of the HTML standard."""


_HEADERS = frozenset({"content-security-policy", "content-security-policy-report-only"})


class CspFaultKind(faults.FaultKind):
    """All that can be wrong in a policy's text, and the weaknesses that need no context to be
    seen.
    """

    TOO_LONG = (
        "csp-too-long",
        "invalid",
        "The value is longer than 64 KiB; only its start was read.",
        "Shorten the policy.",
    )
    TOO_MANY = (
        "csp-too-many",
        "invalid",
        "The value has more than 1,000 words; only its start was read.",
        "Shorten the policy.",
    )
    TYPOGRAPHIC = (
        "csp-typographic-quotes",
        "invalid",
        (
            "Browsers skip the directive {part}: it has typographic quotes, which word processors"
            " write."
        ),
        "Write straight single quotes, as in 'self'.",
    )
    NOT_ASCII = (
        "csp-not-ascii",
        "invalid",
        "Browsers skip the directive {part}: it has characters outside ASCII.",
        "Write host names in Punycode and paths percent-encoded.",
    )
    CONTROL = (
        "csp-control",
        "invalid",
        "The word {part} has control characters and was left out.",
        "Write visible ASCII only.",
    )
    REPEATED = (
        "csp-repeated",
        "invalid",
        "The directive {part} stands twice, and browsers obey the first one only.",
        "Put all sources into one {part}.",
    )
    UNKNOWN_DIRECTIVE = (
        "csp-unknown-directive",
        "invalid",
        "Browsers ignore {part}: it is no directive of CSP Level 3.",
        "{hint}.",
    )
    DEPRECATED = (
        "csp-deprecated",
        "invalid",
        "Browsers have dropped the directive {part}.",
        "Take it out: {hint}.",
    )
    MISSING_SEMICOLON = (
        "csp-missing-semicolon",
        "invalid",
        "The directive name {part} stands among the sources of another directive.",
        "Put a semicolon before {part}.",
    )
    UNQUOTED = (
        "csp-unquoted",
        "invalid",
        (
            "Browsers take {part} for a name and not for the keyword {hint}: its single quotes are"
            " missing."
        ),
        "Write {hint}.",
    )
    QUOTED = (
        "csp-quoted",
        "invalid",
        "Browsers ignore {part}: only keywords, nonces and hashes stand in quotes.",
        "Write {hint} without quotes.",
    )
    NO_COLON = (
        "csp-no-colon",
        "invalid",
        "Without a colon behind its scheme {part} means a host of that name.",
        "Write {hint}.",
    )
    COMMA = (
        "csp-comma",
        "invalid",
        "A comma ends the policy, and {part} begins a second one; the page must pass both.",
        "{hint}.",
    )
    KEYWORD_IDLE = (
        "csp-keyword-idle",
        "weak",
        "The source {part} has no effect in {hint}.",
        "Remove it, or write it in the directive that it is for.",
    )
    HASH_LENGTH = (
        "csp-hash-length",
        "invalid",
        "The hash source {part} matches nothing: it is not as long as such a digest.",
        "Write the digest as {hint}; the console of Chromium prints it.",
    )
    REPORT_TO_ADDRESS = (
        "csp-report-to-address",
        "invalid",
        "Reports go nowhere: report-to takes the name of one endpoint, not {part}.",
        (
            "Name the address in Reporting-Endpoints, and write its name here; report-uri takes"
            " addresses."
        ),
    )
    REPORT_URI_NAME = (
        "csp-report-uri-name",
        "weak",
        "report-uri takes addresses, and {part} is one below the page's own directory.",
        "Write /{part} or a whole address; names of endpoints belong in report-to.",
    )
    UNKNOWN_KEYWORD = (
        "csp-unknown-keyword",
        "invalid",
        "Browsers ignore {part}: it is no keyword of CSP Level 3.",
        "{hint}.",
    )
    BAD_NONCE = (
        "csp-bad-nonce",
        "invalid",
        "Browsers ignore the nonce source {part}: it is not 'nonce-' and a base64 value.",
        "Write 'nonce-VALUE' with at least 128 random bits in base64.",
    )
    BAD_HASH = (
        "csp-bad-hash",
        "invalid",
        "Browsers ignore the hash source {part}: it is not an algorithm and a base64 value.",
        "Write 'sha256-...', 'sha384-...' or 'sha512-...' with the digest in base64.",
    )
    BAD_SOURCE = (
        "csp-bad-source",
        "invalid",
        "Browsers ignore {part}: it is no source expression.",
        "Write scheme://host:port/path (no query), a scheme as https:, or a quoted keyword.",
    )
    NONE_WITH_OTHERS = (
        "csp-none-with-others",
        "invalid",
        "In {part} the keyword 'none' stands beside other sources and so has no effect.",
        "Remove 'none', or everything else.",
    )
    VALUE_UNEXPECTED = (
        "csp-value-unexpected",
        "invalid",
        "The directive {part} takes no value.",
        "Write {part} alone.",
    )
    VALUE_MISSING = (
        "csp-value-missing",
        "invalid",
        "The directive {part} has no effect without a value.",
        "Give it its value.",
    )
    BAD_FLAG = (
        "csp-bad-flag",
        "invalid",
        "Browsers ignore {part} in sandbox.",
        "{hint}.",
    )
    BAD_WORD = (
        "csp-bad-word",
        "invalid",
        "The word {part} cannot stand in a directive and was left out.",
        "Write each source on its own, without comma, semicolon or white space.",
    )
    UNSAFE_INLINE = (
        "csp-unsafe-inline",
        "weak",
        "Scripts may stand inline ('unsafe-inline' in {part}), so injected ones run too.",
        "Allow inline scripts one by one, with nonces or hashes.",
    )
    UNSAFE_EVAL = (
        "csp-unsafe-eval",
        "weak",
        "Text may be run as script ('unsafe-eval' in {part}).",
        "Remove 'unsafe-eval'; WebAssembly needs only 'wasm-unsafe-eval'.",
    )
    BROAD_SOURCE = (
        "csp-broad-source",
        "weak",
        "The source {part} lets scripts or plugins load from wherever an attacker has a place.",
        "Name the hosts, or use nonces with 'strict-dynamic'.",
    )
    SCRIPTS_OPEN = (
        "csp-scripts-open",
        "weak",
        "No directive governs scripts, so the policy does not hinder injected ones.",
        "Add script-src or default-src.",
    )
    BASE_OPEN = (
        "csp-base-open",
        "weak",
        (
            "Scripts are trusted by nonce or hash without base-uri, so an injected base element can"
            " redirect them."
        ),
        "Add base-uri 'none' or 'self'.",
    )

    def hint_for(self, part: str) -> str:
        """The word that was meant by a misspelt one."""
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
