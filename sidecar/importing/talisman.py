"""Flask-Talisman: the keyword arguments of Talisman(app, ...), with its defaults (release 1.1).

It writes after the view, so what it says replaces what the view said. Must not know YAML.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sidecar.importing.draft import Effect, Notes, Place, SourceLine
from sidecar.importing.python_text import Module, Unreadable, read_module, texts
from sidecar.importing.syntax import Sources

DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "feature_policy": {},
        "permissions_policy": {"browsing-topics": "()"},
        "document_policy": {},
        "frame_options": "SAMEORIGIN",
        "frame_options_allow_from": None,
        "strict_transport_security": True,
        "strict_transport_security_preload": False,
        "strict_transport_security_max_age": 31556926,
        "strict_transport_security_include_subdomains": True,
        "content_security_policy": {"default-src": "'self'", "object-src": "'none'"},
        "content_security_policy_report_uri": None,
        "content_security_policy_report_only": False,
        "content_security_policy_nonce_in": None,
        "referrer_policy": "strict-origin-when-cross-origin",
        "session_cookie_secure": True,
        "session_cookie_http_only": True,
        "session_cookie_samesite": "Lax",
        "force_file_save": False,
        "x_content_type_options": True,
        "x_xss_protection": False,
    }
)
_ELSEWHERE = frozenset(("force_https", "force_https_permanent"))
_KNOWN = MappingProxyType(
    {
        "DENY": "DENY",
        "SAMEORIGIN": "SAMEORIGIN",
        "ALLOW_FROM": "ALLOW-FROM",
        "talisman.DENY": "DENY",
        "talisman.SAMEORIGIN": "SAMEORIGIN",
    }
)
_DEFAULT = "a default of Talisman"


def importer(sources: Sources, notes: Notes) -> list[Place]:
    """The one place of a Flask application: everywhere."""
    effects: list[Effect] = []
    for name, text in sources.items():
        module = read_module(name, text, _KNOWN)
        for called, node in module.calls():
            if called.rpartition(".")[2] == "Talisman" or called.endswith("talisman.init_app"):
                if called.endswith("Talisman") and not node.args and not node.keywords:
                    continue  # Talisman() alone; init_app says the rest
                effects += _effects(_options(module, node, notes), module.source_line(node), notes)
            elif called == "talisman":
                notes.lost(
                    module.source_line(node),
                    "@talisman(...) on one view is not carried",
                    "write a route for that view's path by hand",
                )
    return [Place((), (), tuple(effects))] if effects else []


Options = Mapping[str, tuple[object, SourceLine, str]]
"""By name: the value, its place and a word about it. A name whose value cannot be known is missing."""


def _options(module: Module, node: ast.Call, notes: Notes) -> Options:
    source_line = module.source_line(node)
    found: dict[str, tuple[object, SourceLine, str]] = {
        name: (value, source_line, _DEFAULT) for name, value in DEFAULTS.items()
    }
    for keyword in node.keywords:
        where = module.source_line(keyword.value)
        if keyword.arg is None or (keyword.arg not in DEFAULTS and keyword.arg not in _ELSEWHERE):
            notes.lost(
                where,
                f"{keyword.arg or '**'} is not an argument that Talisman's headers depend on",
                "look at the call",
            )
            continue
        try:
            value = module.value(keyword.value)
        except Unreadable:
            notes.lost(
                where,
                f"{keyword.arg}: the value cannot be known without running the program",
                "write the rule by hand",
            )
            found.pop(keyword.arg, None)
        else:
            if keyword.arg in _ELSEWHERE:
                if value and keyword.arg == "force_https":
                    notes.differs(
                        where,
                        "force_https: redirects are the service's, or of the one who ends TLS",
                    )
            else:
                found[keyword.arg] = (value, where, "")
    return found


def _effects(options: Options, call: SourceLine, notes: Notes) -> Iterator[Effect]:
    def said(name: str) -> object:
        return options[name][0] if name in options else None

    def effect(header: str, value: str, name: str) -> Effect:
        _, source_line, about = options.get(name, (None, call, ""))
        return Effect("set", header, value, source_line=source_line, about=about)

    for name, header in (
        ("permissions_policy", "Permissions-Policy"),
        ("document_policy", "Document-Policy"),
        ("feature_policy", "Feature-Policy"),
    ):
        value = said(name)
        if isinstance(value, dict) and value:
            pairs = [(str(key), item) for key, item in value.items() if isinstance(item, str)]
            yield effect(
                header,
                "; ".join(map(" ".join, pairs))
                if name == "feature_policy"
                else ", ".join(map("=".join, pairs)),
                name,
            )
        elif isinstance(value, str) and value:
            yield effect(header, value, name)
    frame = said("frame_options")
    if isinstance(frame, str) and frame:
        yield effect(
            "X-Frame-Options",
            f"{frame} {said('frame_options_allow_from')}" if frame == "ALLOW-FROM" else frame,
            "frame_options",
        )
    for name, header, text in (
        ("x_xss_protection", "X-XSS-Protection", "1; mode=block"),
        ("x_content_type_options", "X-Content-Type-Options", "nosniff"),
        ("force_file_save", "X-Download-Options", "noopen"),
    ):
        if said(name):
            yield effect(header, text, name)
    yield from _csp(options, notes)
    if said("strict_transport_security"):
        value = f"max-age={said('strict_transport_security_max_age')}"
        value += (
            "; includeSubDomains" if said("strict_transport_security_include_subdomains") else ""
        )
        value += "; preload" if said("strict_transport_security_preload") else ""
        if "strict_transport_security_max_age" in options:
            yield effect("Strict-Transport-Security", value, "strict_transport_security_max_age")
    referrer = said("referrer_policy")
    if isinstance(referrer, str):
        yield effect("Referrer-Policy", referrer, "referrer_policy")
    yield from _cookie(options, call)


def _csp(options: Options, notes: Notes) -> Iterator[Effect]:
    if "content_security_policy" not in options or not options["content_security_policy"][0]:
        return
    policy, source_line, about = options["content_security_policy"]
    if options.get("content_security_policy_nonce_in", (True,))[0]:
        notes.lost(
            source_line,
            "content_security_policy with nonces: a nonce is other in every response, so Content-Security-Policy is not carried",
            "leave it to the service, or write 'nonce-{request}' and give templates the nonce of X-CSP-Nonce",
        )
        return
    try:
        value = _policy(policy)
    except Unreadable:
        notes.lost(
            source_line,
            "content_security_policy: a source is no text, so Content-Security-Policy is not carried",
            "write the rule by hand",
        )
        return
    report = options.get("content_security_policy_report_uri", (None,))[0]
    if report and "report-uri" not in value:
        value += f"; report-uri {report}"
    name = (
        "Content-Security-Policy-Report-Only"
        if options.get("content_security_policy_report_only", (False,))[0]
        else "Content-Security-Policy"
    )
    yield Effect("set", name, value, source_line=source_line, about=about)


def _policy(policy: object) -> str:
    """A policy as Talisman writes it, from its text or its directives."""
    if isinstance(policy, str):
        parts = [part.strip().split(" ") for part in policy.split(";")]
        policy = {words[0]: words[1:] for words in parts}
    if not isinstance(policy, dict):
        raise Unreadable
    return "; ".join(f"{name} {' '.join(texts(sources))}" for name, sources in policy.items())


def _cookie(options: Options, call: SourceLine) -> Iterator[Effect]:
    """Talisman sets Flask's own options for its session cookie."""
    wanted: list[tuple[str, bool | str]] = []
    if options.get("session_cookie_secure", (False,))[0]:
        wanted.append(("Secure", True))
    if options.get("session_cookie_http_only", (False,))[0]:
        wanted.append(("HttpOnly", True))
    same_site = options.get("session_cookie_samesite", (None,))[0]
    if isinstance(same_site, str) and same_site in ("Strict", "Lax", "None"):
        wanted.append(("SameSite", same_site))
    if wanted:
        yield Effect(
            "set",
            "session",
            attributes=tuple(wanted),
            source_line=call,
            about="Flask's session cookie",
        )
