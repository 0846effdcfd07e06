"""What to add to a Content Security Policy for one cause, and what never to add.

Pure. Source: CSP Level 3 section 6.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from urllib.parse import urlsplit

from sidecar.policy.browsers.reports import CUT
from sidecar.policy.csp import CspDirective, CspPolicy, effective
from sidecar.policy.csp.extend import FAMILY
from sidecar.policy.csp.match import Address, address, allows_address
from sidecar.policy.csp.sources import source_list
from sidecar.policy.csp.table import (
    ANGULAR_HOSTS,
    DIRECTIVES,
    FALLBACKS,
    JSONP_HOSTS,
    PLUGIN_HOSTS,
    UPLOAD_DOMAINS,
)
from sidecar.policy.csp.weaknesses import allowed, is_unmatched_address
from sidecar.rollout.model import Cause
from sidecar.rollout.served_pages import bare
from sidecar.suggest.inline import advise_inline
from sidecar.suggest.model import OWN, PageContents, Proposal, Terms, proposal, too_little

_CODE = frozenset({"script-src", "script-src-elem", "worker-src"})
_FILES = 4
"""So many files of one host are named one by one; of more the host is named."""
_BY_FILE = _CODE | {"style-src", "style-src-elem"}
_LOCAL = frozenset({"img-src", "font-src", "media-src", "connect-src"})
"""Directives for which `data:` and `blob:` give no more than the page's own scripts have."""
_PASSIVE = frozenset(
    {"img-src", "font-src", "media-src", "style-src", "style-src-elem", "manifest-src"}
)
"""Files of the site load these too (a style sheet its fonts): no page needs to name them."""
_WORDS = frozenset({"data", "blob", "filesystem", "mediastream", "about"})


def advise(cause: Cause, policy: CspPolicy, contents: PageContents, terms: Terms) -> Proposal:
    """What to do about one cause that browsers reported of this policy."""
    name, word = cause.directive, cause.blocked.lower().removesuffix(":")
    if DIRECTIVES.get(name) != "sources":
        known = name in ("require-trusted-types-for", "trusted-types")
        return proposal(cause, name if known else "no-sources", script=cause.source or "the script")
    if effective(policy, name) is None:
        return proposal(cause, "ungoverned")
    if word == "inline":
        return advise_inline(cause, policy, contents, terms)
    if word in ("eval", "wasm-eval"):
        return _eval(cause, policy, terms, wasm=word == "wasm-eval")
    if name == "frame-ancestors":
        return _framing(cause, policy, terms)
    if word in _WORDS:
        return _local(cause, policy, terms, f"{word}:")
    return _address(cause, policy, contents, terms)


def contradicted(cause: Cause, policy: CspPolicy, *, merged: bool) -> Proposal:
    """The value that browsers reported allows the cause already: why they block it all the same."""
    if policy.get("upgrade-insecure-requests") and cause.blocked.startswith(("http:", "ws:")):
        return proposal(cause, "upgraded")
    if merged:
        return proposal(cause, "not-merged")
    return proposal(cause, "other-text" if address(cause.blocked) is None else "redirected")


def _eval(cause: Cause, policy: CspPolicy, terms: Terms, *, wasm: bool) -> Proposal:
    governing = effective(policy, "script-src")
    held = source_list(governing.values if governing else ())
    if "'unsafe-eval'" in held or (wasm and "'wasm-unsafe-eval'" in held):
        return proposal(cause, "allowed")
    where = f" in {cause.source}" if cause.source else ""
    if not wasm:
        return proposal(cause, "eval", where=where)
    made = proposal(cause, "wasm", where=where, sources=("'wasm-unsafe-eval'",))
    return _short(cause, terms) or made


def _framing(cause: Cause, policy: CspPolicy, terms: Terms) -> Proposal:
    """Anyone who frames the page causes the report, wanted or not."""
    target = address(cause.blocked)
    if target is None or not target.host or _is_own(cause):
        return proposal(cause, "framed")
    if allows_address(policy, cause.directive, cause.blocked, cause.origin):
        return proposal(cause, "allowed")
    source = target.origin
    if cause.id not in terms.accepted:
        return proposal(cause, "framed-by", source=source)
    return proposal(cause, "may-frame", source=source, sources=(source,))


def _local(cause: Cause, policy: CspPolicy, terms: Terms, source: str) -> Proposal:
    name = cause.directive
    if allows_address(policy, name, source, cause.origin):
        return proposal(cause, "allowed")
    if name in _LOCAL and source in ("data:", "blob:"):
        made = proposal(cause, "local", source=source, sources=(source,))
        return _short(cause, terms) or made
    fixes = {
        "worker-src": "serve the worker's code as a file of the site",
        "frame-src": "serve the frame's content from an address, or by srcdoc",
        "object-src": "show the file in a frame or link it",
    }
    usual = "serve it as a file of the site" if name in _BY_FILE else "serve it from an address"
    return proposal(cause, "local-refused", source=source, fix=fixes.get(name, usual))


def _address(cause: Cause, policy: CspPolicy, contents: PageContents, terms: Terms) -> Proposal:
    name, target = cause.directive, address(cause.blocked)
    if target is None or not target.host:
        return proposal(cause, "unsaid", blocked=cause.blocked or "nothing")
    blocked = [
        one
        for one in cause.addresses or (cause.blocked,)
        if not allows_address(policy, name, one, cause.origin)
    ]
    if not blocked:
        return proposal(cause, "allowed")
    own = _is_own(cause)
    page = _page_of([*blocked, *(_own_path(one) for one in blocked if own)], name, contents)
    if refused := _refusal(cause, policy, target, blocked):
        return refused
    found = f"it is in the page {page}" if page else ""
    doubted = name == "form-action" or _is_strange(cause)
    if not page and doubted and cause.id not in terms.accepted:
        return proposal(cause, "injected")
    if not page and (short := _short(cause, terms)):
        return short
    if own:
        upload = "files that users upload to the site could be embedded: name a folder, if you can"
        warnings = (upload,) if name == "object-src" else ()
        return proposal(cause, "own", found=found, sources=("'self'",), warnings=warnings)
    return _foreign(cause, target, blocked, found)


def _foreign(cause: Cause, target: Address, blocked: Sequence[str], found: str) -> Proposal:
    """Another origin: file by file for code, else the whole origin."""
    name, warnings = cause.directive, []
    files = [one for one in blocked if len(one) < CUT]
    by_file = name in _BY_FILE and files and (len(blocked) <= _FILES or _is_open(target))
    if by_file:
        sources = tuple(_file(one) for one in files)
        number = "the file" if len(files) == 1 else f"{len(files)} files"
        what = f"{number} of another origin"
        warnings.append("if it redirects, the origin that it ends at must be allowed as well")
        if name in _CODE:
            warnings.append(
                "pin the file with integrity=... in the page, or serve it yourself: whoever changes"
                " it there changes your page"
            )
    else:
        sources, what = (target.origin,), "another origin"
    if target.scheme in ("http", "ws"):
        warnings.append("plain HTTP: anyone on the way can change it")
    return proposal(cause, "foreign", what=what, found=found, sources=sources, warnings=warnings)


def _short(cause: Cause, terms: Terms) -> Proposal | None:
    """The proposal to wait, where the evidence is below the minimums."""
    if _is_strange(cause) and cause.id not in terms.accepted:
        why = "it is in no page that the sidecar saw"
        if cause.kind == "unexplained":
            why = "the report names no page of the site"
        return proposal(cause, "unexplained", why=why)
    return too_little(cause, terms)


def _is_strange(cause: Cause) -> bool:
    """Whether even many clients prove nothing: extensions inject scripts and frames too."""
    unserved = cause.kind == "unserved" and cause.directive not in _PASSIVE
    return cause.kind == "unexplained" or unserved


def _page_of(blocked: Sequence[str], name: str, contents: PageContents) -> str:
    """A page that names one of these addresses for this use, "" if none is known."""
    names = {one for one in FALLBACKS if FAMILY.get(one, one) == FAMILY.get(name, name)} | {name}
    exact = (contents.urls.get((one, bare(url)), "") for one in names for url in blocked)
    # Of a frame of another origin browsers report the origin alone.
    whole = (
        page
        for (one, known), page in contents.urls.items()
        for url in blocked
        if one in names and urlsplit(url).path == "" and known.startswith(f"{bare(url)}/")
    )
    return next(filter(None, chain(exact, whole)), "")


def _own_path(url: str) -> str:
    found = address(url)
    return OWN + (found.path if found else "")


def _file(url: str) -> str:
    """The address as a source: what ends a source or a directive is percent-encoded."""
    found = address(url)
    assert found is not None
    return found.origin + found.path.replace(";", "%3B").replace(",", "%2C")


def _refusal(
    cause: Cause, policy: CspPolicy, target: Address, blocked: Sequence[str]
) -> Proposal | None:
    """Where an edit would undo the policy, or browsers would not obey it."""
    if cause.directive in _CODE and "'strict-dynamic'" in allowed(policy, cause.directive):
        return proposal(cause, "strict-dynamic")
    if _is_own(cause):
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
    if name not in _CODE:
        return ""
    if host in JSONP_HOSTS and not all(one.lower().endswith((".js", ".mjs")) for one in blocked):
        return "jsonp"
    if any("angular" in one.lower() for one in blocked) and host in ANGULAR_HOSTS:
        return "angular"
    cut = all(len(one) >= CUT for one in blocked)
    return "anyones-files" if _is_open(target) and cut else ""


def _is_own(cause: Cause) -> bool:
    """Whether what was blocked is of the origin of the page that was reported."""
    own = CspPolicy((CspDirective("img-src", ("'self'",)),))
    return bool(cause.origin) and allows_address(own, "img-src", cause.blocked, cause.origin)


def _is_open(target: Address) -> bool:
    """Whether anyone can make the host serve a script of their own."""
    host = target.host
    return host in JSONP_HOSTS | ANGULAR_HOSTS | PLUGIN_HOSTS | UPLOAD_DOMAINS or any(
        host.endswith(f".{domain}") for domain in UPLOAD_DOMAINS
    )
