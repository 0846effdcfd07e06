"""Apache httpd: the headers of every virtual host and section, as they count for each path.

Names come out in lower case, the words of a section without its angle brackets. Source: httpd, "How
the sections are merged".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from dataclasses import replace as with_changes

from sidecar.importing import draft, syntax
from sidecar.importing.apache_headers import TABLES, effects
from sidecar.importing.draft import HeaderEffect, HeaderScope, Notes, SourceLine, placed
from sidecar.importing.hosts import VirtualServer, alone, by_host, host_patterns, one_per_name
from sidecar.importing.paths import ALL, Pattern, below, meet
from sidecar.importing.regexes import path_patterns
from sidecar.importing.syntax import Block, ConfigDirective, Sources, everything

_TRANSPARENT = ("ifmodule", "ifdefine", "ifversion")
_PATHS = {
    "directory": 1,
    "directorymatch": 2,
    "files": 3,
    "filesmatch": 3,
    "location": 4,
    "locationmatch": 4,
}
_WORD = re.compile(r"""\s*(?:"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|(\S+))""", re.DOTALL)
_INCLUDES = ("include", "includeoptional")


@dataclass(frozen=True, slots=True)
class Section:
    """Header statements for the paths of `patterns`, in the order of `rank`, then as written."""

    rank: tuple[int, int]
    patterns: tuple[Pattern, ...]
    headers: Block


def importer(sources: Sources, notes: Notes) -> list[HeaderScope]:
    """The places of a configuration, an .htaccess file or a part of one, first match first.

    Raises:
        PolicyError: a text that is none.
    """
    block = _read(sources, notes)
    main = tuple(_opened(block, notes))
    base = _sections(main, main, notes)
    hosts = [item for item in main if item.name == "virtualhost"]
    for item in everything(block):
        if item.name in ("servertokens", "serversignature"):
            text = "is about Apache's own name; the sidecar sends none and passes the service's"
            notes.differs(item.where, f"{item.name} {text}")
        elif item.name in ("expiresdefault", "expiresbytype"):
            notes.lost(item.where, f"{item}: {draft.MOVING}", draft.MAX_AGE)
    if not hosts:
        whole = VirtualServer((), ConfigDirective("", (), SourceLine("")))
        return list(_server((), base, whole, notes))
    sites = [site for site in (_site(item, base, notes) for item in hosts) if site is not None]
    found: list[HeaderScope] = []
    for names, site in by_host(one_per_name(sites, notes), in_order=True):
        inner = tuple(_opened(site.item.block or (), notes))
        sections = [*base, *_sections(inner, (*inner, *main), notes)]
        found.extend(_server(names, sections, site, notes))
    return found


def _opened(block: Block, notes: Notes) -> Iterator[ConfigDirective]:
    """The statements with <IfModule> and the like opened, as if every module were loaded."""
    for item in block:
        if item.name not in _TRANSPARENT:
            inner = None if item.block is None else tuple(_opened(item.block, notes))
            yield replace(item, block=inner)
        elif not item.args or not item.args[0].startswith("!"):
            yield from _opened(item.block or (), notes)
        elif _touches(item.block or ()):
            message = f"<{item.name} {item.args[0]}> is read as false; not carried: {_names(item)}"
            notes.lost(item.where, message, "import them alone if they count")


def _touches(block: Block) -> bool:
    return any(inner.name == "header" for inner in everything(block))


def _site(item: ConfigDirective, base: list[Section], notes: Notes) -> VirtualServer | None:
    block = item.block or ()
    serving = ("documentroot", "proxypass", "proxypassmatch")
    serves = any(inner.name in serving for inner in everything(block))
    redirects = any(inner.name.startswith("redirect") and "/" in inner.args for inner in block)
    rules = (inner for inner in block if inner.name == "rewriterule" and len(inner.args) > 2)
    rewrites = any("R" in inner.args[-1].strip("[]").partition("=")[0] for inner in rules)
    if redirects or (rewrites and not serves):
        alone(item, "this host", "Redirect", notes, touches=_touches(block))
        return None
    engine = any(inner.args[:1] == ("on",) for inner in item.inside("sslengine"))
    ports = {arg.rpartition(":")[2] for arg in item.args}
    tls = True if engine or ports == {"443"} else False if ports == {"80"} else None
    named = (arg for inner in item.inside("servername", "serveralias") for arg in inner.args)
    names = [re.sub("^https?://", "", name.lower()).partition(":")[0] for name in named]
    plain = not _touches(block) and not base
    return VirtualServer(host_patterns(names, item.where, notes), item, tls, plain=plain)


def _sections(block: Block, around: Block, notes: Notes) -> list[Section]:
    """A server's own statements and those of its sections; `around` has DocumentRoot and Alias."""
    own = tuple(item for item in block if item.name == "header")
    found = [Section((0, 0), (ALL,), own)] if own else []
    for item in block:
        found.extend(_section(item, around, (ALL,), notes))
    return found


def _section(
    item: ConfigDirective, around: Block, outer: tuple[Pattern, ...], notes: Notes
) -> Iterator[Section]:
    """A section and those inside it; `outer` is where the one around it counts."""
    if item.block is None or item.name == "virtualhost" or not _touches(item.block):
        return
    matched = _paths(item, around, notes) if item.name in _PATHS else None
    if matched is None:
        message = f"no path glob or `when` expresses <{item}>; not carried: {_names(item)}"
        notes.lost(item.where, message, "write a route for it by hand, or a rule with `when`")
        return
    met = (found for one in outer for two in matched for found in meet(one, two))
    patterns = tuple(dict.fromkeys(met))
    rank = (_PATHS[item.name], len(item.args[0]) if item.name == "directory" and item.args else 0)
    yield Section(rank, patterns, tuple(item.inside("header")))
    for inner in item.block:
        yield from _section(inner, around, patterns, notes)


def _names(section: ConfigDirective) -> str:
    """The headers that a section's statements are about."""
    statements = [item.args for item in everything(section.block or ()) if item.name == "header"]
    starts = [args[1:] if args[:1] and args[0].lower() in TABLES else args for args in statements]
    return ", ".join(dict.fromkeys(args[1] for args in starts if len(args) > 1))


def _paths(item: ConfigDirective, around: Block, notes: Notes) -> tuple[Pattern, ...] | None:
    """The paths that a section covers; None when globs cannot express it."""
    regex = item.name.endswith("match") or item.args[:1] == ("~",)
    text = item.args[-1] if item.args else ""
    lines = (str(item.where),)
    if item.name.startswith("files"):
        if not regex:  # a name with *
            parts = (re.sub(r"([\W_])", r"\\\1", part) for part in text.split("*"))
            text = f"^{'.*'.join(parts)}$"
        return path_patterns(text, lines, in_name=True)
    if regex:
        return path_patterns(text, lines) if item.name.startswith("location") else None
    if set("*?[") & set(text):
        return None
    if item.name == "location":
        return below(text, lines) if text.startswith("/") else None
    return _folder(text.rstrip("/"), around, item, notes)


def _folder(
    folder: str, around: Block, item: ConfigDirective, notes: Notes
) -> tuple[Pattern, ...] | None:
    """The paths that are served from a folder on disk, by DocumentRoot and Alias."""
    lines = (str(item.where),)
    roots = [("", inner.args[0]) for inner in around if inner.name == "documentroot" and inner.args]
    aliases = [inner.args for inner in around if inner.name == "alias" and len(inner.args) == 2]
    if not roots and not aliases:
        text = "is read as the whole site: no DocumentRoot or Alias is given"
        notes.differs(item.where, f"<Directory {folder}> {text}")
        return (Pattern("/", "", lines),)
    found: list[Pattern] = []
    for prefix, path in (*roots[:1], *aliases):
        url, root = prefix.rstrip("/"), path.rstrip("/")
        if f"{root}/".startswith(f"{folder}/"):
            found += below(url or "/", lines)
        elif folder.startswith(f"{root}/"):
            found += below(url + folder[len(root) :], lines)
    return tuple(found) or None


def _server(
    hosts: tuple[str, ...], sections: list[Section], site: VirtualServer, notes: Notes
) -> Iterator[HeaderScope]:
    """The places of one server: for each region, the statements of every section that covers it."""
    ordered = sorted(sections, key=lambda section: section.rank)

    def holds(path: Pattern) -> tuple[HeaderEffect, ...]:
        chosen = (one for one in ordered if any(each.covers(path) for each in one.patterns))
        items = tuple(item for section in chosen for item in section.headers)
        return site.on_scheme(effects(items, notes))

    patterns = [pattern for section in ordered for pattern in section.patterns]
    where = ordered[0].headers[0].where if ordered and ordered[0].headers else SourceLine("")
    yield from placed(hosts, patterns, holds, (where, "sections", notes))


def _read(sources: Sources, notes: Notes) -> Block:
    """All directives of the given files, included ones in their place."""
    blocks = {name: _parse(text, name) for name, text in sources.items()}
    defined = {
        item.args[0]: item.args[1]
        for block in blocks.values()
        for item in everything(block)
        if item.name == "define" and len(item.args) == 2
    }

    def replace(item: ConfigDirective) -> Block | None:
        if item.name in _INCLUDES and item.args:
            return syntax.included(item, blocks, notes if item.name == "include" else None)
        args = tuple(
            re.sub(r"\$\{(\w+)\}", lambda found: defined.get(found[1], found[0]), arg)
            for arg in item.args
        )
        return (with_changes(item, args=args),) if args != item.args else None

    return syntax.assembled(blocks, _INCLUDES, replace)


def _parse(text: str, name: str) -> Block:
    """The directives of one text."""
    builder, lines = syntax.Builder(), text.split("\n")
    number = 0
    while number < len(lines):
        where, line = SourceLine(name, number + 1), lines[number].strip()
        number += 1
        while line.endswith("\\") and not line.startswith("#") and number < len(lines):
            line = f"{line[:-1]} {lines[number].strip()}"
            number += 1
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        section = line.startswith("<")
        if section and not line.endswith(">"):
            message = f"not httpd configuration: {line[:40]!r} has no '>'"
            raise syntax.refuse(where, message, "end the section's head with '>'")
        if line.startswith("</"):
            builder.close(where, line[2:-1].strip().lower())
            continue
        first, *rest = _words(line[1:-1] if section else line, where) or [""]
        statement = builder.open if section else builder.add
        statement([first.lower(), *rest], where)
    return builder.done()


def _words(text: str, where: SourceLine) -> list[str]:
    """Words as httpd's ap_getword_conf cuts them: in quotes, a backslash keeps the quote."""
    words, at = list[str](), 0
    text = text.rstrip()
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None or (found[3] and found[3][0] in "\"'"):
            raise syntax.refuse(
                where, f"a quote in {text[:40]!r} is never closed", "close the quote"
            )
        at = found.end()
        if found[3] is not None:
            words.append(found[3].replace("\\\\", "\\"))
        else:
            quote, word = ("'", found[2]) if found[1] is None else ('"', found[1])
            words.append(word.replace("\\\\", "\\").replace(f"\\{quote}", quote))
    return words
