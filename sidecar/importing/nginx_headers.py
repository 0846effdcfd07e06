"""nginx's header statements: what a block inherits of them, and what they do to a response.

Facts: nginx.org on ngx_http_headers_module and ngx_http_proxy_module, and the headers-more module's
own page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.importing.draft import FIXED, LISTED, HeaderEffect, Notes, When
from sidecar.importing.syntax import Block, ConfigDirective
from sidecar.policy.terms import Action

# ngx_http_headers_module: without `always` a line is added for these only.
SAFE_STATUS = ("200", "201", "204", "206", "301", "302", "303", "304", "307", "308")
_MORE = ("more_set_headers", "more_clear_headers")
_HIDES = tuple(f"{kind}_hide_header" for kind in ("proxy", "fastcgi", "uwsgi", "scgi", "grpc"))
_SETS = ("etag", "last-modified")
TOUCHING = frozenset(("add_header", "server_tokens", *_MORE, *_HIDES))
"""The statements that change a response's headers and are carried."""


@dataclass(frozen=True, slots=True)
class Level:
    """The statements that count inside a block, its own and the inherited ones."""

    adds: Block = ()
    mores: Block = ()
    hides: Block = ()
    inherit: str = "on"
    tokens: ConfigDirective | None = None

    def below(self, block: Block) -> Level:
        """What counts in a block inside."""

        def first(name: str) -> ConfigDirective | None:
            return next((item for item in block if item.name == name and item.args), None)

        own = [item for item in block if item.name == "add_header" and len(item.args) >= 2]
        said = first("add_header_inherit")
        inherit = said.args[0] if said else self.inherit
        # One add_header in a block drops all inherited ones, unless add_header_inherit (1.29.3)
        # says otherwise.
        kept = () if inherit == "off" or (own and inherit != "merge") else self.adds
        return Level(
            adds=(*kept, *own),
            mores=(*self.mores, *(item for item in block if item.name in _MORE)),
            hides=tuple(item for item in block if item.name in _HIDES and item.args) or self.hides,
            inherit=inherit,
            tokens=first("server_tokens") or self.tokens,
        )


def tell_dropped(level: Level, item: ConfigDirective, notes: Notes) -> None:
    """Report inherited lines that a block drops by adding its own: authors seldom mean it."""
    block = item.block or ()
    adds = (one.args for one in block if one.name == "add_header" and len(one.args) >= 2)
    own = Counter(args[0].lower() for args in adds)
    kept = {id(one) for one in level.below(block).adds}
    dropped = [one for one in level.adds if id(one) not in kept]
    both = [one for one in level.adds if id(one) in kept and one.args[0].lower() in own]
    if own and both:
        names = ", ".join(dict.fromkeys(one.args[0] for one in both))
        lines = f"the inherited line ({both[0].where.line}) and the own one are both sent"
        notes.differs(item.where, f"{names}: {lines}; the policy sends the inherited one first")
    inherited = Counter(one.args[0].lower() for one in dropped)
    # One line instead of one of the same name is what an author means; one instead of two is not.
    lost = [one for one in dropped if inherited[one.args[0].lower()] > own[one.args[0].lower()]]
    if not own or not lost:
        return
    names = ", ".join(dict.fromkeys(one.args[0] for one in lost))
    inherits = f"the inherited {names} (line {lost[0].where.line})"
    text = f"{item} has an add_header of its own, so nginx drops {inherits}, and so does the policy"
    fix = "if that was not meant, remove their `mode: off` from its route, or add rules for them"
    notes.differs(item.where, text, fix)


def effects(level: Level, notes: Notes) -> tuple[HeaderEffect, ...]:
    """What a level does to a response, in nginx's order: hidden, headers-more, added lines."""
    found = [
        item.effect("remove", item.args[0])
        for item in level.hides
        if not _variable(item.args[0], item, notes)
    ]
    if level.tokens is not None and level.tokens.args[0] == "off":
        about = "nginx never passes the service's own"
        found.append(HeaderEffect("remove", "Server", where=level.tokens.where, about=about))
    found += (effect for item in level.mores for effect in _more(item, notes))
    found += (effect for item in level.adds for effect in _add(item, notes))
    return tuple(found)


def named(block: ConfigDirective) -> str:
    """The headers that a block's own statements are about."""
    found = [
        word.partition(":")[0]
        for item in block.block or ()
        if item.name in TOUCHING
        for word in (item.args if item.name in _MORE else item.args[:1])
    ]
    return ", ".join(dict.fromkeys(found))


def _variable(text: str, item: ConfigDirective, notes: Notes) -> bool:
    name = re.search(r"\$\{?\w*\}?", text)
    if name is not None:
        message = f"{item.name} {item.args[0]}: the variable {name[0]} cannot be carried"
        notes.lost(item.where, message, FIXED)
    return name is not None


def _add(item: ConfigDirective, notes: Notes) -> Iterator[HeaderEffect]:
    name, value = item.args[:2]
    when: When = () if "always" in item.args[2:] else (("status", SAFE_STATUS),)
    if _variable(name + value, item, notes):
        return
    if name.lower() in _SETS:
        yield item.effect("set" if value else "remove", name, value, when)
    elif value:  # an empty value adds nothing; it only ends what is inherited
        yield item.effect("append", name, value, when)


def _more(item: ConfigDirective, notes: Notes) -> Iterator[HeaderEffect]:
    """more_set_headers, more_clear_headers: [-a] [-s STATUS]... [-t TYPE]... 'NAME[: VALUE]'..."""
    words = iter(item.args)
    status: list[str] = []
    types: list[str] = []
    added = False
    for word in words:
        if word == "-s":
            status += next(words, "").replace(",", " ").split()
        elif word == "-t":
            types += next(words, "").replace(",", " ").split()
        elif word == "-a":
            added = True
        else:
            name, _, value = word.partition(":")
            name, value = name.strip().rstrip(";"), value.strip()
            if "*" in name:
                text = f"{item.name} {name}: names with * cannot be carried"
                notes.lost(item.where, text, LISTED)
            elif not _variable(word, item, notes):
                parts = (("status", tuple(status)), ("content-type", tuple(types)))
                clears = item.name == "more_clear_headers" or not value
                action: Action = "remove" if clears else "append" if added else "set"
                when = tuple(part for part in parts if part[1])
                yield item.effect(action, name, "" if clears else value, when)
