"""The nouns of a policy as written: one source for validation, JSON Schema and reference docs.

Lives here: the frozen models of the YAML file and `Problem`. Must not know: YAML, files, layers
merged from presets (see `resolve`), or how a response is judged (see `plan`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
)

Mode: TypeAlias = Literal["off", "report-only", "trial", "enforce"]
Action: TypeAlias = Literal["set", "default", "append", "remove", "merge", "require", "forbid"]
Kind: TypeAlias = Literal["missing", "mismatch", "forbidden", "duplicate", "weak", "invalid"]
Slashes: TypeAlias = Literal["stricter", "merge", "keep"]
Severity: TypeAlias = Literal["error", "warning", "info"]
ResponseClass: TypeAlias = Literal["html", "api", "static", "download", "docs", "logout"]
Path: TypeAlias = tuple[str | int, ...]

MODES: tuple[Mode, ...] = ("off", "report-only", "trial", "enforce")
CLASSES: tuple[ResponseClass, ...] = ("html", "api", "static", "download", "docs", "logout")
KINDS: tuple[Kind, ...] = ("missing", "mismatch", "forbidden", "duplicate", "weak", "invalid")
WRITING: frozenset[Action] = frozenset({"set", "default", "append", "remove", "merge"})
DEFAULT_ROUTE = "default"

# RFC 9110 section 5.6.2; the framing and hop-by-hop names belong to the proxy (RFC 9110 section 7.6.1).
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
PROXY_OWNED = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
MAX_VALUE = 16_384


@dataclass(frozen=True, slots=True)
class Problem:
    """One complaint about a text: where, how bad, what, and the fix.

    `path` leads to the place in the mapping; line and column count from 1, 0 = the whole file.
    """

    message: str
    fix: str = ""
    path: Path = ()
    severity: Severity = "error"
    file: str = ""
    line: int = 0
    column: int = 0
    at_key: bool = False
    """True when the key, not its value, is the wrong word."""
    code: str = ""
    """The stable name of a lint finding; "" where the text cannot be used at all."""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = f"{self.message}; {self.fix}" if self.fix else self.message
        text = f"{text} [{self.code}]" if self.code else text
        return f"{place}: {self.severity}: {text}" if place else f"{self.severity}: {text}"


class PolicyError(ValueError):
    """A text that cannot be put in force; carries every problem found, in the order of the text."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def lowest(*modes: Mode | None) -> Mode:
    """The ceiling rule: the lowest mode wins; None (missing) does not count; nothing said = report-only."""
    ranks = [MODES.index(mode) for mode in modes if mode is not None]
    return MODES[min(ranks)] if ranks else "report-only"


def _listed(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _version(value: object) -> object:
    return "true" if value is True else value  # which Python takes for 1


def header_name(value: object) -> str:
    """Check one header name (RFC 9110 section 5.1); raises ValueError with the fix."""
    if not isinstance(value, str):
        raise ValueError(f"a header name must be text, got {value!r}")
    if not TOKEN.fullmatch(value):
        raise ValueError(f"illegal header name {value!r}; use letters, digits and hyphens")
    if value.lower() in PROXY_OWNED:
        raise ValueError(
            f"{value} frames the message and belongs to the proxy; no rule may touch it"
        )
    return value


def header_value(value: object) -> str:
    """Check one header value: visible ASCII, space and tab (RFC 9110 section 5.5); raises ValueError."""
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
            raise ValueError(f"illegal header value: {char!r} is not visible ASCII")
    if len(value) > MAX_VALUE:
        raise ValueError(f"the value is {len(value)} bytes long; at most {MAX_VALUE} are allowed")
    return value.strip()


def _directive_name(key: object) -> str:
    if not isinstance(key, str) or not TOKEN.fullmatch(key):
        raise ValueError(f"illegal directive name {key!r}")
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
        if any(char in source for char in ",;"):
            raise ValueError(
                f"source {source!r} contains ',' or ';'; write one list item for each source"
            )
    return sources


def percentage(value: object) -> object:
    """`10%` as 0.1; raises ValueError with the fix."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", str(value))
    if not found or not 0 < float(found[1]) <= 100:
        raise ValueError(
            f"unknown percentage {value!r}; write a number above 0 and a percent sign, as 10%"
        )
    return float(found[1]) / 100


def _status(value: object) -> object:
    listed = value if isinstance(value, list | tuple) else [value]
    patterns = []
    for item in listed:
        text = str(item)
        if not re.fullmatch(r"[1-5](\d\d|xx)", text):
            raise ValueError(f"unknown status {text!r}; write a code (404) or a class (4xx)")
        patterns.append(text)
    return tuple(patterns)


def _media_types(value: object) -> object:
    listed = _listed(value)
    if not isinstance(listed, tuple) or not all(isinstance(item, str) for item in listed):
        raise ValueError("content-type takes a media type or a list of them")
    for item in listed:
        if not re.fullmatch(r"[\w.+*-]+/[\w.+*-]+", item):
            raise ValueError(
                f"unknown media type {item!r}; write type/subtype, as text/html or image/*"
            )
    return tuple(item.lower() for item in listed)


def _condition_name(key: object) -> str:
    if not isinstance(key, str) or not TOKEN.fullmatch(key):
        raise ValueError(f"illegal header name {key!r}")
    return key


def _pattern(value: object) -> str | bool:
    return value if isinstance(value, bool) else header_value(value)


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> float:
    """`3s`, `500ms`, `2m` as seconds; raises ValueError with the fix."""
    if isinstance(value, float):
        return value
    found = _DURATION.fullmatch(str(value))
    if not found:
        raise ValueError(
            f"unknown duration {value!r}; write a number with ms, s, m, h or d, as 500ms"
        )
    return float(found[1]) * _SECONDS[found[2]]


def _listed_schema(**text: str) -> dict[str, Any]:
    return {
        "anyOf": [
            {"type": "string", **text},
            {"type": "array", "items": {"type": "string", **text}, "minItems": 1},
        ]
    }


_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def byte_size(value: object) -> object:
    """`16MiB`, `64KiB`, `512B` as bytes (a plain whole number is bytes); raises ValueError with the fix."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.fullmatch(str(value))
    if not found:
        raise ValueError(
            f"unknown size {value!r}; write a whole number with B, KiB, MiB or GiB, as 16MiB"
        )
    return int(found[1]) * _BYTES[found[2]]


_TEXT_OR_LIST = _listed_schema()
_NAMES_SCHEMA = _listed_schema(pattern=f"^{TOKEN.pattern}$")
_STATUS_SCHEMA = {
    "anyOf": [
        {"type": ["string", "integer"]},
        {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1},
    ]
}
_CLASSES_SCHEMA = {
    "anyOf": [{"enum": [*CLASSES]}, {"type": "array", "items": {"enum": [*CLASSES]}, "minItems": 1}]
}
_VALUE_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "additionalProperties": {
                "type": ["string", "array", "boolean", "null"],
                "items": {"type": "string"},
            },
        },
    ]
}


def _cookie_path(value: object) -> str:
    text = header_value(value)
    if not text.startswith("/") or ";" in text:
        raise ValueError(f"unknown path {text!r}; write / or a path that begins with it")
    return text


CookiePath = Annotated[str, BeforeValidator(_cookie_path)]
HeaderName = Annotated[str, BeforeValidator(header_name)]
HeaderNames = Annotated[
    tuple[HeaderName, ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(_NAMES_SCHEMA),
]
Texts = Annotated[
    tuple[str, ...], BeforeValidator(_listed), Field(min_length=1), WithJsonSchema(_TEXT_OR_LIST)
]
Directives: TypeAlias = dict[
    Annotated[str, BeforeValidator(_directive_name)],
    Annotated[tuple[str, ...] | bool, BeforeValidator(_sources)],
]
Value = Annotated[
    Annotated[str, BeforeValidator(header_value), Tag("@text")]
    | Annotated[Directives, Tag("@directives")],
    Discriminator(lambda value: "@directives" if isinstance(value, dict) else "@text"),
    WithJsonSchema(_VALUE_SCHEMA),
]
Statuses = Annotated[
    tuple[str, ...], BeforeValidator(_status), Field(min_length=1), WithJsonSchema(_STATUS_SCHEMA)
]
Classes = Annotated[
    tuple[ResponseClass, ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(_CLASSES_SCHEMA),
]
MediaTypes = Annotated[
    tuple[str, ...],
    BeforeValidator(_media_types),
    Field(min_length=1),
    WithJsonSchema(_TEXT_OR_LIST),
]
Conditions: TypeAlias = dict[
    Annotated[str, BeforeValidator(_condition_name)],
    Annotated[str | bool, BeforeValidator(_pattern)],
]
Size = Annotated[int, BeforeValidator(byte_size), WithJsonSchema({"type": ["string", "integer"]})]
Duration = Annotated[float, BeforeValidator(seconds), WithJsonSchema({"type": "string"})]
Percent = Annotated[float, BeforeValidator(percentage), WithJsonSchema({"type": "string"})]
Share = Annotated[
    float,
    BeforeValidator(percentage),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}(\.\d+)?%$"}),
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def _alias(name: str) -> str:
    return name.replace("_", "-")


class Noun(BaseModel):
    """The base of every model: frozen, strict, unknown keys refused, keys in kebab case."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", alias_generator=_alias, populate_by_name=True
    )


class When(Noun):
    """Conditions of one rule; all of them must hold.

    A response to HEAD is judged like the one to GET. A 304 or 204 has no Content-Type, so no condition on
    it or on a class by content holds there; what a rule writes on a 304 replaces what the client has
    stored, what it removes stays stored.
    """

    scheme: Literal["http", "https"] | None = Field(
        None, description="How the client spoke, as far as trusted proxies tell."
    )
    status: Statuses | None = Field(
        None, description="Status codes or classes: 200, 4xx, [301, 302]."
    )
    response_class: Classes | None = Field(
        None,
        alias="class",
        description="What the response is: html (a page), api (JSON, XML, event streams and the like), static (scripts, styles, images, fonts, media), "
        "download (an attachment, or a type that browsers save), docs (Swagger UI, ReDoc and OpenAPI at their usual paths; then neither html nor api), "
        "or logout (a response below 400 at a path that ends in logout or signout; also any of the others).",
    )
    content_type: MediaTypes | None = Field(
        None, description="Media types of the response: text/html, image/*."
    )
    request: Conditions | None = Field(
        None, description="Request headers: a pattern with *, true (present) or false (absent)."
    )
    response: Conditions | None = Field(
        None, description="Headers of the service's response, written like `request`."
    )


class Attributes(Noun):
    """What a cookie rule demands of a Set-Cookie line."""

    secure: bool | None = Field(
        None, alias="Secure", description="Sent over HTTPS only; written only on HTTPS."
    )
    http_only: bool | None = Field(None, alias="HttpOnly", description="Hidden from scripts.")
    same_site: Literal["Strict", "Lax", "None"] | None = Field(
        None, alias="SameSite", description="When other sites' requests carry it."
    )
    partitioned: bool | None = Field(
        None, alias="Partitioned", description="One jar for each top-level site; needs Secure."
    )
    path: CookiePath | None = Field(
        None,
        alias="Path",
        description="The paths that get it; names that begin with __Host- need /.",
    )
    domain: Literal[False] | None = Field(
        None,
        alias="Domain",
        description="false takes Domain away: only this host gets it, as __Host- names need.",
    )


class Rule(Noun):
    """A named demand on one header (or header set), or on cookies by name; layers may leave keys out."""

    header: HeaderNames | None = Field(None, description="Header name, or a list of names.")
    cookie: str | None = Field(
        None, min_length=1, max_length=256, description="Cookie name, may hold *."
    )
    attributes: Attributes | None = Field(None, description="Demands on the cookie.")
    action: Action | None = Field(
        None,
        description="set (add or overwrite), default (add if absent), append, remove, merge, or require / forbid (judge only).",
    )
    value: Value | None = Field(
        None,
        description="The value: a text, or directives for CSP, in which `'nonce-{request}'` is a nonce of each response.",
    )
    widen: bool | None = Field(
        None, description="Gives a merge leave to allow more than the service's own value does."
    )
    when: When | None = Field(None, description="The rule counts only where all of these hold.")
    mode: Mode | None = Field(None, description="A ceiling for this rule; missing = inherits.")
    share: Share | None = Field(
        None,
        description="Try or enforce for this share of clients only, as 10%; the same clients stay in as it grows.",
    )
    owner: str | None = Field(None, description="Who answers for the rule; missing = the policy's.")
    reason: str | None = Field(None, description="Why the rule stands; missing = the policy's.")
    expected: str | None = Field(
        None, description="What will be seen when it works; missing = the policy's."
    )
    rollback: str | None = Field(None, description="How to undo it; missing = the policy's.")


class Match(Noun):
    """Where a route applies; all given parts must hold."""

    host: Texts | None = Field(
        None, description="Host names without port; *.example.com covers one level and more."
    )
    method: Texts | None = Field(None, description="Methods: GET, or a list.")
    path: Texts | None = Field(
        None,
        description="Exact, or with * (within one segment) and ** (any rest); paths are matched percent-decoded.",
    )


class Route(Noun):
    """A named match with its own rules and mode; the first match wins."""

    name: Name = Field(description="Stands in metrics and events.")
    match: Match = Field(description="Where the route applies.")
    mode: Mode | None = Field(None, description="A ceiling for this route; missing = inherits.")
    max_body: Size | None = Field(
        None,
        description="Request bodies above this are refused with 413; in report-only only reported.",
    )
    rules: dict[Name, Rule] = Field(
        default_factory=dict, description="Overrides by rule name, or further rules."
    )


class Guard(Noun):
    """The watch after an activation that enforces more; a breach goes back to the revision before.

    Shares are of the service's own responses, and may rise by so many points over the time before.
    """

    window: Duration = Field(600.0, description="How long the watch lasts.")
    min_requests: int = Field(50, ge=1, description="Responses that must be seen before it judges.")
    server_errors: Percent = Field(
        0.02, description="Points by which the share of 5xx responses may rise."
    )
    client_errors: Percent = Field(
        0.1, description="Points by which the share of 4xx responses may rise."
    )
    upstream_errors: Percent = Field(
        0.02, description="Points by which the share of failed exchanges may rise."
    )


def _guard_form(value: object) -> str:
    return "@off" if isinstance(value, str) else "@guard"


GuardOrOff = Annotated[
    Annotated[Literal["off"], Tag("@off")] | Annotated[Guard, Tag("@guard")],
    Discriminator(_guard_form),
]


class Policy(Noun):
    """The whole file."""

    version: Annotated[Literal[1], BeforeValidator(_version)] = Field(
        description="The version of this format."
    )
    name: str = Field(
        "policy",
        min_length=1,
        max_length=128,
        description="Stands in metrics, events and the status.",
    )
    owner: str = Field("", description="Who answers for this policy.")
    reason: str = Field("", description="Why it is being changed.")
    expected: str = Field("", description="What will be seen when it works.")
    rollback: str = Field("", description="How to undo it.")
    mode: Mode | None = Field(
        None, description="The ceiling: off, report-only, trial or enforce; missing = report-only."
    )
    share: Share | None = Field(None, description="A ceiling over every rule's share.")
    max_body: Size | None = Field(
        None,
        description="For routes that name none: bodies above this are refused; in report-only only reported.",
    )
    guard: GuardOrOff = Field(
        default_factory=Guard, description="The watch after an activation; off = none."
    )
    slashes: Slashes = Field(
        "stricter",
        description="Whether routes take // for /: merge = always, keep = never, stricter = both ways, and the stricter route applies.",
    )
    extends: Texts | None = Field(
        None, description="Presets whose rules stand below these, in order; later wins."
    )
    rules: dict[Name, Rule] = Field(
        default_factory=dict, description="Rules by name, judged in this order."
    )
    routes: Annotated[tuple[Route, ...], BeforeValidator(_listed)] = Field(
        default=(), description="First match wins; the route `default` always exists."
    )


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the policy file, from the models above."""
    made = Policy.model_json_schema(by_alias=True)
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["patternProperties"] = {"^x-": {"description": "Ignored: a place for YAML anchors."}}
    for noun in (made, made["$defs"]["Route"]):
        noun["properties"]["rules"]["additionalProperties"] = (
            False  # a name outside the pattern is refused
        )
    return made
