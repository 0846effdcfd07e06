"""Routes cannot be dodged: what a service takes for one of its routes gets that route's rules,
however it is spelled.
"""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.e2e import wire
from tests.e2e.conftest import Start
from tests.e2e.processes import COMMANDS, Service
from tests.e2e.running import Sidecar
from tests.portion import by_default

POLICY = """\
version: 1
name: guarded
mode: enforce
routes:
  - {name: admin, match: {path: [/admin, /admin/**]}, rules: {guard: {header: X-Guard, action: set, value: admin}}}
  - {name: account, match: {path: /account/*}, rules: {guard: {header: X-Guard, action: set, value: account}}}
  - {name: cafe, match: {path: /café/**}, rules: {guard: {header: X-Guard, action: set, value: cafe}}}
  - {name: private, match: {path: /files/private/**}, rules: {guard: {header: X-Guard, action: set, value: private}}}
"""  # noqa: E501

UVICORN = ("-m", "uvicorn", "--port", "0", "--no-access-log", "--http")
GUNICORN = ("-m", "gunicorn", "-b", "127.0.0.1:0", "-c", "python:tests.services.gunicorn_conf")
SERVERS = {
    "FastAPI on uvicorn, httptools": (*UVICORN, "httptools", "tests.services.routed:on_fastapi"),
    "FastAPI on uvicorn, h11": (*UVICORN, "h11", "tests.services.routed:on_fastapi"),
    "Flask on gunicorn": (*GUNICORN, "tests.services.routed:on_flask"),
    "Flask on Werkzeug": ("-m", "tests.services.routed"),
    "Django on gunicorn": (*GUNICORN, "tests.services.routed:on_django"),
    "Django on uvicorn": (*UVICORN, "httptools", "tests.services.routed:on_django_asgi"),
}

ALL = ("FastAPI", "Flask", "Django")
SPELLINGS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # as it is named, encoded, encoded twice
    ("/admin", "admin", ALL),
    ("/admin/x", "admin", ALL),
    ("/admin%2Fx", "admin", ALL),
    ("/admin%2fx", "admin", ALL),
    ("/%61dmin/x", "admin", ALL),
    ("/%61%64%6d%69%6E%2F%78", "admin", ALL),
    ("/admin%252Fx", "", ()),
    ("/account/x", "account", ALL),
    ("/account%2Fx", "account", ALL),
    ("/account/x%2Fy", "", ()),
    ("/caf%C3%A9/x", "cafe", ALL),
    ("/caf%c3%a9/x", "cafe", ALL),
    ("/caf%25C3%25A9/x", "", ()),
    ("/files/private/key.txt", "private", ALL),
    ("/files/private%2Fkey.txt", "private", ALL),
    # repeated slashes
    ("//admin", "admin", ("Flask",)),
    ("//admin/x", "admin", ("Flask",)),
    ("///admin/x", "admin", ("Flask",)),
    ("/%2Fadmin/x", "admin", ("Flask",)),
    ("/%2F%2Fadmin%2Fx", "admin", ("Flask",)),
    ("/admin//x", "admin", ("FastAPI", "Django")),
    ("/admin/x//", "admin", ALL),
    ("//account/x", "account", ("Flask",)),
    ("/account//x", "", ()),
    ("//caf%C3%A9/x", "cafe", ("Flask",)),
    ("/files//private/key.txt", "private", ("FastAPI", "Django")),
    ("/files/%2Fprivate/key.txt", "private", ("FastAPI", "Django")),
    ("//files/private/key.txt", "private", ("Flask",)),
    ("/files/private//key.txt", "private", ALL),
    # dot segments
    ("/./admin/x", "", ()),
    ("/x/../admin/x", "", ()),
    ("/%2e%2e/admin/x", "", ()),
    ("/x/%2e%2e%2fadmin%2fx", "", ()),
    ("/admin%2e%2e", "", ()),
    ("/admin/./x", "admin", ALL),
    ("/admin/../admin/x", "admin", ALL),
    ("/admin/%2e%2e/x", "admin", ALL),
    ("/admin/..%2fpublic", "admin", ALL),
    ("/files/./private/key.txt", "private", ALL),
    ("/files/%2e/private/key.txt", "private", ALL),
    ("/files/x/../private/key.txt", "private", ALL),
    ("/files/x/%2e%2e/private/key.txt", "private", ALL),
    ("/files/x%2f..%2fprivate%2fkey.txt", "private", ALL),
    ("/files/private/../private/key.txt", "private", ALL),
    ("/files/..%2fadmin/x", "", ()),
    # the end: a slash, a line feed, nothing
    ("/admin/", "admin", ("FastAPI", "Flask")),
    ("/admin%2F", "admin", ("FastAPI", "Flask")),
    ("/admin/x/", "admin", ALL),
    ("/admin%0A", "admin", ("FastAPI",)),
    ("/admin%0D", "", ()),
    ("/admin/x%0A", "admin", ("FastAPI",)),
    ("/account/x%0A", "account", ALL),
    ("/account/a%0Ab", "account", ALL),
    ("/account/", "", ()),
    ("/files/private/key.txt/", "private", ALL),
    ("/files/private/key.txt%00", "", ()),
    # letters that are none: NUL, broken and overlong UTF-8, broken encodings, look-alikes
    ("/admin%00", "", ()),
    ("/admin/%00", "admin", ALL),
    ("/admin%FF", "", ()),
    ("/admin/%FF", "admin", ALL),
    ("/admin%C0%AFx", "", ()),
    ("/admin%", "", ()),
    ("/admin%zz", "", ()),
    ("/admin%u002Fx", "", ()),
    ("/admin/x%", "admin", ALL),
    ("/caf%E9/x", "", ()),
    ("/cafe%CC%81/x", "", ()),
    ("/admin%E2%88%95x", "", ()),
    ("/ADMIN/x", "", ()),
    # what ends a path elsewhere
    ("/admin?x", "admin", ALL),
    ("/admin/x?y=//z/../w", "admin", ALL),
    ("/admin%3Fx", "", ()),
    ("/admin%23x", "", ()),
    ("/admin/x;a=b", "admin", ALL),
    ("/admin;a=b/x", "", ()),
    ("/admin\\x", "", ()),
    ("/admin%5Cx", "", ()),
    ("\\admin/x", "", ()),
    # stars, and other forms of a target
    ("/account/*", "account", ALL),
    ("/account/%2A", "account", ALL),
    ("/*", "", ()),
    ("http://shop.example/admin/x", "admin", ALL),
    ("http://shop.example/admin%2Fx", "admin", ALL),
    ("http://shop.example//admin/x", "admin", ("Flask",)),
    ("http://shop.example/files/x/../private/key.txt", "private", ALL),
    ("http://shop.example?/admin", "", ()),
)
"""A target, the view that it reaches ("" = none), and on which frameworks."""


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, begin: Start
) -> Iterator[Callable[[str], Sidecar]]:
    """Sidecars in front of the routed services, by the server's name."""
    running: list[Service] = []

    @cache
    def named(server: str) -> Sidecar:
        COMMANDS[server] = SERVERS[server]
        running.append(Service(server, tmp_path_factory.mktemp("routed")))
        return begin(POLICY, running[-1].url)

    yield named
    for service in running:
        service.child.ask_to_end()
    for service in running:
        service.child.end()


def _view(response: wire.Response) -> str:
    """The view that was reached, as it says itself; files have only their text."""
    return response.value("X-View") or ("private" if response.body == b"private/key.txt" else "")


@pytest.mark.parametrize("server", by_default(SERVERS, next(iter(SERVERS)).__eq__))
def test_what_the_service_takes_for_a_route_gets_the_routes_rules(
    server: str, guarded: Callable[[str], Sidecar]
) -> None:
    """Each spelling reaches the view that the table says, and the response carries the view's
    guard.
    """
    sidecar = guarded(server)
    framework = server.partition(" ")[0]
    seen, guards = {}, {}
    for target, *_ in SPELLINGS:
        response = sidecar.get(target)
        seen[target], guards[target] = _view(response), response.value("X-Guard")

    assert seen == {
        target: view if framework in reached else "" for target, view, reached in SPELLINGS
    }
    assert {target: guards[target] for target, view in seen.items() if view} == {
        target: view for target, view in seen.items() if view
    }
