"""What a process loads before it is ready, and what it leaves for whoever asks."""

import json
import subprocess
import sys

import pytest


def loaded(program: str) -> set[str]:
    """The modules that a new interpreter holds after this program."""
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{program}\nimport json, sys; print(json.dumps(sorted(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(shown.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        (
            "sidecar.cli.operate",
            {"pydantic", "rich", "aiohttp", "prometheus_client", "yaml", "asyncio"},
        ),
        (
            "sidecar.cli.run",
            {"pydantic", "rich", "aiohttp", "prometheus_client", "yaml", "asyncio"},
        ),
        (
            "sidecar.runtime.service",
            {
                "rich",
                "jinja2",
                "aiohttp.client",
                "aiohttp.connector",
                "turbohtml",
                "prometheus_client",
                "pydantic.plugin._loader",  # comes with the first model that is built
                "pydantic.type_adapter",
                "sidecar.baseline.drift",
                "sidecar.baseline.file",
                "sidecar.policy.engine.compare",
                "sidecar.rollout.overview",
            },
        ),
        (
            "sidecar.runtime.worker",
            {
                "sidecar.baseline.file",
                "rich",
                "jinja2",
                "aiohttp",
                "sidecar.admin",
                "click",
                "turbohtml",
                "prometheus_client",
            },
        ),
    ],
)
def test_what_is_not_needed_is_not_loaded(module: str, absent: set[str]):
    """Orders go out at once, and a worker knows no admin page."""
    assert loaded(f"import {module}") & absent == set()


def test_the_client_comes_when_it_is_asked_for():
    """As if it had been there all the time; the server's classes stay the same."""
    program = """
from sidecar.lean import aiohttp_server
aiohttp_server()
from aiohttp import web
import aiohttp
server = web.Application
assert aiohttp.__version__ and not hasattr(aiohttp, "__nothing__")
assert "aiohttp.client" not in __import__("sys").modules
assert aiohttp.ClientSession and aiohttp.web.Application is server
try:
    aiohttp.NoSuchName
except AttributeError:
    print()
"""
    assert "aiohttp.client" in loaded(program)


def test_what_is_hidden_is_only_hidden_inside():
    """A library that looks for it meanwhile does without, and others find it after."""
    program = """
from sidecar.lean import hidden
with hidden("colorsys"):
    try:
        import colorsys
    except ImportError:
        print("hidden")
import colorsys
with hidden("colorsys"):
    import colorsys
"""
    assert "colorsys" in loaded(program)
