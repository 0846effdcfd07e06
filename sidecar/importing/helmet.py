"""Helmet: the options of helmet(...) and of its single middlewares, with its defaults (release 8).

Helmet writes before the view, which may say otherwise, so the action is `default`. Must not know YAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sidecar.importing.draft import Effect, Notes, Place, SourceLine
from sidecar.importing.javascript import UNKNOWN, Reader
from sidecar.importing.syntax import Sources, refuse
from sidecar.policy.model import Action

_CALL = re.compile(r"""\bhelmet(?:\.(?P<one>\w+))?\s*\(|\bhelmet\s*,\s*(?=\{)""")
_DEFAULT = "a default of Helmet"
_CSP: Mapping[str, list[str]] = MappingProxyType(
    {
        "default-src": ["'self'"],
        "base-uri": ["'self'"],
        "font-src": ["'self'", "https:", "data:"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "script-src": ["'self'"],
        "script-src-attr": ["'none'"],
        "style-src": ["'self'", "https:", "'unsafe-inline'"],
        "upgrade-insecure-requests": [],
    }
)
Options = Mapping[str, object]


class _Unsayable(ValueError):  # noqa: N818 - not an error of the source, only no literal
    pass


def importer(sources: Sources, notes: Notes) -> list[Place]:
    """The one place of an application: everywhere."""
    effects: dict[str, Effect] = {}
    for name, text in sources.items():
        for options, source_line in _calls(name, text):
            effects |= _effects(
                options, source_line, text, notes
            )  # a later middleware writes over an earlier one
    return [Place((), (), tuple(effects.values()))] if effects else []


def _calls(name: str, text: str) -> list[tuple[Options | None, SourceLine]]:
    """The options of each use, in order; None = those of helmet() are not known."""
    if text.lstrip().startswith("{"):
        found = Reader(text).value()
        if not isinstance(found, dict):
            raise refuse(
                SourceLine(name, 1),
                "not an options object",
                "give the object as it stands in helmet({...})",
            )
        return [(found, SourceLine(name, 1))]
    calls: list[tuple[Options | None, SourceLine]] = []
    for match in _CALL.finditer(text):
        source_line = SourceLine(name, text.count("\n", 0, match.start()) + 1)
        reader = Reader(text, match.end())
        reader.skip()
        value = {} if text.startswith(")", reader.at) else reader.value()
        if match["one"] is None:
            calls.append((value if isinstance(value, dict) else None, source_line))
        elif match["one"] in _NAMES:
            alone: dict[str, object] = dict.fromkeys(_HEADERS, False)
            calls.append(({**alone, _NAMES[match["one"]]: value or True}, source_line))
    return calls


def _effects(
    options: Options | None, source_line: SourceLine, text: str, notes: Notes
) -> dict[str, Effect]:
    if options is None:
        notes.lost(
            source_line,
            "helmet(...): the options cannot be known without running the program",
            "write the rules by hand",
        )
        return {}
    said = {_NAMES.get(name, name): value for name, value in options.items()}
    for name in said.keys() - _HEADERS.keys():
        notes.lost(
            _line(name, source_line, text),
            f"{name[:60]!r} is no option of Helmet that can be read",
            "look at the options",
        )
    effects: dict[str, Effect] = {}
    for name, (header, value_of) in _HEADERS.items():
        given = said.get(name, name != "crossOriginEmbedderPolicy")
        if given is False or given is None:
            continue
        where = _line(name, source_line, text) if name in said else source_line
        try:
            value = _value(value_of, given)
        except _Unsayable:
            notes.lost(
                where,
                f"{name}: the value of {header} cannot be known without running the program",
                "write the rule by hand, or leave it to the service",
            )
            continue
        if name == "contentSecurityPolicy" and isinstance(given, dict) and given.get("reportOnly"):
            header = f"{header}-Report-Only"  # noqa: PLW2901 - the same header, only judged
        action: Action = "remove" if name == "xPoweredBy" else "default"
        effects[header] = Effect(
            action,
            header,
            value,
            source_line=where,
            about="" if name in said else _DEFAULT,
        )
    return effects


def _value(value_of: Callable[[Options], str], given: object) -> str:
    if given is UNKNOWN:
        raise _Unsayable
    return value_of(given if isinstance(given, dict) else {})


def _line(name: str, source_line: SourceLine, text: str) -> SourceLine:
    """The line of an option: the first below the call that holds one of its names."""
    names = [other for other, meant in _NAMES.items() if meant == name] or [name[:40]]
    lines = text.split("\n")
    for number in range(max(source_line.line, 1), len(lines) + 1):
        if any(other in lines[number - 1] for other in names):
            return SourceLine(source_line.file, number)
    return source_line


def _csp(options: Options) -> str:
    given = options.get("directives", {})
    directives: dict[str, list[str]] = (
        dict(_CSP) if options.get("useDefaults", True) is not False else {}
    )
    if not isinstance(given, dict):
        raise _Unsayable
    for name, sources in given.items():
        if "getDefaultDirectives" in name:
            directives = {**_CSP, **directives}
            continue
        key = re.sub("[A-Z]", lambda found: f"-{found[0].lower()}", name)
        if sources is None:
            directives.pop(key, None)
        else:
            directives[key] = _texts(sources)
    return ";".join(" ".join([name, *sources]) for name, sources in directives.items())


def _texts(value: object) -> list[str]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise _Unsayable
    return found


def _hsts(options: Options) -> str:
    age = options.get("maxAge", 31536000)
    if not isinstance(age, int):
        raise _Unsayable
    value = f"max-age={age}"
    value += "; includeSubDomains" if options.get("includeSubDomains", True) else ""
    return value + ("; preload" if options.get("preload") else "")


def _referrer(options: Options) -> str:
    return ",".join(_texts(options.get("policy", "no-referrer")))


def _frame(options: Options) -> str:
    return _text(options, "action", "sameorigin").upper().replace("SAME-ORIGIN", "SAMEORIGIN")


def _text(options: Options, name: str, default: str) -> str:
    value = options.get(name, default)
    if not isinstance(value, str):
        raise _Unsayable
    return value


def _policy(default: str, key: str = "policy") -> Callable[[Options], str]:
    return lambda options: _text(options, key, default)


_HEADERS: Mapping[str, tuple[str, Callable[[Options], str]]] = MappingProxyType(
    {
        "contentSecurityPolicy": ("Content-Security-Policy", _csp),
        "crossOriginEmbedderPolicy": ("Cross-Origin-Embedder-Policy", _policy("require-corp")),
        "crossOriginOpenerPolicy": ("Cross-Origin-Opener-Policy", _policy("same-origin")),
        "crossOriginResourcePolicy": ("Cross-Origin-Resource-Policy", _policy("same-origin")),
        "originAgentCluster": ("Origin-Agent-Cluster", lambda _: "?1"),
        "referrerPolicy": ("Referrer-Policy", _referrer),
        "strictTransportSecurity": ("Strict-Transport-Security", _hsts),
        "xContentTypeOptions": ("X-Content-Type-Options", lambda _: "nosniff"),
        "xDnsPrefetchControl": (
            "X-DNS-Prefetch-Control",
            lambda options: "on" if options.get("allow") is True else "off",
        ),
        "xDownloadOptions": ("X-Download-Options", lambda _: "noopen"),
        "xFrameOptions": ("X-Frame-Options", _frame),
        "xPermittedCrossDomainPolicies": (
            "X-Permitted-Cross-Domain-Policies",
            _policy("none", "permittedPolicies"),
        ),
        "xPoweredBy": ("X-Powered-By", lambda _: ""),
        "xXssProtection": ("X-XSS-Protection", lambda _: "0"),
    }
)
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in _HEADERS},
        "hsts": "strictTransportSecurity",
        "noSniff": "xContentTypeOptions",
        "dnsPrefetchControl": "xDnsPrefetchControl",
        "ieNoOpen": "xDownloadOptions",
        "frameguard": "xFrameOptions",
        "permittedCrossDomainPolicies": "xPermittedCrossDomainPolicies",
        "hidePoweredBy": "xPoweredBy",
        "xssFilter": "xXssProtection",
    }
)
