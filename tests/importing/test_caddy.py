"""Caddyfiles: the three moments of an operation, matchers, handle and route, sites, and what is
reported of the rest.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.terms import PolicyError
from tests.importing.making import Fields, answered, differing, enforced, imported, lost
from tests.importing.test_paths import PATHS


@pytest.mark.parametrize(
    ("body", "service", "expected"),
    [
        ("header X-A 1", [("X-A", "0")], [("X-A", "0"), ("X-A", "1")]),
        ("header >X-A 1", [("X-A", "0")], [("X-A", "1")]),
        ("header {\n X-A 1\n defer\n}", [("X-A", "0")], [("X-A", "1")]),
        ("header {\n X-A 1\n -X-B\n}", [("X-A", "0"), ("X-B", "0")], [("X-A", "1")]),
        ("header -X-A", [("X-A", "0")], []),
        ("header +X-A 1", [("X-A", "0")], [("X-A", "0"), ("X-A", "1")]),
        ("header ?X-A 1", [("X-A", "0")], [("X-A", "0")]),
        ("header ?X-A 1", [], [("X-A", "1")]),
        ("header X-A 1\nheader X-A 2", [], [("X-A", "2")]),
        ("header {\n X-A 1\n X-A 2\n}", [], [("X-A", "2")]),
        ("header X-A 1\nheader ?X-A 2", [], [("X-A", "1")]),
        ("header >X-A 1\nheader >X-A 2", [], [("X-A", "1")]),
        ("header {\n +X-A 1\n -X-A\n}", [], []),
        ("header X-A: 1", [], [("X-A", "1")]),
        ("reverse_proxy app {\n header_down -X-A\n}\nheader X-A 1", [("X-A", "0")], [("X-A", "1")]),
        ("reverse_proxy app {\n header_down X-A 1\n}", [("X-A", "0")], [("X-A", "1")]),
        ('header X-A "{"', [], [("X-A", "{")]),
        ("route {\n reverse_proxy app\n header X-A 1\n}", [], []),
        ("route {\n header X-A 1\n header X-A 2\n reverse_proxy app\n}", [], [("X-A", "2")]),
    ],
)
def test_moments(body: str, service: Fields, expected: Fields) -> None:
    """A plain operation works before the service answers, header_down on its lines, a deferred
    one on all that leave.
    """
    assert answered(imported("caddy", f"a.example {{\n{body}\n}}"), "/", *service) == expected


@pytest.mark.parametrize("block", ["handle", "handle_path", "route"])
def test_first_proxy_responses(block: str) -> None:
    """A proxy inside a block ends the way: what stands behind the block counts for other paths
    only.
    """
    plan = enforced(
        imported(
            "caddy",
            f"a.example {{\n{block} /a* {{\n reverse_proxy app\n}}\nreverse_proxy app {{\n"
            " header_down X-A 1\n}\n}",
        )
    )
    assert (answered(plan, "/a"), answered(plan, "/b")) == ([], [("X-A", "1")])


def test_defaults_of_one_block() -> None:
    """Several defaults in a block hang together in Caddy; here each counts alone, and that is
    reported.
    """
    policy = imported("caddy", "a.example {\n header {\n ?X-A 1\n ?X-B 2\n }\n}")
    assert answered(policy, "/", ("X-A", "0")) == [("X-A", "0"), ("X-B", "2")]
    assert differing(policy) == [
        (
            "2: X-A, X-B: Caddy writes defaults of one block only where none of them is there;"
            " the policy decides for each"
        )
    ]


@pytest.mark.parametrize(
    ("matcher", "held", "not_held"),
    [
        ("@x path /a/* *.js", ["/a/", "/b.js"], ["/a", "/b"]),
        ("@x {\n path /a/*\n path /b\n}", ["/a/x", "/b"], ["/c"]),
        ("@x {\n path /a/*\n not path /a/b/*\n}", ["/a/x"], ["/a/b/x", "/b"]),
        ("@x not path /a/*", ["/b"], ["/a/x"]),
        ("@x not {\n path /a\n}", ["/b"], ["/a"]),
        (r"@x path_regexp ^/v1/", ["/v1/x"], ["/v2/x"]),
        (r"@x path_regexp static \.css$", ["/a.css"], ["/a"]),
        ("@x path *", ["/", "/a"], []),
    ],
)
def test_path_matchers(matcher: str, held: list[str], not_held: list[str]) -> None:
    """Named matchers on paths, negated ones too, hold for the paths that Caddy's do."""
    plan = enforced(imported("caddy", f"a.example {{\n{matcher}\nheader @x X-A 1\n}}"))
    assert [path for path in (*held, *not_held) if answered(plan, path)] == held


def test_matchers_that_become_conditions() -> None:
    """Request headers and the protocol become `when`."""
    plan = enforced(
        imported(
            "caddy",
            "a.example {\n@c {\nheader Origin https://*\nheader !X-No\nheader X-Any *\nprotocol"
            " https\n}\nheader @c X-A 1\n}",
        )
    )
    asked: Fields = [("Origin", "https://b"), ("X-Any", "1")]
    assert answered(plan, request=asked) == [("X-A", "1")]
    assert answered(plan, request=asked, scheme="http") == []
    assert answered(plan, request=[*asked, ("X-No", "1")]) == []
    assert answered(plan, request=asked[:1]) == []


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("header X-A {host}", "2: X-A: the placeholder {host} cannot be carried"),
        ("header X-A {$ENV:x}", "2: X-A: the placeholder {$ENV:x} cannot be carried"),
        ("header X-A a b", "2: X-A: a policy does not replace parts of a value"),
        ("header -X-*", "2: -X-*: names with * cannot be carried"),
        (
            "header {\n X-A 1\n match status 404\n}",
            "2: header with match: conditions on the response are not carried, nor the headers",
        ),
        (
            "@m method POST\nheader @m X-A 1",
            "3: header @m: no path glob or `when` expresses the matcher; not carried: X-A",
        ),
        (
            "@m path /a/*/b\nheader @m {\n -X-A\n}",
            "3: header @m: no path glob or `when` expresses the matcher; not carried: X-A",
        ),
        (
            "@m protocol https\nhandle @m {\n header X-A 1\n}",
            "3: handle @m: no path glob or `when` expresses the matcher; not carried: X-A",
        ),
        (
            "header @nowhere X-A 1",
            ("2: header @nowhere: no path glob or `when` expresses the matcher; not carried: X-A"),
        ),
        (
            "import gone",
            "2: gone is not among the given files; its headers are not carried",
        ),
        (
            "handle_errors {\n header X-A 1\n}",
            "2: handle_errors: headers of Caddy's own error responses are not carried",
        ),
        (
            "respond hello\nheader X-A 1",
            (
                "1: this site responds by itself (redir, respond); these headers are not the"
                " service's"
            ),
        ),
        (
            "header Set-Cookie a=b\nheader >Set-Cookie c=d",
            "3: Set-Cookie: action 'set' would overwrite the service's cookies",
        ),
    ],
)
def test_what_is_lost(text: str, data: str) -> None:
    """What a policy cannot say is reported with its line."""
    assert data in lost(imported("caddy", f"a.example {{\n{text}\n}}"))


@pytest.mark.parametrize(
    "text",
    [
        "a.example {\n header X-A 1\n}",
        "a.example\nheader X-A 1\nreverse_proxy app",
        "header X-A 1\nreverse_proxy app",
        "{\n admin off\n}\na.example,\nwww.a.example {\n header X-A 1\n}",
        "(s) {\n header X-A {args[0]}\n}\na.example {\n import s 1\n}",
        "a.example { # a comment\n header X-A `1` # another\n}",
        'a.example {\n header \\\n  X-A "1"\n}',
        "www.a.example {\n redir https://a.example\n}\na.example {\n header X-A 1\n}",
    ],
)
def test_ways_to_write_a_site(text: str) -> None:
    """Sites with and without braces, snippets, comments, quotes and continued lines all read the
    same.
    """
    assert answered(imported("caddy", text)) == [("X-A", "1")]


def test_imported_file() -> None:
    """A given file that another imports counts there alone."""
    policy = imported(
        "caddy",
        "a.example {\n handle /a {\n import common.caddy\n }\n}",
        common_caddy="header X-A 1",
    )
    assert (answered(policy, "/a"), answered(policy, "/b")) == ([("X-A", "1")], [])


def test_sites_by_host() -> None:
    """Of several sites each answers for its hosts alone; one without host for all others."""
    text = (
        "a.example, http://c.example:8080 {\n header X-S a\n}\n*.a.example {\n header X-S wild\n}\n"
    )
    plan = enforced(imported("caddy", text))
    assert [
        dict(answered(plan, host=host)).get("X-S")
        for host in ("a.example", "c.example", "x.a.example", "b.net")
    ] == ["a", "a", "wild", None]
    with_rest = enforced(imported("caddy", f"{text}:80 {{\n header X-S rest\n}}"))
    assert [dict(answered(with_rest, host=host)).get("X-S") for host in ("a.example", "b.net")] == [
        "a",
        "rest",
    ]


@pytest.mark.parametrize("text", ["a {\n", "}\n", 'a {\n header X "1\n}'])
def test_no_caddyfile(text: str) -> None:
    """A text that cannot be read is refused."""
    with pytest.raises(PolicyError):
        imported("caddy", text)


def test_circular_imports() -> None:
    """A snippet that imports itself is refused, not followed for ever."""
    with pytest.raises(PolicyError, match="circles"):
        imported("caddy", "(s) {\n import s\n}\na.example {\n import s\n}")


HANDLES = st.lists(
    PATHS.flatmap(lambda path: st.sampled_from([path, f"{path}*"])), max_size=4, unique=True
)


def caddy_handle(handles: list[str], path: str) -> int | None:
    """Which handle responses, by Caddy's own order: longer paths first."""
    ranked = sorted(range(len(handles)), key=lambda position: -len(handles[position].rstrip("*")))
    return next(
        (
            position
            for position in ranked
            if (
                path.startswith(handles[position][:-1])
                if handles[position].endswith("*")
                else path == handles[position]
            )
        ),
        None,
    )


@given(HANDLES, HANDLES, st.lists(PATHS, min_size=1, max_size=6))
def test_handle_law(handles: list[str], matched: list[str], paths: list[str]) -> None:
    """For any paths, headers of one handle at most count, and those of every header directive
    that matches.
    """
    # Of /a and /a* Caddy takes the former for /a; they are the same length, so only one of them is
    # asked for.
    handles = [path for path in handles if not (path.endswith("*") and path[:-1] in handles)]
    body = [
        f"handle {path} {{\n header X-H {position}\n}}" for position, path in enumerate(handles)
    ]
    body += [f"header {path} X-{position} 1" for position, path in enumerate(matched)]
    plan = enforced(imported("caddy", "\n".join(["a.example {", *body, "header X-Site 1", "}"])))
    # Routes also read a path without repeated slashes and the one at its end; the proxy does not.
    for path in (path for path in paths if path == "/" or not (path.endswith("/") or "//" in path)):
        data = dict(answered(plan, path))
        found = caddy_handle(handles, path)
        assert data.pop("X-H", None) == (None if found is None else str(found))
        assert set(data) == {"X-Site"} | {
            f"X-{position}"
            for position, one in enumerate(matched)
            if (path.startswith(one[:-1]) if one.endswith("*") else path == one)
        }
