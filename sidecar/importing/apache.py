"""Apache httpd: the headers of every virtual host and section, as they count for each path.

Lives here: which sections cover a path, and in which order they count (httpd, "How the sections are merged"). Must
not know what Header statements do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sidecar.importing.apache_headers import condition, effects
from sidecar.importing.draft import MAX_AGE, MOVING, Effect, Notes, Place, SourceLine, When, placed
from sidecar.importing.hosts import Site, by_host, sayable, without_twins
from sidecar.importing.paths import ALL, Pattern, below, meet
from sidecar.importing.regexes import name_patterns, path_patterns
from sidecar.importing.syntax import Block, Directive, everything

_TRANSPARENT = ("ifmodule", "ifdefine", "ifversion")
_PATHS = {
    "directory": 1,
    "directorymatch": 2,
    "files": 3,
    "filesmatch": 3,
    "location": 4,
    "locationmatch": 4,
    "if": 5,
}


@dataclass(frozen=True, slots=True)
class Section:
    """Header statements that count for the paths of `patterns`. Sections count in the order of `rank`, then as written."""

    rank: tuple[int, int]
    patterns: tuple[Pattern, ...]
    headers: Block


def places(block: Block, notes: Notes) -> list[Place]:
    """The places of a configuration, an .htaccess file or a part of one, first match first."""
    main = tuple(_opened(block, notes))
    base = _sections(main, main, notes)
    hosts = [item for item in main if item.name == "virtualhost"]
    for item in everything(block):
        if item.name in ("servertokens", "serversignature"):
            notes.differs(
                item.where,
                f"{item.name} is about Apache's own name; the sidecar sends none, and the service's own passes",
            )
        elif item.name in ("expiresdefault", "expiresbytype"):
            notes.lost(item.where, f"{item}: {MOVING}", MAX_AGE)
    sites = (
        [site for site in (_site(item, base, notes) for item in hosts) if site is not None]
        if hosts
        else []
    )
    if not sites:
        return (
            []
            if hosts
            else list(_server((), base, Site((), Directive("", (), SourceLine(""))), notes))
        )
    found: list[Place] = []
    for names, site in by_host(without_twins(sites, notes), in_order=True):
        inner = tuple(_opened(site.item.block or (), notes))
        found.extend(
            _server(names, [*base, *_sections(inner, (*inner, *main), notes)], site, notes)
        )
    return found


def _opened(block: Block, notes: Notes) -> Iterator[Directive]:
    """The statements with <IfModule> and its like opened: what httpd would read with every module loaded."""
    for item in block:
        if item.name not in _TRANSPARENT:
            yield (
                item
                if item.block is None
                else replace(item, block=tuple(_opened(item.block, notes)))
            )
        elif not item.args or not item.args[0].startswith("!"):
            yield from _opened(item.block or (), notes)
        elif any(inner.name == "header" for inner in everything(item.block or ())):
            notes.lost(
                item.where,
                f"<{item.name} {item.args[0]}> is taken as not so; not carried: {_names(item)}",
                "import them alone if they count",
            )


def _site(item: Directive, base: list[Section], notes: Notes) -> Site | None:
    block = item.block or ()
    touches = any(inner.name == "header" for inner in everything(block))
    names = [
        arg.lower() for inner in item.inside("servername", "serveralias") for arg in inner.args
    ]
    serves = any(
        inner.name in ("documentroot", "proxypass", "proxypassmatch") for inner in everything(block)
    )
    redirects = any(inner.name.startswith("redirect") and "/" in inner.args for inner in block)
    rewrites = any(
        inner.name == "rewriterule" and "R" in inner.args[-1].strip("[]").partition("=")[0]
        for inner in block
        if len(inner.args) > 2
    )
    if redirects or (rewrites and not serves):
        if touches:
            notes.lost(
                item.where,
                "this host answers by itself (Redirect); headers of such responses are not the service's",
                "nothing, if the service is not behind it",
            )
        return None
    engine = any(inner.args[:1] == ("on",) for inner in item.inside("sslengine"))
    ports = {arg.rpartition(":")[2] for arg in item.args}
    tls = True if engine or ports == {"443"} else False if ports == {"80"} else None
    bare = [
        name.removeprefix("https://").removeprefix("http://").partition(":")[0] for name in names
    ]
    return Site(sayable(bare, item.where, notes), item, tls, plain=not touches and not base)


def _sections(block: Block, around: Block, notes: Notes) -> list[Section]:
    """What a server says at its own level and in its sections; `around` holds DocumentRoot and Alias."""
    own = tuple(item for item in block if item.name == "header")
    found = [Section((0, 0), (ALL,), own)] if own else []
    for item in block:
        found.extend(_section(item, around, (ALL,), notes))
    return found


def _section(
    item: Directive, around: Block, outer: tuple[Pattern, ...], notes: Notes
) -> Iterator[Section]:
    """A section and those inside it; `outer` is where the one around it counts."""
    if (
        item.block is None
        or item.name == "virtualhost"
        or not any(inner.name == "header" for inner in everything(item.block))
    ):
        return
    said = f"<{item}>"
    # <If> is asked before the service answers, so only what is known of the request can count in it.
    when: When | None = condition(f"expr={' '.join(item.args)}") if item.name == "if" else ()
    if when and when[0][0] != "scheme":
        when = None
    matched = _paths(item, around, notes) if item.name in _PATHS else None
    if matched is None or when is None:
        notes.lost(
            item.where,
            f"{said} cannot be said as path globs or as `when`; not carried: {_names(item)}",
            "write a route for it by hand",
        )
        return
    patterns = tuple(
        dict.fromkeys(found for one in outer for two in matched for found in meet(one, two))
    )
    rank = (_PATHS[item.name], len(item.args[0]) if item.name == "directory" and item.args else 0)
    own = (
        tuple(_conditional(inner, item, notes) for inner in item.inside("header"))
        if when
        else tuple(item.inside("header"))
    )
    yield Section(rank, patterns, own)
    for inner in item.block:
        yield from _section(inner, around, patterns, notes)


def _names(section: Directive) -> str:
    """The headers that a section's statements are about."""
    statements = [item.args for item in everything(section.block or ()) if item.name == "header"]
    names = [
        args[2] if args[0].lower() in ("always", "onsuccess") else args[1]
        for args in statements
        if len(args) > 2 or len(args) == 2
    ]
    return ", ".join(dict.fromkeys(names))


def _conditional(header: Directive, section: Directive, notes: Notes) -> Directive:
    """A statement in <If>, as if it had the condition itself."""
    if any(arg.startswith(("expr=", "env=")) for arg in header.args):
        notes.lost(
            header.where,
            "a condition inside <If> counts alone here",
            "write the rule by hand, with both conditions",
        )
        return header
    return replace(header, args=(*header.args, f"expr={' '.join(section.args)}"))


def _paths(item: Directive, around: Block, notes: Notes) -> tuple[Pattern, ...] | None:
    """The paths that a section covers; None when globs cannot say it."""
    regex = item.name.endswith("match") or item.args[:1] == ("~",)
    text = item.args[-1] if item.args else ""
    lines = (str(item.where),)
    if item.name == "if":
        return (ALL,)
    if item.name.startswith("files"):
        return name_patterns(text if regex else _globbed(text), lines)
    if item.name.startswith("location"):
        return (
            path_patterns(text, lines)
            if regex
            else None
            if set("*?[") & set(text) or not text.startswith("/")
            else below(text, lines)
        )
    return (
        None if regex or set("*?[") & set(text) else _folder(text.rstrip("/"), around, item, notes)
    )


def _globbed(glob: str) -> str:
    """A file name with * as the regular expression of the whole name."""
    escaped = "".join(
        ".*" if char == "*" else char if char.isalnum() else f"\\{char}" for char in glob
    )
    return f"^{escaped}$"


def _folder(
    folder: str, around: Block, item: Directive, notes: Notes
) -> tuple[Pattern, ...] | None:
    """The paths that are served from a folder on disk, by DocumentRoot and Alias."""
    lines = (str(item.where),)
    roots = [
        ("", inner.args[0]) for inner in around if inner.name == "documentroot" and inner.args
    ][:1]
    aliases = [
        (inner.args[0].rstrip("/"), inner.args[1])
        for inner in around
        if inner.name == "alias" and len(inner.args) == 2
    ]
    if not roots and not aliases:
        notes.differs(
            item.where,
            f"<Directory {folder}> is taken for the whole site: no DocumentRoot or Alias is given",
        )
        return (Pattern("/", "", lines),)
    found: list[Pattern] = []
    for url, path in (*roots, *aliases):
        root = path.rstrip("/")
        if f"{root}/".startswith(f"{folder}/"):
            found += below(url or "/", lines)
        elif folder.startswith(f"{root}/"):
            found += below(url + folder[len(root) :], lines)
    return tuple(found) or None


def _server(
    hosts: tuple[str, ...], sections: list[Section], site: Site, notes: Notes
) -> Iterator[Place]:
    """The places of one server: for each region, the statements of every section that covers it."""
    ordered = sorted(sections, key=lambda section: section.rank)

    def holds(path: Pattern) -> tuple[Effect, ...]:
        covering = [
            section
            for section in ordered
            if any(pattern.covers(path) for pattern in section.patterns)
        ]
        items = tuple(item for section in covering for item in section.headers)
        return site.on_scheme(effects(items, notes))

    def outside() -> tuple[Effect, ...]:
        alone = [section for section in ordered if section.patterns == (ALL,)]
        return site.on_scheme(effects(tuple(item for one in alone for item in one.headers), notes))

    patterns = [pattern for section in ordered for pattern in section.patterns]
    where = ordered[0].headers[0].where if ordered and ordered[0].headers else SourceLine("")
    yield from placed(hosts, patterns, holds, outside, (where, "sections", notes))
