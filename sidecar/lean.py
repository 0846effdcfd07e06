"""Libraries loaded without the parts that no running sidecar uses: half of the time to ready was
theirs.

`hidden` is for what a library would load if it found it, `aiohttp_server` for aiohttp without its
client. Whatever is asked for nevertheless is loaded then.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """What is imported inside does not find this module, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def aiohttp_server() -> None:
    """Make `import aiohttp.web` load the server alone.

    The package loads its client first, whose connector reads the system's certificates twice. Here
    its module is made without being run, and runs when one of the client's names is asked for.
    """
    spec = find_spec("aiohttp")
    if "aiohttp" in sys.modules or spec is None or spec.loader is None:
        return
    module: Any = module_from_spec(spec)
    run = spec.loader.exec_module

    def missing(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if find_spec(f"aiohttp.{name}"):  # `from aiohttp import web` asks for the name first
            return import_module(f"aiohttp.{name}")
        del module.__getattr__
        run(module)
        return getattr(module, name)

    module.__version__ = aiohttp_version()
    module.__getattr__ = missing
    sys.modules["aiohttp"] = module


def aiohttp_version() -> str:
    """aiohttp's version, without loading it or reading package metadata."""
    spec = find_spec("aiohttp")
    if spec is None or spec.origin is None:
        return ""
    text = Path(spec.origin).read_text("utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    return found[1] if found else ""
