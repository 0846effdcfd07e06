"""What must never be added to a Content Security Policy, whatever the evidence, and the fix."""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

from collections.abc import Sequence

from sidecar.policy.browsers.reports import CUT
from sidecar.policy.csp import Directive, Policy
from sidecar.policy.csp.match import Address, allows_address
from sidecar.policy.csp.table import ANGULAR_HOSTS, JSONP_HOSTS, PLUGIN_HOSTS
from sidecar.policy.csp.weaknesses import allowed, is_unmatched_address
from sidecar.rollout.causes import Cause
from sidecar.suggest.model import Proposal, proposal

UPLOAD_DOMAINS = frozenset(
    """
    amazonaws.com bitbucket.org blob.core.windows.net codepen.io digitaloceanspaces.com github.io
    githubusercontent.com gitlab.io glitch.me herokuapp.com netlify.app pages.dev r2.dev replit.app
    surge.sh vercel.app web.app workers.dev
    """.split()
)
"""Domains below which anyone may publish a file."""

CODE = frozenset({"script-src", "script-src-elem", "worker-src"})


def refusal(
    cause: Cause, policy: Policy, target: Address, blocked: Sequence[str]
) -> Proposal | None:
    """Where an edit would undo the policy, or browsers would not obey it."""
    if cause.directive in CODE and "'strict-dynamic'" in allowed(policy, cause.directive):
        fix = "give the script element the page's nonce, or let a trusted script load it"
        return proposal(cause, "advice", "with 'strict-dynamic' browsers ignore hosts", fix)
    if is_own(cause.blocked, cause):
        return None
    text, fix = _reason(cause, target, blocked)
    return proposal(cause, "refused", text, fix) if text else None


def _reason(cause: Cause, target: Address, blocked: Sequence[str]) -> tuple[str, str]:
    """Why an address of another origin must not be allowed, and the fix; ("", "") = it may."""
    name, host = cause.directive, target.host
    if is_unmatched_address(host):
        return f"browsers match no IP address in a policy ({host})", "use a host name in the page"
    if cause.origin.startswith("https:") and target.scheme in ("http", "ws"):
        why = "plain HTTP on an HTTPS page: browsers block or upgrade it anyway"
        return why, "write https: in the page"
    if name == "base-uri":
        why = "a base of another origin would redirect every relative script"
        return why, "use the site's own base, or none"
    if name == "object-src":
        why = "plugins and embedded documents of another origin may run scripts"
        return why, "use an iframe (frame-src)"
    if name not in CODE:
        return "", ""
    if host in JSONP_HOSTS and not all(one.lower().endswith((".js", ".mjs")) for one in blocked):
        why = f"{host} sends scripts of the caller's choice (JSONP)"
        return why, "ask it with fetch() and CORS, or from your own server"
    if any("angular" in one.lower() for one in blocked) and host in ANGULAR_HOSTS:
        why = "AngularJS runs text of the page as script"
        return why, "serve a build for CSP (ng-csp) yourself, behind 'self'"
    if is_open(target) and all(len(one) >= CUT for one in blocked):
        why = f"{host} serves anyone's files, and the report does not give the file's whole address"
        return why, "serve the file yourself, behind 'self'"
    return "", ""


def is_own(url: str, cause: Cause) -> bool:
    """Whether an address is of the origin of the page that was reported."""
    own = Policy((Directive("img-src", ("'self'",)),))
    return bool(cause.origin) and allows_address(own, "img-src", url, cause.origin)


def is_open(target: Address) -> bool:
    """Whether anyone can make the host serve a script of their own."""
    host = target.host
    return host in JSONP_HOSTS | ANGULAR_HOSTS | PLUGIN_HOSTS | UPLOAD_DOMAINS or any(
        host.endswith(f".{domain}") for domain in UPLOAD_DOMAINS
    )
