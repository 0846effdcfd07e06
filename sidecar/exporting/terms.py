"""The conditions of rules in parts that other proxies can test: alternatives of terms."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

from sidecar.policy import headers
from sidecar.policy.model import When
from sidecar.policy.values import ResponseClass


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the client spoke."""

    scheme: Literal["http", "https"]


@dataclass(frozen=True, slots=True)
class Status:
    """The status code lies in one of these ranges, ends included."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Media:
    """The media type is one of these; * stands for any run."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Class:
    """The content is of one of these classes: a download where Content-Disposition says attachment,
    documentation where the path matches `DOCS` and the media type is of html or api, else the class
    of the media type.
    """

    wanted: tuple[ResponseClass, ...]


@dataclass(frozen=True, slots=True)
class LogoutPath:
    """The path is that of a logout."""


@dataclass(frozen=True, slots=True)
class Field:
    """A header of one side: a pattern with * for any of its lines in any case, or whether it is
    there.
    """

    side: Literal["request", "response"]
    name: str
    pattern: str | bool


Term: TypeAlias = Scheme | Status | Media | Class | LogoutPath | Field
Alternative: TypeAlias = tuple[Term, ...]
Condition: TypeAlias = tuple[Alternative, ...]
"""Holds where one alternative does; `()` never holds, `((),)` always."""

ALWAYS: Condition = ((),)


def https_only(header: str, action: str | None) -> bool:
    """Whether a rule's header is never written over plain HTTP."""
    known = headers.get(header)
    return known is not None and known.scope == "https" and action != "remove"


def over_https(when: Condition) -> Condition:
    """The same condition over https only; () where it needs http."""
    return tuple((Scheme("https"), *rest) for rest in when if Scheme("http") not in rest)


def condition(when: When | None, *, secure: bool = False) -> Condition:
    """The conditions of a rule; `secure` for headers that are never written over plain HTTP."""
    said = when or When.model_construct()
    if secure and said.scheme == "http":
        return ()
    scheme = said.scheme or ("https" if secure else None)
    common: list[Term] = [Scheme(scheme)] if scheme else []
    if said.status is not None:
        bounds = ((one.replace("x", "0"), one.replace("x", "9")) for one in said.status)
        common.append(Status(tuple((int(low), int(high)) for low, high in bounds)))
    if said.content_type is not None:
        common.append(Media(said.content_type))
    common += [Field("response", name, pattern) for name, pattern in (said.response or {}).items()]
    common += [Field("request", name, pattern) for name, pattern in (said.request or {}).items()]
    classes = ALWAYS if said.response_class is None else _classes(said.response_class)
    return tuple((*one, *other) for one, other in product((tuple(common),), classes))


def _classes(wanted: tuple[ResponseClass, ...]) -> Condition:
    content = tuple(one for one in wanted if one != "logout")
    found: list[Alternative] = [(Class(content),)] if content else []
    if "logout" in wanted:
        found.append((LogoutPath(), Status(((200, 399),))))
    return tuple(found)


def response_names(when: Condition) -> frozenset[str]:
    """The response's lines that a condition looks at, in lower case."""
    names: set[str] = set()
    for term in (term for alternative in when for term in alternative):
        match term:
            case Media():
                names.add("content-type")
            case Class():
                names.update(("content-type", "content-disposition"))
            case Field(side="response", name=name):
                names.add(name.lower())
    return frozenset(names)
