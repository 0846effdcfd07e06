"""The classes of responses: page, data, static file, download, API documentation, logout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from sidecar.policy.data import MEDIA_TYPES
from sidecar.policy.rules.matching import decoded
from sidecar.policy.values import ResponseClass

_TYPES: Mapping[ResponseClass, list[str]] = MEDIA_TYPES["classes"]
_EXACT: Mapping[bytes, ResponseClass] = {
    media.encode(): name for name, types in _TYPES.items() for media in types
}
_FAMILIES = (b"image/", b"font/", b"audio/", b"video/")
_SUFFIXES = (b"+json", b"+xml", b"+yaml", b"+cbor", b"+proto")

MEDIA: tuple[tuple[ResponseClass, tuple[str, ...]], ...] = (
    *((name, tuple(types)) for name, types in _TYPES.items()),
    ("static", tuple(f"{family.decode()}*" for family in _FAMILIES)),
    ("api", tuple(f"*{suffix.decode()}" for suffix in _SUFFIXES)),
)
"""What `of_media_type` says, as patterns in which * stands for any run; the first match counts."""

# Where FastAPI, DRF, Flasgger, springdoc and Swagger UI put their pages and descriptions, at the
# root or below /api, /v1 and the like. Deliberately narrow: pages here may get a looser CSP, and
# routes serve all other places.
DOCS = re.compile(
    r"(?:/(?:api|rest|schema|v\d{1,4}(?:\.\d{1,4})?)){0,4}"
    r"/(?:docs(?:/oauth2-redirect)?|redoc|apidocs?|api-docs"
    r"|swagger(?:-ui)?(?:/index\.html|/oauth2-redirect\.html|\.html)?"
    r"|(?:openapi|swagger)\.(?:json|ya?ml))/?",
    re.IGNORECASE,
)
LOGOUT = re.compile(
    r"(?:.*/)?(?:log|sign)[-_]?(?:out|off)(?:\.[a-z]{1,5})?/?", re.IGNORECASE | re.DOTALL
)


LOOKS = frozenset({b"content-disposition", b"content-type"})
"""The lines of a response that show its class."""


def of_path(path: str) -> tuple[bool, bool]:
    """All that a path shows of a class: whether it is API documentation, and whether a logout."""
    return _at_docs(path), _at_logout(path)


def is_class(
    wanted: frozenset[ResponseClass],
    path: str,
    status: int,
    seen: Mapping[bytes, tuple[bytes, ...]],
) -> bool:
    """Whether a response belongs to one of the classes; `seen` are its lines by lower-case name."""
    return _content(path, seen) in wanted or (
        "logout" in wanted and 200 <= status < 400 and _at_logout(path)
    )


def classes(
    path: str, status: int, seen: Mapping[bytes, tuple[bytes, ...]]
) -> tuple[ResponseClass, ...]:
    """The classes of a response: at most one by its content, and `logout` besides."""
    content = _content(path, seen)
    found: tuple[ResponseClass, ...] = () if content is None else (content,)
    return (*found, "logout") if 200 <= status < 400 and _at_logout(path) else found


def _content(path: str, seen: Mapping[bytes, tuple[bytes, ...]]) -> ResponseClass | None:
    """By Content-Disposition, then Content-Type; without it (304, 204) there is no class."""
    disposition = seen.get(b"content-disposition", (b"",))[0]
    if disposition.partition(b";")[0].strip(b" \t").lower() == b"attachment":
        return "download"
    types = seen.get(b"content-type")
    if types is None:
        return None
    found = of_media_type(types[0])
    return "docs" if found in ("html", "api") and _at_docs(path) else found


# Each rule of a plan asks the same of the same response: the last results are kept.
@lru_cache(maxsize=256)
def _at_docs(path: str) -> bool:
    return DOCS.fullmatch(decoded(path)) is not None


@lru_cache(maxsize=256)
def _at_logout(path: str) -> bool:
    return LOGOUT.fullmatch(decoded(path)) is not None


@lru_cache(maxsize=256)
def of_media_type(content_type: bytes) -> ResponseClass | None:
    """The class of a Content-Type alone: html, api, static, download or None."""
    media = content_type.partition(b";")[0].strip(b" \t").lower()
    found = _EXACT.get(media)
    if found is not None:
        return found
    if media.startswith(_FAMILIES):
        return "static"
    return "api" if media.endswith(_SUFFIXES) else None
