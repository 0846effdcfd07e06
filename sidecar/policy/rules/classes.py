"""What a response is: a page, data, a static file, a download, API documentation, the response to a
logout.

Lives here: the classes that a rule's `when` may name, recognised by media type,
Content-Disposition, path and status. Must not know rules, actions or modes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from sidecar.policy.rules.paths import decoded
from sidecar.policy.values import ResponseClass

_EXACT: Mapping[bytes, ResponseClass] = {
    **dict.fromkeys((b"text/html", b"application/xhtml+xml"), "html"),
    **dict.fromkeys(
        (
            b"application/json",
            b"text/json",
            b"application/xml",
            b"text/xml",
            b"application/yaml",
            b"application/x-yaml",
            b"text/yaml",
            b"text/x-yaml",
            b"application/vnd.oai.openapi",
            b"text/event-stream",
            b"application/x-ndjson",
            b"application/jsonl",
            b"application/cbor",
            b"application/msgpack",
            b"application/x-msgpack",
            b"application/protobuf",
            b"application/x-protobuf",
            b"application/grpc",
            b"application/grpc-web",
        ),
        "api",
    ),
    **dict.fromkeys(
        (
            b"text/css",
            b"text/javascript",
            b"application/javascript",
            b"application/x-javascript",
            b"application/ecmascript",
            b"application/wasm",
            b"application/manifest+json",
            b"application/vnd.ms-fontobject",
            b"application/font-woff",
            b"application/font-sfnt",
        ),
        "static",
    ),
    **dict.fromkeys(
        (
            b"application/octet-stream",
            b"application/zip",
            b"application/gzip",
            b"application/x-gzip",
            b"application/x-tar",
            b"application/zstd",
            b"application/x-7z-compressed",
            b"application/x-bzip2",
            b"application/x-xz",
            b"application/vnd.rar",
            b"application/x-rar-compressed",
        ),
        "download",
    ),
}
_FAMILIES = (b"image/", b"font/", b"audio/", b"video/")
_SUFFIXES = (b"+json", b"+xml", b"+yaml", b"+cbor", b"+proto")

MEDIA: tuple[tuple[ResponseClass, tuple[str, ...]], ...] = (
    *(
        (name, tuple(media.decode() for media, found in _EXACT.items() if found == name))
        for name in dict.fromkeys(_EXACT.values())
    ),
    ("static", tuple(f"{family.decode()}*" for family in _FAMILIES)),
    ("api", tuple(f"*{suffix.decode()}" for suffix in _SUFFIXES)),
)
"""What `of_media_type` says, as patterns in which * stands for any run; the first that matches
counts.
"""

# Where FastAPI, DRF, Flasgger, springdoc and Swagger UI put their pages and descriptions, at the
# root or below
# /api, /v1 and the like. Deliberately narrow: pages here may get a looser CSP, and routes serve all
# other places.
DOCS = re.compile(
    r"(?:/(?:api|rest|schema|v\d{1,4}(?:\.\d{1,4})?)){0,4}"
    r"/(?:docs(?:/oauth2-redirect)?|redoc|apidocs?|api-docs|swagger(?:-ui)?(?:/index\.html|/oauth2-redirect\.html|\.html)?|(?:openapi|swagger)\.(?:json|ya?ml))/?",
    re.IGNORECASE,
)
LOGOUT = re.compile(
    r"(?:.*/)?(?:log|sign)[-_]?(?:out|off)(?:\.[a-z]{1,5})?/?", re.IGNORECASE | re.DOTALL
)


LOOKS = frozenset({b"content-disposition", b"content-type"})
"""The lines of a response that tell its class."""


def of_path(path: str) -> tuple[bool, bool]:
    """All that a path tells of a class: whether API documentation is there, and whether a
    logout.
    """
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
    """The classes of a response: at most one by what it carries, and `logout` beside it."""
    content = _content(path, seen)
    found: tuple[ResponseClass, ...] = () if content is None else (content,)
    return (*found, "logout") if 200 <= status < 400 and _at_logout(path) else found


def _content(path: str, seen: Mapping[bytes, tuple[bytes, ...]]) -> ResponseClass | None:
    """By Content-Disposition, then Content-Type; a response without the latter (304, 204) is of
    no class.
    """
    disposition, types = seen.get(b"content-disposition"), seen.get(b"content-type")
    if (
        disposition is not None
        and disposition[0].partition(b";")[0].strip(b" \t").lower() == b"attachment"
    ):
        return "download"
    if types is None:
        return None
    found = of_media_type(types[0])
    return "docs" if found in ("html", "api") and _at_docs(path) else found


# Each rule of a plan asks the same of the same response: the last responses are remembered.
@lru_cache(maxsize=256)
def _at_docs(path: str) -> bool:
    return DOCS.fullmatch(decoded(path)) is not None


@lru_cache(maxsize=256)
def _at_logout(path: str) -> bool:
    return LOGOUT.fullmatch(decoded(path)) is not None


@lru_cache(maxsize=256)
def of_media_type(content_type: bytes) -> ResponseClass | None:
    """The class that a Content-Type alone tells: html, api, static or download."""
    media = content_type.partition(b";")[0].strip(b" \t").lower()
    found = _EXACT.get(media)
    if found is not None:
        return found
    if media.startswith(_FAMILIES):
        return "static"
    return "api" if media.endswith(_SUFFIXES) else None
