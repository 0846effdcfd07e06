"""The layers: which package may know which, read from the imports; and what every file keeps to."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "sidecar").rglob("*.py"))

LAYERS = (
    ("policy",),
    (
        "source",
        "files",
        "observed",
        "scalars",
        "settings",
        "setting_kinds",
        "sarif",
        "codes",
        "lean",
        "trust",
        "templates",
    ),
    ("telemetry",),
    ("revisions", "baseline"),
    ("proxy", "admin", "rollout", "audit", "importing", "exporting", "fleet"),
    ("suggest", "runtime"),
    ("in_process",),
    ("sample", "demo", "rehearsal", "cli", "asgi", "wsgi"),
    ("__main__",),
)
"""Lowest first. A package may know its own layer and those below."""
SIBLINGS = LAYERS[4]
"""These stand on one layer and do not know each other: what they share goes down a layer."""
LEAVES = ("importing", "exporting")
"""Only the command line knows these: a running sidecar has no part of them."""
CORE = ("", "csp", "headers", "rules", "browsers", "engine", "lint")
"""Within `policy`, lowest first: a part knows those before it only; "" are the nouns that all
share.
"""
OWNERS = {
    "yaml": ("source",),
    "structlog": ("telemetry",),
    "prometheus_client": ("telemetry",),
    "click": ("cli",),
    "jinja2": ("templates", "admin"),
    "redis": ("fleet",),
    "turbohtml": ("policy", "audit"),
    "brotli": ("telemetry",),
    "backports": ("telemetry",),
}
"""Libraries that one package alone knows, so that one package changes with them."""
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
NO_NAMES = frozenset(
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
    package: str
    module: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


@cache
def tree(file: Path) -> ast.Module:
    """A file's syntax, parsed once for all that is asked of it."""
    return ast.parse(file.read_text("utf-8"))


def package(parts: tuple[str, ...]) -> str:
    """The package of a path or module below `sidecar`; the package itself is none."""
    return parts[0].removesuffix(".py") if parts and parts[0] != "__init__.py" else ""


def imports(file: Path, text: str | None = None) -> Iterator[Import]:
    """All imports of a file, those inside functions and for type checking too."""
    here = package(file.relative_to(ROOT / "sidecar").parts)
    for node in ast.walk(tree(file) if text is None else ast.parse(text)):
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


def layer(name: str) -> int:
    """On which layer a package stands."""
    return next(number for number, packages in enumerate(LAYERS) if name in packages)


def wrong(found: Import) -> str:
    """Why an import may not be; "" when it may."""
    top, *rest = found.module.split(".")
    if top != "sidecar":
        owners = OWNERS.get(top, (found.package,))
        if found.package not in owners:
            return f"{found}: only {' and '.join(owners)} may know {top}"
        if found.package == "policy" and CORE_MUST_NOT & {top, found.module}:
            return f"{found}: the core takes facts and gives a decision, without I/O, clock or loop"
        return f"{found}: write the whole name" if not top else ""
    other = package(tuple(rest))
    if other in ("", "__version__", found.package) or not found.package:
        return ""
    if layer(other) > layer(found.package):
        return f"{found}: imports go down only, and {other} stands above {found.package}"
    if found.package in SIBLINGS and other in SIBLINGS:
        return (
            f"{found}: {found.package} and {other} are siblings; what both need goes down a layer"
        )
    if other in LEAVES and found.package != "cli":
        return f"{found}: {other} is for the command line alone"
    return ""


def test_every_room_has_a_floor():
    """A new package is given its place before it is used."""
    packages = {package(file.relative_to(ROOT / "sidecar").parts) for file in FILES} - {""}

    assert packages <= {name for names in LAYERS for name in names}


def test_the_core_is_built_in_order():
    """Values and directives, then rules, then browsers, then the engine, then lint."""
    wrong = []
    for file in (ROOT / "sidecar/policy").rglob("*.py"):
        own = file.relative_to(ROOT / "sidecar/policy").parts
        here = own[0] if len(own) > 1 else ""
        for found in imports(file):
            parts = found.module.split(".")
            if parts[:2] != ["sidecar", "policy"]:
                continue
            there = parts[2] if len(parts) > 2 and parts[2] in CORE else ""
            if CORE.index(there) > CORE.index(here):
                wrong.append(str(found))
    assert wrong == []


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
        ("proxy/x.py", "import sidecar.admin.api", "proxy and admin are siblings"),
        (
            "admin/x.py",
            "from sidecar.rollout.guard import Guard",
            "admin and rollout are siblings",
        ),
        ("runtime/x.py", "from sidecar.importing import nginx", "for the command line alone"),
        ("revisions.py", "import yaml", "only source may know yaml"),
        ("proxy/x.py", "from structlog import get_logger", "only telemetry may know structlog"),
        ("runtime/service.py", "from sidecar.cli import commands", "cli stands above runtime"),
        ("cli/x.py", "from .run import VERBS", "write the whole name"),
        ("cli/x.py", "from . import run", "write the whole name"),
    ],
)
def test_a_wrong_import_is_found_with_its_reason(file: str, text: str, reason: str):
    """The watchman is awake."""
    (found,) = (wrong(found) for found in imports(ROOT / "sidecar" / file, text))

    assert reason in found


def test_right_imports_pass():
    """Down, within a package, the package's own version, and libraries that nobody owns."""
    text = (
        "import sidecar\nfrom sidecar import __version__\nfrom sidecar.policy import headers\nfrom"
        " sidecar.proxy.pool import Pool\nimport asyncio, aiohttp"
    )

    assert [wrong(found) for found in imports(ROOT / "sidecar" / "proxy" / "x.py", text)] == [
        ""
    ] * 6


def layout(file: Path) -> Iterator[str]:
    """What is wrong with a file as such."""
    lines = file.read_text("utf-8").splitlines()
    if not ast.get_docstring(tree(file)):
        yield "open the file with what it contains"
    if len(lines) > 400:
        yield "a file that passes 400 lines has two ideas in it"
    if odd := [number for number, line in enumerate(lines, 1) if not line.isascii()]:
        yield f"source is ASCII, no look-alike letters: lines {odd}"
    if NO_NAMES & {part.removesuffix(".py") for part in file.relative_to(ROOT).parts}:
        yield "name the package after what it contains"


def test_every_file_keeps_to_the_layout():
    """It opens with what it contains, is short enough to be one idea, is plain ASCII, and has a
    name that says something.
    """
    assert [(file, wrong) for file in FILES for wrong in layout(file)] == []


def test_no_global_changes():
    """What changes is held by an object that somebody made."""
    assert [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in FILES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Global)
    ] == []


def test_files_that_stay_are_written_in_one_place():
    """Whole or not at all; who writes by itself could leave half a file."""
    writing = re.compile(r"\.write_(text|bytes)\(|NamedTemporaryFile|mkstemp|open\([^)]*\"w\"")
    found = [file for file in FILES if writing.search(file.read_text("utf-8"))]

    assert found == [ROOT / "sidecar" / "files.py"]
