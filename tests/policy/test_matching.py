"""Where a route applies: hosts, methods and paths."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.model import Match
from sidecar.policy.rules.conditions import glob_source
from sidecar.policy.rules.matching import host_name, matcher, readings
from tests.reference import glob, path_glob


def on(pattern: str, path: str) -> bool:
    """Whether a path pattern takes a path in its likeliest reading."""
    return matcher(Match(path=[pattern]))("h", "GET", readings(path, "keep")[0])


@pytest.mark.parametrize(
    ("pattern", "takes", "leaves"),
    [
        ("/", ["/"], ["", "/a", "//"]),
        ("/api", ["/api", "/%61pi", "%2Fapi"], ["/api/", "/API", "/apis", "/a%2Fpi"]),
        ("/api/*", ["/api/items", "/api/", "/api%2Fa"], ["/api", "/api/a/b", "/api/a%2Fb"]),
        ("/api/**", ["/api/", "/api/a", "/api/a/b/", "/api/%2e%2e/x"], ["/api", "/apis/a"]),
        ("**", ["", "*", "/a/b"], []),
        ("*", ["*", ""], ["/", "/a"]),
        ("/*.js", ["/a.js", "/.js", "/a.js.js"], ["/a/b.js", "/a.jsx"]),
        ("/**/*.js", ["/a/b.js", "/a/b/c.js", "//b.js"], ["/b.js", "/a/b.css"]),
        (
            "/a/*/c/**/e",
            ["/a/b/c/e/e", "/a/b/c/d/e", "/a//c//e"],
            ["/a/b/b/c/d/e", "/a/b/c/e", "/a/b/c/d"],
        ),
        ("/%7Euser", ["/~user", "/%7euser"], ["/%257Euser"]),
        ("/a%2Fb", ["/a/b", "/a%2fb"], ["/a%252Fb"]),
        ("/%2A", ["/*", "/%2a"], ["/a"]),
        ("/café", ["/caf%C3%A9", "/caf%c3%a9"], ["/caf%E9", "/cafe%CC%81"]),
        ("/a.b(c)+", ["/a.b(c)+"], ["/axb(c)+", "/a.bc"]),
    ],
)
def test_paths(pattern: str, takes: list[str], leaves: list[str]):
    """* stays within one segment, ** takes any rest, all else is literal; both sides are
    percent-decoded once.
    """
    assert [path for path in takes if not on(pattern, path)] == []
    assert [path for path in leaves if on(pattern, path)] == []


@pytest.mark.parametrize(
    ("pattern", "takes", "leaves"),
    [
        (
            "example.com",
            ["example.com", "EXAMPLE.com:8080", "example.com."],
            ["www.example.com", "example.comx", ""],
        ),
        (
            "*.Example.com",
            ["www.example.com", "a.b.example.com:80"],
            ["example.com", ".example.com", "wwwexample.com"],
        ),
        ("[::1]", ["[::1]", "[::1]:80"], ["::1", "[::2]"]),
        ("api-*.example.*", ["api-1.example.org"], ["api-.example.org", "api-1.example."]),
    ],
)
def test_hosts(pattern: str, takes: list[str], leaves: list[str]):
    """Case, port and a final dot do not count; * is one letter and more."""
    matches = matcher(Match(host=[pattern]))

    assert [host for host in takes if not matches(host, "GET", "/")] == []
    assert [host for host in leaves if matches(host, "GET", "/")] == []


def test_all_given_parts_must_hold_and_one_of_each_list():
    """Lists are alternatives, keys are demands; no key at all takes everything."""
    matches = matcher(Match(host=["a", "b"], method=["GET", "HEAD"], path=["/x", "/y/*"]))

    assert matches("b", "HEAD", "/y/z")
    assert not any(
        (
            matches("c", "GET", "/x"),
            matches("a", "POST", "/x"),
            matches("a", "GET", "/z"),
            matches("a", "get", "/x"),
        )
    )
    assert matcher(Match())("", "", "")


@given(st.text())
def test_any_host_has_a_name(host: str):
    """No Host header, however odd, raises."""
    assert host_name(host) == host_name(host).lower()


PIECES = st.text(st.sampled_from("ab/*"), max_size=10)


@given(PIECES, PIECES.map(lambda text: text.replace("*", "")))
def test_path_patterns_mean_what_they_say(pattern: str, path: str):
    """The compiled pattern takes the same paths as reading it letter by letter."""
    assert on(f"/{pattern}", f"/{path}") == path_glob(f"/{pattern}", f"/{path}")


@given(
    st.text(st.sampled_from("ab*\\."), max_size=10),
    st.text(st.sampled_from("ab\\.\n"), max_size=14),
)
def test_value_patterns_mean_what_they_say(pattern: str, value: str):
    """Likewise for patterns of values, in which * stands for any run."""
    assert bool(re.compile(glob_source(pattern), re.DOTALL).fullmatch(value)) == glob(
        pattern, value.encode()
    )


@contextmanager
def soon(seconds: int = 20) -> Iterator[None]:
    """Fail what does not end; a pattern that explodes would take hours."""

    def late(*_: object) -> None:
        raise AssertionError("this does not end")

    held = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, held)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/**/x/**/y/**/z", "/x/y" * 4000),
        ("/a*b*c*d*e", "/" + "abcd" * 4000),
        ("/**/a*/**/b*/**/c", "/a/b" * 4000),
        ("/*/*/*/*/x", "/" * 16000),
    ],
)
def test_a_hostile_path_does_not_explode(pattern: str, path: str):
    """The longest target that is taken, made of near misses, is judged all the same."""
    with soon():
        assert not on(pattern, path)


def test_a_hostile_value_or_host_does_not_explode():
    """So it is for header values and host names."""
    with soon():
        assert not re.compile(glob_source("*a*b*c*d*e*")).fullmatch("abcd" * 16000)
        assert not matcher(Match(host=["*.a.*.b.*.c.*.d"]))(".a.b.c" * 8000, "GET", "/")
