"""Caddy: the header directives of every site, in the order of Caddy, as they count for each path.

A site is a directive whose words are its addresses; global options have the name "". Facts:
caddyserver.com/docs/caddyfile/directives (header, handle, route, reverse_proxy).
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace as with_changes

from sidecar.importing import syntax
from sidecar.importing.caddy_headers import CaddyOperations, effects, steps_of, upstream_step
from sidecar.importing.caddy_matchers import Matcher, definitions, matcher, split
from sidecar.importing.draft import HeaderEffect, HeaderScope, Notes, SourceLine, placed
from sidecar.importing.hosts import VirtualServer, alone, by_host, host_patterns, one_per_name
from sidecar.importing.paths import Pattern
from sidecar.importing.syntax import Block, ConfigDirective, Sources, everything

_BODY = frozenset(
    """
    encode file_server handle handle_path header php_fastcgi redir respond reverse_proxy rewrite
    root route tls
    """.split()
)
_ADDRESS = re.compile(r"(?:(https?)://)?(\[[^\]]*\]|[^:/]*)(?::[^/]*)?(?:/.*)?")
_EXCLUSIVE = ("handle", "handle_path")
_PROXIES = ("reverse_proxy", "php_fastcgi")
_MATCHED = ("header", "route", *_EXCLUSIVE, *_PROXIES)
"""Directives that count where their matcher holds."""
_RANKS = {"header": 0, "handle": 1, "handle_path": 1, "route": 2}
"""Caddy's order of directives; the proxies are last."""
_TOKEN = re.compile(
    r"""(?P<space>[^\S\n]+|\\[ \t]*\n)|(?P<line>\n)|(?P<comment>\#[^\n]*)"""
    r"""|(?P<quoted>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<word>\S+)""",
    re.DOTALL,
)
_ARGUMENT = re.compile(r"\{args(?:\.(\d+)|\[(\d+)\])\}")


def importer(sources: Sources, notes: Notes) -> list[HeaderScope]:
    """The places of a Caddyfile, or of the inside of a site, first match first.

    Raises:
        PolicyError: a text that is none.
    """
    # Without global options.
    block = tuple(item for item in _read(sources, notes) if item.name)
    if not block:
        return []
    if block[0].name in _BODY or block[0].name.startswith("@"):
        block = (ConfigDirective("", (), block[0].where, block),)
    elif block[0].block is None:  # one site without braces
        block = (ConfigDirective(block[0].name, block[0].args, block[0].where, block[1:]),)
    sites = [site for site in (_site(item, notes) for item in block) if site is not None]
    if len(sites) == 1:
        return list(_places((), sites[0], notes))
    found: list[HeaderScope] = []
    for hosts, site in by_host(one_per_name(sites, notes), in_order=False):
        # Caddy serves only the hosts that it names.
        names = hosts or (() if not site.names else tuple(name for name in site.names if name))
        found.extend(_places(names, site, notes))
    return found


def _site(item: ConfigDirective, notes: Notes) -> VirtualServer | None:
    body = item.block or ()
    touches = bool(_headers(item))
    for inner in everything(body):
        if inner.name == "handle_errors" and _headers(inner):
            message = "handle_errors: headers of Caddy's own error responses are not carried"
            fix = "the policy's rules count for the sidecar's own responses too"
            notes.lost(inner.where, message, fix)
    if any(inner.name in ("redir", "respond") and not split(inner)[0] for inner in body):
        alone(item, "this site", "redir, respond", notes, touches=touches)
        return None
    names: list[str] = []
    schemes: set[str] = set()
    for address in filter(None, ",".join((item.name, *item.args)).split(",")):
        found = _ADDRESS.fullmatch(address)
        names.append(found[2].lower() if found else address)
        schemes.add((found[1] or "") if found else "")
    tls = False if schemes == {"http"} else True if schemes == {"https"} else None
    known = host_patterns([name for name in names if name], item.where, notes)
    return VirtualServer(known, item, tls, plain=not touches, default="" in names)


def _headers(item: ConfigDirective) -> list[ConfigDirective]:
    """The header directives in a directive, itself among them."""
    every = (item, *everything(item.block or ()))
    return [inner for inner in every if inner.name in ("header", "header_down")]


def _places(hosts: tuple[str, ...], site: VirtualServer, notes: Notes) -> Iterator[HeaderScope]:
    body = site.item.block or ()
    patterns = list(_patterns(body, definitions(body)))

    def holds(region: Pattern) -> tuple[HeaderEffect, ...]:
        chain = list(_chain(body, region, {}, notes, literal=False))
        return site.on_scheme(effects(chain, notes))

    yield from placed(hosts, patterns, holds, (site.item.where, "matchers", notes))


def _patterns(block: Block, named: Mapping[str, Block]) -> Iterator[Pattern]:
    """Every path on which something in the block depends."""
    scope = {**named, **definitions(block)}
    for item in block:
        if item.name in _MATCHED:
            found = matcher(split(item)[0], scope, item.where)
            yield from found.patterns() if found is not None else ()
        if item.name in ("route", *_EXCLUSIVE):
            yield from _patterns(item.block or (), scope)


def _chain(
    block: Block, region: Pattern, named: Mapping[str, Block], notes: Notes, *, literal: bool
) -> Generator[CaddyOperations, None, bool]:
    """The steps of a response for the region's paths, from outside in, up to the first proxy.

    Args:
        block: the directives of a site, or of a handle or route block.
        region: all of its paths match alike.
        named: the matchers of the blocks around.
        notes: takes a message for each matcher that cannot be expressed.
        literal: in the order written, as in route; otherwise in Caddy's.

    Returns:
        Whether a proxy was reached.
    """
    scope = {**named, **definitions(block)}
    matched = ((item, _asked(item, scope, notes)) for item in block)
    asked = [(item, found) for item, found in matched if found and found.covers(region)]
    if not literal:  # among equals longer paths are first, and what has no matcher last
        asked.sort(
            key=lambda entry: (
                _RANKS.get(entry[0].name, 3),
                split(entry[0])[0] in ("", "*"),
                -entry[1].length,
            )
        )
    handled = False
    for item, found in asked:
        if item.name == "header":
            yield from steps_of(item, split(item)[1], found.when, notes)
        elif item.name in _PROXIES:
            yield upstream_step(item, notes)
            return True
        elif item.name == "route" or not handled:
            handled = handled or item.name in _EXCLUSIVE
            inner, literal = item.block or (), item.name == "route"
            if (yield from _chain(inner, region, scope, notes, literal=literal)):
                return True
    return False


def _asked(item: ConfigDirective, scope: Mapping[str, Block], notes: Notes) -> Matcher | None:
    """The matcher of a directive that counts here; None = not here, or not expressible."""
    if item.name not in _MATCHED:
        return None
    found = matcher(split(item)[0], scope, item.where)
    if found is not None and (item.name == "header" or not found.when):
        return found
    if inside := _headers(item):
        message = f"{item.name} {split(item)[0]}: no path glob or `when` expresses the matcher"
        fix = "write a route or a rule with when by hand"
        fields = [
            name.lstrip("+-?>")
            for header in inside
            for name in split(header)[1][:1] or [line.name for line in header.block or ()]
        ]
        names = ", ".join(dict.fromkeys(fields))
        notes.lost(item.where, f"{message}; not carried: {names}", fix)
    return None


def _read(sources: Sources, notes: Notes) -> Block:
    """All directives of the given files, imported snippets and files in their place."""
    blocks = {name: _parse(text, name) for name, text in sources.items()}
    snippets = {
        item.name: item.block
        for block in blocks.values()
        for item in block
        if item.name.startswith("(") and item.block is not None
    }

    def replace(item: ConfigDirective) -> Block | None:
        if item.name.startswith("(") and item.block is not None:
            return ()
        if item.name != "import" or not item.args:
            return None
        snippet = snippets.get(f"({item.args[0]})")
        block = syntax.included(item, blocks, notes) if snippet is None else snippet
        return _filled(block, item.args[1:])

    return syntax.assembled(blocks, ("import",), replace)


def _parse(text: str, name: str) -> Block:
    """The directives of one text."""
    builder, words, at, line, brace = syntax.Builder(), list[str](), 0, 1, False
    start = SourceLine(name, 1)
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or (found["word"] and found["word"][0] in '"`'):
            raise syntax.refuse(
                SourceLine(name, line), "a quote is never closed", "close the quote"
            )
        at = found.end()
        if found["quoted"] or found["word"]:
            if not words:
                start = SourceLine(name, line)
            word = found[0]
            if found["quoted"]:
                word = word[1:-1] if word[0] == "`" else word[1:-1].replace('\\"', '"')
            words.append(word)
            brace = found["word"] in ("{", "}")
        elif found["line"] and words and not words[-1].endswith(","):
            _statement(builder, words, start, brace=brace)
            words = []
        line += found[0].count("\n")
    if words:
        _statement(builder, words, start, brace=brace)
    return builder.done()


def _statement(
    builder: syntax.Builder, words: list[str], where: SourceLine, *, brace: bool
) -> None:
    """A line; `brace`: its last word is a brace of a block, not a quoted one."""
    if brace and words == ["}"]:
        builder.close(where)
    elif brace and words[-1] == "{":
        builder.open(words[:-1] or [""], where)
    else:
        builder.add(words, where)


def _filled(block: Block, args: tuple[str, ...]) -> Block:
    """A snippet's directives with the arguments of its import."""

    def argument(found: re.Match[str]) -> str:
        number = int(found[1] or found[2])
        return args[number] if number < len(args) else found[0]

    def fill(text: str) -> str:
        return _ARGUMENT.sub(argument, text)

    return tuple(
        with_changes(
            item,
            name=fill(item.name),
            args=tuple(map(fill, item.args)),
            block=None if item.block is None else _filled(item.block, args),
        )
        for item in block
    )
