"""Traefik: headers middlewares and their routers, from files, labels or Kubernetes resources.

customResponseHeaders are set, or removed where empty, after the security options have set theirs.
Facts: doc.traefik.io on the headers middleware.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sidecar.importing.documents import Document, documents
from sidecar.importing.draft import GIVE, HeaderEffect, HeaderScope, Notes, SourceLine, placed
from sidecar.importing.paths import Pattern
from sidecar.importing.syntax import Sources
from sidecar.importing.traefik_rules import RuleAlternative, rule_alternatives
from sidecar.policy.data import read_table
from sidecar.policy.terms import Path

_ANNOTATION = "traefik.ingress.kubernetes.io/router.middlewares"
_OPTIONS = read_table("sidecar.importing", "traefik.json")
"""Options by what they do: `values` are the value of a header; `switches` switch one on, with the
option that may replace it; `others` are read elsewhere, or about requests.
"""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its names from the outside in (lower case but for headers), value, place."""

    names: tuple[str, ...]
    value: object
    where: SourceLine


@dataclass(frozen=True, slots=True)
class TraefikMiddleware:
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
    """What the texts have, by name."""

    middlewares: dict[str, TraefikMiddleware] = field(default_factory=dict)
    routers: list[Router] = field(default_factory=list)
    everywhere: list[str] = field(default_factory=list)
    """Middlewares of entry points: outside of every router's own."""

    def get(self, name: str) -> TraefikMiddleware | None:
        """A middleware by its name, or by namespace and name, as annotations have it."""
        if name in self.middlewares:
            return self.middlewares[name]
        known = self.middlewares.items()
        return next((one for key, one in known if name.endswith(f"-{key}")), None)

    def all(self, names: Iterable[str]) -> list[TraefikMiddleware]:
        """The middlewares of these names that are known, in their order."""
        return [one for name in names if (one := self.get(name)) is not None]


def importer(sources: Sources, notes: Notes) -> list[HeaderScope]:
    """The places of a dynamic configuration, first match first."""
    found = _Found()
    for document in documents(sources, notes):
        if document.at("kind") == "Middleware":
            _middleware(found, str(document.at("metadata", "name")), document, ("spec",))
        elif document.at("kind") == "IngressRoute":
            for position, route in enumerate(document.items("spec", "routes")):
                if isinstance(route, dict):
                    said = {**route, "rule": route.get("match", "")}
                    _router(found, said, document.where(("spec", "routes", position)))
        elif document.at("kind") == "Ingress":
            _ingress(found, document)
        else:
            for part in (document, *_labelled(document)):
                _file(found, part)
    headers = [name for name, one in found.middlewares.items() if one.kind == "headers"]
    named = (found.all(_unchained(found, router.middlewares, 0)) for router in found.routers)
    used = any(one.kind == "headers" for middlewares in named for one in middlewares)
    if not headers or used or found.everywhere:
        return list(_places(found, notes)) if headers else []
    for name in headers:
        message = f"no router names the middleware {name!r}; it counts for every request"
        notes.differs(found.middlewares[name].where, message)
    return [HeaderScope((), (), _response(found, tuple(headers), notes))]


def _middleware(found: _Found, name: str, document: Document, path: Path) -> None:
    kinds = {str(key).lower(): key for key in document.mapping(*path)}
    kind = "headers" if "headers" in kinds else next(iter(sorted(kinds)), "")
    chain = document.mapping(*path, kinds.get("chain", ""))
    inner: list[Option] = []
    for key, value in document.mapping(*path, kinds[kind]).items() if kind == "headers" else ():
        place, option = (*path, kinds[kind], key), str(key).lower()
        if isinstance(value, dict):
            inner += (
                Option((option, str(name)), item, document.where((*place, name)))
                for name, item in value.items()
                if not isinstance(item, dict)
            )
        else:
            inner.append(Option((option,), value, document.where(place)))
    names_in_chain = tuple(_names(chain.get("middlewares")))
    found.middlewares[name] = TraefikMiddleware(
        kind, tuple(inner), names_in_chain, document.where(path)
    )


def _names(value: object) -> list[str]:
    """Names of middlewares without provider: from a list, a comma list, Kubernetes references."""
    listed = value.split(",") if isinstance(value, str) else value
    listed = listed if isinstance(listed, list) else []
    texts = [item.get("name", "") if isinstance(item, dict) else item for item in listed]
    return [str(text).strip().partition("@")[0] for text in texts]


def _file(found: _Found, document: Document) -> None:
    """The file provider, and the entry points of the static configuration."""
    for name in document.mapping("http", "middlewares"):
        _middleware(found, name, document, ("http", "middlewares", name))
    for name in document.mapping("http", "routers"):
        path = ("http", "routers", name)
        said = {str(key).lower(): value for key, value in document.mapping(*path).items()}
        _router(found, said, document.where(path))
    for name in document.mapping("entryPoints"):
        found.everywhere += _names(document.at("entryPoints", name, "http", "middlewares"))


def _router(found: _Found, said: Mapping[str, Any], where: SourceLine) -> None:
    rule, priority = str(said.get("rule", "")), str(said.get("priority", ""))
    rank = int(priority) if priority.isdigit() and len(priority) < 10 else len(rule)
    found.routers.append(Router(rule, tuple(_names(said.get("middlewares"))), rank, where))


def _ingress(found: _Found, document: Document) -> None:
    """An Ingress with Traefik's annotation: middlewares for every host and path that it names."""
    names = document.mapping("metadata", "annotations").get(_ANNOTATION)
    for rule, path, where in document.ingress_paths():
        host = f"Host(`{rule['host']}`) && " if rule.get("host") else ""
        matcher = "Path" if path.get("pathType") == "Exact" else "PathPrefix"
        said = f"{host}{matcher}(`{path.get('path') or '/'}`)"
        _router(found, {"rule": said, "middlewares": names}, where)


def _labelled(document: Document) -> Iterator[Document]:
    """The labels of each service of a compose file, as the file provider would say them."""
    for name in document.mapping("services"):
        for path in (("services", name, "labels"), ("services", name, "deploy", "labels")):
            labels = document.at(*path)
            if isinstance(labels, dict):
                said = [(key, item, key) for key, item in labels.items()]
            else:
                listed = enumerate(str(item).partition("=") for item in document.items(*path))
                said = [(key, text, at) for at, (key, _, text) in listed]
            if said:
                yield _nested((key, item, document.where((*path, at))) for key, item, at in said)


def _nested(labels: Iterable[tuple[str, Any, SourceLine]]) -> Document:
    """Labels as a mapping of mappings; in compose files a dollar sign is written twice."""
    data: dict[str, Any] = {}
    lines: dict[Path, SourceLine] = {}
    for key, item, where in labels:
        words = key.split(".", 6)
        if len(words) < 5 or [word.lower() for word in words[:2]] != ["traefik", "http"]:
            continue
        kind, name, *options = words[2:]
        path = ("http", kind.lower(), name, *map(str.lower, options[:2]), *options[2:])
        inner = data
        for word in path[:-1]:
            deeper = inner.setdefault(word, {})
            inner = deeper if isinstance(deeper, dict) else inner
        inner[path[-1]] = item.replace("$$", "$") if isinstance(item, str) else item
        for depth in range(len(path)):
            lines.setdefault(path[: depth + 1], where)
    return Document(data, lines.__getitem__)


def _unchained(found: _Found, names: tuple[str, ...], depth: int) -> Iterator[str]:
    """The middlewares behind names, with chains opened, the outermost first."""
    for name in names[:100] if depth < 8 else ():
        one = found.get(name)
        if one is not None and one.kind == "chain":
            yield from _unchained(found, one.chain, depth + 1)
        else:
            yield name


def _response(found: _Found, names: tuple[str, ...], notes: Notes) -> tuple[HeaderEffect, ...]:
    """What middlewares do to a response: the innermost first, so that outer ones win."""
    outside_in = found.all(islice(_unchained(found, names, 0), 200))
    known = [one for one in reversed(outside_in) if one.kind == "headers"]
    return tuple(effect for one in known for effect in _effects(one.options, notes))


def _places(found: _Found, notes: Notes) -> Iterator[HeaderScope]:
    """Routers by priority, for each host that a rule names and then for all others."""
    standing: list[tuple[RuleAlternative, Router]] = []
    for router in sorted(found.routers, key=lambda router: -router.priority):
        kinds = {one.kind for one in found.all(router.middlewares)}
        if kinds & {"redirectscheme", "redirectregex"}:
            continue  # it responds by itself
        known = rule_alternatives(router.rule, (str(router.where),))
        missing = [name for name in router.middlewares if found.get(name) is None]
        if missing:
            message = f"middlewares {', '.join(missing)} are not among the given texts"
            notes.lost(router.where, f"{message}; their headers are not carried", GIVE)
        if known is None:
            message = f"no hosts and path globs express rule {router.rule[:120]}"
            fix = "write a route for it by hand"
            notes.lost(router.where, f"{message}; its headers are not carried", fix)
            continue
        standing += [(ground, router) for ground in known]
    hosts = tuple(dict.fromkeys(host for ground, _ in standing for host in ground.hosts))
    single = len(hosts) == 1 and all(ground.hosts for ground, _ in standing)
    for host in hosts if not single else ():
        at_host = [one for one in standing if host in one[0].hosts or not one[0].hosts]
        yield from _host((host,), at_host, found, notes)
    others = [one for one in standing if single or not one[0].hosts]
    yield from _host((), others, found, notes)


def _host(
    hosts: tuple[str, ...],
    standing: list[tuple[RuleAlternative, Router]],
    found: _Found,
    notes: Notes,
) -> Iterator[HeaderScope]:
    def holds(region: Pattern) -> tuple[HeaderEffect, ...]:
        for ground, router in standing:
            if any(pattern.covers(region) for pattern in ground.patterns):
                return _response(found, (*found.everywhere, *router.middlewares), notes)
        return ()

    patterns = [pattern for ground, _ in standing for pattern in ground.patterns]
    where = standing[0][1].where if standing else SourceLine("")
    yield from placed(hosts, patterns, holds, (where, "routers", notes))


def _effects(options: tuple[Option, ...], notes: Notes) -> tuple[HeaderEffect, ...]:
    """What one middleware does: the security options first, then the custom headers."""
    said = {option.names[0]: option for option in options}
    found = list(_security(options, said, notes))
    for option in options:
        if option.names[0] != "customresponseheaders" or len(option.names) != 2:
            continue
        name, value = option.names[1], "" if option.value is None else str(option.value)
        found.append(HeaderEffect("set" if value else "remove", name, value, where=option.where))
    return tuple(found)


def _security(
    options: tuple[Option, ...], said: Mapping[str, Option], notes: Notes
) -> Iterator[HeaderEffect]:
    for option in options:
        name = option.names[0]
        if name in _OPTIONS["values"] and option.value:
            yield HeaderEffect(
                "set", _OPTIONS["values"][name], str(option.value), where=option.where
            )
        elif name in _OPTIONS["switches"]:
            header, value, instead = _OPTIONS["switches"][name]
            if _on(option) and not (instead in said and said[instead].value):
                yield HeaderEffect("set", header, value, where=option.where)
        elif name == "stsseconds":
            yield from _hsts(option, said)
        elif name.startswith("accesscontrol") or name == "addvaryheader":
            message = f"{name}: CORS headers depend on the request's Origin and are not carried"
            notes.lost(option.where, message, "write rules with when: {request: {Origin: ...}}")
        elif name not in (*_OPTIONS["others"], *_OPTIONS["values"]):
            message = f"{name} is not a known option of the headers middleware"
            notes.lost(option.where, message, "check the option")


def _on(option: Option | None) -> bool:
    return option is not None and str(option.value).lower() == "true"


def _hsts(option: Option, said: Mapping[str, Option]) -> Iterator[HeaderEffect]:
    seconds = str(option.value)
    if not seconds.isdigit() or int(seconds[:20]) == 0 or _on(said.get("isdevelopment")):
        return
    value = f"max-age={int(seconds[:20])}"
    value += "; includeSubDomains" if _on(said.get("stsincludesubdomains")) else ""
    value += "; preload" if _on(said.get("stspreload")) else ""
    yield HeaderEffect("set", "Strict-Transport-Security", value, where=option.where)
