"""The words of a policy: names, values, statuses, durations, sizes, and their schemas."""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from sidecar.policy.faults import SHORT, nearest
from sidecar.policy.terms import METHODS

ResponseClass: TypeAlias = Literal["html", "api", "static", "download", "docs", "logout"]

CLASSES: tuple[ResponseClass, ...] = get_args(ResponseClass)

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2."""
PROXY_OWNED = frozenset(
    """
    connection content-length keep-alive proxy-connection te trailer transfer-encoding upgrade
    """.split()
)
"""Framing and hop-by-hop headers (RFC 9110 section 7.6.1)."""
MAX_VALUE = 16_384


def request_path(value: object) -> str:
    """The path of a request without its query; raises ValueError with the fix."""
    if not isinstance(value, str) or not value.startswith("/") or "?" in value:
        raise ValueError(f"unknown path {value!r}; write it with '/' first and without query")
    return value


def request_method(value: object) -> str:
    """A method that the sidecar passes on; raises ValueError with the fix."""
    if value not in METHODS:
        known = nearest(str(value), METHODS, cutoff=SHORT) or "a registered method, as GET"
        raise ValueError(f"unknown method {value!r}; write {known}")
    return str(value)


def as_tuple(value: object) -> tuple[Any, ...]:
    """A text or a list as a tuple; anything else is refused, as `text_or_list`."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("text_or_list", "it is neither a text nor a list")
    return tuple(value)


Listed = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]


def any_header_name(value: object) -> str:
    """Check a header name (RFC 9110 section 5.1); raises ValueError with the fix."""
    if not isinstance(value, str) or not TOKEN.fullmatch(value):
        raise ValueError(f"illegal header name {value!r}; use letters, digits and hyphens")
    return value


def header_name(value: object) -> str:
    """Check the name of a header that a rule may touch; raises ValueError with the fix."""
    if not isinstance(value, str):
        raise ValueError(f"a header name must be text, got {value!r}")
    if any_header_name(value).lower() in PROXY_OWNED:
        fix = "no rule may touch it"
        raise ValueError(f"{value} frames the message and belongs to the proxy; {fix}")
    return value


_STRAIGHT = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\xb4", "write the straight quote ' instead"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\xab\xbb", 'write the straight quote " instead'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "write the hyphen - instead"),
    **dict.fromkeys("\xa0\u2009\u202f", "write a plain space instead"),
}
"""What word processors write instead of ASCII, and what to write."""


def header_value(value: object) -> str:
    """Check a header value: visible ASCII, space, tab (RFC 9110 section 5.5); raises ValueError."""
    if isinstance(value, bool | int | float):
        text = str(value).lower() if isinstance(value, bool) else value
        raise ValueError(f"the value must be text; put it in quotes: '{text}'")
    if not isinstance(value, str):
        raise ValueError(f"the value must be text, got {type(value).__name__}")
    for char in value:
        if char in "\r\n\0":
            raise ValueError(
                "illegal header value: it contains CR, LF or NUL; write it on one line"
            )
        if char != "\t" and not " " <= char <= "~":
            encode = "write ASCII; percent-encode paths, and host names as Punycode"
            fix = _STRAIGHT.get(char, encode)
            raise ValueError(f"illegal header value: {char!r} is not visible ASCII; {fix}")
    if len(value) > MAX_VALUE:
        raise ValueError(f"the value is {len(value)} bytes long; at most {MAX_VALUE} are allowed")
    return value.strip()


def _directive_name(key: object) -> str:
    if not isinstance(key, str) or not TOKEN.fullmatch(key):
        raise ValueError(f"illegal directive name {key!r}; use letters and hyphens")
    return key


def _sources(item: object) -> tuple[str, ...] | bool:
    if isinstance(item, bool):
        return item
    items = [item] if isinstance(item, str) else item
    if items is None:
        return True
    if not isinstance(items, list | tuple):
        raise ValueError("a directive takes a list of sources, a text or true")
    sources = tuple(header_value(source) for source in items)
    for source in sources:
        if "," in source or ";" in source:
            fix = "write one list item for each source"
            raise ValueError(f"source {source!r} contains ',' or ';'; {fix}")
    return sources


def percentage(value: object) -> object:
    """`10%` as 0.1; raises ValueError with the fix."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", str(value))
    if not found or not 0 < float(found[1]) <= 100:
        fix = "write a number above 0 and a percent sign, as 10%"
        raise ValueError(f"unknown percentage {value!r}; {fix}")
    return float(found[1]) / 100


def _status(value: object) -> object:
    patterns = tuple(map(str, value if isinstance(value, list | tuple) else [value]))
    for text in patterns:
        if not re.fullmatch(r"[1-5](\d\d|xx)", text):
            raise ValueError(f"unknown status {text!r}; write a code (404) or a class (4xx)")
    return patterns


def _media_types(value: object) -> object:
    listed = as_tuple(value)
    if not all(isinstance(item, str) for item in listed):
        raise ValueError("content-type takes a media type or a list of them")
    for item in listed:
        if not re.fullmatch(r"[\w.+*-]+/[\w.+*-]+", item):
            fix = "write type/subtype, as text/html or image/*"
            raise ValueError(f"unknown media type {item!r}; {fix}")
    return tuple(item.lower() for item in listed)


def _pattern(value: object) -> str | bool:
    return value if isinstance(value, bool) else header_value(value)


def seconds(value: object) -> float:
    """`3s`, `500ms`, `2m` as seconds; raises ValueError with the fix."""
    if isinstance(value, float) and 0 <= value < 1e10:
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", str(value))
    if not found:
        fix = "write a number with ms, s, m, h or d, as 500ms"
        raise ValueError(f"unknown duration {value!r}; {fix}")
    return float(found[1]) * (0.001 if found[2] == "ms" else _AGES[found[2]])


def _listed(item: dict[str, Any]) -> dict[str, Any]:
    """The schema of one such item, or a list of them."""
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


def byte_size(value: object) -> object:
    """`16MiB`, `64KiB` or a whole number as bytes; raises ValueError with the fix."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = re.fullmatch(r"(\d+)(B|KiB|MiB|GiB)", str(value))
    if not found:
        fix = "write a whole number with B, KiB, MiB or GiB, as 16MiB"
        raise ValueError(f"unknown size {value!r}; {fix}")
    return int(found[1]) << {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[found[2]]


def _cookie_path(value: object) -> str:
    text = header_value(value)
    if not text.startswith("/") or ";" in text:
        raise ValueError(f"unknown path {text!r}; write / or a path that begins with it")
    return text


CookiePath = Annotated[str, BeforeValidator(_cookie_path)]
HeaderName = Annotated[str, BeforeValidator(header_name)]
_SOME = Field(min_length=1)
_LISTED = BeforeValidator(as_tuple)
_TEXTS = WithJsonSchema(_listed({"type": "string"}))
_NAMES = WithJsonSchema(_listed({"type": "string", "pattern": f"^{TOKEN.pattern}$"}))
_CODES = WithJsonSchema(_listed({"type": ["string", "integer"]}))
_CLASSES = WithJsonSchema(_listed({"enum": [*CLASSES]}))
HeaderNames = Annotated[tuple[HeaderName, ...], _LISTED, _SOME, _NAMES]
Texts = Annotated[tuple[str, ...], _LISTED, _SOME, _TEXTS]
Statuses = Annotated[tuple[str, ...], BeforeValidator(_status), _SOME, _CODES]
Classes = Annotated[tuple[ResponseClass, ...], _LISTED, _SOME, _CLASSES]
MediaTypes = Annotated[tuple[str, ...], BeforeValidator(_media_types), _SOME, _TEXTS]
Directives: TypeAlias = dict[
    Annotated[str, BeforeValidator(_directive_name)],
    Annotated[tuple[str, ...] | bool, BeforeValidator(_sources)],
]
_OF_DIRECTIVE = {"type": ["string", "array", "boolean", "null"], "items": {"type": "string"}}
_OF_VALUE = [{"type": "string"}, {"type": "object", "additionalProperties": _OF_DIRECTIVE}]
Value = Annotated[
    Annotated[str, BeforeValidator(header_value), Tag("@text")]
    | Annotated[Directives, Tag("@directives")],
    Discriminator(lambda value: "@directives" if isinstance(value, dict) else "@text"),
    WithJsonSchema({"anyOf": _OF_VALUE}),
]
Conditions: TypeAlias = dict[
    Annotated[str, BeforeValidator(any_header_name)],
    Annotated[str | bool, BeforeValidator(_pattern)],
]
Size = Annotated[int, BeforeValidator(byte_size), WithJsonSchema({"type": ["string", "integer"]})]
Duration = Annotated[float, BeforeValidator(seconds), WithJsonSchema({"type": "string"})]
Percent = Annotated[float, BeforeValidator(percentage), WithJsonSchema({"type": "string"})]
_SHARE = {"type": "string", "pattern": r"^\d{1,3}(\.\d+)?%$"}
Share = Annotated[float, BeforeValidator(percentage), WithJsonSchema(_SHARE)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


# How long browsers are asked to keep something: `5m`, `1d`, `2y` as whole seconds, and back.

_AGES = {"y": 31_536_000, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""Largest first; a year has 365 days, as in the usual max-age of a year."""
_AGE = re.compile(rf"([1-9]\d{{0,9}})([{''.join(_AGES)}])")


def age(value: object) -> int:
    """Seconds of a whole number with s, m, h, d or y; raises ValueError with the fix."""
    found = _AGE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        fix = "write a whole number with s, m, h, d or y, as 30d"
        raise ValueError(f"unknown age {value!r}; {fix}")
    return int(found[1]) * _AGES[found[2]]


def age_text(seconds: int) -> str:
    """Seconds in the largest unit that divides them: `2y`, `30d`, `90s`."""
    unit = next(unit for unit, length in _AGES.items() if seconds % length == 0)
    return f"{seconds // _AGES[unit]}{unit}"


def as_list(value: object) -> object:
    """A list as a tuple; anything else as it is, for the model to refuse."""
    return tuple(value) if isinstance(value, list) else value


_AGE_SCHEMA = {"type": "string", "pattern": f"^{_AGE.pattern}$"}
Ages = Annotated[
    tuple[Annotated[int, BeforeValidator(age)], ...],
    BeforeValidator(as_list),
    _SOME,
    WithJsonSchema({"type": "array", "items": _AGE_SCHEMA, "minItems": 1}),
]
"""A list of ages."""
