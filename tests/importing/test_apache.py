"""Apache configurations: the two tables, sections that add up, hosts, conditions, and what is
reported of the rest.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.importing.draft import HeaderEffect
from sidecar.policy.terms import PolicyError
from tests.importing.making import Fields, answered, differing, enforced, imported, lost
from tests.importing.test_paths import PATHS


@pytest.mark.parametrize(
    ("statements", "service", "expected"),
    [
        ("Header set X-A 1", [("X-A", "0"), ("X-A", "9")], [("X-A", "1")]),
        ("Header add X-A 1", [("X-A", "0")], [("X-A", "0"), ("X-A", "1")]),
        ("Header unset X-A", [("X-A", "0")], []),
        ("Header setifempty X-A 1", [("X-A", "0")], [("X-A", "0")]),
        ("Header setifempty X-A 1", [], [("X-A", "1")]),
        ("Header always set X-A 1", [("X-A", "0")], [("X-A", "0"), ("X-A", "1")]),
        ("Header always unset X-A", [("X-A", "0")], [("X-A", "0")]),
        ("Header always set X-A 1\nHeader always set X-A 2", [], [("X-A", "2")]),
        ("Header always set X-A 1\nHeader always unset X-A", [], []),
        ("Header always set X-A 1\nHeader always append X-A 2", [], [("X-A", "1, 2")]),
        ("Header always set X-A 1\nHeader always merge X-A 1", [], [("X-A", "1")]),
        ("Header always set X-A 1\nHeader always add X-A 2", [], [("X-A", "1"), ("X-A", "2")]),
        ("Header always setifempty X-A 1\nHeader always setifempty X-A 2", [], [("X-A", "1")]),
        ("Header onsuccess unset X-A\nHeader always set X-A 1", [("X-A", "0")], [("X-A", "1")]),
        ("header SET X-A: 100%%", [], [("X-A", "100%")]),
        (r'Header set X-A "a\b c\\d e\\\\f \"%%"', [], [("X-A", r'a\b c\d e\f "%')]),
        ("Header append Vary Origin", [("Vary", "Cookie")], [("Vary", "Cookie, Origin")]),
    ],
)
def test_tables(statements: str, service: Fields, expected: Fields) -> None:
    """`onsuccess` works on the service's lines, `always` on lines beside them, and both are
    sent.
    """
    assert answered(imported("apache", statements), "/", *service, status=500) == expected


@pytest.mark.parametrize(
    ("condition", "held", "not_held"),
    [
        ("env=HTTPS", {"scheme": "https"}, {"scheme": "http"}),
        ("env=!HTTPS", {"scheme": "http"}, {"scheme": "https"}),
        ("\"expr=%{HTTPS} == 'on'\"", {"scheme": "https"}, {"scheme": "http"}),
        ('"expr=%{REQUEST_STATUS} == 404"', {"status": 404}, {"status": 200}),
        ('"expr=%{REQUEST_STATUS} -ge 400"', {"status": 503}, {"status": 302}),
    ],
)
def test_conditions(condition: str, held: dict[str, object], not_held: dict[str, object]) -> None:
    """What env= and expr= ask of scheme and status becomes `when`."""
    plan = enforced(imported("apache", f"Header set X-A 1 {condition}"))
    assert answered(plan, **held) == [("X-A", "1")]
    assert answered(plan, **not_held) == []


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        ("text/html", True),
        ("TEXT/HTML; charset=utf-8", True),
        ("image/svg+xml", True),
        ("application/pdf", True),
        ("text/css", False),
    ],
)
def test_content_type(kind: str, held: bool) -> None:
    """A search in the content type becomes media types, with * for what may stand around."""
    plan = enforced(
        imported(
            "apache",
            r'Header set X-A 1 "expr=%{CONTENT_TYPE} =~ m#text\/html|application\/pdf|xml#i"',
        )
    )
    assert (("X-A", "1") in answered(plan, "/", ("Content-Type", kind))) is held


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (
            "Header set X-A %t",
            "1: Header set X-A %t: a value that httpd computes for each response cannot be carried",
        ),
        (
            "Header set X-A ${NOT_DEFINED}",
            (
                "1: Header set X-A ${NOT_DEFINED}: a value that httpd computes for each response"
                " cannot be carried"
            ),
        ),
        (
            r'Header set X-A "a\\nb"',
            r"1: Header set X-A a\nb: a value with a line end or a tab cannot be carried",
        ),
        (
            "Header set X-A 1 env=bot",
            "1: Header set X-A 1 env=bot: no `when` expresses the condition",
        ),
        ("Header edit X-A a b", "1: Header edit X-A a b: a policy does not edit parts of a value"),
        (
            "Header edit Set-Cookie (.*) $1;Path=/",
            "1: Header edit Set-Cookie (.*) $1;Path=/: a policy does not edit parts of a value",
        ),
        (
            "Header frobnicate X-A",
            "1: Header frobnicate X-A: not a Header statement that httpd knows",
        ),
        ("Header unset X-*", "1: Header unset X-*: names with * cannot be carried"),
        (
            "Header set X-B 1\nExpiresDefault 'access plus 1 day'",
            (
                "2: expiresdefault access plus 1 day: Expires and Cache-Control with a date that"
                " moves are not carried"
            ),
        ),
        (
            "<LocationMatch ^/[a-z]+>\nHeader set X-A 1\n</LocationMatch>",
            ("1: no path glob or `when` expresses <locationmatch ^/[a-z]+>; not carried: X-A"),
        ),
        (
            "<If \"%{HTTP_HOST} == 'a'\">\nHeader always set X-A 1\n</If>",
            ("1: no path glob or `when` expresses <if %{HTTP_HOST} == 'a'>; not carried: X-A"),
        ),
        (
            "<IfModule !mod_x.c>\nHeader set X-A 1\n</IfModule>",
            "1: <ifmodule !mod_x.c> is read as false; not carried: X-A",
        ),
        (
            "<DirectoryMatch x>\nHeader set X-A 1\n</DirectoryMatch>",
            "1: no path glob or `when` expresses <directorymatch x>; not carried: X-A",
        ),
        (
            "DocumentRoot /srv\n<Directory /etc>\nHeader set X-A 1\n</Directory>",
            "2: no path glob or `when` expresses <directory /etc>; not carried: X-A",
        ),
        (
            "Include other.conf",
            "1: other.conf is not among the given files; its headers are not carried",
        ),
        (
            "<VirtualHost *:80>\nRedirect / https://a/\nHeader set X-A 1\n</VirtualHost>",
            ("1: this host responds by itself (Redirect); these headers are not the service's"),
        ),
        (
            "Header always set X-A 1\nHeader always set X-A 2 env=HTTPS",
            "2: Header always set X-A works on a line with other conditions",
        ),
    ],
)
def test_what_is_lost(text: str, data: str) -> None:
    """What a policy cannot say is reported with its line."""
    assert data in lost(imported("apache", text))


def test_cookie_edit() -> None:
    """The usual edit of Set-Cookie becomes a cookie rule."""
    policy = imported(
        "apache", 'Header edit Set-Cookie ^(.*)$ "$1; Secure; HttpOnly; SameSite=lax"'
    )
    assert answered(policy, "/", ("Set-Cookie", "id=1")) == [
        ("Set-Cookie", "id=1; Secure; HttpOnly; SameSite=Lax")
    ]
    assert lost(policy) == []
    assert len(differing(policy)) == 1


def test_folders() -> None:
    """A folder on disk is the paths that DocumentRoot and Alias make of it."""
    plan = enforced(
        imported(
            "apache",
            """
            DocumentRoot /srv/www/
            Alias /docs/ /usr/share/docs/
            <Directory /srv>
              Header set X-All 1
            </Directory>
            <Directory "/srv/www/admin/">
              Header set X-Admin 1
            </Directory>
            <Directory /usr/share/docs/api>
              Header set X-Api 1
            </Directory>
            """,
        )
    )
    data = {
        path: sorted(name for name, _ in answered(plan, path))
        for path in ("/", "/admin", "/admin/x", "/adminx", "/docs/api/x", "/docs/x")
    }
    assert data == {
        "/": ["X-All"],
        "/admin": ["X-Admin", "X-All"],
        "/admin/x": ["X-Admin", "X-All"],
        "/adminx": ["X-All"],
        "/docs/api/x": ["X-All", "X-Api"],
        "/docs/x": ["X-All"],
    }


def test_folder_without_root() -> None:
    """Without DocumentRoot a folder is taken for the site, and that is reported."""
    policy = imported("apache", "<Directory /var/www>\nHeader set X-A 1\n</Directory>")
    assert answered(policy, "/any") == [("X-A", "1")]
    assert differing(policy) == [
        "1: <Directory /var/www> is read as the whole site: no DocumentRoot or Alias is given"
    ]


def test_sections_in_order() -> None:
    """Directories count before files, files before locations, wherever they stand; the last word
    wins.
    """
    policy = imported(
        "apache",
        """
        <Location /a>
          Header set X-A location
        </Location>
        <Files "x.js">
          Header set X-A files
        </Files>
        Header set X-A server
        """,
    )
    assert [dict(answered(policy, path))["X-A"] for path in ("/a/x.js", "/x.js", "/y")] == [
        "location",
        "files",
        "server",
    ]


def test_hosts() -> None:
    """The first host that a name fits responses, the very first for all others; the main
    server's statements count in each.
    """
    plan = enforced(
        imported(
            "apache",
            """
            Header set X-Main 1
            <VirtualHost *:80>
              ServerName a.example
              Header set X-H a
            </VirtualHost>
            <VirtualHost *:80>
              ServerName b.example
              ServerAlias *.b.example b.net:8080
              Header set X-H b
            </VirtualHost>
            """,
        )
    )
    for host, expected in (
        ("a.example", "a"),
        ("b.example", "b"),
        ("x.b.example", "b"),
        ("b.net", "b"),
        ("other", "a"),
    ):
        assert dict(answered(plan, host=host)) == {"X-Main": "1", "X-H": expected}


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("<Location /a>\nHeader set X 1", "1: the block of 'location' is never closed"),
        ("<Location /a>\n</Files>", "2: </files> ends <location> of line 1"),
        ("<Location /a", "1: not httpd configuration: '<Location /a' has no '>'"),
        ('Header set X-A "1', "1: a quote in 'Header set X-A \"1' is never closed"),
    ],
)
def test_no_configuration(text: str, data: str) -> None:
    """A text that cannot be read is refused with its line."""
    with pytest.raises(PolicyError) as refusal:
        imported("apache", text)
    assert data in [f"{problem.line}: {problem.message}" for problem in refusal.value.problems]


def test_words() -> None:
    """Continued lines, both quotes, escapes and Define are read as httpd reads them."""
    policy = imported(
        "apache",
        r"""
        Define level "high"
        Header set X-A \
            "it's \"so\"" # no comment behind a statement
        Header set X-B 'a "b"'
        # Header set X-C 1 \
        Header set X-D ${level}-\\d
        """.replace(" # no comment behind a statement", ""),
    )
    assert answered(policy) == [("X-A", 'it\'s "so"'), ("X-B", 'a "b"'), ("X-D", "high-\\d")]


SECTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("Location"), PATHS),
        st.tuples(st.just("Files"), st.sampled_from(["a.js", "*.js", "*"])),
        st.tuples(st.just("LocationMatch"), st.sampled_from([r"\.js$", "^/a", "^/b/.*a$"])),
        st.tuples(st.just("FilesMatch"), st.sampled_from([r"\.js$", "^a$"])),
    ),
    max_size=4,
)


def covers(kind: str, text: str, path: str) -> bool:
    """Whether a section counts for a path, by httpd's own words."""
    name = path.rpartition("/")[2]
    if kind == "Location":
        return path == text or path.startswith(text if text.endswith("/") else f"{text}/")
    if kind == "Files":
        return re.fullmatch(re.escape(text).replace(r"\*", ".*"), name) is not None
    return re.search(text, path if kind == "LocationMatch" else name) is not None


@given(SECTIONS, st.lists(PATHS, min_size=1, max_size=6))
def test_section_law(sections: list[tuple[str, str]], paths: list[str]) -> None:
    """For any sections and any path the policy writes the headers of just those sections that
    cover the path.
    """
    blocks = "\n".join(
        f'<{kind} "{text}">\nHeader set X-{position} 1\n</{kind}>'
        for position, (kind, text) in enumerate(sections)
    )
    plan = enforced(imported("apache", f"Header set X-Server 1\n{blocks}"))
    # Routes also read a path without repeated slashes and the one at its end; the proxy does not.
    for path in (path for path in paths if path == "/" or not (path.endswith("/") or "//" in path)):
        expected = {
            f"X-{position}"
            for position, (kind, text) in enumerate(sections)
            if covers(kind, text, path)
        }
        assert {name for name, _ in answered(plan, path)} == {"X-Server"} | expected


def test_effects_compare_by_what_they_do() -> None:
    """The same effect from two lines is the same: so places can share a rule."""
    assert HeaderEffect("set", "X-A", "1", about="here") == HeaderEffect(
        "set", "X-A", "1", about="there"
    )
