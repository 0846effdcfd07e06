"""The house: which room may know which, read from the imports; and what every file keeps to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "sidecar").rglob("*.py"))

FLOORS = (
    ("policy",),
    ("source", "settings", "sarif"),
    ("telemetry",),
    ("store", "history", "revisions"),
    ("proxy", "admin", "rollout", "audit", "importing"),
    ("channel", "workers", "worker", "service"),
    ("demo", "rehearsal", "cli"),
    ("__main__",),
)
"""Lowest first. A room may know its own floor and those below."""
STRANGERS = FLOORS[4]
"""These stand on one floor and do not know each other: what they share goes down a floor."""
OWNERS = {
    "yaml": ("source",),
    "structlog": ("telemetry",),
    "prometheus_client": ("telemetry",),
    "click": ("cli",),
    "jinja2": ("admin",),
    "turbohtml": ("policy",),
}
"""Libraries that one room alone knows, so that one room changes with them."""
CORE_MUST_NOT = frozenset(
    {
        "aiohttp",
        "asyncio",
        "concurrent",
        "datetime",
        "http",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "random",
        "secrets",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib.request",
    }
)
"""The core takes facts and gives a decision: no I/O, no clock, no chance, no loop."""
NO_ROOMS = frozenset(
    {
        "utils",
        "util",
        "helpers",
        "helper",
        "core",
        "manager",
        "managers",
        "base",
        "common",
        "misc",
        "lib",
        "plugins",
        "shared",
        "tools",
    }
)


class Import(NamedTuple):
    """One import of one file: who, where, what."""

    file: Path
    line: int
    room: str
    module: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def room(parts: tuple[str, ...]) -> str:
    """The room of a path or module below `sidecar`; the package itself is none."""
    return parts[0].removesuffix(".py") if parts and parts[0] != "__init__.py" else ""


def imports(file: Path, text: str | None = None) -> Iterator[Import]:
    """All imports of a file, those inside functions and for type checking too."""
    here = room(file.relative_to(ROOT / "sidecar").parts)
    for node in ast.walk(ast.parse(text if text is not None else file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = (
                [f"{base}.{alias.name}" for alias in node.names]
                if base in ("sidecar", ".", "..")
                else [base]
            )
        else:
            continue
        for name in names:
            yield Import(file, node.lineno, here, name)


def floor(name: str) -> int:
    """On which floor a room stands."""
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def wrong(found: Import) -> str:
    """Why an import may not be; "" when it may."""
    top, *rest = found.module.split(".")
    if top != "sidecar":
        owners = OWNERS.get(top, (found.room,))
        if found.room not in owners:
            return f"{found}: only {' and '.join(owners)} may know {top}"
        if found.room == "policy" and CORE_MUST_NOT & {top, found.module}:
            return f"{found}: the core takes facts and gives a decision, without I/O, clock or loop"
        return f"{found}: write the whole name" if not top else ""
    other = room(tuple(rest))
    if other in ("", "__version__", found.room) or not found.room:
        return ""
    if floor(other) > floor(found.room):
        return f"{found}: imports go down only, and {other} stands above {found.room}"
    if found.room in STRANGERS and other in STRANGERS:
        return f"{found}: {found.room} and {other} are strangers; what both need goes down a floor"
    return ""


def test_every_room_has_a_floor():
    """A new room is given its place before it is used."""
    rooms = {room(file.relative_to(ROOT / "sidecar").parts) for file in FILES} - {""}

    assert rooms <= {name for names in FLOORS for name in names}


def test_imports_go_down_only():
    """cli, service, proxy | admin | rollout, revisions, telemetry, source, policy."""
    assert [reason for file in FILES for found in imports(file) if (reason := wrong(found))] == []


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("policy/x.py", "import time", "the core takes facts"),
        ("policy/x.py", "def f():\n    from asyncio import sleep", "the core takes facts"),
        ("policy/x.py", "from sidecar.source import load", "source stands above policy"),
        ("policy/x.py", "from sidecar import revisions", "revisions stands above policy"),
        ("proxy/x.py", "import sidecar.admin.api", "proxy and admin are strangers"),
        (
            "admin/x.py",
            "from sidecar.rollout.guard import Guard",
            "admin and rollout are strangers",
        ),
        ("revisions.py", "import yaml", "only source may know yaml"),
        ("proxy/x.py", "from structlog import get_logger", "only telemetry may know structlog"),
        ("service.py", "from sidecar.cli import commands", "cli stands above service"),
        ("cli/x.py", "from .run import VERBS", "write the whole name"),
        ("cli/x.py", "from . import run", "write the whole name"),
    ],
)
def test_a_wrong_import_is_found_with_its_reason(file: str, text: str, reason: str):
    """The watchman is awake."""
    (found,) = (wrong(found) for found in imports(ROOT / "sidecar" / file, text))

    assert reason in found


def test_right_imports_pass():
    """Down, within a room, the package's own version, and libraries that nobody owns."""
    text = "import sidecar\nfrom sidecar import __version__\nfrom sidecar.policy import headers\nfrom sidecar.proxy.pool import Pool\nimport asyncio, aiohttp"

    assert [wrong(found) for found in imports(ROOT / "sidecar" / "proxy" / "x.py", text)] == [
        ""
    ] * 6


WIDE = {
    "sidecar/proxy/exchange.py": 490,
}
"""Files still to be split by idea; none may join them."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_keeps_to_the_house(file: Path):
    """It opens with what lives there, is short enough to be one idea, is plain ASCII, and has a name that says something."""
    text = file.read_text("utf-8")

    assert ast.get_docstring(ast.parse(text)), (
        "open the file with what lives here, and what it must not know"
    )
    limit = WIDE.get(str(file.relative_to(ROOT)), 400)
    assert len(text.splitlines()) <= limit, "a file that passes 400 lines has two ideas in it"
    assert [
        (number, line) for number, line in enumerate(text.splitlines(), 1) if not line.isascii()
    ] == [], "source is ASCII: no look-alike letters"
    assert not NO_ROOMS & {part.removesuffix(".py") for part in file.relative_to(ROOT).parts}, (
        "name the room after what lives there"
    )


def test_no_global_changes():
    """What changes is held by an object that somebody made."""
    assert [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Global)
    ] == []
