"""Traefik: headers middlewares, and the routers that use them, from files, container labels or Kubernetes resources.

Lives here: gathering both, and which router answers where. Must not know what a middleware's options do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.importing.documents import Document, documents
from sidecar.importing.draft import Effect, Notes, Place, SourceLine
from sidecar.importing.paths import ALL, Pattern, regions
from sidecar.importing.syntax import Sources
from sidecar.importing.traefik_headers import Option, effects
from sidecar.importing.traefik_rules import Ground, grounds

_PREFIX = "traefik.http."


@dataclass(frozen=True, slots=True)
class Middleware:
    """One middleware: its kind in lower case, its options, or the names that a chain stands for."""

    kind: str
    options: tuple[Option, ...]
    chain: tuple[str, ...]
    where: SourceLine


@dataclass(frozen=True, slots=True)
class Router:
    """Where middlewares apply, the outermost first."""

    rule: str
    middlewares: tuple[str, ...]
    priority: int
    where: SourceLine


@dataclass(slots=True)
class _Found:
    """What the texts hold, by name."""

    middlewares: dict[str, Middleware] = field(default_factory=dict)
    routers: list[Router] = field(default_factory=list)
    everywhere: list[str] = field(default_factory=list)
    """Middlewares of entry points: outside of every router's own."""

    def get(self, name: str) -> Middleware | None:
        """A middleware by its name, or by the name with its namespace before it, as annotations have it."""
        return self.middlewares.get(name) or next(
            (one for known, one in self.middlewares.items() if name.endswith(f"-{known}")), None
        )


def importer(sources: Sources, notes: Notes) -> list[Place]:
    """The places of a dynamic configuration, first match first."""
    found = _Found()
    for document in documents(sources, notes):
        if document.at("kind") == "Middleware":
            _middleware(
                found,
                str(document.at("metadata", "name")),
                _lower(document, ("spec",)),
                document.where(("spec",)),
            )
        elif document.at("kind") == "IngressRoute":
            _ingress_route(found, document)
        elif document.at("kind") == "Ingress":
            _ingress(found, document)
        else:
            _file(found, document)
            for path in _label_paths(document):
                _labels(found, document, path)
    headers = [name for name, one in found.middlewares.items() if one.kind == "headers"]
    if not headers:
        return []
    if (
        not any(_used(found, router.middlewares) for router in found.routers)
        and not found.everywhere
    ):
        for name in headers:
            notes.differs(
                found.middlewares[name].where,
                f"no router names the middleware {name!r}; it is taken for every request",
            )
        return [Place((), (), _response(found, tuple(headers), notes))]
    return list(_places(found, notes))


def _lower(document: Document, path: tuple[str | int, ...]) -> Iterator[Option]:
    """Every leaf below a path as an option: keys joined by dots, in lower case but for header names."""
    todo: list[tuple[tuple[str | int, ...], tuple[str, ...], Any]] = [
        (path, (), document.at(*path))
    ]
    while todo:
        place, names, value = todo.pop(0)
        if isinstance(value, dict):
            todo.extend(((*place, key), (*names, key), item) for key, item in value.items())
        elif names:
            yield Option(
                tuple(name.lower() for name in names[:2]) + names[2:], value, document.where(place)
            )


def _middleware(found: _Found, name: str, options: Iterable[Option], where: SourceLine) -> None:
    listed = tuple(options)
    kinds = {option.names[0] for option in listed if option.names}
    kind = "headers" if "headers" in kinds else next(iter(sorted(kinds)), "")
    chain = [
        text
        for option in listed
        if option.names == ("chain", "middlewares")
        for text in _names(option.value)
    ]
    inner = tuple(
        Option(option.names[1:], option.value, option.where)
        for option in listed
        if option.names[:1] == ("headers",) and len(option.names) > 1
    )
    found.middlewares[name] = Middleware(kind, inner, tuple(chain), where)


def _names(value: object) -> list[str]:
    """Names of middlewares: a list, a text with commas, or Kubernetes references; without their provider."""
    listed = (
        value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    )
    texts = [item.get("name", "") if isinstance(item, dict) else item for item in listed]
    return [str(text).strip().partition("@")[0] for text in texts]


def _file(found: _Found, document: Document) -> None:
    """The file provider, and the entry points of the static configuration."""
    for name in document.mapping("http", "middlewares"):
        _middleware(
            found,
            name,
            _lower(document, ("http", "middlewares", name)),
            document.where(("http", "middlewares", name)),
        )
    for name in document.mapping("http", "routers"):
        path = ("http", "routers", name)
        found.routers.append(
            _router(
                {key.lower(): value for key, value in document.mapping(*path).items()},
                document.where(path),
            )
        )
    for name in document.mapping("entryPoints"):
        found.everywhere += _names(document.at("entryPoints", name, "http", "middlewares"))


def _router(options: Mapping[str, Any], where: SourceLine) -> Router:
    rule = str(options.get("rule", ""))
    priority = str(options.get("priority", ""))
    return Router(
        rule,
        tuple(_names(options.get("middlewares"))),
        int(priority) if priority.isdigit() and len(priority) < 10 else len(rule),
        where,
    )


def _ingress_route(found: _Found, document: Document) -> None:
    for position, route in enumerate(document.items("spec", "routes")):
        if isinstance(route, dict):
            found.routers.append(
                _router(
                    {**route, "rule": route.get("match", "")},
                    document.where(("spec", "routes", position)),
                )
            )


def _ingress(found: _Found, document: Document) -> None:
    """A plain Ingress with Traefik's annotation: middlewares for every host and path that it names."""
    key = "traefik.ingress.kubernetes.io/router.middlewares"
    names = document.at("metadata", "annotations", key)
    for position, rule in enumerate(document.items("spec", "rules")):
        for number, path in enumerate(document.items("spec", "rules", position, "http", "paths")):
            if not isinstance(rule, dict) or not isinstance(path, dict):
                continue
            host = f"Host(`{rule['host']}`) && " if rule.get("host") else ""
            matcher = "Path" if path.get("pathType") == "Exact" else "PathPrefix"
            said = {"rule": f"{host}{matcher}(`{path.get('path') or '/'}`)", "middlewares": names}
            found.routers.append(
                _router(said, document.where(("spec", "rules", position, "http", "paths", number)))
            )


def _label_paths(document: Document) -> Iterator[tuple[str | int, ...]]:
    """Where a compose file has labels."""
    for name in document.mapping("services"):
        yield ("services", name, "labels")
        yield ("services", name, "deploy", "labels")


def _labels(found: _Found, document: Document, path: tuple[str | int, ...]) -> None:
    value = document.at(*path)
    pairs: list[tuple[str, object, SourceLine]] = []
    if isinstance(value, dict):
        pairs = [(key, item, document.where((*path, key))) for key, item in value.items()]
    elif isinstance(value, list):
        split = [
            (str(item).partition("="), document.where((*path, position)))
            for position, item in enumerate(value)
        ]
        pairs = [(key, text, where) for (key, _, text), where in split]
    options: dict[tuple[str, str], list[Option]] = {}
    for key, item, where in pairs:
        # In compose files a dollar sign is written twice.
        words = key[len(_PREFIX) :].split(".") if key.lower().startswith(_PREFIX) else []
        if len(words) >= 3:
            said = item.replace("$$", "$") if isinstance(item, str) else item
            names = tuple(word.lower() for word in words[2:4]) + (
                (".".join(words[4:]),) if words[4:] else ()
            )
            options.setdefault((words[0].lower(), words[1]), []).append(Option(names, said, where))
    for (group, name), listed in options.items():
        if group == "middlewares":
            _middleware(found, name, listed, listed[0].where)
        elif group == "routers":
            found.routers.append(
                _router({option.names[0]: option.value for option in listed}, listed[0].where)
            )


def _used(found: _Found, names: Iterable[str]) -> bool:
    return any(
        one.kind == "headers"
        for name in _unchained(found, tuple(names), 0)
        if (one := found.get(name)) is not None
    )


def _unchained(found: _Found, names: tuple[str, ...], depth: int) -> Iterator[str]:
    """The middlewares behind names, with chains opened, the outermost first."""
    for name in names[:100] if depth < 8 else ():
        one = found.get(name)
        if one is not None and one.kind == "chain":
            yield from _unchained(found, one.chain, depth + 1)
        else:
            yield name


def _response(found: _Found, names: tuple[str, ...], notes: Notes) -> tuple[Effect, ...]:
    """What middlewares do to a response: the innermost first, so that outer ones have the last word."""
    inside_out = [name for name, _ in zip(_unchained(found, names, 0), range(200), strict=False)][
        ::-1
    ]
    known = [one for name in inside_out if (one := found.get(name)) is not None]
    return tuple(
        effect for one in known if one.kind == "headers" for effect in effects(one.options, notes)
    )


def _places(found: _Found, notes: Notes) -> Iterator[Place]:
    """Routers by priority, for each host that a rule names and then for all others."""
    standing: list[tuple[Ground, Router]] = []
    for router in sorted(found.routers, key=lambda router: -router.priority):
        if any(
            one.kind in ("redirectscheme", "redirectregex")
            for name in router.middlewares
            if (one := found.get(name)) is not None
        ):
            continue  # it answers by itself
        known = grounds(router.rule, (str(router.where),))
        missing = [name for name in router.middlewares if found.get(name) is None]
        if missing:
            notes.lost(
                router.where,
                f"middlewares {', '.join(missing)} are not among the given texts; their headers are not carried",
                "give their file too",
            )
        if known is None:
            notes.lost(
                router.where,
                f"rule {router.rule[:120]} cannot be said as hosts and path globs; its headers are not carried",
                "write a route for it by hand",
            )
            continue
        standing += [(ground, router) for ground in known]
    hosts = tuple(dict.fromkeys(host for ground, _ in standing for host in ground.hosts))
    single = len(hosts) == 1 and all(ground.hosts for ground, _ in standing)
    for host in hosts if not single else ():
        yield from _host(
            (host,),
            [
                (ground.patterns, router)
                for ground, router in standing
                if host in ground.hosts or not ground.hosts
            ],
            found,
            notes,
        )
    yield from _host(
        (),
        [(ground.patterns, router) for ground, router in standing if single or not ground.hosts],
        found,
        notes,
    )


def _host(
    hosts: tuple[str, ...],
    standing: list[tuple[tuple[Pattern, ...], Router]],
    found: _Found,
    notes: Notes,
) -> Iterator[Place]:
    def holds(region: Pattern) -> tuple[Effect, ...]:
        for patterns, router in standing:
            if any(pattern.covers(region) for pattern in patterns):
                return _response(found, (*found.everywhere, *router.middlewares), notes)
        return ()

    cut = regions([pattern for patterns, _ in standing for pattern in patterns], holds)
    if cut is None:
        notes.lost(
            standing[0][1].where,
            "routers overlap in too many ways; they are not carried",
            "import fewer at a time",
        )
        return
    for group, held in cut:
        yield Place(hosts, () if group == (ALL,) else group, held)
