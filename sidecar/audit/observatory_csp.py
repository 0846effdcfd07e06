"""The Observatory's Content Security Policy test.

Its reading of "unsafe" differs in places from CSP Level 3. `sidecar.policy.csp` parses and merges.
"""

from __future__ import annotations

from functools import reduce

from sidecar.policy import csp
from sidecar.policy.csp.sources import source_list
from sidecar.policy.csp.table import REPORTING

_SHORTEST = 6
"""Characters; a policy text below it is taken for no policy."""
_NOT_IN_META = frozenset({"frame-ancestors", "report-uri", "sandbox"})
_PASSIVE = ("img-src", "media-src")
_BROAD = {"ftp:", "http:", "https:", "*", "http://*", "http://*.*", "https://*", "https://*.*"}
_OPEN = _BROAD | {"'unsafe-inline'", "data:"}
_PASSED = frozenset(
    {
        "csp-implemented-with-no-unsafe-default-src-none",
        "csp-implemented-with-no-unsafe",
        "csp-implemented-with-unsafe-inline-in-style-src-only",
        "csp-implemented-with-insecure-scheme-in-passive-content-only",
    }
)


def policy_of(headers: tuple[str, ...], metas: tuple[str, ...] = ()) -> csp.CspPolicy | None:
    """What all policies of a page allow together; None where the Observatory calls one invalid."""
    parts = [part.strip() for value in (*headers, *metas) for part in value.split(",")]
    if any(len(part) < _SHORTEST for part in parts):
        return None
    sent, written = csp.parse(",".join(headers)), csp.parse(",".join(metas))
    if _repeated((*sent, *written)) - REPORTING:
        return None
    kept = (
        csp.CspPolicy(tuple(one for one in policy.directives if one.name not in _NOT_IN_META))
        for policy in written
    )
    policies = [policy for policy in (*sent, *kept) if policy.directives]
    return reduce(csp.merge, policies) if policies else csp.CspPolicy()


def _repeated(policies: tuple[csp.CspPolicy, ...]) -> set[str]:
    return {
        fault.part for policy in policies for fault in policy.faults if fault.code == "csp-repeated"
    }


def outcome(
    headers: tuple[str, ...], metas: tuple[str, ...], *, report_only: bool, is_https: bool
) -> str:
    """The outcome for the values of all header lines and meta elements."""
    policy = policy_of(headers, metas)
    if policy is None:
        return "csp-header-invalid"
    if not policy.directives:
        return "csp-not-implemented-but-reporting-enabled" if report_only else "csp-not-implemented"
    found = _worst(policy, is_https=is_https)
    # Reporting named twice is reported in place of any outcome that counts as passed, even of one
    # with points.
    if found in _PASSED and _repeated((*csp.parse(",".join(headers)), *csp.parse(",".join(metas)))):
        return "csp-implemented-but-duplicate-directives"
    return found


def _worst(policy: csp.CspPolicy, *, is_https: bool) -> str:
    scripts, styles, objects = (
        _sources(policy, name) for name in ("script-src", "style-src", "object-src")
    )
    if "'strict-dynamic'" in scripts:
        if not _has_secret(scripts):
            return "csp-header-invalid"
        scripts = {
            one
            for one in scripts
            if one not in ("'self'", "'unsafe-inline'") and not one.startswith(tuple(_BROAD))
        }
    scripts, styles = (
        one - {"'unsafe-inline'"} if _has_secret(one) else one for one in (scripts, styles)
    )
    if scripts & _OPEN or objects & _BROAD:
        return "csp-implemented-with-unsafe-inline"
    active = (one.values for one in policy.directives if one.name not in (*_PASSIVE, "script-src"))
    if is_https and _insecure({value.lower() for values in active for value in values} | scripts):
        return "csp-implemented-with-insecure-scheme"
    if "'unsafe-eval'" in scripts | styles:
        return "csp-implemented-with-unsafe-eval"
    if is_https and any(_insecure(_sources(policy, name)) for name in _PASSIVE):
        return "csp-implemented-with-insecure-scheme-in-passive-content-only"
    if styles & _OPEN:
        return "csp-implemented-with-unsafe-inline-in-style-src-only"
    default = policy.get("default-src")
    closed = default is not None and not source_list(default.values)
    return f"csp-implemented-with-no-unsafe{'-default-src-none' if closed else ''}"


def _sources(policy: csp.CspPolicy, name: str) -> set[str]:
    """The sources that govern `name`, in lower case; where nothing governs it, everything."""
    governing = csp.effective(policy, name)
    if governing is None:
        return {"*"}
    return {source.text.lower() for source in source_list(governing.values).values()}


def _has_secret(sources: set[str]) -> bool:
    secrets = ("'nonce-", "'sha256-", "'sha384-", "'sha512-")
    return any(source.startswith(secrets) for source in sources)


def _insecure(sources: set[str]) -> bool:
    return any(source.startswith(("http:", "ftp:")) for source in sources)
