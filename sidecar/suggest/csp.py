"""What to add to a Content Security Policy for one cause, and what never to add.

Pure. Source: CSP Level 3 section 6.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from urllib.parse import urlsplit

from sidecar.policy.browsers.reports import CUT
from sidecar.policy.csp import Policy, effective
from sidecar.policy.csp.extend import FAMILY
from sidecar.policy.csp.match import Address, address, allows_address
from sidecar.policy.csp.sources import source_list
from sidecar.policy.csp.table import DIRECTIVES, FALLBACKS
from sidecar.rollout.causes import Cause
from sidecar.rollout.served_pages import bare
from sidecar.suggest.inline import advise_inline
from sidecar.suggest.model import OWN, PageContents, Proposal, Terms, proposal, too_little
from sidecar.suggest.refusals import CODE, is_open, is_own, refusal

_FILES = 4
"""So many files of one host are named one by one; of more the host is named."""
_BY_FILE = CODE | {"style-src", "style-src-elem"}
_LOCAL = frozenset({"img-src", "font-src", "media-src", "connect-src"})
"""Directives for which `data:` and `blob:` give no more than the page's own scripts have."""
_PASSIVE = frozenset(
    {"img-src", "font-src", "media-src", "style-src", "style-src-elem", "manifest-src"}
)
"""Files of the site load these too (a style sheet its fonts): no page needs to name them."""
_WORDS = frozenset({"data", "blob", "filesystem", "mediastream", "about"})


def advise(cause: Cause, policy: Policy, contents: PageContents, terms: Terms) -> Proposal:
    """What to do about one cause that browsers reported of this policy."""
    name, word = cause.directive, cause.blocked.lower().removesuffix(":")
    if DIRECTIVES.get(name) != "sources":
        return _no_sources(cause)
    if effective(policy, name) is None:
        return proposal(cause, "allowed", f"the value says nothing of {name} any more")
    if word == "inline":
        return advise_inline(cause, policy, contents, terms)
    if word in ("eval", "wasm-eval"):
        return _eval(cause, policy, terms, wasm=word == "wasm-eval")
    if name == "frame-ancestors":
        return _framing(cause, policy, terms)
    if word in _WORDS:
        return _local(cause, policy, terms, f"{word}:")
    return _address(cause, policy, contents, terms)


def contradicted(cause: Cause, policy: Policy, *, merged: bool) -> Proposal:
    """The value that browsers reported allows the cause already: why they block it all the same."""
    if policy.get("upgrade-insecure-requests") and cause.blocked.startswith(("http:", "ws:")):
        text = "the page asks for it over plain HTTP, which upgrade-insecure-requests makes https"
        fix = "see that it is there over https, and write https: in the page"
    elif merged:
        return not_merged(cause)
    elif address(cause.blocked) is None:
        text = "the value allows it on the pages that were read; others get another text"
        fix = "name a page that has it: --url URL, or --har FILE"
    else:
        text = "the value allows this address, but it redirects to an origin that is not allowed"
        fix = "see in the browser's network panel where it ends, and add that origin"
    return proposal(cause, "advice", text, fix)


def not_merged(cause: Cause) -> Proposal:
    """A merge would lose the source again."""
    text = "a merge keeps only sources that the service's own policy has too"
    fix = "add it to the service's own policy, or write widen: true or action: set"
    return proposal(cause, "advice", text, fix)


def _no_sources(cause: Cause) -> Proposal:
    name = cause.directive
    if name == "require-trusted-types-for":
        text = "a script writes text where it runs as markup or code"
        fix = (
            f"let {cause.source or 'the script'} use textContent, or a Trusted Types policy that"
            " cleans the text; otherwise remove the directive"
        )
    elif name == "trusted-types":
        text = "a script makes a Trusted Types policy that the value does not name"
        fix = "read that script, and add the policy's name to trusted-types if it is yours"
    else:
        text = f"{name} cannot be repaired by adding a source"
        fix = "change the page, or the directive"
    return proposal(cause, "advice", text, fix)


def _eval(cause: Cause, policy: Policy, terms: Terms, *, wasm: bool) -> Proposal:
    governing = effective(policy, "script-src")
    held = source_list(governing.values if governing else ())
    if "'unsafe-eval'" in held or (wasm and "'wasm-unsafe-eval'" in held):
        return proposal(cause, "allowed", "the value allows it already")
    where = f" in {cause.source}" if cause.source else ""
    if not wasm:
        text = f"text is run as code{where}; 'unsafe-eval' would let injected text run too"
        fix = (
            "replace eval, new Function and setTimeout with a text by a function or JSON.parse;"
            " most libraries have a build without eval"
        )
        return proposal(cause, "refused", text, fix)
    text = f"WebAssembly is compiled{where}: 'wasm-unsafe-eval' allows that, and no text as code"
    return _short(cause, terms) or proposal(cause, "add", text, sources=("'wasm-unsafe-eval'",))


def _framing(cause: Cause, policy: Policy, terms: Terms) -> Proposal:
    """Anyone who frames the page causes the report, wanted or not."""
    target = address(cause.blocked)
    if target is None or not target.host or is_own(cause.blocked, cause):
        fix = (
            "add 'self' to frame-ancestors if the site frames its own pages, and the origin of each"
            " partner that may"
        )
        text = "the page was framed; the report does not say by whom"
        return proposal(cause, "advice", text, fix)
    if allows_address(policy, cause.directive, cause.blocked, cause.origin):
        return proposal(cause, "allowed", "the value allows it already")
    source = _origin(target)
    if cause.id not in terms.accepted:
        text = f"{source} frames the page: a partner's report and a clickjacker's look the same"
        return proposal(cause, "refused", text, f"if it is a partner, --accept {cause.id}")
    return proposal(cause, "add", f"{source} may frame the page, as you say", sources=(source,))


def _local(cause: Cause, policy: Policy, terms: Terms, source: str) -> Proposal:
    name = cause.directive
    if allows_address(policy, name, source, cause.origin):
        return proposal(cause, "allowed", "the value allows it already")
    if name in _LOCAL and source in ("data:", "blob:"):
        text = f"{source} in {name} gives no one more than the page has"
        return _short(cause, terms) or proposal(cause, "add", text, sources=(source,))
    fixes = {
        "worker-src": "serve the worker's code as a file of the site",
        "frame-src": "serve the frame's content from an address, or by srcdoc",
        "object-src": "show the file in a frame or link it",
    }
    usual = "serve it as a file of the site" if name in _BY_FILE else "serve it from an address"
    text = f"{source} in {name} would allow whatever an attacker can write"
    return proposal(cause, "refused", text, fixes.get(name, usual))


def _address(cause: Cause, policy: Policy, contents: PageContents, terms: Terms) -> Proposal:
    name, target = cause.directive, address(cause.blocked)
    if target is None or not target.host:
        text = f"the report does not say what was blocked, only {cause.blocked or 'nothing'}"
        return proposal(cause, "advice", text, "look into the page's console in a browser")
    blocked = [
        one
        for one in cause.addresses or (cause.blocked,)
        if not allows_address(policy, name, one, cause.origin)
    ]
    if not blocked:
        return proposal(cause, "allowed", "the value allows it already")
    own = is_own(cause.blocked, cause)
    page = _page_of([*blocked, *(_own_path(one) for one in blocked if own)], name, contents)
    if refused := refusal(cause, policy, target, blocked):
        return refused
    found = f"it is in the page {page}" if page else ""
    doubted = name == "form-action" or _is_strange(cause)
    if not page and doubted and cause.id not in terms.accepted:
        text = "no page that the service sent is known to have it: it may be injected"
        fix = f"name the page by --url, or, if it is yours, --accept {cause.id}"
        return proposal(cause, "waiting", text, fix)
    if not page and (short := _short(cause, terms)):
        return short
    if own:
        upload = "files that users upload to the site could be embedded: name a folder, if you can"
        warnings = (upload,) if name == "object-src" else ()
        text = "the site's own origin"
        return proposal(cause, "add", text, found=found, sources=("'self'",), warnings=warnings)
    return _foreign(cause, target, blocked, found)


def _foreign(cause: Cause, target: Address, blocked: Sequence[str], found: str) -> Proposal:
    """Another origin: file by file for code, else the whole origin."""
    name, warnings = cause.directive, []
    files = [one for one in blocked if len(one) < CUT]
    by_file = name in _BY_FILE and files and (len(blocked) <= _FILES or is_open(target))
    if by_file:
        sources = tuple(_file(one) for one in files)
        number = "the file" if len(files) == 1 else f"{len(files)} files"
        text = f"{number} of another origin"
        warnings.append("if it redirects, the origin that it ends at must be allowed as well")
        if name in CODE:
            warnings.append(
                "pin the file with integrity=... in the page, or serve it yourself: whoever changes"
                " it there changes your page"
            )
    else:
        sources, text = (_origin(target),), "another origin"
    if target.scheme in ("http", "ws"):
        warnings.append("plain HTTP: anyone on the way can change it")
    return proposal(cause, "add", text, found=found, sources=sources, warnings=warnings)


def _short(cause: Cause, terms: Terms) -> Proposal | None:
    """The proposal to wait, where the evidence is below the minimums."""
    if _is_strange(cause) and cause.id not in terms.accepted:
        why = "it is in no page that the sidecar saw"
        if cause.kind == "unexplained":
            why = "the report names no page of the site"
        fix = f"if it is yours, --accept {cause.id}"
        return proposal(cause, "waiting", f"nothing explains it: {why}", fix)
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


def _origin(target: Address) -> str:
    default = {"http": "80", "https": "443", "ws": "80", "wss": "443"}.get(target.scheme)
    port = f":{target.port}" if target.port and target.port != default else ""
    return f"{target.scheme}://{target.host}{port}"


def _file(url: str) -> str:
    """The address as a source: what ends a source or a directive is percent-encoded."""
    found = address(url)
    assert found is not None
    return _origin(found) + found.path.replace(";", "%3B").replace(",", "%2C")
