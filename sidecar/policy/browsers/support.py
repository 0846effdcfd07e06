"""Which report-only twins each engine reports, and what of a Content-Security-Policy it never
reports.

Lives here: the dated tables of support. Must not know rules or counters.

Source: MDN browser compatibility data, and what Chromium 156, Firefox 153 and WebKitGTK 2.50 did
when they were driven by hand, as of SUPPORT_DATE.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sidecar.policy import csp
from sidecar.policy.rules.engines import Engine

SUPPORT_DATE = "2026-11"

_SINCE: Mapping[bytes, Mapping[Engine, int]] = {
    b"content-security-policy": {"chromium": 25, "firefox": 23, "safari": 7},
    b"x-frame-options": {"chromium": 40, "firefox": 33},
    b"cross-origin-embedder-policy": {"chromium": 96, "safari": 17},
    b"cross-origin-opener-policy": {"chromium": 96},
    b"permissions-policy": {"chromium": 120},
    b"integrity-policy": {"chromium": 138, "firefox": 153, "safari": 26},
}
"""The first version of each engine that reports the header's report-only twin to an endpoint.

CSP by `report-uri`; X-Frame-Options as `frame-ancestors`, of which WebKit reports nothing before it
is enforced; all others by the Reporting API. Safari has it since 16.4, which a major version does
not tell: 17 counts; of COOP WebKit was seen to report nothing. Firefox knows Integrity-Policy since
145, at first without endpoints: 153 is the first that was seen to report.
"""

FEATURES = frozenset(
    {
        "accelerometer",
        "camera",
        "clipboard-read",
        "clipboard-write",
        "compute-pressure",
        "display-capture",
        "encrypted-media",
        "geolocation",
        "gyroscope",
        "hid",
        "idle-detection",
        "local-fonts",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "picture-in-picture",
        "screen-wake-lock",
        "serial",
        "sync-xhr",
        "unload",
        "usb",
        "xr-spatial-tracking",
    }
)
"""Features of Permissions-Policy whose refusal Chromium was seen to report. Of `fullscreen` it
reports the use only: players ask `fullscreenEnabled`, and hide their button without a word.
"""
GONE = frozenset(
    {
        "ambient-light-sensor",
        "attribution-reporting",
        "document-domain",
        "execution-while-not-rendered",
        "execution-while-out-of-viewport",
        "interest-cohort",
        "join-ad-interest-group",
        "manual-text",
        "private-aggregation",
        "run-ad-auction",
        "shared-storage",
        "shared-storage-select-url",
        "vertical-scroll",
        "window-placement",
    }
)
"""Features that Chromium 156 does not know, or that do nothing any more."""
FRAMES_TOO = frozenset({"picture-in-picture", "sync-xhr", "unload"})
"""Of `FEATURES`, those that a frame of another origin has without the attribute `allow`: their
default allowlist is `*`.
"""

_CODE = "eval, WebAssembly, code in `srcdoc` frames"
_UNREPORTED: Mapping[Engine, Mapping[str, str]] = {
    "chromium": {},
    "firefox": {"form-action": "form-action"},
    "safari": {"script-src": _CODE, "default-src": _CODE, "frame-ancestors": "frame-ancestors"},
}
"""What an engine obeys in a policy that is enforced and never reports of one that is not, by the
directive that rules on it.
"""


def reports(header: bytes, engine: Engine, version: int) -> bool:
    """Whether this browser reports the twin of `header` (the enforcing header's name, lower
    case).
    """
    since = _SINCE.get(header, {}).get(engine)
    return since is not None and version >= since


@lru_cache(maxsize=256)
def unreported(engine: Engine, value: bytes) -> tuple[str, ...]:
    """What this policy would block in an engine that never reports it: () where its reports are
    all that there is to say.
    """
    silent = _UNREPORTED[engine]
    names = {
        directive.name
        for policy in csp.parse(value.decode("latin-1"))
        for directive in policy.directives
    }
    return tuple(dict.fromkeys(silent[name] for name in silent if name in names))


@lru_cache(maxsize=256)
def binds_workers(name: bytes, value: bytes) -> bool:
    """Whether this report-only line (lower-case name) would rule on what a service worker does
    that came with it.
    """
    if name == b"cross-origin-embedder-policy-report-only":
        return True
    return name == b"content-security-policy-report-only" and any(
        directive.name in _OF_WORKERS
        for policy in csp.parse(value.decode("latin-1"))
        for directive in policy.directives
    )


_OF_WORKERS = frozenset({"default-src", "connect-src", "script-src", "script-src-elem"})


def partly(engine: Engine) -> str:
    """All that this engine never reports, for people; "" where there is nothing."""
    return ", ".join(dict.fromkeys(_UNREPORTED[engine].values()))
