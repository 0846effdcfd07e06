"""Which format a text is in, and the policy that it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeAlias

from sidecar.importing import apache, caddy, ingress, nginx, observing, traefik
from sidecar.importing.draft import HeaderEffect, HeaderScope, Imported, Notes, SourceLine, settle
from sidecar.importing.observations import Observation
from sidecar.importing.syntax import Sources
from sidecar.importing.writing import policy_text
from sidecar.policy.data import read_table
from sidecar.policy.terms import PolicyError, Problem

Importer: TypeAlias = Callable[[Sources, Notes], list[HeaderScope]]
MAX_CHARS = 1 << 20


_SIGNS = read_table("sidecar.importing", "signs.json")
"""What the texts of each format are known by, those with words that no other has first: formats
that are read, and others, of which responses of their programs show what they send.
"""
FORMATS: Mapping[str, tuple[str, Importer]] = {
    "ingress": ("ingress-nginx", ingress.importer),
    "traefik": ("Traefik", traefik.importer),
    "apache": ("Apache", apache.importer),
    "nginx": ("nginx", nginx.importer),
    "caddy": ("Caddy", caddy.importer),
}
"""How notes call a format's server, and how the format is read."""


def guess(sources: Sources) -> str | None:
    """The format that the texts look like; None when they look like none."""
    text, signs = _all(sources), _SIGNS["read"].items()
    found = (name for name, sign in signs if re.search("|".join(sign), text, re.MULTILINE))
    return next(found, None)


def unread(sources: Sources) -> str:
    """The known format that the texts look like, of those that are not read; "" = none."""
    text, signs = _all(sources), _SIGNS["unread"].items()
    return next((name for name, sign in signs if re.search(sign, text, re.MULTILINE)), "")


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
    server, importer = FORMATS[form]
    notes = Notes()
    places = importer(sources, notes)
    if not any(place.effects for place in places) and not notes.reported():
        fix = "name the format with --from, and give the included files too"
        notes.lost(SourceLine(first), f"no header setting of {server} was found", fix)
    names = ", ".join(PurePosixPath(name).name for name in sources)
    return _written(f"imported-{form}", f"imported from {names} ({server})", server, places, notes)


def from_observations(observations: Iterable[Observation]) -> Imported:
    """The policy that gives a service's responses the headers seen, and what cannot be seen.

    Args:
        observations: at least one.
    """
    seen = tuple(observations)
    notes = Notes()
    parts = seen[0].response.place
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    about = f"imported from {len(seen)} responses of {origin}"
    places = observing.places(seen, notes)
    return _written("imported-observed", about, "the server", places, notes)


def _written(
    name: str, about: str, server: str, found: list[HeaderScope], notes: Notes
) -> Imported:
    places = [replace(place, effects=settle(place.effects, server, notes)) for place in found]
    _general([effect for place in places for effect in place.effects], server, notes)
    return Imported(policy_text(name, about, places), notes.reported())


def _general(effects: list[HeaderEffect], server: str, notes: Notes) -> None:
    """The two differences that hold for every policy, named once."""
    added = next((effect for effect in effects if effect.action == "append"), None)
    if added is not None:
        text = "adds a line even where the service already sends it; the policy does not repeat it"
        notes.differs(added.where, f"{server} {text}")
    hsts = "strict-transport-security"
    written = (effect for effect in effects if effect.key == hsts and effect.action != "remove")
    if (found := next(written, None)) is not None:
        text = "is written on HTTPS responses only; browsers ignore it on others (RFC 6797, 7.2)"
        notes.differs(found.where, f"Strict-Transport-Security {text}")
