"""What is known of Content Security Policy Level 3: directives, keywords, schemes.

Sources: CSP Level 3 (https://www.w3.org/TR/CSP3/) and the specifications that add directives to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from sidecar.policy.data import read_table

Grammar: TypeAlias = Literal[
    "sources", "flags", "names", "types", "sinks", "uris", "token", "webrtc", "valueless"
]
"""How a directive's value is read, and so how two of them merge.

`sources`: a source list; `flags`: sandbox tokens, each a grant; `names`: Trusted Types policy
names; `types`: media types; `sinks`: each one a further restriction; `uris` and `token`: where
reports go.
"""

_TABLE = read_table("sidecar.policy.csp", "table.json")
_ROWS: Mapping[str, Mapping[str, Any]] = _TABLE["directives"]

DIRECTIVES: Mapping[str, Grammar] = {name: row["grammar"] for name, row in _ROWS.items()}
"""Every directive of Level 3 and of older drafts, with its grammar."""
DEPRECATED: Mapping[str, str] = {
    name: row["deprecated"] for name, row in _ROWS.items() if "deprecated" in row
}
"""Directives that browsers dropped, with what to do instead."""
FALLBACKS: Mapping[str, tuple[str, ...]] = {
    name: (name, *row["falls_back_to"]) for name, row in _ROWS.items() if "falls_back_to" in row
}
"""Fetch directive -> the directives that govern it, first one present wins (section 6.8.3).

Directives that are not here (base-uri, form-action, frame-ancestors...) fall back to nothing.
"""
QUOTED_WORDS: Mapping[str, frozenset[str]] = {
    name: frozenset(row["keywords"]) for name, row in _ROWS.items() if "keywords" in row
}
"""Directives whose quoted keywords are their own, with these keywords."""
KEYWORDS: dict[str, dict[str, Any]] = _TABLE["keywords"]
"""Keyword sources (section 2.3.1), in lower case with their quotes.

`reports_only`: they say what is reported, and allow nothing; `counts_in`: see `COUNTS_IN`.
"""
COUNTS_IN: Mapping[str, frozenset[str]] = {
    word: frozenset(_TABLE["counts_in"][row["counts_in"]])
    for word, row in (KEYWORDS | {"hash": {"counts_in": "scripts and styles"}}).items()
    if "counts_in" in row
}
"""Keywords and hashes -> the directives in which they have an effect (sections 6.1 and 6.7)."""
NONCES_COUNT_IN = COUNTS_IN["hash"] - {"worker-src"}
"""Directives in which browsers look at nonces (section 6.7.2.3), and quote samples of code."""
BROAD = frozenset(_TABLE["broad"])
"""Sources under which any attacker can host files, so that they protect no script."""
SCHEMES = frozenset(_TABLE["schemes"])
"""Schemes that people name as sources; without the colon each is a host of that name."""
SANDBOX_FLAGS = frozenset(_TABLE["sandbox"])
"""Sandbox tokens of the HTML standard."""
JSONP_HOSTS = frozenset(_TABLE["hosts"]["jsonp"])
"""Hosts that serve scripts of the caller's choice (JSONP)."""
ANGULAR_HOSTS = frozenset(_TABLE["hosts"]["angular"])
"""Hosts that serve AngularJS, whose templates run as script, or any file that anyone publishes."""
PLUGIN_HOSTS = frozenset(_TABLE["hosts"]["plugin"])
"""Hosts that serve plugin files which run scripts of the caller's choice."""
UPLOAD_DOMAINS = frozenset(_TABLE["hosts"]["upload"])
"""Domains below which anyone may publish a file."""

CSP_NAMES = frozenset({"content-security-policy", "content-security-policy-report-only"})
REPORTING = frozenset({"report-uri", "report-to"})
"""Directives that say where reports go."""
