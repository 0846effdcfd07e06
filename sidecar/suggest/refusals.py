"""What must never be added to a Content Security Policy, whatever the evidence, and the fix."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.policy.browsers.reports import CUT
from sidecar.policy.csp import CspDirective, CspPolicy
from sidecar.policy.csp.match import Address, allows_address
from sidecar.policy.csp.table import ANGULAR_HOSTS, JSONP_HOSTS, PLUGIN_HOSTS, UPLOAD_DOMAINS
from sidecar.policy.csp.weaknesses import allowed, is_unmatched_address
from sidecar.rollout.model import Cause
from sidecar.suggest.model import Proposal, proposal

CODE = frozenset({"script-src", "script-src-elem", "worker-src"})


def refusal(
    cause: Cause, policy: CspPolicy, target: Address, blocked: Sequence[str]
) -> Proposal | None:
    """Where an edit would undo the policy, or browsers would not obey it."""
    if cause.directive in CODE and "'strict-dynamic'" in allowed(policy, cause.directive):
        return proposal(cause, "strict-dynamic")
    if is_own(cause.blocked, cause):
        return None
    code = _reason(cause, target, blocked)
    return proposal(cause, code, host=target.host) if code else None


def _reason(cause: Cause, target: Address, blocked: Sequence[str]) -> str:
    """Why an address of another origin must not be allowed, as a code; "" = it may."""
    name, host = cause.directive, target.host
    if is_unmatched_address(host):
        return "ip-address"
    if cause.origin.startswith("https:") and target.scheme in ("http", "ws"):
        return "plain-http"
    if name == "base-uri":
        return "base"
    if name == "object-src":
        return "object"
    if name not in CODE:
        return ""
    if host in JSONP_HOSTS and not all(one.lower().endswith((".js", ".mjs")) for one in blocked):
        return "jsonp"
    if any("angular" in one.lower() for one in blocked) and host in ANGULAR_HOSTS:
        return "angular"
    cut = all(len(one) >= CUT for one in blocked)
    return "anyones-files" if is_open(target) and cut else ""


def is_own(url: str, cause: Cause) -> bool:
    """Whether an address is of the origin of the page that was reported."""
    own = CspPolicy((CspDirective("img-src", ("'self'",)),))
    return bool(cause.origin) and allows_address(own, "img-src", url, cause.origin)


def is_open(target: Address) -> bool:
    """Whether anyone can make the host serve a script of their own."""
    host = target.host
    return host in JSONP_HOSTS | ANGULAR_HOSTS | PLUGIN_HOSTS | UPLOAD_DOMAINS or any(
        host.endswith(f".{domain}") for domain in UPLOAD_DOMAINS
    )
