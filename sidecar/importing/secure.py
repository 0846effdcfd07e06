"""The secure library (release 2): Secure(...) with its builders, and its presets. What it says replaces what the view said.

Builders are chains of methods, as StrictTransportSecurity().max_age(31536000).include_subdomains(). A method is a
directive or a token with hyphens for underscores, but for a few. Must not know YAML.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sidecar.importing.draft import Effect, Notes, Place, SourceLine
from sidecar.importing.python_text import Module, Unreadable, dotted, read_module
from sidecar.importing.syntax import Sources

# Each builder's header and its value when no method is called.
_BUILDERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "StrictTransportSecurity": ("Strict-Transport-Security", "max-age=31536000"),
        "XFrameOptions": ("X-Frame-Options", "SAMEORIGIN"),
        "XContentTypeOptions": ("X-Content-Type-Options", "nosniff"),
        "ReferrerPolicy": ("Referrer-Policy", "strict-origin-when-cross-origin"),
        "CrossOriginOpenerPolicy": ("Cross-Origin-Opener-Policy", "same-origin"),
        "CrossOriginEmbedderPolicy": ("Cross-Origin-Embedder-Policy", "require-corp"),
        "CrossOriginResourcePolicy": ("Cross-Origin-Resource-Policy", "same-origin"),
        "XDnsPrefetchControl": ("X-DNS-Prefetch-Control", "off"),
        "XPermittedCrossDomainPolicies": ("X-Permitted-Cross-Domain-Policies", "none"),
        "Server": ("Server", ""),
        "CacheControl": ("Cache-Control", "no-store, max-age=0"),
        "PermissionsPolicy": ("Permissions-Policy", "geolocation=(), microphone=(), camera=()"),
        "ContentSecurityPolicy": (
            "Content-Security-Policy",
            "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; base-uri 'self'; frame-ancestors 'self'; form-action 'self'",
        ),
    }
)
_WIDE_CSP = (
    "default-src 'self'; base-uri 'self'; font-src 'self' https: data:; form-action 'self'; frame-ancestors 'self'; img-src 'self' data:; "
    "object-src 'none'; script-src 'self'; script-src-attr 'none'; style-src 'self' https: 'unsafe-inline'; upgrade-insecure-requests"
)
_CLOSED_CSP = "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
_BALANCED: Mapping[str, str] = MappingProxyType(
    {
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": _WIDE_CSP,
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "Permissions-Policy": "geolocation=(), microphone=(), camera=()",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Server": "",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
    }
)
PRESETS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "BALANCED": _BALANCED,
        "BASIC": {
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Content-Security-Policy": _WIDE_CSP,
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
            "Referrer-Policy": "no-referrer",
            "X-Permitted-Cross-Domain-Policies": "none",
            "X-DNS-Prefetch-Control": "off",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "SAMEORIGIN",
            "Origin-Agent-Cluster": "?1",
            "X-Download-Options": "noopen",
            "X-XSS-Protection": "0",
        },
        "STRICT": {
            "Cache-Control": "no-store, max-age=0",
            "Cross-Origin-Embedder-Policy": "require-corp",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Content-Security-Policy": _CLOSED_CSP,
            "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
            "Permissions-Policy": "geolocation=(), microphone=(), camera=()",
            "Referrer-Policy": "no-referrer",
            "Server": "",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        },
    }
)
_WHOLE = ("value", "set")
_NAMED = ("custom", "custom_directive", "add_directive", "directive")


def importer(sources: Sources, notes: Notes) -> list[Place]:
    """The one place of an application: everywhere."""
    effects: list[Effect] = []
    for name, text in sources.items():
        module = read_module(name, text)
        for called, node in module.calls():
            last = called.rpartition(".")[2]
            if called in ("Secure.with_default_headers", "secure.Secure.with_default_headers"):
                effects += _preset("BALANCED", module.source_line(node))
            elif called in ("Secure.from_preset", "secure.Secure.from_preset") and node.args:
                effects += _named_preset(module, node, notes)
            elif last == "Secure":
                for keyword in node.keywords:
                    effects += _header(module, keyword.value, notes)
    return [Place((), (), tuple(effects))] if effects else []


def _named_preset(module: Module, node: ast.Call, notes: Notes) -> list[Effect]:
    name = dotted(node.args[0]).rpartition(".")[2]
    if name not in PRESETS:
        notes.lost(
            module.source_line(node),
            f"preset {name or '?'} is not known",
            f"known: {', '.join(PRESETS)}",
        )
        return []
    return _preset(name, module.source_line(node))


def _preset(name: str, source_line: SourceLine) -> list[Effect]:
    return [
        Effect("set", header, value, source_line=source_line, about=f"of the preset {name}")
        for header, value in PRESETS[name].items()
    ]


def _header(module: Module, node: ast.expr, notes: Notes) -> list[Effect]:
    """The header of one builder, or those of a list of them."""
    if isinstance(node, ast.Name) and node.id in module.assigned:
        node = module.assigned[node.id]
    if isinstance(node, ast.List):
        return [
            effect
            for item in node.elts
            if not isinstance(item, ast.List)
            for effect in _header(module, item, notes)
        ]
    builder, methods = _chain(node)
    try:
        if builder == "CustomHeader":
            return [_custom(module, node)]
        header, value = _built(
            builder,
            [(name, [_text(module.value(arg)) for arg in call.args]) for name, call in methods],
        )
    except (Unreadable, KeyError):
        notes.lost(
            module.source_line(node),
            f"{builder or 'a value'}: it cannot be known without running the program",
            "write the rule by hand",
        )
        return []
    return [Effect("set", header, value, source_line=module.source_line(node))]


def _custom(module: Module, node: ast.expr) -> Effect:
    while (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Call)
    ):
        node = node.func.value
    if not isinstance(node, ast.Call):
        raise Unreadable
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    if len(given) != 2:
        raise Unreadable
    return Effect(
        "set",
        _text(module.value(given[0])),
        _text(module.value(given[1])),
        source_line=module.source_line(node),
    )


def _chain(node: ast.expr) -> tuple[str, list[tuple[str, ast.Call]]]:
    """A chain's builder and its method calls in order; "" when it is none."""
    methods: list[tuple[str, ast.Call]] = []
    while (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Call)
    ):
        methods.append((node.func.attr, node))
        node = node.func.value
    builder = dotted(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
    return builder, methods[::-1]


def _text(value: object) -> str:
    if not isinstance(value, str | int):
        raise Unreadable
    return str(value)


def _built(builder: str, methods: list[tuple[str, list[str]]]) -> tuple[str, str]:
    """Header and value of a builder after these methods."""
    header, usual = _BUILDERS[builder]
    parts: dict[str, list[str]] = {}
    whole: str | None = None
    for name, words in methods:
        if name == "report_only":
            header += "-Report-Only"
        elif name == "clear":
            parts, whole = {}, None
        elif name in _WHOLE and words and builder != "ReferrerPolicy":
            parts, whole = {}, words[0]
        else:
            whole = None
            key = words[0] if name in _NAMED and words else name.replace("_", "-")
            known = parts.setdefault(key, [])
            if builder == "PermissionsPolicy":
                known.clear()
            known += [
                word for word in (words[1:] if name in _NAMED else words) if word not in known
            ]
    if whole is not None or not parts:
        return header, usual if whole is None else whole
    return header, _JOINED.get(builder, _token)(parts)


def _token(parts: Mapping[str, list[str]]) -> str:
    """The last method is the value."""
    return list(parts)[-1]


def _hsts(parts: Mapping[str, list[str]]) -> str:
    words = [f"max-age={(parts.get('max-age') or ['31536000'])[0]}"]
    words += ["includeSubDomains"] if "include-subdomains" in parts or "preload" in parts else []
    return "; ".join([*words, *(["preload"] if "preload" in parts else [])])


def _csp(parts: Mapping[str, list[str]]) -> str:
    return "; ".join(" ".join([name, *sources]) for name, sources in parts.items())


def _permissions(parts: Mapping[str, list[str]]) -> str:
    return ", ".join(f"{name}={_allowed(words)}" for name, words in parts.items())


def _allowed(words: list[str]) -> str:
    plain = [word.strip("'\"") for word in words]
    if plain == ["*"]:
        return "*"
    return f"({' '.join(f'{chr(34)}{word}{chr(34)}' if '://' in word else word for word in plain if word not in ('none', '()'))})"


def _cache(parts: Mapping[str, list[str]]) -> str:
    names = {"s-max-age": "s-maxage"}
    return ", ".join("=".join([names.get(name, name), *words[:1]]) for name, words in parts.items())


def _referrer(parts: Mapping[str, list[str]]) -> str:
    tokens = [
        token
        for name, words in parts.items()
        for token in (words if name in ("add", "set", "value", "custom", "fallback") else [name])
    ]
    return ", ".join(tokens)


def _frame(parts: Mapping[str, list[str]]) -> str:
    name, words = list(parts.items())[-1]
    return f"ALLOW-FROM {words[0]}" if name == "allow-from" and words else name.upper()


_JOINED: Mapping[str, Callable[[Mapping[str, list[str]]], str]] = MappingProxyType(
    {
        "StrictTransportSecurity": _hsts,
        "ContentSecurityPolicy": _csp,
        "PermissionsPolicy": _permissions,
        "CacheControl": _cache,
        "ReferrerPolicy": _referrer,
        "XFrameOptions": _frame,
        "XDnsPrefetchControl": lambda parts: "on" if list(parts)[-1] in ("on", "allow") else "off",
    }
)
