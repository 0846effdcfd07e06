"""Sets of paths: what patterns have in common, and the first-match lists that overlapping ones
become.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.importing.paths import ALL, MAX_REGIONS, Pattern, below, meet, regions
from sidecar.policy.model import Match
from sidecar.policy.rules.matching import matcher

SEGMENTS = st.sampled_from(["", "a", "b", "ab", "a.js", "b.js", "js", ".js", "a.b.js"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
TAILS = st.sampled_from(["", "", ".js", "b.js", "/a.js", "js", "/"])
PATTERNS = st.one_of(PATHS.map(Pattern), st.builds(Pattern, PATHS, TAILS))


def holds(pattern: Pattern, path: str) -> bool:
    """What the policy's own matcher says of a pattern as it is written."""
    return matcher(Match(path=(str(pattern),)))("", "GET", path)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (Pattern("/a"), Pattern("/a"), ["/a"]),
        (Pattern("/a"), Pattern("/", ""), ["/a"]),
        (Pattern("/a"), Pattern("/b", ""), []),
        (Pattern("/a/", ""), Pattern("/", ".js"), ["/a/**.js"]),
        (Pattern("/a.js", ""), Pattern("/", ".js"), ["/a.js**.js", "/a.js"]),
        (Pattern("/x/", "/b"), Pattern("/", "a/b"), ["/x/**a/b"]),
        (Pattern("/a/b", ""), Pattern("/", "/b/c"), ["/a/b**/b/c", "/a/b/c"]),
        (Pattern("/a", ".js"), Pattern("/b", ".js"), []),
        (Pattern("/", ".css"), Pattern("/", ".js"), []),
    ],
)
def test_meet(one: Pattern, two: Pattern, expected: list[str]) -> None:
    """What two patterns have in common is said exactly, short paths in which both ends overlap
    included.
    """
    assert [str(found) for found in meet(one, two)] == expected
    assert {str(found) for found in meet(two, one)} == set(expected)


@given(PATTERNS, PATTERNS, PATHS)
def test_meet_is_both(one: Pattern, two: Pattern, path: str) -> None:
    """A path is in the meet of two patterns just when it is in both."""
    assert any(holds(found, path) for found in meet(one, two)) == (
        holds(one, path) and holds(two, path)
    )


@given(PATTERNS, PATTERNS, PATHS)
def test_covers_is_containment(one: Pattern, two: Pattern, path: str) -> None:
    """When one pattern covers another, no path of the other escapes it."""
    if one.covers(two) and holds(two, path):
        assert holds(one, path)


@given(st.lists(PATTERNS, max_size=6), st.lists(PATHS, min_size=1, max_size=8))
def test_regions_say_what_holds(patterns: list[Pattern], paths: list[str]) -> None:
    """The first region that matches a path has just the patterns that the path is in, merged and
    pruned or not.
    """
    cut = regions(
        patterns,
        lambda region: frozenset(
            position for position, pattern in enumerate(patterns) if pattern.covers(region)
        ),
    )
    assert cut is not None
    assert cut[-1][0] == (ALL,)
    for path in paths:
        first = next(
            found for group, found in cut if any(holds(pattern, path) for pattern in group)
        )
        assert first == {
            position for position, pattern in enumerate(patterns) if holds(pattern, path)
        }


@given(st.lists(PATTERNS, max_size=6), st.lists(PATHS, min_size=1, max_size=8))
def test_regions_of_a_coarse_thing(patterns: list[Pattern], paths: list[str]) -> None:
    """It stays true where many regions share their thing, and then no two neighbours could be
    one.
    """
    cut = regions(patterns, lambda region: sum(pattern.covers(region) for pattern in patterns) % 2)
    assert cut is not None
    for path in paths:
        first = next(
            found for group, found in cut if any(holds(pattern, path) for pattern in group)
        )
        assert first == sum(holds(pattern, path) for pattern in patterns) % 2
    things = [found for _, found in cut[:-1]]
    assert all(one != two for one, two in pairwise(things))


def test_regions_give_up() -> None:
    """More regions than a policy could hold are refused rather than written."""
    crossing = [Pattern(f"/{number}/", "") for number in range(30)] + [
        Pattern("/", f".{number}") for number in range(30)
    ]
    assert len(crossing) ** 2 > MAX_REGIONS
    assert regions(crossing, lambda region: region) is None


@pytest.mark.parametrize(
    ("folder", "expected"), [("/a", ["/a", "/a/**"]), ("/a/", ["/a/**"]), ("/", ["/**"])]
)
def test_below(folder: str, expected: list[str]) -> None:
    """A folder is itself and whole segments below it."""
    assert [str(pattern) for pattern in below(folder)] == expected


def test_paths_are_written_as_sent() -> None:
    """Servers match decoded paths, clients send encoded ones: the policy says the latter."""
    assert str(Pattern("/a b/\u00e9", "")) == "/a%20b/%C3%A9**"
