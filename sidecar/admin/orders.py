"""Orders at the admin API: their bodies, checked word by word. A wrong type is refused: it must not
turn into another order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from aiohttp import web

from sidecar.revisions.granted import MOVES, Move

MAX_BODY = 1 << 20
_SHA256 = re.compile("[0-9a-f]{64}")


async def read_body(request: web.Request, known: Collection[str]) -> dict[str, Any]:
    """The body of an order, {} where there is none; refused where it is no JSON object of known
    keys.
    """
    raw = await request.read()
    if not raw:
        return {}
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="send application/json")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as wrong:
        raise web.HTTPBadRequest(reason="the body is not JSON") from wrong
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="the body must be a JSON object")
    for key in body:
        if key not in known:
            raise web.HTTPBadRequest(
                reason=f"unknown key {str(key)[:64]!a}; known: {', '.join(sorted(known))}"
            )
    return body


def text_of(body: Mapping[str, Any], key: str, most: int = 1000) -> str:
    """A text of the body, "" where there is none."""
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise web.HTTPBadRequest(reason=f"{key} must be a text")
    return value[:most]


def flag_of(body: Mapping[str, Any], key: str) -> bool:
    """A flag of the body, False where there is none."""
    value = body.get(key)
    if not isinstance(value, bool | None):
        raise web.HTTPBadRequest(reason=f"{key} must be true or false")
    return bool(value)


def texts_of(body: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts of the body, () where there is none."""
    value = body.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise web.HTTPBadRequest(reason=f"{key} must be a list of texts")
    return tuple(value)


def data_of(body: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """An object of the body, None where there is none."""
    value = body.get(key)
    if not isinstance(value, dict | None):
        raise web.HTTPBadRequest(reason=f"{key} must be an object")
    return value


@dataclass(frozen=True, slots=True)
class PromotionOrder:
    """An order to move rules one step: to enforce, to trial, or back."""

    rules: tuple[str, ...]
    move: Move
    policy: str
    """The text that is to be edited; "" = what is in force."""
    file: str
    """Its name."""
    minimums: Mapping[str, Any]
    waived: tuple[str, ...]
    override: str | None
    evidence: Mapping[str, Any] | None
    """What Prometheus said, as whoever orders has asked it; None = this sidecar's own evidence, or
    the fleet's.
    """
    fleet: bool
    dry_run: bool
    command: str
    who: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> PromotionOrder:
        """The order that a body holds."""
        rules, move = texts_of(body, "rules"), text_of(body, "move") or "enforce"
        if not rules:
            raise web.HTTPBadRequest(reason="a promotion names its rules")
        if move not in MOVES:
            raise web.HTTPBadRequest(reason=f"unknown move {move!a}; known: {', '.join(MOVES)}")
        order = cls(
            tuple(dict.fromkeys(rules)),
            move,
            text_of(body, "policy", MAX_BODY),
            text_of(body, "file"),
            data_of(body, "minimums") or {},
            texts_of(body, "waived"),
            text_of(body, "override").strip() or None,
            data_of(body, "evidence"),
            flag_of(body, "fleet"),
            flag_of(body, "dry_run"),
            text_of(body, "command", 10_000),
            text_of(body, "who") or "operator",
        )
        if not (order.policy or order.fleet):
            raise web.HTTPBadRequest(reason="a promotion holds the policy that is to be edited")
        return order


ORDER_KEYS = frozenset(one.name for one in fields(PromotionOrder)) | {"version"}
"""What the body of such an order may hold; `version` is the fleet's, as in every order."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is only written down: the event, the keys of its body, and what is wrong with one."""

    event: str
    keys: frozenset[str]
    wrong: Callable[[Mapping[str, Any]], str]


def _unnamed(body: Mapping[str, Any]) -> str:
    rules = body.get("rules")
    named = isinstance(rules, list) and all(isinstance(rule, str) for rule in rules)
    return "" if named else "a suggestion names its rules"


def _unhashed(body: Mapping[str, Any]) -> str:
    file, digest = body.get("file"), body.get("sha256")
    hashed = isinstance(digest, str) and _SHA256.fullmatch(digest)
    whole = isinstance(file, str) and hashed
    return "" if whole else "a note has a file and its sha256 (64 hex digits)"


RECORDS: Mapping[str, Record] = {
    # an edit that `sidecar suggest` is about to write to the policy file
    "suggestion": Record(
        "policy.suggested",
        frozenset(
            {"rules", "causes", "command", "file", "before", "after", "diff", "reason", "who"}
        ),
        _unnamed,
    ),
    # a note with the SHA-256 of its text: then an edit of the note shows too
    "note": Record("note.written", frozenset({"file", "sha256", "who"}), _unhashed),
}
"""By the last word of the path."""
