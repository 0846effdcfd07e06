"""The policy of a configuration does to a response what the real server does with it: asked side
by side.
"""

from __future__ import annotations

import http.client
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from sidecar.importing.draft import Imported
from sidecar.importing.formats import convert
from sidecar.policy.engine.plan import Plan, compile_policy, decide
from sidecar.policy.rules.conditions import Facts
from sidecar.source import load_policy
from tests.e2e.processes import free_port
from tests.importing.origin import ANSWERS, HTML, Lines, origin
from tests.importing.servers import installed, server
from tests.patience import PATIENCE

CONFIGS = Path(__file__).parent / "configs"
FILES = ("index.php", "index.html", "app.css", "app.js", "login.php", "photo.PNG", "note.txt")

# What servers say of themselves and of the message, and Content-Type, which httpd rewrites on its
# own.
ASIDE = frozenset(
    (
        "server",
        "date",
        "via",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "accept-ranges",
    )
)


@dataclass(frozen=True)
class Case:
    """One configuration, and the hosts and paths at which it is asked."""

    file: str
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    also: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        return self.file.split(".")[-2] if self.file.endswith(".conf") else "caddy"


CASES = (
    Case(
        "wordpress.nginx.conf",
        ("blog.example.com",),
        ("/", "/2024/hello/", "/wp-login.php", "/wp-content/a.css", "/a/b.woff2", "/favicon.ico"),
    ),
    Case(
        "spa-api.nginx.conf",
        ("app.example.com", "old.example.com", "a.b.old.example.com", "elsewhere.example"),
        (
            "/",
            "/index.html",
            "/api/users",
            "/api/public/x",
            "/api/public/x.pdf",
            "/api/x.pdf",
            "/api/x.js",
            "/assets/a.js",
            "/media/x",
            "/uploads/x.js",
            "/app.js",
            "/users/7",
        ),
    ),
    Case(
        "snippets.nginx.conf",
        ("example.com",),
        ("/", "/fonts/a.woff", "/fonts/a.json", "/index.html", "/feed.xml"),
        ("security.conf",),
    ),
    Case("gateway.nginx.conf", ("gateway.example.com",), ("/", "/v1/users", "/old/x", "/cors/x")),
    Case(
        "gunicorn.nginx.conf",
        ("example.com", "www.example.com"),
        ("/", "/admin/", "/adminx", "/users/1"),
    ),
    Case(
        "nextcloud.apache.conf",
        ("cloud.example.com",),
        (
            "/",
            "/ocs",
            "/ocsx",
            "/ocs/v1.php",
            "/ocs/v2.php",
            "/ocs/v2.php/apps",
            "/core/a.css",
            "/ocs/a.svg",
        ),
    ),
    Case(
        "boilerplate.apache.conf",
        ("example.com",),
        ("/index.html", "/app.css", "/app.js", "/login.php", "/note.txt"),
    ),
    Case(
        "hosts.apache.conf",
        ("ci.example.com", "wiki.example.com", "a.wiki.example.com", "elsewhere.example"),
        ("/", "/static/", "/static/a.js", "/staticx", "/admin", "/admin/users", "/administrator"),
    ),
    Case(
        "shop.caddy",
        ("shop.example.com",),
        (
            "/",
            "/a.css",
            "/api/x",
            "/api/x.js",
            "/files/a",
            "/files/a.css",
            "/account",
            "/account/x.js",
            "/favicon.ico",
        ),
    ),
    Case(
        "sites.caddy",
        ("example.org", "a.example.org", "status.example.net"),
        ("/", "/docs/x", "/app/x", "/app/raw/x", "/ui/x", "/feed", "/feeds/x"),
    ),
)


@dataclass(frozen=True)
class Standing:
    """A server that runs a configuration, and what became of the same configuration here."""

    case: Case
    port: int
    imported: Imported
    plan: Plan


@pytest.fixture(scope="module")
def app() -> Iterator[int]:
    """The port of the service behind every server."""
    with origin() as port:
        yield port


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.file)
def standing(
    request: pytest.FixtureRequest, app: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standing]:
    """Each configuration, running."""
    case: Case = request.param
    if not installed(case.form):
        pytest.skip(f"{case.form} is not installed")
    folder, port = tmp_path_factory.mktemp(case.form), free_port()
    root = folder / "root"
    root.mkdir()
    for name in FILES:
        (root / name).write_text("x")
    known = {
        "@LISTEN@": str(port),
        "@APP@": str(app),
        "@ROOT@": str(root),
        "@SNIPPETS@": str(CONFIGS),
    }
    texts = {
        name: re.sub("@[A-Z]+@", lambda found: known[found[0]], (CONFIGS / name).read_text())
        for name in (case.file, *case.also)
    }
    imported = convert(texts, case.form)
    plan = compile_policy(
        load_policy(
            imported.policy_yaml.replace("mode: report-only", "mode: enforce", 1).encode(),
            "policy.yaml",
        )
    )
    with server(case.form, folder, texts[case.file], port):
        yield Standing(case, port, imported, plan)


def test_effect_is_the_same(standing: Standing) -> None:
    """For every host, path and response the enforced policy sends the lines that the server
    sends, but for what the notes tell.
    """
    differences: list[str] = []
    asked = 0
    connection = http.client.HTTPConnection("127.0.0.1", standing.port, timeout=PATIENCE)
    for host in standing.case.hosts:
        for path in standing.case.paths:
            for name, (status, lines) in ANSWERS.items():
                connection.request(
                    "GET",
                    f"{path}?response={urllib.parse.quote(name)}",
                    headers={"Host": host, "Origin": "https://b.example"},
                )
                response = connection.getresponse()
                response.read()
                assert response.status == status, (host, path, name, response.status)
                ours = _decided(standing.plan, host, path, status, lines)
                differences += [
                    f"{host}{path} {name}: {said}"
                    for said in _differences(
                        response.getheaders(),
                        ours,
                        standing.imported,
                        typed=any(field == HTML[0] for field, _ in lines),
                    )
                ]
                asked += 1
    connection.close()
    assert asked == len(standing.case.hosts) * len(standing.case.paths) * len(ANSWERS)
    assert not differences, (
        "\n".join(differences[:40])
        + f"\n... {len(differences)} in all\n"
        + standing.imported.policy_yaml
    )


def _decided(plan: Plan, host: str, path: str, status: int, lines: Lines) -> Lines:
    fields = [(name.encode(), value.encode()) for name, value in lines]
    facts = Facts("GET", host, path, "https", [(b"Origin", b"https://b.example")], status, fields)
    return [
        (name.decode(), value.decode())
        for name, value in decide(plan.route(host, "GET", path), facts).fields
    ]


def _by_name(lines: Lines) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in lines:
        if name.lower() not in ASIDE:
            found.setdefault(name.lower(), []).append(value)
    return found


def _differences(theirs: Lines, ours: Lines, imported: Imported, *, typed: bool) -> Iterator[str]:
    server_lines, our_lines = _by_name(theirs), _by_name(ours)
    for name in sorted(server_lines.keys() | our_lines.keys()):
        left, right = server_lines.get(name, []), our_lines.get(name, [])
        if Counter(left) != Counter(right) and not _told(name, left, right, imported, typed=typed):
            yield f"{name}: the server sends {left}, the policy {right}"


def _told(name: str, left: list[str], right: list[str], imported: Imported, *, typed: bool) -> bool:
    """True when a note says just this difference."""
    notes = [
        note
        for note in imported.notes
        if any(
            fnmatch(name, word.strip(",:").lower()) for word in note.message.split() if word != "*"
        )
    ]
    if any(note.severity == "warning" for note in notes):
        return True
    if any("no Content-Type" in note.message for note in notes) and not typed:
        return not right
    if any("only this one" in note.message for note in notes):
        return (
            len(right) == 1
            and right[0] in (*left, *_members(left))
            and (len(left) > 1 or "," in left[0])
        )
    if any("joins values" in note.message for note in notes):
        return _members(left) == _members(right)
    # The general note: a line that the service already sends is not repeated.
    return Counter(dict.fromkeys(left, 1)) == Counter(right) and any(
        "does not repeat it" in note.message for note in imported.notes
    )


def _members(lines: list[str]) -> set[str]:
    """The lines and, where they are lists, their members."""
    return {member.strip() for line in lines for member in line.split(",")}


def test_notes_hide_no_more_than_they_name(standing: Standing) -> None:
    """Every warning of a configuration names a line of it that is truly there, and what to do by
    hand.
    """
    for note in standing.imported.notes:
        text = (CONFIGS / note.file).read_text().splitlines()
        assert 0 < note.line <= len(text), note
        assert text[note.line - 1].strip(), note
        assert note.fix or note.severity == "info", note
