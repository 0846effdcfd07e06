"""Content Security Policy Level 3: parse, serialise, normalise, and merge by directive.

Hostile text is read up to 64 KiB and 1,000 words; nothing here raises. Source: CSP Level 3
(https://www.w3.org/TR/CSP3/).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

from sidecar.policy.csp.faults import directive_faults
from sidecar.policy.csp.sources import Sources, join, meet, source_list
from sidecar.policy.csp.table import DIRECTIVES, FALLBACKS, Grammar
from sidecar.policy.faults import MAX_TEXT, Fault, fault

MAX_WORDS = 1_000

_WORD = re.compile(r"[^\t\n\f\r ]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# As text, and as UTF-8 read byte by bytes.
_TYPOGRAPHIC = re.compile("[\u2018-\u201f\xb4]|\xe2\x80[\x98-\x9f]")
_CUT = frozenset({"csp-too-long", "csp-too-many"})


class CspDirective(NamedTuple):
    """One directive: its name in lower case, and its words as written."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CspPolicy:
    """The directives that count, in order, and what is wrong with the text."""

    directives: tuple[CspDirective, ...] = ()
    faults: tuple[Fault, ...] = field(default=(), compare=False)

    def get(self, name: str) -> CspDirective | None:
        """The directive of this name (lower case), or None."""
        return next((directive for directive in self.directives if directive.name == name), None)

    @property
    def whole(self) -> bool:
        """False when the text was longer than what was read of it."""
        return not any(one.code in _CUT for one in self.faults)


def parse(text: str) -> tuple[CspPolicy, ...]:
    """Read a header value: one policy for each comma-separated part (section 2.2.2).

    Parts without directives are left out, unless there is something to say about them.
    """
    policies: list[CspPolicy] = []
    left = MAX_WORDS
    for part in text[:MAX_TEXT].split(","):
        policy, left = _parse_one(part, left)
        if policy.directives or policy.faults:
            policies.append(policy)
        if left < 0:
            break
    if len(text) > MAX_TEXT:
        last = policies.pop() if policies else CspPolicy()
        policies.append(CspPolicy(last.directives, (*last.faults, fault("csp-too-long"))))
    return tuple(policies)


def directives(text: str) -> Iterator[CspDirective]:
    """The directives of all policies in a header value."""
    return (one for policy in parse(text) for one in policy.directives)


def names_ancestors(lines: Iterable[bytes]) -> bool:
    """Whether a policy has frame-ancestors: browsers then ignore X-Frame-Options (6.4.2)."""
    return any(b"frame-ancestors" in line.lower() for line in lines)


def _parse_one(part: str, left: int) -> tuple[CspPolicy, int]:
    """One policy, and how many words may still be read (-1: more than allowed)."""
    directives: dict[str, CspDirective] = {}
    faults: list[Fault] = []
    for piece in part.split(";"):
        words = _WORD.findall(piece)
        if not words:
            continue
        left -= len(words)
        if left < 0:
            faults.append(fault("csp-too-many"))
            break
        name = words[0].lower()
        if _TYPOGRAPHIC.search(piece):
            faults.append(fault("csp-typographic-quotes", name))
        elif not piece.isascii():
            faults.append(fault("csp-not-ascii", name))
        elif name in directives:
            faults.append(fault("csp-repeated", name))
        elif _CONTROL.search(name):
            faults.append(fault("csp-control", name))
        else:
            values = tuple(word for word in words[1:] if not _CONTROL.search(word))
            faults += [fault("csp-control", word) for word in words[1:] if _CONTROL.search(word)]
            faults += directive_faults(name, values)
            directives[name] = CspDirective(name, values)
    return CspPolicy(tuple(directives.values()), tuple(faults)), max(left, -1)


def serialise(*policies: CspPolicy) -> str:
    """The header value of one or more policies; `parse` gives the same directives back."""
    texts = (
        "; ".join(" ".join((one.name, *one.values)) for one in policy.directives)
        for policy in policies
    )
    return ", ".join(filter(None, texts))


def normalise(policy: CspPolicy) -> CspPolicy:
    """The canonical form, for comparing and not for sending: sorted, folded, without repeats.

    Two policies that say the same in other words, order or case have the same canonical form.
    """
    directives = (CspDirective(one.name, _canonical(one)) for one in policy.directives)
    return CspPolicy(tuple(sorted(directives, key=lambda one: one.name)))


def _canonical(directive: CspDirective) -> tuple[str, ...]:
    grammar = DIRECTIVES.get(directive.name)
    if grammar == "sources":
        return tuple(sorted(source_list(directive.values))) or ("'none'",)
    if grammar == "valueless":
        return ()
    if grammar in (None, "token"):
        return directive.values
    return tuple(sorted(_words(directive, grammar)))


def effective(policy: CspPolicy, name: str) -> CspDirective | None:
    """The directive that governs `name`: itself, or the first fallback that is there (6.8.3).

    None means that the policy says nothing of it: everything is allowed.
    """
    return _governing({directive.name: directive for directive in policy.directives}, name)


def _governing(directives: Mapping[str, CspDirective], name: str) -> CspDirective | None:
    chain_of = FALLBACKS.get(name, (name,))
    return next((directives[one] for one in chain_of if one in directives), None)


def merge(app: CspPolicy, ours: CspPolicy, *, widen: bool = False) -> CspPolicy:
    """Merge our policy into the service's, directive by directive.

    A directive that only one of them names is kept; a fetch directive that only ours names is
    merged with what governs it in the service's policy by fallback. For the rest:

    With `widen=False` the law is: *the result allows nothing that the service's policy forbids, and
    in the directives that ours names, nothing that ours forbids.* Sources are intersected; where no
    single source says what both allow, it is left out, down to 'none'.

    With `widen` the result is the union: it has every source of both. Beware: a nonce or hash
    switches 'unsafe-inline' off, and 'strict-dynamic' the hosts, for the sources of both.

    In either case 'none' beside other sources is dropped, restrictions (sandbox, required Trusted
    Types) get fewer only with `widen`, report addresses add up, and `report-to` keeps the service's
    group. Merging twice changes nothing more; the order of the two matters only where one relies on
    a fallback that the other names, and for what is written but not what is allowed.
    """
    held = {directive.name: directive for directive in app.directives}
    made = dict(held)
    for wanted in ours.directives:
        base = _governing(held, wanted.name)
        made[wanted.name] = wanted if base is None else _combine(base, wanted, widen=widen)
    for name in FALLBACKS:
        before, after = _governing(held, name), _governing(made, name)
        if (
            before is None
            or after is None
            or after.name in (name, before.name)
            or _governing(held, after.name) == before
        ):
            continue
        # A new directive stepped in between (child-src before script-src, for workers): name what
        # governed before.
        pair = (CspDirective(name, one.values) for one in (before, after))
        made[name] = _combine(*pair, widen=widen)
    return CspPolicy(tuple(made.values()))


def merge_text(app: str, ours: str, *, widen: bool = False) -> str:
    """Merge header values by the law of `merge`; several policies of ours count as their meet.

    Ours goes into every policy of the service's that governs the directive; what none governs goes
    into the first. The service's text is returned as it is where nothing changes, or where it is
    too long to be read whole.
    """
    found = parse(app)
    held, wanted = (
        tuple(policy for policy in policies if policy.directives)
        for policies in (found, parse(ours))
    )
    if not wanted or not all(policy.whole for policy in found):
        return app
    one = reduce(merge, wanted)
    made = _merge_into(held, one, widen=widen) if held else (one,)
    return app if held in (made, wanted) else serialise(*made)


def _merge_into(
    held: tuple[CspPolicy, ...], ours: CspPolicy, *, widen: bool
) -> tuple[CspPolicy, ...]:
    def governed(policy: CspPolicy) -> set[str]:
        return {one.name for one in ours.directives if effective(policy, one.name)}

    orphans = {one.name for one in ours.directives}.difference(*map(governed, held))
    # With what the first policy gains, it may govern more (default-src): a second merge must find
    # nothing new.
    first = CspPolicy(
        (*held[0].directives, *(one for one in ours.directives if one.name in orphans))
    )
    shares = [governed(first), *map(governed, held[1:])]
    parts = (
        CspPolicy(tuple(one for one in ours.directives if one.name in names)) for names in shares
    )
    return tuple(merge(policy, part, widen=widen) for policy, part in zip(held, parts, strict=True))


def _combine(base: CspDirective, wanted: CspDirective, *, widen: bool) -> CspDirective:
    """One directive of both; `base` may be the fallback that governs the directive `wanted`."""
    grammar = DIRECTIVES.get(wanted.name)
    if grammar == "sources":
        mine, theirs = source_list(base.values), source_list(wanted.values)
        merged: Sources = join(mine, theirs) if widen else meet(mine, theirs)
        if base.name == wanted.name and [*merged] == [*mine]:
            return base
        values = tuple(source.text for source in merged.values())
        return CspDirective(wanted.name, values or ("'none'",))
    if grammar in (None, "token", "valueless"):
        return base
    one, other = _words(base, grammar), _words(wanted, grammar)
    if widen or grammar in ("sinks", "uris"):
        both = {**one, **{key: word for key, word in other.items() if key not in one}}
    else:
        both = {key: word for key, word in one.items() if _granted(key, other, grammar)}
        both |= {
            key: word
            for key, word in other.items()
            if key not in both and _granted(key, one, grammar)
        }
    if grammar == "webrtc" and len(both) != 1:
        both = {"'allow'": "'allow'"} if widen else {"'block'": "'block'"}
    if not both and grammar == "names":
        both = {"'none'": "'none'"}
    return base if [*both] == [*one] else CspDirective(wanted.name, tuple(both.values()))


def _words(directive: CspDirective, grammar: Grammar) -> dict[str, str]:
    """The words of a value by what is compared; case counts in addresses and policy names."""
    exact = grammar in ("uris", "names")
    words = {
        value if exact and not value.startswith("'") else value.lower(): value
        for value in directive.values
    }
    if grammar == "names":
        words.pop("'none'", None)
    return words


def _granted(key: str, others: Mapping[str, str], grammar: Grammar) -> bool:
    return key in others or (grammar == "names" and "*" in others and not key.startswith("'"))
