"""The models of a policy file: the one source of validation, JSON Schema and reference docs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from sidecar.policy import values
from sidecar.policy.data import field_texts
from sidecar.policy.terms import Action, Mode, Slashes


class StrictModel(BaseModel):
    """The base of every model: frozen, strict, unknown keys refused, keys in kebab case."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
        defer_build=True,  # most are only parts of another
    )


class When(StrictModel):
    """Conditions of one rule; all of them must hold.

    A response to HEAD is judged like the one to GET. A 304 or 204 has no Content-Type, so no
    condition on it or on a class by content holds there; what a rule writes on a 304 replaces what
    the client has stored, what it removes stays stored.
    """

    scheme: Literal["http", "https"] | None = None
    """How the client connected, as far as trusted proxies say."""
    status: values.Statuses | None = None
    """Status codes or classes: 200, 4xx, [301, 302]."""
    response_class: values.Classes | None = Field(None, alias="class")
    """What the response is: html (a page), api (JSON, XML, event streams and the like), static
    (scripts, styles, images, fonts, media), download (an attachment, or a type that browsers save),
    docs (Swagger UI, ReDoc and OpenAPI at their usual paths; then neither html nor api), or logout
    (a response below 400 at a path that ends in logout or signout; also any of the others).
    """
    content_type: values.MediaTypes | None = None
    """Media types of the response: text/html, image/*."""
    request: values.Conditions | None = None
    """Request headers: a pattern with *, true (present) or false (absent)."""
    response: values.Conditions | None = None
    """Headers of the service's response, written like `request`."""


class Attributes(StrictModel):
    """What a cookie rule demands of a Set-Cookie line."""

    secure: bool | None = Field(None, alias="Secure")
    """Sent over HTTPS only; written only on HTTPS."""
    http_only: bool | None = Field(None, alias="HttpOnly")
    """Hidden from scripts."""
    same_site: Literal["Strict", "Lax", "None"] | None = Field(None, alias="SameSite")
    """When other sites' requests carry it."""
    partitioned: bool | None = Field(None, alias="Partitioned")
    """One jar for each top-level site; needs Secure."""
    path: values.CookiePath | None = Field(None, alias="Path")
    """The paths that get it; names that begin with __Host- need /."""
    domain: Literal[False] | None = Field(None, alias="Domain")
    """false takes Domain away: only this host gets it, as __Host- names need."""


class Rule(StrictModel):
    """A named demand on headers, or on cookies by name; layers may leave keys out."""

    header: values.HeaderNames | None = None
    """Header name, or a list of names."""
    cookie: str | None = Field(None, min_length=1, max_length=256)
    """Cookie name, may hold *."""
    attributes: Attributes | None = None
    """Demands on the cookie."""
    action: Action | None = None
    """set (add or overwrite), default (add if absent), append, remove, merge, or require / forbid
    (judge only).
    """
    value: values.Value | None = None
    """The value: a text, or directives for CSP, in which `'nonce-{request}'` is a nonce of each
    response.
    """
    ladder: values.Ages | None = None
    """For Strict-Transport-Security: max-ages, as [5m, 1d, 30d, 2y]; `promote` goes one step up."""
    step: int | None = Field(None, ge=1)
    """The step of the ladder in use; missing = 1."""
    widen: bool | None = None
    """Lets a merge allow more than the service's own value does."""
    when: When | None = None
    """The rule applies only where all of these hold."""
    mode: Mode | None = None
    """A ceiling for this rule; missing = inherits."""
    share: values.Share | None = None
    """Try or enforce for this share of clients only, as 10%; the same clients stay in as it grows.
    """
    owner: str | None = None
    """Who answers for the rule; missing = the policy's."""
    reason: str | None = None
    """Why the rule is there; missing = the policy's."""
    expected: str | None = None
    """What will be seen when it works; missing = the policy's."""
    rollback: str | None = None
    """How to undo it; missing = the policy's."""

    @property
    def text(self) -> str:
        """The value as it is sent, directives as CSP joins them (CSP3 section 2.2.1); "" = none."""
        if not isinstance(self.value, dict):
            return self.value or ""
        return "; ".join(
            " ".join((name, *(() if isinstance(sources, bool) else sources)))
            for name, sources in self.value.items()
            if sources is not False
        )

    def said(self, *, without: set[str] | None = None) -> dict[str, Any]:
        """The rule as data for JSON, but for some keys. The order of directives is sent, so it is
        part of what is said.
        """
        said = self.model_dump(mode="json", exclude_none=True, exclude=without)
        if isinstance(self.value, dict):
            said["value"] = list(self.value.items())
        return said

    @property
    def names(self) -> tuple[str, ...]:
        """Its headers in lower case."""
        return tuple(map(str.lower, self.header or ()))


class Match(StrictModel):
    """Where a route applies; all given parts must hold."""

    host: values.Texts | None = None
    """Host names without port; *.example.com covers one level and more."""
    method: values.Texts | None = None
    """Methods: GET, or a list."""
    path: values.Texts | None = None
    """Exact, or with * (within one segment) and ** (any rest); paths are matched percent-decoded.
    """


class Route(StrictModel):
    """A named match with its own rules and mode; the first match wins."""

    name: values.Name
    """Appears in metrics and events."""
    match: Match
    """Where the route applies."""
    mode: Mode | None = None
    """A ceiling for this route; missing = inherits."""
    max_body: values.Size | None = None
    """Request bodies above this are refused with 413; in report-only only reported."""
    rules: dict[values.Name, Rule] = Field(default_factory=dict)
    """Overrides by rule name, or further rules."""


class Guard(StrictModel):
    """Watches the service's errors after an activation that enforces more; when they rise, the
    previous revision comes back. Shares are of the service's own responses, and may rise by so many
    points.
    """

    window: values.Duration = 600.0
    """How long the watch lasts."""
    min_requests: int = Field(50, ge=1)
    """Responses that must be seen before it judges."""
    server_errors: values.Percent = 0.02
    """Points by which the share of 5xx responses may rise."""
    client_errors: values.Percent = 0.1
    """Points by which the share of 4xx responses may rise."""
    upstream_errors: values.Percent = 0.02
    """Points by which the share of failed exchanges may rise."""


GuardOrOff = Annotated[
    Annotated[Literal["off"], Tag("@off")] | Annotated[Guard, Tag("@guard")],
    Discriminator(lambda value: "@off" if isinstance(value, str) else "@guard"),
]


class Policy(StrictModel):
    """The whole file."""

    # In Python, True == 1.
    version: Annotated[
        Literal[1], BeforeValidator(lambda value: "true" if value is True else value)
    ]
    """The version of this format."""
    name: str = Field("policy", min_length=1, max_length=128)
    """Appears in metrics, events and the status."""
    owner: str = ""
    """Who answers for this policy."""
    reason: str = ""
    """Why it is being changed."""
    expected: str = ""
    """What will be seen when it works."""
    rollback: str = ""
    """How to undo it."""
    mode: Mode | None = None
    """The ceiling: off, report-only, trial or enforce; missing = report-only."""
    share: values.Share | None = None
    """A ceiling over every rule's share."""
    max_body: values.Size | None = None
    """For routes without one: larger request bodies are refused; in report-only only reported."""
    guard: GuardOrOff = Field(default_factory=Guard)
    """The watch after an activation; off = none."""
    slashes: Slashes = "stricter"
    """How routes read //: merge = as /, keep = as it stands, stricter = both ways, and the stricter
    route applies.
    """
    extends: values.Texts | None = None
    """Presets whose rules come before these, in order; a later layer wins."""
    rules: dict[values.Name, Rule] = Field(default_factory=dict)
    """Rules by name, judged in this order."""
    routes: Annotated[tuple[Route, ...], BeforeValidator(values.as_list)] = ()
    """First match wins; the route `default` always exists."""


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the policy file, from the models above."""
    made = Policy.model_json_schema(by_alias=True)
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["patternProperties"] = {"^x-": {"description": "Ignored: a place for YAML anchors."}}
    for model, texts in field_texts("sidecar.policy", "model.py").items():
        part = made if model == "Policy" else made["$defs"].get(model, {"properties": {}})
        for field, text in texts.items():
            alias = globals()[model].model_fields[field].alias
            if alias in part["properties"]:
                part["properties"][alias]["description"] = text
    for part in (made, made["$defs"]["Route"]):
        # A name outside the pattern is refused.
        part["properties"]["rules"]["additionalProperties"] = False
    return made
