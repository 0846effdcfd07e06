"""Inclusion of matches and conditions: what is claimed always holds, and the plain cases are
seen.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.policy.engine.stricter import match_covers, when_covers
from sidecar.policy.model import Match, When
from sidecar.policy.rules.conditions import by_name, conditions
from sidecar.policy.rules.matching import matcher
from sidecar.policy.values import CLASSES
from tests.policy.making import SITUATIONS


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ({"path": "/api/**"}, {"path": "/api/items"}, True),
        ({"path": "/api/**"}, {"path": "/api/*/x"}, True),
        ({"path": "/api/**"}, {"path": "/api"}, False),
        ({"path": "/api/*"}, {"path": "/api/**"}, False),
        ({"path": "/api/*"}, {"path": "/api/*.json"}, True),
        ({"path": "/*/*"}, {"path": "/a/b*c"}, True),
        ({"path": "/a*b"}, {"path": "/a*c*b"}, True),
        ({"path": "/a*b"}, {"path": "/a*c"}, False),
        ({"path": "/a*b"}, {"path": "/a**b"}, False),
        ({"path": "**"}, {"path": "/x"}, True),
        ({"path": ["/a", "/b/**"]}, {"path": ["/b/c", "/a"]}, True),
        ({"path": ["/a", "/b/**"]}, {"path": ["/b/c", "/c"]}, False),
        ({"path": "/%61dmin"}, {"path": "/admin"}, True),
        ({"path": "/a"}, {"method": "GET"}, False),
        ({"method": "GET"}, {"path": "/a"}, False),
        ({"method": ["GET", "POST"]}, {"method": "POST", "path": "/a"}, True),
        ({"host": "*.shop.example"}, {"host": "www.shop.example"}, True),
        ({"host": "*.shop.example"}, {"host": "*.eu.shop.example"}, True),
        ({"host": "*.shop.example"}, {"host": "shop.example"}, False),
        ({"host": "*.shop.example"}, {"host": "*shop.example"}, False),
        ({"host": "*"}, {"host": "*.shop.example"}, True),
        ({"host": "SHOP.example:8443"}, {"host": "shop.example."}, True),
        ({"host": "a.example"}, {"host": "a.example", "path": "/", "method": "GET"}, True),
    ],
)
def test_one_match_takes_in_another(wide: dict[str, Any], narrow: dict[str, Any], expected: bool):
    """Part by part; a part that is not named is everything."""
    assert match_covers(Match.model_validate(wide), Match.model_validate(narrow)) is expected


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (None, {"status": 200}, True),
        ({}, None, True),
        ({"status": 200}, None, False),
        ({"status": "2xx"}, {"status": [200, "204"]}, True),
        ({"status": 200}, {"status": "2xx"}, False),
        ({"scheme": "https"}, {"scheme": "https", "class": "html"}, True),
        ({"scheme": "https"}, {"scheme": "http"}, False),
        ({"class": ["html", "docs"]}, {"class": "docs"}, True),
        ({"class": "docs"}, {"class": ["html", "docs"]}, False),
        ({"content-type": "image/*"}, {"content-type": ["image/png", "image/svg*"]}, True),
        ({"content-type": "text/html"}, {"content-type": "text/*"}, False),
        ({"request": {"Cookie": True}}, {"request": {"Cookie": True, "Accept": "*"}}, True),
        ({"response": {"Server": "a*"}}, {"response": {"Server": "ab"}}, False),
    ],
)
def test_one_condition_takes_in_another(
    wide: dict[str, Any] | None, narrow: dict[str, Any] | None, expected: bool
):
    """What is not said is no condition; patterns of headers have to be the same."""
    made = (None if given is None else When.model_validate(given) for given in (wide, narrow))

    assert when_covers(*made) is expected


PATTERNS = st.text(st.sampled_from("/ab**"), max_size=8).map(lambda text: f"/{text}")
MATCHES = st.builds(
    lambda **parts: Match.model_validate({key: value for key, value in parts.items() if value}),
    path=st.lists(PATTERNS, max_size=2),
    host=st.lists(st.text(st.sampled_from("ab.*"), min_size=1, max_size=5), max_size=2),
    method=st.lists(st.sampled_from(("GET", "POST")), max_size=2, unique=True),
)


@given(
    MATCHES,
    MATCHES,
    st.text(st.sampled_from("/ab"), max_size=8),
    st.text(st.sampled_from("ab."), min_size=1, max_size=5),
    st.sampled_from(("GET", "POST")),
)
@example(Match(path=("/a*/b",)), Match(path=("/**/b",)), "a/a/b", "a", "GET")
def test_a_match_that_takes_in_another_matches_all_that_it_does(
    wide: Match, narrow: Match, path: str, host: str, method: str
):
    """Law: no request is matched by the narrow one alone."""
    if match_covers(wide, narrow) and matcher(narrow)(host, method, f"/{path}"):
        assert matcher(wide)(host, method, f"/{path}")


@given(MATCHES)
def test_a_match_takes_in_itself(match: Match):
    """Law: inclusion is reflexive."""
    assert match_covers(match, match)


WHENS = st.builds(
    lambda **parts: When.model_validate({key: value for key, value in parts.items() if value}),
    **{
        "scheme": st.sampled_from((None, "http", "https")),
        "status": st.lists(st.sampled_from(("200", "2xx", "404", "4xx")), max_size=2),
        "class": st.lists(st.sampled_from(CLASSES), max_size=3),
        "content-type": st.lists(
            st.sampled_from(("text/html", "text/*", "*/*", "image/svg+xml")), max_size=2
        ),
        "response": st.dictionaries(
            st.sampled_from(("Vary", "Cache-Control")),
            st.sampled_from((True, False, "p*")),
            max_size=2,
        ),
    },
)


@given(WHENS, WHENS, SITUATIONS)
def test_a_condition_that_takes_in_another_holds_wherever_it_does(
    wide: When, narrow: When, situation: Any
):
    """Law: no response fulfils the narrow one alone."""

    def holds(when: When) -> bool:
        seen = by_name(situation.fields)
        return all(condition.holds(situation, seen) for condition in conditions(when))

    assert when_covers(narrow, narrow)
    if when_covers(wide, narrow) and holds(narrow):
        assert holds(wide)
