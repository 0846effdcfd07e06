"""ingress-nginx: snippets, custom headers and the ConfigMap, as the nginx text they become.

Facts: kubernetes.github.io/ingress-nginx, annotations and ConfigMap.
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

from collections.abc import Iterator

from sidecar.importing import nginx
from sidecar.importing.documents import Document, documents
from sidecar.importing.draft import BY_HAND, HeaderScope, Notes, SourceLine
from sidecar.importing.syntax import Block, ConfigDirective, Sources

_ANNOTATION = "nginx.ingress.kubernetes.io/"
_CONTROLLER = """
hsts hsts-max-age hsts-include-subdomains hsts-preload add-headers hide-headers server-tokens
http-snippet server-snippet location-snippet
""".split()
_LOST = """
enable-cors auth-snippet modsecurity-snippet stream-snippet proxy-cookie-path proxy-cookie-domain
session-cookie-samesite
""".split()


def importer(sources: Sources, notes: Notes) -> list[HeaderScope]:
    """The places of all Ingress resources, first match first."""
    found = list(documents(sources, notes))
    maps = [document for document in found if document.at("kind") == "ConfigMap"]
    ingresses = [document for document in found if document.at("kind") == "Ingress"]
    controllers = (one for one in maps if any(key in one.mapping("data") for key in _CONTROLLER))
    controller = next(controllers, None)
    http: list[ConfigDirective] = []
    for_server: Block = ()
    for_location: Block = ()
    if controller is not None:
        http += _controller(controller, maps, notes)
        for_server = _snippet(controller, ("data", "server-snippet"))
        for_location = _snippet(controller, ("data", "location-snippet"))
    elif any(one.items("spec", "tls") for one in ingresses):
        message = "the controller's own Strict-Transport-Security is not carried"
        where = ingresses[0].where(("spec", "tls"))
        notes.lost(where, message, "give the controller's ConfigMap too")
    servers: dict[str, list[ConfigDirective]] = {}
    for ingress in ingresses:
        for host, directive in _directives(ingress, maps, for_location, notes):
            servers.setdefault(host, list(for_server)).append(directive)
    if servers:
        # Other hosts go to the controller's default backend, where only the http level counts.
        servers.setdefault("", [])
    for host, block in servers.items():
        where = block[0].where if block else ingresses[0].where(("spec",))
        name, *args = ("server_name", host) if host else ("listen", "80", "default_server")
        about = ConfigDirective(name, tuple(args), where)
        http.append(ConfigDirective("server", (), where, (about, *block)))
    if not http:
        return []
    return nginx.places((ConfigDirective("http", (), http[0].where, tuple(http)),), notes)


def _snippet(document: Document, path: tuple[str, ...]) -> Block:
    """The nginx statements in a text; a block scalar's first line is below its key."""
    text, where = document.at(*path), document.where(path)
    if not isinstance(text, str):
        return ()
    return nginx.parse(text, where.file, where.line + ("\n" in text))


def _more(name: str, value: object, where: SourceLine) -> ConfigDirective:
    return ConfigDirective("more_set_headers", (f"{name}: {value}",), where)


def _controller(
    document: Document, maps: list[Document], notes: Notes
) -> Iterator[ConfigDirective]:
    """What the controller's ConfigMap says for every host."""
    data = document.mapping("data")
    if any(key.startswith("hsts") for key in data) and str(data.get("hsts", "true")) == "true":
        value = f"max-age={data.get('hsts-max-age', 31536000)}"
        below = str(data.get("hsts-include-subdomains", "true")) == "true"
        value += "; includeSubDomains" if below else ""
        value += "; preload" if str(data.get("hsts-preload", "false")) == "true" else ""
        key = next(key for key in data if key.startswith("hsts"))
        yield _more("Strict-Transport-Security", value, document.where(("data", key)))
    if str(data.get("server-tokens", "true")) == "false":
        yield ConfigDirective("server_tokens", ("off",), document.where(("data", "server-tokens")))
    hidden = map(str.strip, str(data.get("hide-headers", "")).split(","))
    for name in filter(None, hidden):
        yield ConfigDirective(
            "proxy_hide_header", (name,), document.where(("data", "hide-headers"))
        )
    if added := data.get("add-headers"):
        yield from _headers_of(str(added), maps, document.where(("data", "add-headers")), notes)
    yield from _snippet(document, ("data", "http-snippet"))


def _headers_of(
    reference: str, maps: list[Document], where: SourceLine, notes: Notes
) -> Iterator[ConfigDirective]:
    """The headers in another ConfigMap, named as namespace/name."""
    name = reference.rpartition("/")[2]
    found = next((one for one in maps if one.at("metadata", "name") == name), None)
    if found is None:
        message = f"ConfigMap {reference} is not among the texts; its headers are not carried"
        notes.lost(where, message, "give that ConfigMap too")
        return
    for header, value in found.mapping("data").items():
        yield _more(header, "" if value is None else value, found.where(("data", header)))


def _directives(
    ingress: Document, maps: list[Document], for_location: Block, notes: Notes
) -> Iterator[tuple[str, ConfigDirective]]:
    """Host and directive of everything that one Ingress adds to a server."""

    def place(name: str) -> tuple[str, ...]:
        return ("metadata", "annotations", f"{_ANNOTATION}{name}")

    for name in _LOST:
        if str(ingress.at(*place(name)) or "false") != "false":
            fix = f"{BY_HAND}; CORS with when: {{request: {{Origin: ...}}}}"
            notes.lost(ingress.where(place(name)), f"{name} is not carried", fix)
    inner = [*for_location, *_snippet(ingress, place("configuration-snippet"))]
    if custom := ingress.at(*place("custom-headers")):
        inner += _headers_of(str(custom), maps, ingress.where(place("custom-headers")), notes)
    regex = str(ingress.at(*place("use-regex")) or "false") == "true"
    server = _snippet(ingress, place("server-snippet"))
    rules = [rule for rule in ingress.items("spec", "rules") if isinstance(rule, dict)]
    hosts = dict.fromkeys(str(rule.get("host") or "") for rule in rules)
    if not hosts and (ingress.mapping("spec", "defaultBackend") or inner):
        hosts = {"": None}
        where = ingress.where(("spec",))
        yield "", ConfigDirective("location", ("/",), where, tuple(inner))
    yield from ((host, directive) for host in hosts for directive in server)
    for rule, path, where in ingress.ingress_paths():
        for directive in _locations(path, where, tuple(inner), regex=regex):
            yield str(rule.get("host") or ""), directive


def _locations(
    path: dict[str, object], where: SourceLine, block: Block, *, regex: bool
) -> Iterator[ConfigDirective]:
    """The locations of one path: whole segments for Prefix, only the path for Exact."""
    text, kind = str(path.get("path") or "/"), path.get("pathType")
    if regex and kind != "Exact":
        yield ConfigDirective("location", ("~*", f"^{text}"), where, block)
    elif kind == "Exact":
        yield ConfigDirective("location", ("=", text), where, block)
    elif kind == "Prefix" and text != "/":
        bare = text.rstrip("/")
        yield ConfigDirective("location", ("=", bare), where, block)
        yield ConfigDirective("location", (f"{bare}/",), where, block)
    else:
        yield ConfigDirective("location", (text,), where, block)
