"""nginx configurations: inheritance, locations, servers, and what is reported of the rest."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.terms import PolicyError
from tests.importing.making import answered, differing, enforced, imported, lost
from tests.importing.test_paths import PATHS


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("add_header X-A 1;", "", [("X-A", "1")]),
        ("add_header X-A 1;", "add_header X-B 2;", [("X-B", "2")]),
        ("add_header X-A 1;", 'add_header X-A "";', []),
        (
            "add_header X-A 1;",
            "add_header_inherit merge; add_header X-B 2;",
            [("X-A", "1"), ("X-B", "2")],
        ),
        (
            "add_header_inherit merge; add_header X-A 1;",
            "add_header X-B 2;",
            [("X-A", "1"), ("X-B", "2")],
        ),
        ("add_header X-A 1;", "add_header_inherit off;", []),
        ("more_set_headers 'X-A: 1';", "more_set_headers 'X-B: 2';", [("X-A", "1"), ("X-B", "2")]),
        ("more_set_headers 'X-A: 1';", "more_clear_headers X-A;", []),
        (
            "more_set_headers 'X-A: 1';",
            "more_set_headers -a 'X-A: 2';",
            [("X-A", "1"), ("X-A", "2")],
        ),
        ("add_header X-A 1;", "more_set_headers 'X-A: 2';", [("X-A", "2"), ("X-A", "1")]),
        ("proxy_hide_header X-S;", "add_header X-S 1;", [("X-S", "1")]),
    ],
)
def test_inheritance(outer: str, inner: str, expected: list[tuple[str, str]]) -> None:
    """A block with add_header drops what it would inherit, headers-more adds up, and the order
    is nginx's.
    """
    policy = imported("nginx", f"server {{ {outer} location / {{ {inner} }} }}")
    assert sorted(answered(policy)) == sorted(expected)


def test_repeated_lines_are_said() -> None:
    """Where a header that may stand once has several lines, or own and inherited ones, the
    policy's choice is reported.
    """
    twice = "add_header X-Frame-Options DENY; add_header X-Frame-Options SAMEORIGIN always;"
    policy = imported("nginx", f"server {{\n{twice}\n}}")
    assert answered(policy) == [("X-Frame-Options", "SAMEORIGIN")]
    assert (
        "2: X-Frame-Options: nginx sends this line after that of site.conf:2; the policy sends"
        " only this one" in differing(policy)
    )
    merged = "add_header X-A 1; location /a { add_header_inherit merge; add_header X-A 2; }"
    policy = imported("nginx", f"server {{ {merged} }}")
    assert answered(policy, "/a") == [("X-A", "1"), ("X-A", "2")]
    assert "both sent; the policy sends the inherited one first" in differing(policy)[0]


@pytest.mark.parametrize(
    ("outer", "inner", "dropped"),
    [
        ("add_header X-A 1; add_header X-B 2;", "add_header X-C 3;", "X-A, X-B (line 1)"),
        ("add_header X-A 1; add_header X-B 2;", "add_header x-a 3;", "X-B (line 1)"),
        ("add_header X-A 1;", "add_header X-A 2;", ""),
        ("add_header X-A 1; add_header X-A 2;", "add_header X-A 3;", "X-A (line 1)"),
        ("add_header X-A 1; add_header X-A 2;", "add_header X-A 3; add_header X-A 4;", ""),
        ("add_header X-A 1;", "", ""),
        ("add_header X-A 1;", "add_header_inherit merge; add_header X-B 2;", ""),
    ],
)
def test_what_a_location_drops_is_said(outer: str, inner: str, dropped: str) -> None:
    """One add_header in a block ends what it inherits, which few authors mean: the note names
    the headers and the line.
    """
    policy = imported("nginx", f"server {{ {outer} location /a {{ {inner} }} }}")
    data = [note for note in differing(policy) if "an add_header of its own" in note]
    assert [f"drops the inherited {dropped}, and" in note for note in data] == [True] * bool(
        dropped
    )


def test_status_without_always() -> None:
    """Without `always` a line is added for the statuses that nginx names, and for no others."""
    plan = enforced(imported("nginx", "add_header X-A 1; add_header X-B 2 always;"))
    with_both = [
        status for status in range(200, 600) if ("X-A", "1") in answered(plan, status=status)
    ]
    assert with_both == [200, 201, 204, 206, 301, 302, 303, 304, 307, 308]
    assert all(("X-B", "2") in answered(plan, status=status) for status in range(200, 600))


def test_once_only_header() -> None:
    """nginx would send a second X-Frame-Options beside the service's; the policy sends nginx's
    alone, and says so.
    """
    policy = imported("nginx", "add_header X-Frame-Options DENY always;")
    assert answered(policy, "/", ("X-Frame-Options", "SAMEORIGIN")) == [("X-Frame-Options", "DENY")]
    assert differing(policy) == [
        (
            "1: X-Frame-Options: nginx sends a second line beside the service's own;"
            " the policy sends only this one"
        )
    ]
    hidden = imported(
        "nginx", "proxy_hide_header X-Frame-Options; add_header X-Frame-Options DENY always;"
    )
    assert hidden.notes == ()


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("add_header X-A $host;", "1: add_header X-A: the variable $host cannot be carried"),
        (
            "add_header X-A a${arg_x}b;",
            "1: add_header X-A: the variable ${arg_x} cannot be carried",
        ),
        ("add_header 'X A' 1;", "1: X A: illegal header name 'X A'"),
        (
            "add_header Connection close;",
            "1: Connection: Connection frames the message and belongs to the proxy",
        ),
        ('add_header X-A "a\\nb";', "1: X-A: illegal header value: it contains CR, LF or NUL"),
        ("more_clear_headers 'X-*';", "1: more_clear_headers X-*: names with * cannot be carried"),
        (
            "more_set_headers 'Set-Cookie: a=b';",
            "1: Set-Cookie: action 'set' would overwrite the service's cookies",
        ),
        (
            "expires 1h;",
            "1: expires 1h: Expires and Cache-Control with a date that moves are not carried",
        ),
        ("proxy_cookie_flags ~ secure;", "1: proxy_cookie_flags is not carried"),
        ("location / { if ($a) { add_header X-A 1; } }", "1: if ($a): not carried, nor X-A"),
        (
            "add_header X-B 1;\nlocation ~ ^/\\d { add_header X-A 1; }",
            "2: no path glob expresses location ~ ^/\\d; may differ there: X-B, X-A",
        ),
        (
            "add_header X-A 1; location /a { add_header X-A 2; } rewrite ^ /index.php last;",
            ("1: rewrite ... last: the headers of the new path's location are not carried"),
        ),
        (
            "include other.conf;",
            "1: other.conf is not among the given files; its headers are not carried",
        ),
        ("server_name ~^www; add_header X-A 1;", "1: no host pattern expresses '~^www'"),
        (
            "server { return 301 /; add_header X-A 1; }",
            ("1: this server responds by itself (return); these headers are not the service's"),
        ),
    ],
)
def test_what_is_lost(text: str, data: str) -> None:
    """What a policy cannot say is reported with its line."""
    assert data in lost(imported("nginx", text))


@pytest.mark.parametrize(
    "text",
    [
        "include mime.types;",
        "expires off;",
        "rewrite ^ /index.php last;",
        "location ~ ^/\\d { deny all; }",
        "server { return 301 /; }",
    ],
)
def test_what_is_no_loss(text: str) -> None:
    """What touches no header of the service is not reported."""
    assert (
        lost(
            imported(
                "nginx",
                (
                    f"add_header X-A 1; {text}"
                    if "server" not in text
                    else f"{text} server {{ add_header X-A 1; }}"
                ),
            )
        )
        == []
    )


def test_includes() -> None:
    """A file that another includes counts there, and only there."""
    policy = imported(
        "nginx",
        "server { location /a { include snippets/common.conf; } }",
        common_conf="add_header X-A 1;",
    )
    assert answered(policy, "/a") == [("X-A", "1")]
    assert answered(policy, "/b") == []


def test_servers_by_name() -> None:
    """Exact names win over wildcards, longer ones over shorter; the first server is for all
    other hosts.
    """
    plan = enforced(
        imported(
            "nginx",
            """
            server { server_name first.example; add_header X-S first; }
            server { server_name *.example.com; add_header X-S wild; }
            server { server_name *.a.example.com; add_header X-S longer; }
            server { server_name b.a.example.com www.*; add_header X-S exact; }
            server { server_name .example.org; }
            """,
        )
    )
    hosts = [
        "first.example",
        "elsewhere.example",
        "x.example.com",
        "x.a.example.com",
        "b.a.example.com",
        "www.net",
        "example.org",
        "a.example.org",
    ]
    data = [dict(answered(plan, host=host)).get("X-S") for host in hosts]
    assert data == ["first", "first", "wild", "longer", "exact", "exact", None, None]


def test_default_server_keeps_its_name() -> None:
    """A default server whose name another's wildcard would catch still answers for it."""
    plan = enforced(
        imported(
            "nginx",
            "server { server_name www.example.com; add_header X-S 1; } server { server_name"
            " *.example.com; add_header X-S 2; }",
        )
    )
    assert [
        dict(answered(plan, host=host))["X-S"]
        for host in ("www.example.com", "a.example.com", "b.net")
    ] == ["1", "2", "1"]


def test_one_name_over_http_and_https() -> None:
    """Of two servers with one name, a quiet one for HTTP makes the other's rules conditions on
    HTTPS.
    """
    plan = enforced(
        imported(
            "nginx",
            "server { listen 80; server_name a.b; location / {} } server { listen 443 ssl;"
            " server_name a.b; add_header X-A 1; }",
        )
    )
    assert answered(plan, scheme="https") == [("X-A", "1")]
    assert answered(plan, scheme="http") == []


def test_one_name_where_both_write() -> None:
    """When both write headers the second is reported, not guessed."""
    policy = imported(
        "nginx",
        "server { listen 80; server_name a.b; add_header X-A 1; }\nserver { listen 443 ssl;"
        " server_name a.b; add_header X-A 2; }",
    )
    assert lost(policy) == [
        "2: line 1 has a.b too; a policy knows no ports, so this one is not carried"
    ]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("server {\n add_header X 1\n}", "2: 'add_header' does not end with ';'"),
        ("server {\n", "1: the block of 'server' is never closed"),
        ("\n}", "2: a block ends here that was never opened"),
        ('add_header X "1;', "1: not nginx configuration: '\"1;' is never closed"),
        ("add_header X 1", "1: 'add_header' does not end with ';'"),
        ("a {" * 30, "1: blocks are nested more than 24 deep"),
        ("content_by_lua_block { if x then { }", "1: the block is never closed"),
    ],
)
def test_no_configuration(text: str, data: str) -> None:
    """A text that cannot be read is refused with its line."""
    with pytest.raises(PolicyError) as refusal:
        imported("nginx", text)
    assert data in [f"{problem.line}: {problem.message}" for problem in refusal.value.problems]


def test_circular_includes() -> None:
    """Files that include each other are refused, not followed for ever."""
    with pytest.raises(PolicyError, match="circles"):
        imported(
            "nginx",
            "include a.conf; include b.conf;",
            a_conf="include b.conf;",
            b_conf="include a.conf;",
        )


def test_words() -> None:
    """Quotes, escapes, comments, variables in braces and Lua blocks are read as nginx reads
    them.
    """
    policy = imported(
        "nginx",
        r"""
        access_by_lua_block { if x then { y = {} } end }
        # add_header X-Comment 1;
        add_header X-A "it's"; add_header X-B "say \"hi\" # no comment" always; # a comment
        add_header X-C a#b; add_header X-D a\ b; add_header X-E 'tab\there';
        """,
    )
    assert answered(policy) == [
        ("X-A", "it's"),
        ("X-B", 'say "hi" # no comment'),
        ("X-C", "a#b"),
        ("X-D", "a\\ b"),
        ("X-E", "tab\there"),
    ]


LOCATIONS = st.lists(
    st.tuples(st.sampled_from(["", "", "^~", "="]), PATHS)
    | st.tuples(st.just("~"), st.sampled_from([r"\.js$", "^/a", "^/b/.*a$", "js$"])),
    max_size=5,
    unique_by=lambda location: (
        location[0].replace("^~", ""),
        location[1],
    ),  # nginx refuses the others
)


def nginx_location(locations: list[tuple[str, str]], path: str) -> int | None:
    """Which location answers, by nginx's own words: exact, longest prefix, ^~, expressions in
    order.
    """
    fixed = [
        (text, position)
        for position, (kind, text) in enumerate(locations)
        if kind != "~" and (path == text if kind == "=" else path.startswith(text))
    ]
    exact = next((position for text, position in fixed if locations[position][0] == "="), None)
    if exact is not None:
        return exact
    best = max(fixed, default=(None, None), key=lambda found: len(found[0]))[1]
    if best is not None and locations[best][0] == "^~":
        return best
    return next(
        (
            position
            for position, (kind, text) in enumerate(locations)
            if kind == "~" and re.search(text, path)
        ),
        best,
    )


@given(LOCATIONS, st.lists(PATHS, min_size=1, max_size=6))
def test_location_law(locations: list[tuple[str, str]], paths: list[str]) -> None:
    """For any locations and any path the policy has the headers of the location that nginx
    chooses.
    """
    blocks = "\n".join(
        f"location {kind} {text} {{ add_header X-L {position}; }}"
        for position, (kind, text) in enumerate(locations)
    )
    plan = enforced(imported("nginx", f"server {{\nadd_header X-L none;\n{blocks}\n}}"))
    plan = replace(plan, slashes="keep")  # as the locations of this law take them
    for path in paths:
        found = nginx_location(locations, path)
        assert dict(answered(plan, path))["X-L"] == ("none" if found is None else str(found))
