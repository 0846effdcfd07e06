"""Which format a text is in, and the policy that it becomes.

Lives here: the table of formats, those that are recognised but not read, and `convert`. Must not
know how any is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from sidecar.importing import (
    apache,
    apache_syntax,
    caddy,
    caddy_syntax,
    ingress,
    nginx,
    nginx_syntax,
    observing,
    traefik,
)
from sidecar.importing.draft import Effect, Imported, Notes, Place, SourceLine, settle
from sidecar.importing.sightings import Sighting
from sidecar.importing.syntax import Sources
from sidecar.importing.writing import policy_text
from sidecar.policy.model import PolicyError, Problem

Importer: TypeAlias = Callable[[Sources, Notes], list[Place]]
MAX_CHARS = 1 << 20


class Format(NamedTuple):
    """A format: how notes call its server, how it is read, and what its texts are known by."""

    server: str
    importer: Importer
    sign: re.Pattern[str]


def _signs(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.MULTILINE)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "ingress": Format(
            "ingress-nginx",
            ingress.importer,
            _signs(
                r"nginx\.ingress\.kubernetes\.io/",
                r"^kind:\s*Ingress\s*$(?![\s\S]*traefik\.ingress\.kubernetes)",
                r"^\s+hsts-[a-z-]+:",
            ),
        ),
        "traefik": Format(
            "Traefik",
            traefik.importer,
            _signs(
                r"traefik\.ingress\.kubernetes\.io/",
                r"\btraefik\.http\.",
                r"^kind:\s*(?:Middleware|IngressRoute)\b",
                r"^\s*middlewares:",
                r"^\s*\[http\.(?:middlewares|routers)\b",
            ),
        ),
        "apache": Format(
            "Apache",
            lambda sources, notes: apache.places(apache_syntax.read_apache(sources, notes), notes),
            _signs(
                r"^\s*<(?i:VirtualHost|IfModule|Directory|Location|Files)",
                r"^\s*(?i:Header\s+(?:always\s+|onsuccess\s+)?(?:set|unset|append|merge|add|edit|setifempty))\b",
            ),
        ),
        "nginx": Format(
            "nginx",
            lambda sources, notes: nginx.places(nginx_syntax.read_nginx(sources, notes), notes),
            _signs(
                r"^\s*(?:add_header|more_set_headers|more_clear_headers|\w+_hide_header|server_tokens|server_name|listen)\s[^{}]*;",
                r"^\s*(?:server|http|location\s[^;]*)\s*\{",
            ),
        ),
        "caddy": Format(
            "Caddy",
            lambda sources, notes: caddy.places(caddy_syntax.read_caddy(sources, notes), notes),
            _signs(r"^\s*(?:header|reverse_proxy|handle|handle_path|encode|respond)\s"),
        ),
    }
)
"""By name, those with words that no other has first."""

_UNREAD: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("IIS", _signs(r"<system\.webServer\b")),
    (
        "Envoy",
        _signs(r"\bstatic_resources\b", r"http_connection_manager", r"response_headers_to_add"),
    ),
    (
        "HAProxy",
        _signs(r"^\s*(?:frontend|backend|listen|defaults)\b[^;{]*$", r"^\s*http-response\s"),
    ),
    ("Helmet", _signs(r"\bhelmet\s*(?:\.\w+\s*)?[(,]")),
    ("Next.js", _signs(r"\basync\s+headers\s*\(", r"\bnextConfig\b", r"\bNextConfig\b")),
    ("Flask-Talisman", _signs(r"\bTalisman\(", r"\btalisman\.init_app\(")),
    (
        "Django",
        _signs(r"^(?:SECURE_[A-Z_]+|X_FRAME_OPTIONS|CONTENT_SECURITY_POLICY)\s*(?::[^=\n]+)?="),
    ),
    ("secure.py", _signs(r"^\s*(?:from secure import|import secure\b)", r"\bSecure(?:\.\w+)?\(")),
    ("Vercel", _signs(r"^\s*\{[\s\S]*\"headers\"\s*:\s*\[")),
    ("Netlify", _signs(r"^\s*\[\[headers\]\]")),
    ("_headers", _signs(r"^/\S*[ \t]*\n[ \t]+[A-Za-z-]+:")),
)
"""Formats that are known and not read: their programs show what they send."""


def guess(sources: Sources) -> str | None:
    """The format that the texts look like; None when they look like none."""
    text = _all(sources)
    return next((name for name, form in FORMATS.items() if form.sign.search(text)), None)


def unread(sources: Sources) -> str:
    """The known format that the texts look like, of those that are not read; "" = none."""
    text = _all(sources)
    return next((name for name, sign in _UNREAD if sign.search(text)), "")


def _all(sources: Sources) -> str:
    return "\n".join(sources.values())[:MAX_CHARS]


def convert(sources: Sources, form: str) -> Imported:
    """The policy that does to a response what these settings do, and what it cannot.

    Args:
        sources: texts by file name; those that one of them includes are not read on their own.
        form: a name of FORMATS.

    Raises:
        PolicyError: a text cannot be read at all.
    """
    first = next(iter(sources))
    if sum(map(len, sources.values())) > MAX_CHARS:
        message = f"the texts are longer than {MAX_CHARS} characters"
        raise PolicyError((Problem(message, "give the files that set headers only", file=first),))
    server, importer, _ = FORMATS[form]
    notes = Notes()
    places = importer(sources, notes)
    if not any(place.effects for place in places) and not notes.reported():
        notes.lost(
            SourceLine(first),
            f"no header setting of {server} was found",
            "name the format with --from, and give the included files too",
        )
    names = ", ".join(PurePosixPath(name).name for name in sources)
    return _written(f"imported-{form}", f"imported from {names} ({server})", server, places, notes)


def from_sightings(sightings: Iterable[Sighting]) -> Imported:
    """The policy that gives a service's responses the headers that were seen, and what could not be
    seen.

    Args:
        sightings: at least one.
    """
    seen = tuple(sightings)
    notes = Notes()
    parts = seen[0].response.place
    about = (
        f"imported from {len(seen)} responses of {parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    )
    places = observing.places(seen, notes)
    return _written("imported-observed", about, "the server", places, notes)


def _written(name: str, about: str, server: str, found: list[Place], notes: Notes) -> Imported:
    places = [replace(place, effects=settle(place.effects, server, notes)) for place in found]
    _general([effect for place in places for effect in place.effects], server, notes)
    return Imported(policy_text(name, about, places), notes.reported())


def _general(effects: list[Effect], server: str, notes: Notes) -> None:
    """The two differences that hold for every policy, named once."""
    added = next((effect for effect in effects if effect.action == "append"), None)
    if added is not None:
        notes.differs(
            added.where,
            f"{server} adds a line even where the service already sends the very same; the policy"
            " does not repeat it",
        )
    hsts = "strict-transport-security"
    written = (effect for effect in effects if effect.key == hsts and effect.action != "remove")
    if (found := next(written, None)) is not None:
        notes.differs(
            found.where,
            "Strict-Transport-Security is written on HTTPS responses only; browsers ignore it on"
            " others (RFC 6797 section 7.2)",
        )
