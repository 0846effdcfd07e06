"""The readings of a path."""

import posixpath
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.rules.matching import decoded, readings, shown


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/admin/x", ("/admin/x",)),
        ("/", ("/",)),
        ("*", ("*",)),
        ("", ("",)),
        ("/%61dmin", ("/admin",)),
        ("/admin%252Fx", ("/admin%2Fx",)),
        ("/a%2Fb", ("/a/b", "/a%2Fb")),
        ("//admin", ("/admin", "//admin")),
        ("/a/..%2fb", ("/a/../b", "/a/..%2Fb", "/b")),
        ("/a/./b", ("/a/./b", "/a/b")),
        ("/a/..", ("/a/..", "/")),
        ("/../a", ("/../a", "/a")),
        ("/a/", ("/a/",)),
        ("/a%0A", ("/a\n", "/a")),
        ("/a..b/.c", ("/a..b/.c",)),
        ("/caf%C3%A9", ("/caf\xc3\xa9",)),
        ("/café", ("/caf\xc3\xa9",)),
        ("/%zz%", ("/%zz%",)),
    ],
)
def test_readings(path: str, expected: tuple[str, ...]):
    """Decoded once; then with and without repeated slashes, encoded slashes, dot segments, a
    line feed at the end.
    """
    assert readings(path) == expected


def test_slashes_are_merged_always_or_never_where_the_policy_says_so():
    """Then a path has no other reading for its repeated slashes."""
    assert readings("//a%2F/b", "merge") == ("/a/b", "/a%2F/b")
    assert readings("//a//b", "keep") == ("//a//b",)


@given(st.text(st.sampled_from("/.%2FfAa0\n"), max_size=16).map(lambda text: f"/{text}"))
def test_what_servers_hand_on_is_among_the_readings(path: str):
    """The path as PEP 3333 has it, without slashes in front, and as a file server resolves it."""
    whole = unquote_to_bytes(path).decode("latin-1")
    found = readings(path)

    assert whole in found
    assert re.sub("//+", "/", whole) in found
    assert posixpath.normpath(whole).replace("//", "/") in {one.rstrip("/") or "/" for one in found}


@given(st.text())
def test_any_text_can_be_read_and_shown(path: str):
    """Nothing raises, no reading comes twice, and what is shown is the same path in visible
    ASCII.
    """
    found = readings(path.encode("utf-8", "replace").decode())

    assert len(set(found)) == len(found)
    for one in found:
        assert shown(one).isascii()
        assert shown(one).isprintable()
        assert decoded(shown(one)) == one
