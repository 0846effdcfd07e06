"""The conditions of a rule (`when`) over one exchange."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.policy.model import When
from sidecar.policy.rules.conditions import Seen, conditions
from tests.policy.making import facts


def held(when: dict[str, Any], *fields: tuple[bytes, bytes], **more: Any) -> bool:
    """Whether all conditions hold for a response with these lines."""
    seen: Seen = {}
    for name, value in fields:
        seen[name.lower()] = (*seen.get(name.lower(), ()), value)
    return all(
        condition.holds(facts(*fields, **more), seen)
        for condition in conditions(When.model_validate(when))
    )


HTML = (b"Content-Type", b"text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("when", "fields", "situation", "expected"),
    [
        ({}, [], {}, True),
        ({"scheme": "https"}, [], {}, True),
        ({"scheme": "http"}, [], {}, False),
        ({"status": 200}, [], {}, True),
        ({"status": "404"}, [], {"status": 404}, True),
        ({"status": "4xx"}, [], {"status": 499}, True),
        ({"status": ["301", "5xx"]}, [], {"status": 302}, False),
        ({"class": "html"}, [HTML], {}, True),
        ({"class": ["html", "api"]}, [(b"content-type", b"application/json")], {}, True),
        ({"class": "html"}, [], {"status": 304}, False),
        ({"class": "html"}, [HTML], {"path": "/docs"}, False),
        ({"class": "docs"}, [HTML], {"path": "/docs"}, True),
        ({"class": "logout"}, [], {"path": "/logout", "status": 302}, True),
        ({"class": "html"}, [HTML], {"path": "/logout", "method": "HEAD"}, True),
        ({"content-type": "text/html"}, [HTML], {}, True),
        ({"content-type": "TEXT/Html"}, [(b"content-type", b" Text/HTML\t;x")], {}, True),
        (
            {"content-type": ["image/*", "text/css"]},
            [(b"Content-Type", b"image/svg+xml")],
            {},
            True,
        ),
        ({"content-type": "*/*"}, [], {}, False),
        ({"content-type": "text/html"}, [(b"Content-Type", b"text/htmlx")], {}, False),
        ({"content-type": "text/html"}, [(b"Content-Type", b"a/b"), HTML], {}, False),
        ({"content-type": "image/*"}, [(b"Content-Type", b"\xff")], {}, False),
        ({"response": {"Server": True}}, [(b"SERVER", b"")], {}, True),
        ({"response": {"Server": False}}, [(b"server", b"x")], {}, False),
        ({"response": {"Server": "gun*"}}, [(b"Server", b"a"), (b"Server", b"GUNICORN")], {}, True),
        ({"response": {"Server": "gun*"}}, [(b"Server", b"a gunicorn")], {}, False),
        ({"response": {"Server": "a.b"}}, [(b"Server", b"axb")], {}, False),
        ({"request": {"Accept": True}}, [], {"request": [(b"ACCEPT", b"")]}, True),
        ({"request": {"Accept": False}}, [(b"Accept", b"x")], {}, True),
        (
            {"request": {"Accept": "*json*"}},
            [],
            {"request": [(b"accept", b"a"), (b"accept", b"application/json;q=1")]},
            True,
        ),
        ({"request": {"Accept": "*json*"}}, [], {}, False),
        ({"request": {"Accept": "a*"}}, [], {"request": [(b"accept", b"a\xff\n")]}, True),
        (
            {
                "status": 200,
                "scheme": "https",
                "request": {"X": False},
                "response": {"Y": False},
                "content-type": "text/html",
            },
            [HTML],
            {},
            True,
        ),
        ({"status": 200, "response": {"Y": True}}, [HTML], {}, False),
    ],
)
def test_conditions(
    when: dict[str, Any],
    fields: list[tuple[bytes, bytes]],
    situation: dict[str, Any],
    expected: bool,
):
    """All must hold; names and patterns ignore case; the first Content-Type counts; any one line
    of a header may fit.
    """
    assert held(when, *fields, **situation) is expected


def test_no_when_is_always():
    """A rule without conditions has none to ask."""
    assert conditions(None) == ()


def test_conditions_say_themselves_in_words():
    """Their texts are what `explain` shows."""
    when = When.model_validate(
        {
            "scheme": "https",
            "status": [200, "3xx"],
            "class": ["html", "docs"],
            "content-type": ["a/b", "c/*"],
            "request": {"A": True, "B": "x*"},
            "response": {"C": False},
        }
    )

    assert [condition.text for condition in conditions(when)] == [
        "scheme is https",
        "status is 200 or 3xx",
        "class is html or docs",
        "content type is a/b or c/*",
        "response has no C",
        "request has a A",
        "request has B: x*",
    ]
