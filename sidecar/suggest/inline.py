"""Inline code that a policy would block: a hash where it stays the same, a nonce where it varies.

Pure. Source: CSP Level 3 section 6.7.3 (inline).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os.path import commonprefix
from typing import Any

from sidecar.policy.browsers.pages import INLINE_DIRECTIVES, sample_of
from sidecar.policy.csp import CspPolicy
from sidecar.policy.csp.match import allows_inline, allows_nonce
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.rollout.model import Cause
from sidecar.suggest.model import VARIES, PageContents, Proposal, Snippet, Terms, proposal

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
    "'unsafe-hashes' lets injected elements run the same code: take it as a step on the way,"
    " not the end"
)


def advise_inline(
    cause: Cause, policy: CspPolicy, contents: PageContents, terms: Terms
) -> Proposal:
    """What to do about inline code that browsers reported."""
    name = cause.directive
    name = name if name in _WORDS else f"{name}-elem"
    if name not in _WORDS:
        return proposal(cause, "no-inline-code", directive=name)
    matched = _matching(cause, name, terms, contents.snippets)
    if cause.sample.lower().startswith("javascript:") or (
        matched and all(one.kind == "javascript-url" for one in matched)
    ):
        return proposal(cause, "javascript-url", snippets=matched)
    if not matched:
        if allows_inline(policy, name, ""):
            return proposal(cause, "allowed")
        matched = _template(cause, name, terms, contents.snippets)
        if not matched:
            return _unknown(cause, name)
    left = [one for one in matched if not allows_inline(policy, name, one.hash.strip("'"))]
    if not left:
        return proposal(cause, "allowed", snippets=matched)
    if allows_nonce(policy, name) and not name.endswith("-attr"):
        return _found(cause, "nonce-unwritten", left, what=_WORDS[name])
    stable = [one for one in left if _is_stable(one, cause, terms)]
    if name.endswith("-attr"):
        return _attribute(cause, name, left, stable, terms)
    if len(stable) == len(left) <= _VARIANTS:
        hashes = [one.hash for one in left]
        return _found(cause, "hash", left, what=_WORDS[name], sources=hashes, warnings=_cut(left))
    varied = _varied(left, stable, contents.snippets)
    if varied or len(stable) > _VARIANTS:
        shown = [*left, *(one for one in varied if one not in left)]
        return _found(cause, "nonce", shown, what=_WORDS[name], sources=(REQUEST_NONCE,))
    return _wait(cause, left[0], terms, left)


def _found(cause: Cause, code: str, held: Sequence[Snippet], **more: Any) -> Proposal:
    """A proposal for code that pages hold."""
    places = _places(held)
    found = f"it is in {places}"
    return proposal(cause, code, found=found, snippets=held, places=places, **more)


def _unknown(cause: Cause, name: str) -> Proposal:
    """Code that is in no page that was read: nobody has read what its hash would allow."""
    what = _WORDS[name]
    if cause.kind == "script" and cause.source:
        fixes = {
            "script-src-attr": f"let {cause.source} use addEventListener",
            "style-src-attr": f"let {cause.source} set the property (element.style), or a class",
        }
        file = f"put the code into a file, or let {cause.source} give the element the page's nonce"
        return proposal(cause, "code-of-script", what=what, fix=fixes.get(name, file))
    return proposal(cause, "code-unread", what=what)


def _attribute(
    cause: Cause, name: str, left: Sequence[Snippet], stable: Sequence[Snippet], terms: Terms
) -> Proposal:
    """Handlers and style attributes: the page should change; a hash is second best."""
    if name == "script-src-attr":
        move = f"the handler of {_places(left)} into a script (addEventListener)"
    else:
        move = f"the style of {_places(left)} into a class of a style sheet"
    words = {"what": _WORDS[name], "move": move}
    if len(stable) < len(left):
        young = next(one for one in left if one not in stable)
        if len(left) > 1 or young.clients == VARIES:
            return _found(cause, "attribute-varies", left, **words)
        return _wait(cause, young, terms, left)
    sources = ("'unsafe-hashes'", *(one.hash for one in left))
    warnings = (_STEP, *_cut(left))
    return _found(cause, "attribute", left, sources=sources, warnings=warnings, **words)


def _wait(cause: Cause, snippet: Snippet, terms: Terms, left: Sequence[Snippet]) -> Proposal:
    return _found(cause, "code-young", left, needs=terms.needs(*_numbers(snippet, cause)))


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
