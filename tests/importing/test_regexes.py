"""Regular expressions of other servers as path globs: exactly, or not at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.importing.paths import Pattern
from sidecar.importing.regexes import alternatives, path_patterns
from tests.importing.test_paths import PATHS, holds


def written(patterns: tuple[Pattern, ...] | None) -> list[str] | None:
    return None if patterns is None else [str(pattern) for pattern in patterns]


@pytest.mark.parametrize(
    ("regex", "expected"),
    [
        (r"\.php$", ["/**.php"]),
        (r"\.(?:css|js|woff2?)$", ["/**.css", "/**.js", "/**.woff2", "/**.woff"]),
        (r"^/api/", ["/api/**"]),
        (r"^/(static|media)/", ["/static/**", "/media/**"]),
        (r"^/static/.*\.js$", ["/static/**.js"]),
        (r"^/$", ["/"]),
        (r"^/v[12]/", ["/v1/**", "/v2/**"]),
        (r"/wp-login\.php$", ["/**/wp-login.php", "/wp-login.php"]),
        (r"^/a|^/b", ["/a**", "/b**"]),
        ("", ["/**"]),
        (r"^a", []),
        (r"/api/", None),
        (r"\.php(/|$)", None),
        (r"a|b$", None),
        (r"^/x.y", None),
        (r"^/\d+", None),
        (r"^/a+", None),
        (r"^/a{2}", None),
        (r"^/(?!b)", None),
        (r"^/[a-z]", None),
        (r"^/a\*", None),
        ("(", None),
        ("[", None),
        ("\\", None),
        ("(" * 50, None),
        ("(a|b)" * 20, None),
    ],
)
def test_path_patterns(regex: str, expected: list[str] | None) -> None:
    """What globs can say is said, all else is refused."""
    assert written(path_patterns(regex)) == expected


@pytest.mark.parametrize(
    ("regex", "expected"),
    [
        (r"\.(js|css)$", ["/**.js", "/**.css"]),
        (r"^login\.php$", ["/**/login.php", "/login.php"]),
        (r"^wp-", None),
        (r"^a/b$", None),
    ],
)
def test_name_patterns(regex: str, expected: list[str] | None) -> None:
    """An expression over the file's name alone holds in every folder."""
    assert written(path_patterns(regex, in_name=True)) == expected


def test_alternatives() -> None:
    """A search for texts is the texts, with * where anything may stand."""
    assert alternatives(r"text\/(html|css)|xml") == ("*text/html*", "*text/css*", "*xml*")
    assert alternatives(r"\w") is None


PIECES = st.sampled_from(
    ["/", "a", "b", r"\.js", "js", ".*", "(a|b)", "(?:a|)", "b?", "[ab]", "/a"]
)


@given(st.lists(PIECES, max_size=4), st.booleans(), st.booleans(), PATHS)
def test_same_paths_as_the_expression(pieces: list[str], start: bool, end: bool, path: str) -> None:
    """Where patterns are given, they match just the paths in which a search finds the
    expression.
    """
    regex = ("^" if start else "") + "".join(pieces) + ("$" if end else "")
    patterns = path_patterns(regex)
    if patterns is not None:
        assert any(holds(pattern, path) for pattern in patterns) == (
            re.search(regex, path) is not None
        )
