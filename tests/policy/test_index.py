"""The index over routes finds what asking each route in turn finds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.model import Match
from sidecar.policy.rules.matching import Index, matcher
from tests.policy.making import plan

PIECES = st.text(st.sampled_from("ab/*é"), max_size=8).map(lambda text: f"/{text}")
PATTERNS = st.one_of(
    PIECES, st.sampled_from(("*", "**", "/**", "/a/**", "/%61", "/a%2Fb", "/%2A", "/a**"))
)
HOSTS = ("a.example", "A.example:80", "*.example", "b.example", "*")
MATCHES = st.builds(
    Match,
    host=st.none() | st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2),
    method=st.none() | st.sampled_from((["GET"], ["POST", "GET"])),
    path=st.none() | st.lists(PATTERNS, min_size=1, max_size=3),
)
PATHS = st.text(st.sampled_from("ab/*\n\xc3\xa9"), max_size=10)


@given(st.lists(MATCHES, max_size=8), st.sampled_from(("a.example", "x.example:8", "")), PATHS)
def test_every_match_is_a_candidate(matches: list[Match], host: str, path: str):
    """In order, and none twice; so the first that matches is the one that a scan finds."""
    found = Index(matches).candidates(host, path)
    scanned = [at for at, match in enumerate(matches) if matcher(match)(host, "GET", path)]

    assert found == sorted(set(found))
    assert set(scanned) <= set(found)


@given(st.lists(MATCHES, max_size=6), PATHS)
def test_a_plan_finds_the_first_route_that_matches(matches: list[Match], path: str):
    """In each reading of a path, as a scan of the routes does."""
    routes: list[dict[str, Any]] = [
        {"name": f"r{at}", "match": match.model_dump(exclude_none=True) | {"method": ["GET"]}}
        for at, match in enumerate(matches)
    ]
    made = plan(routes=routes)
    for way, found in made.matched("a.example", "GET", f"/{path}").ways:
        assert found is next(
            route for route in made.routes if route.matches("a.example", "GET", way)
        )


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/r{}", "/r77"),
        ("/r{}/**", "/r77/x/y"),
        ("/api/*/r{}", "/api/x/r77"),
        ("/api/*/r{}/*.js", "/api/x/r77/a.js"),
        ("/é{}", "/\xc3\xa977"),
    ],
)
def test_a_request_has_few_candidates_however_many_routes_there_are(pattern: str, path: str):
    """Literal segments tell routes apart wherever they stand."""
    index = Index(Match(path=[pattern.format(at)]) for at in range(1000))

    assert index.candidates("h", path) == [77]


def test_hosts_tell_routes_apart_too():
    """Exact ones; a request is also asked of routes for any host."""
    hosts = [Match(host=[f"h{at}.example"], path=["/x/**"]) for at in range(1000)]

    assert Index([*hosts, Match(path=["/x/*"])]).candidates("H7.example:80", "/x/y") == [7, 1000]
