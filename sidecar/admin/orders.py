"""Orders at the admin API: their bodies, as models. A wrong type is refused: it must not turn into
another order.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, get_args

from aiohttp import web
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from sidecar.policy.problems import did_you_mean
from sidecar.policy.terms import Mode
from sidecar.policy.values import seconds
from sidecar.revisions.entries import Move

MAX_BODY = 1 << 20
_LONGEST = 366 * 86_400.0
_WANTED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list of texts",
    "dict_type": "an object",
    "string_unicode": "a text of whole characters",
    "string_pattern_mismatch": "64 hex digits",
}
"""What a value must be, by pydantic's name of the error."""

Text: TypeAlias = Annotated[str, AfterValidator(lambda text: text[:1000])]
AnyOrder = TypeVar("AnyOrder", bound="Order")


def _lasting(ttl: Any) -> float:
    """The time of an override in seconds."""
    lasting = ttl if type(ttl) in (int, float) else seconds(ttl)
    if not 0 < lasting <= _LONGEST:  # not a number is neither
        raise ValueError("ttl must be more than 0s, and at most 366d")
    return float(lasting)


class Order(BaseModel):
    """What every order holds: who gives it. A key whose value is null counts as left out."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    who: Annotated[Text, AfterValidator(lambda text: text or "operator")] = "operator"

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: dict[str, Any]) -> dict[str, Any]:
        known = cls.model_fields
        return {key: value for key, value in body.items() if value is not None or key not in known}


class Reload(Order):
    """Read the policy file now; `unpin`: although its revision was rolled back."""

    unpin: bool = False


class SharedOrder(Order):
    """An order that a fleet shares. `fleet`: only if its store can be reached; `version`: only if
    the fleet is still at it.
    """

    fleet: bool = False
    version: int | None = None


class Rollback(SharedOrder):
    """Go back; `to` "" = to the revision before."""

    to: Text = ""
    reason: Text = ""


class ModeOrder(SharedOrder):
    """Set the runtime ceiling; `ttl`: in seconds or as 30m, None = until it is lifted."""

    mode: Mode
    reason: Text = ""
    ttl: Annotated[float | None, BeforeValidator(_lasting)] = None


class PromotionOrder(SharedOrder):
    """An order to move rules one step: to enforce, to trial, or back."""

    rules: Annotated[list[str], AfterValidator(lambda rules: [*dict.fromkeys(rules)])] = []
    move: Move = "enforce"
    policy: str = ""
    """The text that is to be edited; "" = what is in force."""
    file: Text = ""
    """Its name."""
    minimums: dict[str, Any] = {}
    waived: list[str] = []
    override: Annotated[str | None, AfterValidator(lambda text: text[:1000].strip() or None)] = None
    """Why it is given although the evidence is not enough; None = it is not."""
    evidence: dict[str, Any] | None = None
    """What Prometheus said, as whoever orders has asked it; None = this sidecar's own evidence, or
    the fleet's.
    """
    dry_run: bool = False
    command: Annotated[str, AfterValidator(lambda text: text[:10_000])] = ""

    @model_validator(mode="after")
    def _whole(self) -> PromotionOrder:
        if not self.rules:
            raise ValueError("a promotion names its rules")
        if not (self.policy or self.fleet):
            raise ValueError("a promotion holds the policy that is to be edited")
        return self


class Record(Order):
    """What is only written down, under the name of its event."""

    event: ClassVar[str]


class SuggestionRecord(Record):
    """An edit that `sidecar suggest` is about to write to the policy file."""

    event = "policy.suggested"
    rules: list[str]
    causes: Any = None
    command: Any = None
    file: Any = None
    before: Any = None
    after: Any = None
    diff: Any = None
    reason: Any = None


class NoteRecord(Record):
    """A note with the SHA-256 of its text: then an edit of the note shows too."""

    event = "note.written"
    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


async def read_order(request: web.Request, kind: type[AnyOrder]) -> AnyOrder:
    """The order that a body holds; refused where it is no JSON object, or not such an order."""
    raw = await request.read()
    if raw and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="send application/json")
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as wrong:
        raise web.HTTPBadRequest(reason="the body is not JSON") from wrong
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="the body must be a JSON object")
    try:
        order = kind.model_validate(body)
    except ValidationError as wrong:
        # A misspelt key first: it may be why another one is missing.
        first = min(wrong.errors(), key=lambda error: error["type"] != "extra_forbidden")
        raise web.HTTPBadRequest(reason=_said(dict(first), kind)) from wrong
    if halved := [key for key, value in body.items() if not _is_whole(value)]:
        raise web.HTTPBadRequest(reason=f"{halved[0]} must hold whole characters only")
    return order


def _is_whole(value: Any) -> bool:
    """Whether no text in it holds half a character, with which no page or file could show it."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _said(error: dict[str, Any], kind: type[Order]) -> str:
    """What is wrong with a body, in words; `error` is as pydantic has it."""
    key, *inside = error["loc"] or ("a key",)
    given = error["input"]
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "extra_forbidden":
            return f"unknown key {str(key)[:64]!a}; known: {', '.join(sorted(kind.model_fields))}"
        case "missing":
            return f"{key} is missing"
        case "literal_error":
            choices = get_args(kind.model_fields[str(key)].annotation)
            return f"unknown {key} {given!a}; {did_you_mean(given, choices)}"
        case wrong:
            return f"{str(key)[:64]} must be {_WANTED['list_type' if inside else wrong]}"
