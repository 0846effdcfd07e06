"""Causes and pages for tests of suggestions."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from sidecar.policy.browsers.pages import sample_of
from sidecar.rollout.model import Cause
from sidecar.suggest.model import Snippet

SITE = "https://shop.test"


def hash_source(text: str) -> str:
    """The source expression of inline code."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def cause(blocked: str = "inline", directive: str = "script-src-elem", **known: Any) -> Cause:
    """What four clients met over three hours on a page of the site."""
    fixed: dict[str, Any] = {
        "id": "c1",
        "route": "default",
        "rule": "csp",
        "kind": "served",
        "type": "csp-violation",
        "sample": "",
        "source": "",
        "pages": ("/",),
        "count": 12,
        "clients": 4,
        "engines": ("chromium",),
        "first": 0.0,
        "last": 10_800.0,
        "why": "",
        "origin": SITE,
        "addresses": (blocked,),
    }
    return Cause(**(fixed | {"directive": directive, "blocked": blocked} | known))


def inline(text: str, directive: str = "script-src-elem", **known: Any) -> Cause:
    """The cause of inline code."""
    return cause(directive=directive, sample=sample_of(text), **known)


def snippet(text: str, kind: str = "script", **known: Any) -> Snippet:
    """Code that five clients got over three hours."""
    fixed: dict[str, Any] = {"page": "/", "line": 3, "clients": 5, "first": 0.0, "last": 10_800.0}
    return Snippet(kind, text, hash_source(text), **(fixed | known))
