"""Caddy: attributes of cookies by regular expressions of RE2, which cannot look ahead.

Lives here: the replacements of a cookie rule. An attribute is taken away wherever it stands, and added at the end.
Must not know handlers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.exporting import patterns
from sidecar.exporting.program import Step
from sidecar.exporting.terms import Condition, Scheme


def replacements(step: Step) -> Iterator[tuple[Condition, list[dict[str, str]]]]:
    """Conditions and what is replaced where they hold. Secure, and what needs it, is written over https only."""
    demands, when, line = step.demands, step.when, _line(step.cookie)
    https = tuple((Scheme("https"), *rest) for rest in when if Scheme("http") not in rest)
    always: list[dict[str, str]] = []
    secure: list[dict[str, str]] = []
    if demands.secure is False:
        always += [_without(line, "secure")]
    if demands.secure or demands.partitioned or demands.same_site == "None":
        secure += _with(line, "Secure")
    if demands.http_only is False:
        always += [_without(line, "httponly")]
    elif demands.http_only:
        always += _hidden(line, exact=demands.hide_csrf)
    if demands.same_site:
        found = _with(line, f"SameSite={demands.same_site}")
        if demands.same_site == "None":
            secure += found
        else:
            always += found
    if demands.path:
        always += _with(line, f"Path={demands.path}")
    if demands.host_only:
        always += [_without(line, "domain")]
    if demands.partitioned:
        secure += _with(line, "Partitioned")
    elif demands.partitioned is False:
        always += [_without(line, "partitioned")]
    if always:
        yield when, always
    if secure and https:
        yield https, secure


def _line(pattern: str) -> str:
    """The beginning of a line whose cookie's name matches."""
    name = "[^=;]*".join(patterns.literal(part) for part in re.split(r"[*]+", pattern))
    return f"[ \\t]*{name}[ \\t]*="


def _without(line: str, attribute: str) -> dict[str, str]:
    search = f"^({line}[^;]*(?:;[^;]*)*?);[ \\t]*(?i:{attribute})[ \\t]*(?:=[^;]*)?(;.*)?$"
    return {"search_regexp": search, "replace": "$1$2"}


def _with(line: str, attribute: str) -> list[dict[str, str]]:
    name = attribute.partition("=")[0].lower()
    text = attribute.replace("$", "$$").replace("{", "\\{")
    add = {"search_regexp": f"^({line}.*)$", "replace": f"$1; {text}"}
    return [_without(line, name), add]


def _hidden(line: str, *, exact: bool) -> list[dict[str, str]]:
    """HttpOnly, but for cookies that scripts must read: these begin with a semicolon meanwhile, and so with no name."""
    if exact:
        return _with(line, "HttpOnly")
    return [
        {"search_regexp": f"^([ \\t]*{patterns.READABLE}.*)$", "replace": ";$1"},
        *_with(line, "HttpOnly"),
        {"search_regexp": "^;(.*)$", "replace": "$1"},
    ]
