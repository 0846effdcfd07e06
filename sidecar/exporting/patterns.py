"""Regular expressions that PCRE and RE2 read alike, for what a policy says by * and **.

Lives here: hosts, paths, whole routes, media types, header values, cookie names. Must not know any target's quoting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sidecar.policy.classes import DOCS, LOGOUT
from sidecar.policy.matching import host_name, same_path
from sidecar.policy.model import Match

_SPECIAL = re.compile(r"[\\.+*?()\[\]{}^$|]")

DOCS_PATH, LOGOUT_PATH = f"^{DOCS.pattern}$", f"^{LOGOUT.pattern}$"
"""Where API documentation and logouts are, over the path, whatever the case."""

READABLE = r"(?i:__host-http-|__host-|__http-|__secure-)?(?i:csrf|xsrf|x-csrf|x-xsrf|_xsrf)"
"""How the names of cookies begin that scripts must be able to read."""


def literal(text: str) -> str:
    """The text itself."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def glob(pattern: str) -> str:
    """A text in which * stands for any run, from end to end."""
    return f"^{'.*'.join(literal(part) for part in re.split(r'[*]+', pattern))}$"


def host(pattern: str) -> str:
    """A host name, without ends; * takes at least one character."""
    return ".+".join(literal(part) for part in host_name(pattern).split("*"))


def path(pattern: str) -> str:
    """A path, without ends: * within one segment, ** any rest."""
    chunks = re.split(r"\*\*+", same_path(pattern))
    return ".*".join("[^/]*".join(literal(part) for part in chunk.split("*")) for chunk in chunks)


def any_of(sources: Iterable[str]) -> str:
    """One of these."""
    found = tuple(sources)
    return found[0] if len(found) == 1 else f"(?:{'|'.join(found)})"


def route(match: Match) -> str:
    """A route, over the text `METHOD host path`: the host without its port, the path decoded and without the query."""
    methods = any_of(match.method) if match.method else "[^ ]*"
    hosts = rf"(?i:{any_of(map(host, match.host))})\.*" if match.host else "[^ ]*"
    paths = any_of(map(path, match.path)) if match.path else ".*"
    return f"^{methods} {hosts} {paths}$"


def media(patterns: Iterable[str]) -> str:
    """A Content-Type's media type, whatever the case (to be said beside), with or without parameters."""
    sources = ("[^;]*".join(literal(part) for part in re.split(r"[*]+", one)) for one in patterns)
    return rf"^[ \t]*{any_of(sources)}[ \t]*(?:;|$)"


ATTACHMENT = r"^[ \t]*attachment[ \t]*(?:;|$)"
"""A Content-Disposition of attachment, whatever the case."""
