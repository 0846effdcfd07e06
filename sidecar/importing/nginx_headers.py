"""nginx's header statements: what a block inherits of them, and what they do to a response.

Lives here: `Level` and `effects`. Facts: nginx.org on ngx_http_headers_module and
ngx_http_proxy_module, and the headers-more module's own page. Must not know servers and locations.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.importing.draft import FIXED, LISTED, Effect, Notes, When
from sidecar.importing.syntax import Block, Directive
from sidecar.policy.model import Action

# ngx_http_headers_module: without `always` a line is added for these only.
SAFE_STATUS = ("200", "201", "204", "206", "301", "302", "303", "304", "307", "308")
_MORE = ("more_set_headers", "more_clear_headers")
_HIDES = (
    "proxy_hide_header",
    "fastcgi_hide_header",
    "uwsgi_hide_header",
    "scgi_hide_header",
    "grpc_hide_header",
)
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
    tokens: Directive | None = None

    def below(self, block: Block) -> Level:
        """What counts in a block that stands inside."""
        own = [item for item in block if item.name == "add_header" and len(item.args) >= 2]
        inherit = next(
            (item.args[0] for item in block if item.name == "add_header_inherit" and item.args),
            self.inherit,
        )
        # One add_header in a block drops all inherited ones, unless add_header_inherit (1.29.3)
        # says otherwise.
        kept = () if inherit == "off" or (own and inherit != "merge") else self.adds
        return Level(
            adds=(*kept, *own),
            mores=(*self.mores, *(item for item in block if item.name in _MORE)),
            hides=tuple(item for item in block if item.name in _HIDES and item.args) or self.hides,
            inherit=inherit,
            tokens=next(
                (item for item in block if item.name == "server_tokens" and item.args), self.tokens
            ),
        )


def tell_dropped(level: Level, item: Directive, notes: Notes) -> None:
    """Say which inherited lines a block drops by adding one of its own: most authors did not
    mean it.
    """
    block = item.block or ()
    own = Counter(
        one.args[0].lower() for one in block if one.name == "add_header" and len(one.args) >= 2
    )
    kept = {id(one) for one in level.below(block).adds}
    dropped = [one for one in level.adds if id(one) not in kept]
    both = [one for one in level.adds if id(one) in kept and one.args[0].lower() in own]
    if own and both:
        names = ", ".join(dict.fromkeys(one.args[0] for one in both))
        notes.differs(
            item.where,
            f"{names}: the inherited line ({both[0].where.line}) and the own one are both sent; the"
            " policy sends the inherited one first",
        )
    inherited = Counter(one.args[0].lower() for one in dropped)
    # One line in place of one of the same name is what an author means; one in place of two is not.
    lost = [one for one in dropped if inherited[one.args[0].lower()] > own[one.args[0].lower()]]
    if not own or not lost:
        return
    names = ", ".join(dict.fromkeys(one.args[0] for one in lost))
    notes.differs(
        item.where,
        f"{item} has an add_header of its own, so nginx drops the inherited {names} (line"
        f" {lost[0].where.line}) here, and so does the policy",
        "if that was not meant, take their `mode: off` out of its route, or give it rules for them",
    )


def effects(level: Level, notes: Notes) -> tuple[Effect, ...]:
    """What a level does to a response, in nginx's order: hidden lines, then headers-more, then
    added lines.
    """
    found = [
        item.effect("remove", item.args[0])
        for item in level.hides
        if not _variable(item.args[0], item, notes)
    ]
    if level.tokens is not None and level.tokens.args[0] == "off":
        about = "nginx never passes the service's own"
        found.append(Effect("remove", "Server", where=level.tokens.where, about=about))
    found += (effect for item in level.mores for effect in _more(item, notes))
    found += (effect for item in level.adds for effect in _add(item, notes))
    return tuple(found)


def named(block: Directive) -> str:
    """The headers that a block's own statements are about."""
    found = [
        word.partition(":")[0]
        for item in block.block or ()
        if item.name in TOUCHING
        for word in (item.args if item.name in _MORE else item.args[:1])
    ]
    return ", ".join(dict.fromkeys(found))


def _variable(text: str, item: Directive, notes: Notes) -> bool:
    if "$" in text:
        name = re.search(r"\$\{?\w*\}?", text)
        notes.lost(
            item.where,
            f"{item.name} {item.args[0]}: the variable {name[0] if name else '$'} cannot be"
            " carried",
            FIXED,
        )
    return "$" in text


def _add(item: Directive, notes: Notes) -> Iterator[Effect]:
    name, value = item.args[:2]
    when: When = () if "always" in item.args[2:] else (("status", SAFE_STATUS),)
    if _variable(name + value, item, notes):
        return
    if name.lower() in _SETS:
        yield item.effect("set" if value else "remove", name, value, when)
    elif value:  # an empty value adds nothing; it only ends what is inherited
        yield item.effect("append", name, value, when)


def _more(item: Directive, notes: Notes) -> Iterator[Effect]:
    """more_set_headers and more_clear_headers [-a] [-s STATUS]... [-t TYPE]... 'NAME[:
    VALUE]'...
    """
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
            yield from _more_one(item, word, _conditions(status, types), added=added, notes=notes)


def _conditions(status: list[str], types: list[str]) -> When:
    parts: tuple[tuple[str, object], ...] = (
        ("status", tuple(status)),
        ("content-type", tuple(types)),
    )
    return tuple(part for part in parts if part[1])


def _more_one(
    item: Directive, word: str, when: When, *, added: bool, notes: Notes
) -> Iterator[Effect]:
    name, _, value = word.partition(":")
    name, value = name.strip().rstrip(";"), value.strip()
    if "*" in name:
        notes.lost(item.where, f"{item.name} {name}: names with * cannot be carried", LISTED)
    elif not _variable(word, item, notes):
        clears = item.name == "more_clear_headers" or not value
        action: Action = "remove" if clears else "append" if added else "set"
        yield item.effect(action, name, "" if clears else value, when)
