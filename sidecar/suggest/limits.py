"""What no evidence makes right to add to a Content Security Policy, with the right fix for each.

Lives here: `refusal`, and what is known of hosts. Pure. Must not know evidence, pages or policy
files. Hosts that undo a policy are those of `csp_lint`, and a short list of our own.
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from sidecar.policy.csp import Directive, Policy, effective
from sidecar.policy.csp.match import Address, allows_address
from sidecar.policy.csp.sources import source_list
from sidecar.policy.csp.weaknesses import ANGULAR_HOSTS, JSONP_HOSTS, PLUGIN_HOSTS
from sidecar.rollout.causes import Cause
from sidecar.suggest.nouns import Proposal, proposal

UPLOAD_DOMAINS = frozenset(
    """
    amazonaws.com bitbucket.org blob.core.windows.net codepen.io digitaloceanspaces.com github.io
    githubusercontent.com gitlab.io glitch.me herokuapp.com netlify.app pages.dev r2.dev replit.app
    surge.sh vercel.app web.app workers.dev
    """.split()
)
"""Domains below which anyone may publish a file."""

CUT = 120
"""Characters at which a report's address is cut (`policy.reports`)."""
CODE = frozenset({"script-src", "script-src-elem", "worker-src"})


def refusal(
    cause: Cause, policy: Policy, target: Address, blocked: Sequence[str]
) -> Proposal | None:
    """Where an edit would undo the policy, or browsers would not obey it."""
    name, host = cause.directive, target.host
    governing = effective(policy, name)
    if name in CODE and governing and "'strict-dynamic'" in source_list(governing.values):
        return proposal(
            cause,
            "advice",
            "beside 'strict-dynamic' browsers ignore hosts",
            "give the script element the page's nonce, or let a trusted script load it",
        )
    if is_own(cause.blocked, cause):
        return None
    if _is_ip(host):
        return proposal(
            cause,
            "refused",
            f"browsers match no IP address in a policy ({host})",
            "use a host name in the page",
        )
    if cause.origin.startswith("https:") and target.scheme in ("http", "ws"):
        return proposal(
            cause,
            "refused",
            "plain HTTP on an HTTPS page: browsers block or upgrade it anyway",
            "write https: in the page",
        )
    if name in ("base-uri", "object-src"):
        return proposal(
            cause,
            "refused",
            (
                "a base of another origin would redirect every relative script"
                if name == "base-uri"
                else "plugins and embedded documents of another origin may run scripts"
            ),
            (
                "use the site's own base, or none"
                if name == "base-uri"
                else "use an iframe (frame-src)"
            ),
        )
    if name not in CODE:
        return None
    if host in JSONP_HOSTS and not all(_is_script(one) for one in blocked):
        return proposal(
            cause,
            "refused",
            f"{host} answers with scripts of the caller's choice (JSONP)",
            "ask it with fetch() and CORS, or from your own server",
        )
    if any("angular" in one.lower() for one in blocked) and host in ANGULAR_HOSTS:
        return proposal(
            cause,
            "refused",
            "AngularJS runs what stands in the page as script",
            "serve a build for CSP (ng-csp) yourself, behind 'self'",
        )
    if is_open(target) and all(len(one) >= CUT for one in blocked):
        return proposal(
            cause,
            "refused",
            f"{host} serves anyone's files, and the report does not give the file's whole address",
            "serve the file yourself, behind 'self'",
        )
    return None


def is_own(url: str, cause: Cause) -> bool:
    """Whether an address is of the origin of the page that was reported."""
    own = Policy((Directive("img-src", ("'self'",)),))
    return bool(cause.origin) and allows_address(own, "img-src", url, cause.origin)


def is_open(target: Address) -> bool:
    """Whether anyone can make the host serve a script of their own."""
    host = target.host
    return (
        host in JSONP_HOSTS | ANGULAR_HOSTS | PLUGIN_HOSTS
        or host in UPLOAD_DOMAINS
        or any(host.endswith(f".{domain}") for domain in UPLOAD_DOMAINS)
    )


def _is_script(url: str) -> bool:
    return url.lower().endswith((".js", ".mjs"))


def _is_ip(host: str) -> bool:
    try:
        return str(ipaddress.ip_address(host)) != "127.0.0.1"
    except ValueError:
        return False
