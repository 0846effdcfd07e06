"""The door of this room: which format a text is in, and the policy that it becomes.

Lives here: the table of formats and `convert`. Must not know how any of them is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TypeAlias

from sidecar.importing import (
    apache,
    apache_syntax,
    caddy,
    caddy_syntax,
    django,
    helmet,
    ingress,
    nginx,
    nginx_syntax,
    secure,
    talisman,
    traefik,
)
from sidecar.importing.draft import Effect, Imported, Notes, Place, SourceLine, settle
from sidecar.importing.syntax import Sources
from sidecar.importing.writing import policy_text
from sidecar.policy.model import PolicyError, Problem

Importer: TypeAlias = Callable[[Sources, Notes], list[Place]]
MAX_CHARS = 1 << 20


def _nginx(sources: Sources, notes: Notes) -> list[Place]:
    return nginx.places(nginx_syntax.read_nginx(sources, notes), notes)


def _apache(sources: Sources, notes: Notes) -> list[Place]:
    return apache.places(apache_syntax.read_apache(sources, notes), notes)


def _caddy(sources: Sources, notes: Notes) -> list[Place]:
    return caddy.places(caddy_syntax.read_caddy(sources, notes), notes)


FORMATS: Mapping[str, tuple[str, Importer]] = MappingProxyType(
    {
        "nginx": ("nginx", _nginx),
        "apache": ("Apache", _apache),
        "caddy": ("Caddy", _caddy),
        "traefik": ("Traefik", traefik.importer),
        "ingress": ("ingress-nginx", ingress.importer),
        "helmet": ("Helmet", helmet.importer),
        "talisman": ("Talisman", talisman.importer),
        "secure": ("secure", secure.importer),
        "django": ("Django", django.importer),
    }
)
"""By name: how notes call it, and its importer."""

# In this order: words that only one of them has come first.
_SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "helmet",
        re.compile(
            r"\bhelmet\s*(\.\w+\s*)?[(,]|^\s*\{\s*[\"']?(contentSecurityPolicy|strictTransportSecurity|hsts|frameguard|referrerPolicy)\b"
        ),
    ),
    ("talisman", re.compile(r"\bTalisman\(|\btalisman\.init_app\(")),
    (
        "django",
        re.compile(
            r"^(SECURE_[A-Z_]+|X_FRAME_OPTIONS|(SESSION|CSRF)_COOKIE_[A-Z]+|CONTENT_SECURITY_POLICY)\s*(:[^=\n]+)?=",
            re.MULTILINE,
        ),
    ),
    (
        "secure",
        re.compile(r"^\s*(from secure import|import secure\b)|\bSecure(\.\w+)?\(", re.MULTILINE),
    ),
    ("traefik", re.compile(r"traefik\.ingress\.kubernetes\.io/")),
    (
        "ingress",
        re.compile(
            r"nginx\.ingress\.kubernetes\.io/|^kind:\s*Ingress\s*$|^\s+hsts-[a-z-]+:", re.MULTILINE
        ),
    ),
    (
        "traefik",
        re.compile(
            r"\btraefik\.http\.|^kind:\s*(Middleware|IngressRoute)\b|^\s*middlewares:|^\s*\[http\.(middlewares|routers)\b",
            re.MULTILINE,
        ),
    ),
    (
        "apache",
        re.compile(
            r"^\s*(<(VirtualHost|IfModule|Directory|Location|Files)|Header\s+(always\s+|onsuccess\s+)?(set|unset|append|merge|add|edit|setifempty)\b)",
            re.MULTILINE | re.IGNORECASE,
        ),
    ),
    (
        "nginx",
        re.compile(
            r"^\s*((add_header|more_set_headers|more_clear_headers|\w+_hide_header|server_tokens|server_name|listen)\s[^{}]*;|(server|http|location\s[^;]*)\s*\{)",
            re.MULTILINE,
        ),
    ),
    (
        "caddy",
        re.compile(r"^\s*(header|reverse_proxy|handle|handle_path|encode|respond)\s", re.MULTILINE),
    ),
)


def guess(sources: Sources) -> str | None:
    """The format that the texts look like; None when they look like none."""
    text = "\n".join(sources.values())[:MAX_CHARS]
    return next((form for form, sign in _SIGNS if sign.search(text)), None)


def convert(sources: Sources, form: str) -> Imported:
    """The policy that does to a response what these settings do, and what it cannot.

    Args:
        sources: texts by file name; those that one of them includes are not read on their own.
        form: a name of FORMATS.

    Raises:
        PolicyError: a text cannot be read at all.
    """
    if sum(map(len, sources.values())) > MAX_CHARS:
        raise PolicyError(
            (
                Problem(
                    f"the texts are longer than {MAX_CHARS} characters",
                    "give the files that set headers only",
                    file=next(iter(sources)),
                ),
            )
        )
    server, importer = FORMATS[form]
    notes = Notes()
    places = [
        replace(place, effects=settle(place.effects, server, notes))
        for place in importer(sources, notes)
    ]
    effects = [effect for place in places for effect in place.effects]
    if not effects and not notes.reported():
        notes.lost(
            SourceLine(next(iter(sources))),
            f"no header setting of {server} was found",
            "name the format with --from, and give the included files too",
        )
    _general(effects, server, notes)
    about = f"imported from {', '.join(PurePosixPath(name).name for name in sources)} ({server})"
    return Imported(policy_text(f"imported-{form}", about, places, notes), notes.reported())


def _general(effects: list[Effect], server: str, notes: Notes) -> None:
    """The two differences that hold for every policy, told once."""
    added = next((effect for effect in effects if effect.action == "append"), None)
    if added is not None:
        notes.differs(
            added.source_line,
            f"{server} adds a line even where the service already sends the very same; the policy does not repeat it",
        )
    hsts = next(
        (
            effect
            for effect in effects
            if effect.key == "strict-transport-security" and effect.action != "remove"
        ),
        None,
    )
    if hsts is not None:
        notes.differs(
            hsts.source_line,
            "Strict-Transport-Security is written on HTTPS responses only; browsers ignore it on others (RFC 6797 section 7.2)",
        )
