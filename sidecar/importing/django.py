"""Django: the SECURE_*, X_FRAME_OPTIONS and cookie settings of a settings module, and django-csp's.

Django's middlewares write a header only where the view has not (setdefault), so the action is `default`; a missing
setting counts with Django's default, as long as its middleware stands in MIDDLEWARE. Facts: docs.djangoproject.com on
SecurityMiddleware, XFrameOptionsMiddleware and ContentSecurityPolicyMiddleware; django-csp 4. Must not know YAML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sidecar.importing.draft import Effect, Notes, Place, SourceLine
from sidecar.importing.python_text import Module, Unreadable, read_module, texts
from sidecar.importing.syntax import Sources

_NONCE = "\0nonce"
_KEYWORDS = {
    name: f"'{name.lower().replace('_', '-')}'"
    for name in (
        "SELF",
        "NONE",
        "UNSAFE_INLINE",
        "UNSAFE_EVAL",
        "UNSAFE_HASHES",
        "STRICT_DYNAMIC",
        "REPORT_SAMPLE",
        "WASM_UNSAFE_EVAL",
    )
}
_KNOWN: Mapping[str, object] = MappingProxyType(
    {
        **_KEYWORDS,
        "NONCE": _NONCE,
        "CSP.NONCE": _NONCE,
        **{f"CSP.{name}": value for name, value in _KEYWORDS.items()},
    }
)
_DEFAULT = "a default of Django"
_COOKIES = {
    "SESSION": ("sessionid", True),
    "CSRF": ("csrftoken", False),
    "LANGUAGE": ("django_language", False),
}


class _Settings:
    """The settings of one module, asked by name."""

    def __init__(self, module: Module, notes: Notes) -> None:
        self._module = module
        self._notes = notes

    def get(self, name: str, default: object = None) -> tuple[object, SourceLine, str] | None:
        """Value, place and a word about it; None when it is set to what cannot be known."""
        node = self._module.assigned.get(name)
        if node is None:
            return default, SourceLine(self._module.name), _DEFAULT
        source_line = self._module.source_line(node)
        try:
            return self._module.value(node), source_line, ""
        except Unreadable:
            self._notes.lost(
                source_line,
                f"{name}: the value cannot be known without running the program",
                "write the rule by hand",
            )
            return None

    def uses(self, middleware: str) -> bool:
        """True when the middleware is in force, or when that cannot be known."""
        found = self.get("MIDDLEWARE")
        return (
            found is None
            or not isinstance(found[0], list)
            or any(isinstance(item, str) and item.endswith(middleware) for item in found[0])
        )


def importer(sources: Sources, notes: Notes) -> list[Place]:
    """The one place of a Django project: everywhere."""
    effects: list[Effect] = []
    for name, text in sources.items():
        settings = _Settings(read_module(name, text, _KNOWN), notes)
        if settings.uses("SecurityMiddleware"):
            effects += _security(settings, notes)
        if settings.uses("XFrameOptionsMiddleware"):
            effects += _header(
                "X-Frame-Options", settings.get("X_FRAME_OPTIONS", "DENY"), upper=True
            )
        effects += _csp(settings, notes)
        effects += _cookies(settings)
    return [Place((), (), tuple(effects))] if effects else []


def _security(settings: _Settings, notes: Notes) -> Iterator[Effect]:
    seconds = settings.get("SECURE_HSTS_SECONDS", 0)
    if seconds is not None and isinstance(seconds[0], int) and seconds[0]:
        value = f"max-age={seconds[0]}"
        for name, text in (
            ("SECURE_HSTS_INCLUDE_SUBDOMAINS", "; includeSubDomains"),
            ("SECURE_HSTS_PRELOAD", "; preload"),
        ):
            found = settings.get(name, default=False)
            value += text if found is not None and found[0] else ""
        yield Effect("default", "Strict-Transport-Security", value, source_line=seconds[1])
    nosniff = settings.get("SECURE_CONTENT_TYPE_NOSNIFF", default=True)
    if nosniff is not None and nosniff[0]:
        yield Effect(
            "default", "X-Content-Type-Options", "nosniff", source_line=nosniff[1], about=nosniff[2]
        )
    yield from _header("Referrer-Policy", settings.get("SECURE_REFERRER_POLICY", "same-origin"))
    yield from _header(
        "Cross-Origin-Opener-Policy",
        settings.get("SECURE_CROSS_ORIGIN_OPENER_POLICY", "same-origin"),
    )
    redirect = settings.get("SECURE_SSL_REDIRECT", default=False)
    if redirect is not None and redirect[0]:
        notes.differs(
            redirect[1],
            "SECURE_SSL_REDIRECT: redirects are the service's, or of the one who ends TLS",
        )


def _header(
    header: str, found: tuple[object, SourceLine, str] | None, *, upper: bool = False
) -> Iterator[Effect]:
    if found is None or not found[0]:
        return
    value, source_line, about = found
    parts = (
        value.split(",")
        if isinstance(value, str)
        else [part for part in value if isinstance(part, str)]
        if isinstance(value, list)
        else []
    )
    text = ",".join(part.strip() for part in parts)
    yield Effect(
        "default", header, text.upper() if upper else text, source_line=source_line, about=about
    )


def _csp(settings: _Settings, notes: Notes) -> Iterator[Effect]:
    """Django 6's SECURE_CSP and django-csp's CONTENT_SECURITY_POLICY, each with its report-only twin."""
    for suffix, header in (
        ("", "Content-Security-Policy"),
        ("_REPORT_ONLY", "Content-Security-Policy-Report-Only"),
    ):
        for name in (f"SECURE_CSP{suffix}", f"CONTENT_SECURITY_POLICY{suffix}"):
            found = settings.get(name)
            if found is None or not isinstance(found[0], dict) or not found[0]:
                continue
            directives = found[0]
            if name.startswith("CONTENT"):
                if directives.get("EXCLUDE_URL_PREFIXES"):
                    notes.lost(
                        found[1],
                        f"{name}: EXCLUDE_URL_PREFIXES is not carried, {header} is written there too",
                        "write a route for these paths with the rule's mode: off",
                    )
                inner = directives.get("DIRECTIVES", {})
                directives = {"default-src": ["'self'"], **inner} if isinstance(inner, dict) else {}
            try:
                text = _policy(directives)
            except Unreadable:
                text = _NONCE
            if _NONCE in text:
                notes.lost(
                    found[1],
                    f"{name}: {header} with a nonce, or a value that is no text, cannot be carried",
                    "leave it to the service, or write 'nonce-{request}' and give templates the nonce of X-CSP-Nonce",
                )
            elif text:
                yield Effect("default", header, text, source_line=found[1])


def _policy(directives: Mapping[object, object]) -> str:
    written = (
        (name, [] if sources is True else texts(sources))
        for name, sources in directives.items()
        if sources is not None and sources is not False
    )
    return "; ".join(" ".join([str(name), *sources]) for name, sources in written)


def _cookies(settings: _Settings) -> Iterator[Effect]:
    """Django writes these attributes itself; the rule keeps them true whatever the service sends."""
    for prefix, (usual, http_only) in _COOKIES.items():
        name = settings.get(f"{prefix}_COOKIE_NAME", usual)
        wanted: list[tuple[str, bool | str]] = []
        source_lines: list[SourceLine] = []
        for suffix, attribute, default in (
            ("SECURE", "Secure", False),
            ("HTTPONLY", "HttpOnly", http_only),
            ("SAMESITE", "SameSite", "Lax"),
        ):
            found = settings.get(f"{prefix}_COOKIE_{suffix}", default)
            if found is None or found[2] == _DEFAULT or not found[0]:
                continue
            if attribute != "SameSite" or found[0] in ("Strict", "Lax", "None"):
                wanted.append((attribute, str(found[0]) if attribute == "SameSite" else True))
                source_lines.append(found[1])
        if wanted and name is not None and isinstance(name[0], str):
            yield Effect("set", name[0], attributes=tuple(wanted), source_line=source_lines[0])
