"""What is wrong with one directive of a Content Security Policy: misspelt, misquoted, bad values.

A fault is what browsers read otherwise than it was meant, with the text to write instead. Source:
CSP Level 3 sections 2.3 and 6; Trusted Types; Reporting API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.policy.csp.sources import parse_source
from sidecar.policy.csp.table import (
    CSP_NAMES,
    DEPRECATED,
    DIRECTIVES,
    KEYWORDS,
    QUOTED_WORDS,
    SANDBOX_FLAGS,
    SCHEMES,
)
from sidecar.policy.faults import Fault, excerpt, fault, nearest

_QUOTES = "'\"`"
_BARE_WORDS = re.compile(
    r"(?:nonce|(?:url-|eval-)?sha(?:256|384|512))-[a-z0-9+/=_-]*", re.IGNORECASE | re.ASCII
)
_DIGEST = re.compile(r"'(?:url-|eval-)?(sha[0-9]+)-([^']*)'", re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(r"[:/]")
_LENGTHS = {"sha256": 43, "sha384": 64, "sha512": 86}
"""Algorithm -> characters of its digest in base64, without the = at the end (RFC 4648)."""


def directive_faults(name: str, values: tuple[str, ...]) -> Iterator[Fault]:
    """All that is wrong with a directive; `name` in lower case, `values` as written."""
    grammar = DIRECTIVES.get(name)
    if grammar is None:
        yield fault("csp-unknown-directive", name, _meant_directive)
    if name in DEPRECATED:
        yield fault("csp-deprecated", name, DEPRECATED[name])
    if grammar == "sources":
        yield from filter(None, map(source_fault, values))
        if len(values) > 1 and any(value.lower() == "'none'" for value in values):
            yield fault("csp-none-with-others", name)
    elif name in QUOTED_WORDS:
        yield from filter(None, (_word_fault(name, value) for value in values))
    elif grammar == "flags":
        unknown = (value for value in values if value.lower() not in SANDBOX_FLAGS)
        yield from (fault("csp-bad-flag", value, _meant_flag) for value in unknown)
    elif grammar == "valueless" and values:
        yield fault("csp-value-unexpected", name)
    elif name == "report-to" and _ADDRESS.search("".join(values[:1])):
        yield fault("csp-report-to-address", values[0])
    if grammar in ("uris", "token", "sinks", "webrtc") and not values:
        yield fault("csp-value-missing", name)


def _meant_directive(name: str) -> str:
    if name.rstrip(":") in CSP_NAMES:
        return "Write the value alone, without the header's name"
    return _write(nearest(name.partition("=")[0], DIRECTIVES))


def _meant_flag(text: str) -> str:
    return _write(nearest(text, SANDBOX_FLAGS), "Use the tokens of the HTML standard")


def _write(word: str, otherwise: str = "Correct the spelling, or remove it") -> str:
    return f"Write {word}" if word else otherwise


def source_fault(text: str) -> Fault | None:
    """What is wrong with one source expression, or None."""
    source, low = parse_source(text), text.lower()
    bare = low.strip(_QUOTES)
    if source.shape == "hash":
        return _hash_fault(text)
    if source.shape in ("keyword", "nonce"):
        return None
    if low.startswith("'nonce-"):
        return fault("csp-bad-nonce", text)
    if low.startswith("'sha"):
        return fault("csp-bad-hash", text)
    if (keyword := f"'{bare.replace('_', '-')}'") in KEYWORDS:
        return fault("csp-unquoted", text, keyword)
    if _BARE_WORDS.fullmatch(bare):
        return fault("csp-unquoted", text, f"'{excerpt(text.strip(_QUOTES))}'")
    if text[0] in _QUOTES:
        inner = parse_source(text.strip(_QUOTES))
        if inner.is_url and set(":./*") & set(inner.text):
            return fault("csp-quoted", text, excerpt(inner.text))
        if text[0] == "'":
            return fault("csp-unknown-keyword", text, lambda word: _write(nearest(word, KEYWORDS)))
        return fault("csp-bad-source", text)
    if low in DIRECTIVES:
        return fault("csp-missing-semicolon", text)
    if source.host in SCHEMES and not source.scheme and not source.port:
        if not source.path or source.path.startswith("//"):
            return fault("csp-no-colon", text, excerpt(f"{source.host}:{source.path}"))
        if source.path == "/":
            return fault("csp-no-colon", text, f"{source.host}:")
        return None
    return fault("csp-bad-source", text) if source.shape == "other" else None


def _hash_fault(text: str) -> Fault | None:
    """A digest of the wrong length; one in hexadecimal is the usual case."""
    found = _DIGEST.fullmatch(text)
    length, digest = (_LENGTHS[found[1].lower()], found[2]) if found else (0, "")
    if len(digest.rstrip("=")) == length:
        return None
    return fault("csp-hash-length", text, f"{length} characters of base64, not hexadecimal")


def _word_fault(name: str, text: str) -> Fault | None:
    """A word of a directive that has quoted keywords of its own."""
    low = text.lower()
    known, bare = QUOTED_WORDS[name], low.strip(_QUOTES)
    if low in known:
        return None
    if f"'{bare}'" in known:
        return fault("csp-unquoted", text, f"'{bare}'")
    if text[0] in _QUOTES or name != "trusted-types":
        return fault("csp-unknown-keyword", text, f"Write {' or '.join(sorted(known))}")
    return None
