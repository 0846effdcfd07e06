"""What to add to a Content Security Policy for one cause, and what never to add.

Lives here: `advise` for what is blocked by address or keyword. Pure. Must not know policy files.
Source: CSP Level 3 section 6.7; hosts that undo a policy are those of `csp_lint`, and a short list of our own.
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from sidecar.policy.csp import Directive, Policy, effective
from sidecar.policy.csp_lint import ANGULAR_HOSTS, JSONP_HOSTS, PLUGIN_HOSTS
from sidecar.policy.csp_match import Address, address, allows_address
from sidecar.policy.csp_sources import source_list
from sidecar.policy.csp_table import DIRECTIVES, FALLBACKS
from sidecar.rollout.causes import Cause
from sidecar.rollout.suggestion_inline import advise_inline
from sidecar.rollout.suggestion_nouns import OWN, Holdings, Proposal, Terms, bare, proposal

UPLOAD_DOMAINS = frozenset(
    """
    amazonaws.com bitbucket.org blob.core.windows.net codepen.io digitaloceanspaces.com github.io githubusercontent.com
    gitlab.io glitch.me herokuapp.com netlify.app pages.dev r2.dev replit.app surge.sh vercel.app web.app workers.dev
    """.split()
)
"""Domains below which anyone may publish a file."""

_FILES = 4
"""So many files of one host are named one by one; of more the host is named."""
_CUT = 120
"""Characters at which a report's address is cut (`policy.reports`)."""
_CODE = frozenset({"script-src", "script-src-elem", "worker-src"})
_BY_FILE = _CODE | {"style-src", "style-src-elem"}
_LOCAL = frozenset({"img-src", "font-src", "media-src", "connect-src"})
"""Directives for which `data:` and `blob:` give nobody more than the page's own scripts have."""
_FAMILY = {"script-src-elem": "script-src", "style-src-elem": "style-src"}
_WORDS = frozenset({"data", "blob", "filesystem", "mediastream", "about"})


def advise(cause: Cause, policy: Policy, holdings: Holdings, terms: Terms) -> Proposal:
    """What to do about one cause that browsers reported of this policy."""
    name, word = cause.directive, cause.blocked.lower().removesuffix(":")
    if DIRECTIVES.get(name) != "sources":
        return _no_sources(cause)
    if effective(policy, name) is None:
        return proposal(cause, "allowed", f"the value says nothing of {name} any more")
    if word == "inline":
        return advise_inline(cause, policy, holdings, terms)
    if word in ("eval", "wasm-eval"):
        return _eval(cause, policy, terms, wasm=word == "wasm-eval")
    if name == "frame-ancestors":
        return _framing(cause, policy, terms)
    if word in _WORDS:
        return _local(cause, policy, terms, f"{word}:")
    return _address(cause, policy, holdings, terms)


def contradicted(cause: Cause, policy: Policy, *, merged: bool) -> Proposal:
    """The value that browsers reported allows the cause already: why they block it all the same."""
    if policy.get("upgrade-insecure-requests") and cause.blocked.startswith(("http:", "ws:")):
        return proposal(
            cause,
            "advice",
            "the page asks for it over plain HTTP, and upgrade-insecure-requests makes https of that",
            "see that it is there over https, and write https: in the page",
        )
    if merged:
        return proposal(
            cause,
            "advice",
            "the value allows it and the service's own policy does not: a merge allows what both do",
            "add it to the service's own policy, or write widen: true or action: set",
        )
    if address(cause.blocked) is None:
        return proposal(
            cause,
            "advice",
            "the value allows all that begins like this in the pages that were read: another page, or another client, gets another text",
            "name a page that has it: --url URL, or --har FILE",
        )
    return proposal(
        cause,
        "advice",
        "the value allows this address, and browsers block it all the same: it redirects to an origin that is not allowed",
        "see in the browser's network panel where it ends, and add that origin, or name it in the page",
    )


def _no_sources(cause: Cause) -> Proposal:
    name = cause.directive
    if name == "require-trusted-types-for":
        return proposal(
            cause,
            "advice",
            "a script writes text where it runs as markup or code",
            f"let {cause.source or 'the script'} use textContent, or a Trusted Types policy that cleans the text; without that, take the directive out",
        )
    if name == "trusted-types":
        return proposal(
            cause,
            "advice",
            "a script makes a Trusted Types policy that the value does not name",
            "read the script that makes it, and add the policy's name to trusted-types if it is yours",
        )
    return proposal(
        cause, "advice", f"{name} is not mended by a source", "change the page, or the directive"
    )


def _eval(cause: Cause, policy: Policy, terms: Terms, *, wasm: bool) -> Proposal:
    governing = effective(policy, "script-src")
    held = source_list(governing.values if governing else ())
    if "'unsafe-eval'" in held or (wasm and "'wasm-unsafe-eval'" in held):
        return proposal(cause, "allowed", "the value allows it already")
    where = f" in {cause.source}" if cause.source else ""
    if not wasm:
        return proposal(
            cause,
            "refused",
            f"text is run as code{where}; 'unsafe-eval' would let injected text run too",
            "replace eval, new Function and setTimeout with a text by a function or JSON.parse; a library mostly has a build without eval",
        )
    if short := _short(cause, terms):
        return short
    return proposal(
        cause,
        "add",
        f"WebAssembly is compiled{where}: 'wasm-unsafe-eval' allows that, and no text as code",
        sources=("'wasm-unsafe-eval'",),
    )


def _framing(cause: Cause, policy: Policy, terms: Terms) -> Proposal:
    """Whoever frames the page causes the report: also who should not."""
    target = address(cause.blocked)
    if target is None or not target.host or _is_own(cause.blocked, cause):
        return proposal(
            cause,
            "advice",
            "the page was framed; the report does not say by whom",
            "add 'self' to frame-ancestors if the site frames its own pages, and the origin of each partner that may",
        )
    if allows_address(policy, cause.directive, cause.blocked, cause.origin):
        return proposal(cause, "allowed", "the value allows it already")
    source = _origin(target)
    if cause.id not in terms.accepted:
        return proposal(
            cause,
            "refused",
            f"{source} frames the page: the report of a partner and that of a click thief look the same",
            f"if it is a partner, --accept {cause.id}",
        )
    return proposal(cause, "add", f"{source} may frame the page, as you say", sources=(source,))


def _local(cause: Cause, policy: Policy, terms: Terms, source: str) -> Proposal:
    name = cause.directive
    if allows_address(policy, name, source, cause.origin):
        return proposal(cause, "allowed", "the value allows it already")
    if name in _LOCAL and source in ("data:", "blob:"):
        return _short(cause, terms) or proposal(
            cause,
            "add",
            f"{source} in {name} gives no one more than the page has",
            sources=(source,),
        )
    fixes = {
        "worker-src": "serve the worker's code as a file of the site",
        "frame-src": "serve the frame's content from an address, or by srcdoc",
        "object-src": "show the file in a frame or link it",
    }
    fix = fixes.get(
        name, "serve it as a file of the site" if name in _BY_FILE else "serve it from an address"
    )
    return proposal(
        cause, "refused", f"{source} in {name} would let in whatever an attacker can write", fix
    )


def _address(cause: Cause, policy: Policy, holdings: Holdings, terms: Terms) -> Proposal:
    name, target = cause.directive, address(cause.blocked)
    if target is None or not target.host:
        return proposal(
            cause,
            "advice",
            f"the report does not say what was blocked, only {cause.blocked or 'nothing'}",
            "look into the page's console in a browser",
        )
    blocked = [
        one
        for one in (cause.addresses or (cause.blocked,))
        if not allows_address(policy, name, one, cause.origin)
    ]
    if not blocked:
        return proposal(cause, "allowed", "the value allows it already")
    own = _is_own(cause.blocked, cause)
    page = _page_of([*blocked, *(_own_path(one) for one in blocked if own)], name, holdings)
    if refused := _refused(cause, policy, target, blocked):
        return refused
    found = f"it stands in the page {page}" if page else ""
    if (
        not page
        and (name == "form-action" or cause.kind in ("unserved", "unexplained"))
        and cause.id not in terms.accepted
    ):
        return proposal(
            cause,
            "waiting",
            "no page that the service sent is known to hold it: an injected element would look the same",
            f"name the page by --url, or, if it is yours, --accept {cause.id}",
        )
    if not page and (short := _short(cause, terms)):
        return short
    if own:
        warnings = (
            (
                "a file that users upload to the site could be embedded too: name its folder, if you can",
            )
            if name == "object-src"
            else ()
        )
        text = "the site's own origin"
        return proposal(cause, "add", text, found=found, sources=("'self'",), warnings=warnings)
    return _foreign(cause, target, blocked, found)


def _foreign(cause: Cause, target: Address, blocked: Sequence[str], found: str) -> Proposal:
    """Another origin: file by file for code, else the whole origin."""
    name, warnings = cause.directive, []
    files = [one for one in blocked if len(one) < _CUT]
    by_file = name in _BY_FILE and files and (len(blocked) <= _FILES or _is_open(target))
    if by_file:
        sources = tuple(_file(one) for one in files)
        text = (
            "the file of another origin"
            if len(files) == 1
            else f"{len(files)} files of another origin"
        )
        warnings.append(
            "if it redirects, browsers compare only the origin that it ends at: that must be allowed as well"
        )
        if name in _CODE:
            warnings.append(
                "pin the file with integrity=... in the page, or serve it yourself: who changes it there changes your page"
            )
    else:
        sources, text = (_origin(target),), "another origin"
    if target.scheme in ("http", "ws"):
        warnings.append("plain HTTP: anyone on the way can change it")
    return proposal(cause, "add", text, found=found, sources=sources, warnings=warnings)


def _refused(
    cause: Cause, policy: Policy, target: Address, blocked: Sequence[str]
) -> Proposal | None:
    """Where an edit would undo the policy, or browsers would not obey it."""
    name, host = cause.directive, target.host
    governing = effective(policy, name)
    if name in _CODE and governing and "'strict-dynamic'" in source_list(governing.values):
        return proposal(
            cause,
            "advice",
            "beside 'strict-dynamic' browsers ignore hosts",
            "give the script element the page's nonce, or let a trusted script load it",
        )
    if _is_own(cause.blocked, cause):
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
            "a base of another origin would redirect every relative script"
            if name == "base-uri"
            else "plugins and embedded documents of another origin may run scripts",
            "use the site's own base, or none"
            if name == "base-uri"
            else "use an iframe (frame-src)",
        )
    if name not in _CODE:
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
    if _is_open(target) and all(len(one) >= _CUT for one in blocked):
        return proposal(
            cause,
            "refused",
            f"{host} serves anyone's files, and the report does not give the file's whole address",
            "serve the file yourself, behind 'self'",
        )
    return None


def _short(cause: Cause, terms: Terms) -> Proposal | None:
    """The proposal to wait, where the evidence is below the minimums."""
    if cause.kind in ("unserved", "unexplained") and cause.id not in terms.accepted:
        why = (
            "the report names no page of the site"
            if cause.kind == "unexplained"
            else "it stands in no page that the sidecar saw pass"
        )
        return proposal(
            cause,
            "waiting",
            f"nothing explains it: {why}",
            f"if it is yours, --accept {cause.id}",
        )
    if terms.met(cause, cause.clients, cause.first, cause.last):
        return None
    return proposal(
        cause,
        "waiting",
        terms.needs(cause.clients, cause.first, cause.last),
        f"wait; or, if you know it, --accept {cause.id}",
    )


def _page_of(blocked: Sequence[str], name: str, holdings: Holdings) -> str:
    """A page that names one of these addresses for this use, "" if none is known."""
    names = {one for one in FALLBACKS if _FAMILY.get(one, one) == _FAMILY.get(name, name)} | {name}
    pages = (holdings.urls.get((one, bare(url)), "") for one in names for url in blocked)
    return next(filter(None, pages), "")


def _own_path(url: str) -> str:
    found = address(url)
    return OWN + (found.path if found else "")


def _is_own(url: str, cause: Cause) -> bool:
    own = Policy((Directive("img-src", ("'self'",)),))
    return bool(cause.origin) and allows_address(own, "img-src", url, cause.origin)


def _is_open(target: Address) -> bool:
    """Whether strangers can make the host serve a script of theirs."""
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


def _origin(target: Address) -> str:
    default = {"http": "80", "https": "443", "ws": "80", "wss": "443"}.get(target.scheme)
    port = f":{target.port}" if target.port and target.port != default else ""
    return f"{target.scheme}://{target.host}{port}"


def _file(url: str) -> str:
    """The address as a source: what ends a source or a directive is percent-encoded."""
    found = address(url)
    assert found is not None
    return _origin(found) + found.path.replace(";", "%3B").replace(",", "%2C")
