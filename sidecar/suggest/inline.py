"""Inline code that a policy would block: a hash where it stays the same, a nonce where it varies.

Pure. Source: CSP Level 3 section 6.7.3 (inline).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os.path import commonprefix
from typing import Any

from sidecar.policy.browsers.pages import INLINE_DIRECTIVES, sample_of
from sidecar.policy.csp import Policy
from sidecar.policy.csp.match import allows_inline, allows_nonce
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.rollout.causes import Cause
from sidecar.suggest.model import (
    VARIES,
    Outcome,
    PageContents,
    Proposal,
    Snippet,
    Terms,
    proposal,
)

_VARIANTS = 3
"""More stable texts of one template than this take a nonce, fewer their hashes."""
_BEGIN = 4
"""Characters that all texts of a template begin with, at least."""
_WORDS = {
    "script-src-elem": "script",
    "script-src-attr": "event handler",
    "style-src-elem": "style",
    "style-src-attr": "style attribute",
}


_STEP = (
    "'unsafe-hashes' lets an injected element use the same code on whatever it likes: it is a step,"
    " not the end"
)


def advise_inline(cause: Cause, policy: Policy, contents: PageContents, terms: Terms) -> Proposal:
    """What to do about inline code that browsers reported."""
    name = cause.directive
    name = name if name in _WORDS else f"{name}-elem"
    if name not in _WORDS:
        text = f"{name} has no inline code"
        return proposal(cause, "advice", text, "look into the page's console")
    matched = _matching(cause, name, terms, contents.snippets)
    if cause.sample.lower().startswith("javascript:") or (
        matched and all(one.kind == "javascript-url" for one in matched)
    ):
        text = "a javascript: address would need 'unsafe-inline', and then injected ones run too"
        fix = "write a button, and addEventListener in a script"
        return proposal(cause, "refused", text, fix, snippets=matched)
    if not matched:
        if allows_inline(policy, name, ""):
            return proposal(cause, "allowed", "the value allows it already")
        matched = _template(cause, name, terms, contents.snippets)
        if not matched:
            return _unknown(cause, name)
    left = [one for one in matched if not allows_inline(policy, name, one.hash.strip("'"))]
    if not left:
        return proposal(cause, "allowed", "the value allows it already", snippets=matched)
    if allows_nonce(policy, name) and not name.endswith("-attr"):
        text = f"the value takes a nonce, and this {_WORDS[name]} does not carry it"
        return _found(cause, "advice", text, _write_nonce(left), left)
    stable = [one for one in left if _is_stable(one, cause, terms)]
    if name.endswith("-attr"):
        return _attribute(cause, name, left, stable, terms)
    if len(stable) == len(left) <= _VARIANTS:
        text, hashes = (
            f"the {_WORDS[name]} is always the same: its hash",
            [one.hash for one in left],
        )
        return _found(cause, "add", text, "", left, sources=hashes, warnings=_cut(left))
    varied = _varied(left, stable, contents.snippets)
    if varied or len(stable) > _VARIANTS:
        shown = [*left, *(one for one in varied if one not in left)]
        text = f"the {_WORDS[name]} varies, so that no hash would hold: a nonce"
        fix = (
            f"{_write_nonce(shown)}; better, move what varies into a data attribute or JSON block,"
            " and the code into a file"
        )
        return _found(cause, "add", text, fix, shown, sources=(REQUEST_NONCE,))
    return _wait(cause, left[0], terms, left)


def _found(
    cause: Cause, outcome: Outcome, text: str, fix: str, held: Sequence[Snippet], **more: Any
) -> Proposal:
    """A proposal for code that pages hold."""
    found = f"it is in {_places(held)}"
    return proposal(cause, outcome, text, fix, found=found, snippets=held, **more)


def _write_nonce(held: Sequence[Snippet]) -> str:
    return (
        'write nonce="...", with the value of the request header X-CSP-Nonce, into the template of'
        f" {_places(held)}"
    )


def _unknown(cause: Cause, name: str) -> Proposal:
    """Code that is in no page that was read: nobody has read what its hash would allow."""
    what = _WORDS[name]
    if cause.kind == "script" and cause.source:
        fixes = {
            "script-src-attr": f"let {cause.source} use addEventListener",
            "style-src-attr": f"let {cause.source} set the property (element.style), or a class",
        }
        file = f"put the code into a file, or let {cause.source} give the element the page's nonce"
        text = f"a script of the site makes this {what}"
        return proposal(cause, "advice", text, fixes.get(name, file))
    text = f"no page that was read has this {what}; read all of it before its hash is allowed"
    fix = "name the page: --url URL, or --har FILE (not for code of a script or an extension)"
    return proposal(cause, "waiting", text, fix)


def _attribute(
    cause: Cause, name: str, left: Sequence[Snippet], stable: Sequence[Snippet], terms: Terms
) -> Proposal:
    """Handlers and style attributes: the page should change; a hash is second best."""
    if name == "script-src-attr":
        move = f"the handler of {_places(left)} into a script (addEventListener)"
    else:
        move = f"the style of {_places(left)} into a class of a style sheet"
    fix = f"move {move}, and nothing needs to be allowed"
    if len(stable) < len(left):
        young = next(one for one in left if one not in stable)
        if len(left) > 1 or young.clients == VARIES:
            text = f"the {_WORDS[name]} varies: no hash would hold, and attributes take no nonce"
            return _found(cause, "refused", text, fix, left)
        return _wait(cause, young, terms, left)
    text = f"the {_WORDS[name]} is always the same: its hash, with 'unsafe-hashes'"
    sources = ("'unsafe-hashes'", *(one.hash for one in left))
    return _found(cause, "add", text, fix, left, sources=sources, warnings=(_STEP, *_cut(left)))


def _wait(cause: Cause, snippet: Snippet, terms: Terms, left: Sequence[Snippet]) -> Proposal:
    text = f"not yet known to be always the same: {terms.needs(*_numbers(snippet, cause))}"
    fix = f"wait; or, if you have read it and know it, --accept {cause.id}"
    return _found(cause, "waiting", text, fix, left)


def _matching(cause: Cause, name: str, terms: Terms, snippets: Iterable[Snippet]) -> list[Snippet]:
    """Code that the report may be about: same kind and beginning; without a sample, same pages.

    Of two records of the same code, the one with enough evidence counts.
    """
    found: dict[str, Snippet] = {}
    for one in snippets:
        quoted = _is_quoted(one, cause.sample) if cause.sample else one.page in cause.pages
        known = one.hash in found and _is_stable(found[one.hash], cause, terms)
        if INLINE_DIRECTIVES.get(one.kind) == name and quoted and not known:
            found[one.hash] = one
    return list(found.values())


def _is_quoted(snippet: Snippet, sample: str) -> bool:
    """Whether the sample is of this code: Chromium leaves out the space around it."""
    return sample_of(sample) in (sample_of(snippet.text), sample_of(snippet.text[:40]))


def _template(cause: Cause, name: str, terms: Terms, snippets: Iterable[Snippet]) -> list[Snippet]:
    """Code of one place that varies, where the sample begins as all its texts do."""
    places: dict[tuple[str, int], list[Snippet]] = {}
    for one in snippets:
        if INLINE_DIRECTIVES.get(one.kind) == name and not _is_stable(one, cause, terms):
            places.setdefault((one.page, one.line), []).append(one)
    for held in places.values():
        begin = commonprefix([sample_of(one.text) for one in held])  # noqa: RUF071 - of text
        varies = len({one.hash for one in held}) > 1 and len(begin) >= _BEGIN
        if varies and sample_of(cause.sample).startswith(begin):
            return held
    return []


def _is_stable(snippet: Snippet, cause: Cause, terms: Terms) -> bool:
    return snippet.clients != VARIES and terms.met(cause, *_numbers(snippet, cause))


def _numbers(snippet: Snippet, cause: Cause) -> tuple[int, float, float]:
    if snippet.clients is None:
        return cause.clients, cause.first, cause.last
    return snippet.clients, snippet.first, snippet.last


def _varied(
    left: Sequence[Snippet], stable: Sequence[Snippet], snippets: Iterable[Snippet]
) -> list[Snippet]:
    """What else was in the place of code that is not stable: then that place varies."""
    young = [one for one in left if one not in stable]
    if young and (len(left) > 1 or young[0].clients == VARIES):
        return list(left)
    places = {(one.kind, one.page, one.line) for one in young}
    hashes = {one.hash for one in left}
    others = (one for one in snippets if one.hash not in hashes)
    return [one for one in others if (one.kind, one.page, one.line) in places]


def _places(snippets: Iterable[Snippet]) -> str:
    places = list(dict.fromkeys(f"{one.page}, line {one.line}" for one in snippets))
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return "; ".join(places[:3]) + more


def _cut(snippets: Iterable[Snippet]) -> tuple[str, ...]:
    if all(one.whole for one in snippets):
        return ()
    return ("only the start of it was kept: read the rest in the page itself",)
