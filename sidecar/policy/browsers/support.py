"""Which report-only headers each engine reports, and what of a CSP it never reports.

Source: MDN browser compatibility data, and what Chromium 156, Firefox 153 and WebKitGTK 2.50 did in
tests, as of SUPPORT_DATE.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sidecar.policy import csp
from sidecar.policy.headers import fields
from sidecar.policy.rules.fetch import Engine

SUPPORT_DATE = "2026-11"

_SINCE: Mapping[bytes, Mapping[Engine, int]] = {
    b"content-security-policy": {"chromium": 25, "firefox": 23, "safari": 7},
    b"x-frame-options": {"chromium": 40, "firefox": 33},
    b"cross-origin-embedder-policy": {"chromium": 96, "safari": 17},
    b"cross-origin-opener-policy": {"chromium": 96},
    b"permissions-policy": {"chromium": 120},
    b"integrity-policy": {"chromium": 138, "firefox": 153, "safari": 26},
}
"""The first version of each engine that reports the header's report-only header to an endpoint.

CSP by `report-uri`; X-Frame-Options as `frame-ancestors`, which WebKit reports only when enforced;
all others by the Reporting API. Safari has it since 16.4, which a major version does not show: 17
counts; WebKit did not report COOP. Firefox knows Integrity-Policy since 145, at first without
endpoints: 153 is the first that did report.
"""


def _having(fact: str) -> frozenset[str]:
    return frozenset(name for name, facts in fields.FEATURES.items() if facts.get(fact))


FEATURES = _having("reported")
"""Features of Permissions-Policy whose refusal Chromium reports in tests. Of `fullscreen` it
reports only the use: players ask `fullscreenEnabled`, and hide their button silently.
"""
GONE = _having("gone")
"""Features that Chromium 156 does not know, or that no longer do anything."""
FRAMES_TOO = _having("frames_too")
"""Those of `FEATURES` that frames of other origins have without `allow` (default allowlist `*`)."""
SELF_BY_DEFAULT = _having("self_by_default")
"""Features whose refusal Chromium does not report, and that frames of other origins have by `allow`
alone (default allowlist `self`), as Chromium 156 did in tests.
"""

_CODE = "eval, WebAssembly, code in `srcdoc` frames"
_UNREPORTED: Mapping[Engine, Mapping[str, str]] = {
    "chromium": {},
    "firefox": {"form-action": "form-action"},
    "safari": {"script-src": _CODE, "default-src": _CODE, "frame-ancestors": "frame-ancestors"},
}
"""What an engine obeys in an enforced policy but never reports before, by governing directive."""


def reports(header: bytes, engine: Engine, version: int) -> bool:
    """Whether this browser reports the report-only form of `header` (its lower-case name)."""
    since = _SINCE.get(header, {}).get(engine)
    return since is not None and version >= since


@lru_cache(maxsize=256)
def unreported(engine: Engine, value: bytes) -> tuple[str, ...]:
    """What this policy would block in an engine that never reports it; () = it reports all."""
    silent = _UNREPORTED[engine]
    names = {one.name for one in csp.directives(value.decode("latin-1"))}
    return tuple(dict.fromkeys(silent[name] for name in silent if name in names))


@lru_cache(maxsize=256)
def binds_workers(name: bytes, value: bytes) -> bool:
    """Whether this report-only line (lower-case name) would govern its service worker."""
    if name == b"cross-origin-embedder-policy-report-only":
        return True
    is_csp = name == b"content-security-policy-report-only"
    return is_csp and any(
        one.name in _OF_WORKERS for one in csp.directives(value.decode("latin-1"))
    )


_OF_WORKERS = frozenset({"default-src", "connect-src", "script-src", "script-src-elem"})


def partly(engine: Engine) -> str:
    """All that this engine never reports, for people; "" where there is nothing."""
    return ", ".join(dict.fromkeys(_UNREPORTED[engine].values()))
