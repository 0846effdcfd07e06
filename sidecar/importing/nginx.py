"""nginx: the headers of every server and location, as they count for each path.

As nginx searches (ngx_http_core_module, `location`): an exact one ends the search; else the longest
prefix, unless it is not marked ^~ and a regular expression matches; inner ones first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from sidecar.importing import draft, syntax
from sidecar.importing.draft import HeaderEffect, HeaderScope, Notes, SourceLine, placed
from sidecar.importing.hosts import VirtualServer, alone, by_host, host_patterns, one_per_name
from sidecar.importing.nginx_headers import TOUCHING, Level, effects, named, tell_dropped
from sidecar.importing.paths import Pattern
from sidecar.importing.regexes import path_patterns
from sidecar.importing.syntax import Block, ConfigDirective, Sources

_RESPONSES = ("return", "deny")
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)"""
    r"""|(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<mark>[;{}])"""
    r"""|(?P<word>(?:\\.|\$\{[^}\s]*\}|[^\s;{}\\]|(?<=[^\s;{}])\})+)""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"""\\(["'\\trn])""")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
# Files of every distribution that touch no response header.
_HARMLESS = re.compile(
    r"(mime\.types|(fastcgi|scgi|uwsgi|proxy)(_params|\.conf)|fastcgi-php\.conf"
    r"|options-ssl-nginx\.conf|modules-enabled/\*\.conf)$"
)


def importer(sources: Sources, notes: Notes) -> list[HeaderScope]:
    """The places of a configuration, first match first.

    Raises:
        PolicyError: a text that is none.
    """
    return places(_read(sources, notes), notes)


def places(block: Block, notes: Notes) -> list[HeaderScope]:
    """The places of a configuration (or a snippet of one), first match first."""
    opened = ((item.block or ()) if item.name == "http" else (item,) for item in block)
    http = tuple(chain.from_iterable(opened))
    outer = Level().below(http)
    servers = [item for item in http if item.name == "server" and item.block is not None]
    if not servers:
        servers = [ConfigDirective("server", (), block[0].where, http)] if block else []
        outer = Level()
    sites = [*filter(None, (_site(server, outer, notes) for server in servers))]
    found: list[HeaderScope] = []
    for hosts, site in by_host(one_per_name(sites, notes), in_order=False):
        found.extend(_server(hosts, site, outer, notes))
    return found


def _site(server: ConfigDirective, outer: Level, notes: Notes) -> VirtualServer | None:
    block = server.block or ()
    listens = [item.args for item in server.inside("listen")]
    tls = {"ssl" in args or f":{''.join(args[:1])}".endswith(":443") for args in listens}
    default = any("default_server" in args or "default" in args for args in listens)
    plain = not _touches(block) and not effects(outer, Notes())
    if any(item.name == "return" for item in block):
        alone(server, "this server", "return", notes, touches=_touches(block))
        return None
    named = [name.lower() for item in server.inside("server_name") for name in item.args]
    names = host_patterns(named, server.where, notes)
    only = next(iter(tls)) if len(tls) == 1 else None
    return VirtualServer(names, server, only, plain=plain, default=default)


def _touches(block: Block) -> bool:
    return any(item.name in TOUCHING or _touches(item.block or ()) for item in block)


def _server(
    hosts: tuple[str, ...], site: VirtualServer, outer: Level, notes: Notes
) -> Iterator[HeaderScope]:
    tell_dropped(outer, site.item, notes)
    level = outer.below(site.item.block or ())
    at_server = effects(level, notes)
    tree = _locations_of(site.item.block or (), level, notes)
    every = list(_flat(tree))
    lists = [at_server, *(location.effects for location in every)]
    several = dict.fromkeys(
        effect.header
        for held in lists
        for effect in held
        if not all(effect in others for others in lists)
    )
    differ = len(set(lists)) > 1
    _refusals(site.item, notes, differ=differ)
    for location in every if differ else ():
        answers = any(item.name in _RESPONSES for item in location.item.block or ())
        if location.patterns is None and not answers:
            names = ", ".join(several)
            message = f"no path glob expresses {location.item}; may differ there: {names}"
            notes.lost(location.item.where, message, "write a route for it by hand")
        if location.folds:
            message = f"{location.item} ignores case; the policy does not"
            notes.differs(location.item.where, message)

    def holds(pattern: Pattern) -> tuple[HeaderEffect, ...]:
        location, _ = _find(tree, pattern)
        return site.on_scheme(at_server if location is None else _handed_on(location, tree, notes))

    patterns = [pattern for location in every for pattern in location.patterns or ()]
    yield from placed(hosts, patterns, holds, (site.item.where, "locations", notes))


def _handed_on(
    location: _Location, tree: tuple[_Location, ...], notes: Notes
) -> tuple[HeaderEffect, ...]:
    """The effects of a location, or of the one that the end of try_files names (@name, path)."""
    tries = next((item for item in location.item.inside("try_files") if item.args), None)
    target = tries.args[-1].partition("?")[0] if tries else ""
    if tries is None or not target.startswith(("@", "/")) or "$" in target:
        return location.effects
    if target.startswith("@"):
        other = next((one for one in _flat(tree) if one.item.args == (target,)), None)
    else:
        other, _ = _find(tree, Pattern(target))
    if other is None or other.effects == location.effects:
        return location.effects
    own, rest = location.item.where.line, other.item.where.line
    text = f"files on disk get the headers of line {own}; the policy writes those of line {rest}"
    notes.differs(tries.where, f"try_files: {text}, where the rest goes")
    return other.effects


def _refusals(server: ConfigDirective, notes: Notes, *, differ: bool) -> None:
    """Statements that a policy cannot express; `differ`: not all locations do the same."""
    todo = [server]
    while todo:
        for item in todo.pop().block or ():
            reason = _reason(item, differ=differ)
            if reason is None:
                todo.append(item)
            else:
                notes.lost(item.where, *reason)


def _reason(item: ConfigDirective, *, differ: bool) -> tuple[str, str] | None:
    """Why a statement cannot be carried, and what to do by hand; None = it can."""
    if item.name == "if" and _touches(item.block or ()):
        fix = "write a rule with when, or a route with match: {method: ...}"
        return f"{item}: not carried, nor {named(item)}", fix
    if item.name == "expires" and item.args[:1] not in ((), ("off",)):
        return f"{item}: {draft.MOVING}", draft.MAX_AGE
    if item.name in ("proxy_cookie_flags", "proxy_cookie_path", "proxy_cookie_domain"):
        return f"{item.name} is not carried", draft.COOKIE_RULE
    if item.name == "add_trailer":
        return "add_trailer is not carried", "trailers pass unchanged"
    if item.name == "rewrite" and item.args[-1:] == ("last",) and differ:
        message = "rewrite ... last: the headers of the new path's location are not carried"
        return message, "write a route with that location's rules"
    return None


@dataclass(frozen=True, slots=True)
class _Location:
    """One location. `kind` is =, ^~, ~, @ or "" (prefix); `patterns` = None: no glob says it."""

    kind: str
    patterns: tuple[Pattern, ...] | None
    folds: bool
    effects: tuple[HeaderEffect, ...]
    inner: tuple[_Location, ...]
    item: ConfigDirective


def _locations_of(block: Block, level: Level, notes: Notes) -> tuple[_Location, ...]:
    """The tree of the locations in a block; `level` is what counts in the block itself."""
    found = []
    for item in block:
        if item.name != "location" or item.block is None or not item.args:
            continue
        tell_dropped(level, item, notes)
        below = level.below(item.block)
        kind, folds, patterns = _matched(item)
        inner = _locations_of(item.block, below, notes)
        found.append(_Location(kind, patterns, folds, effects(below, notes), inner, item))
    return tuple(found)


def _flat(tree: tuple[_Location, ...]) -> Iterator[_Location]:
    """Every location, outer ones first."""
    for location in tree:
        yield location
        yield from _flat(location.inner)


def _matched(item: ConfigDirective) -> tuple[str, bool, tuple[Pattern, ...] | None]:
    kind, text = item.args if len(item.args) == 2 else ("", item.args[0])
    for mark in ("^~", "~*", "~", "="):  # nginx takes `location =/x` too
        if not kind and text.startswith(mark):
            kind, text = mark, text[len(mark) :]
    lines = (str(item.where),)
    if kind in ("~", "~*"):
        return "~", kind == "~*", path_patterns(text, lines)
    if text.startswith("@"):
        return "@", False, ()
    if "*" in text or not text.startswith("/"):
        return kind, False, None
    return kind, False, (Pattern(text, None if kind == "=" else "", lines),)


def _find(tree: tuple[_Location, ...], path: Pattern) -> tuple[_Location | None, bool]:
    """The location of a path (or a region that matches alike), and whether the search ends."""

    def rank(one: _Location) -> tuple[bool, int]:
        return one.kind == "=", max(len(pattern.head) for pattern in one.patterns or ())

    fixed = [one for one in tree if one.kind not in ("~", "@") and _covers(one, path)]
    prefix: _Location | None = None
    best = max(fixed, key=rank, default=None)
    if best is not None and best.kind == "=":
        return best, True
    if best is not None:
        inner, ended = _find(best.inner, path)
        if ended:
            return inner, True
        prefix = inner or best
        if best.kind == "^~":
            return prefix, False
    for one in tree:
        if one.kind == "~" and _covers(one, path):
            inner, _ = _find(one.inner, path)
            return inner or one, True
    return prefix, False


def _covers(location: _Location, path: Pattern) -> bool:
    return any(pattern.covers(path) for pattern in location.patterns or ())


def _read(sources: Sources, notes: Notes) -> Block:
    """All directives of the given files, included ones in their place."""
    blocks = {name: parse(text, name) for name, text in sources.items()}

    def replace(item: ConfigDirective) -> Block | None:
        if item.name != "include" or not item.args:
            return None
        return syntax.included(item, blocks, None if _HARMLESS.search(item.args[0]) else notes)

    return syntax.assembled(blocks, ("include",), replace)


def parse(text: str, name: str, first_line: int = 1) -> Block:
    """The directives of one text; its first line counts as `first_line`."""
    builder, words, line, at = syntax.Builder(), list[str](), first_line, 0
    while at < len(text):
        where = SourceLine(name, line)
        found = _TOKEN.match(text, at)
        if found is None or (found["word"] and found[0][0] in "\"'"):
            message = f"not nginx configuration: {text[at : at + 20]!r} is never closed"
            raise syntax.refuse(where, message, "close the quote")
        at, token = found.end(), found[0]
        if found["mark"] is None and (found["quoted"] or found["word"]):
            if not words:
                start = where
            word = token[1:-1] if found["quoted"] else token
            words.append(_ESCAPE.sub(lambda mark: _ESCAPED.get(mark[1], mark[1]), word))
        elif token == ";":
            if words:
                builder.add(words, start)
            words = []
        elif token == "{":
            words = words or [""]
            if words[0].endswith("_by_lua_block"):
                at = _skipped(text, at, where)
                builder.add(words, start)
                token = text[found.start() : at]
            else:
                builder.open(words, where if words == [""] else start)
            words = []
        elif token == "}":
            if words:
                raise syntax.refuse(start, f"{words[0]!r} does not end with ';'", "add the ';'")
            builder.close(where)
        line += token.count("\n")
    if words:
        raise syntax.refuse(start, f"{words[0]!r} does not end with ';'", "add the ';'")
    return builder.done()


def _skipped(text: str, at: int, where: SourceLine) -> int:
    """The end of a block in another language, by its braces."""
    depth = 1
    while depth:
        found = re.compile(r"[{}]").search(text, at)
        if found is None:
            raise syntax.refuse(where, "the block is never closed", "close it")
        depth += 1 if found[0] == "{" else -1
        at = found.end()
    return at
