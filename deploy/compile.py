"""The request path as native code: the same sources, compiled by mypyc while the wheel is built.

Which modules, and the build hook that does it where the environment says COMPILE_SIDECAR=1, as the
image's build does. Without it the wheel is plain Python and fits every machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = (
    "baseline/capture",
    "policy/engine/judge",
    "policy/engine/plan",
    "policy/rules/matching",
    "proxy/body",
    "proxy/context",
    "proxy/deadlines",
    "proxy/downstream",
    "proxy/exchange",
    "proxy/faults",
    "proxy/forwarding",
    "proxy/http1/bodies",
    "proxy/http1/grammar",
    "proxy/http1/heads",
    "proxy/http1/request_line",
    "proxy/http1/requests",
    "proxy/http1/responses",
    "proxy/http1/scan",
    "proxy/http1/stream",
    "proxy/incoming",
    "proxy/listener",
    "proxy/pool",
    "proxy/responder",
    "proxy/splice",
    "proxy/upload",
    "proxy/upstream",
    "proxy/waiter",
    "telemetry/__init__",
    "telemetry/counters",
    "telemetry/metrics",
    "telemetry/rule_counters",
)
"""What every request passes through."""

FLAGS = ("-fwrapv", "-DNDEBUG", "-fno-semantic-interposition")
"""For the C compiler. Python's own flags have the first two, but CFLAGS in the environment replaces
them: numbers of 64 bits wrap around, as the sources count on, and CPython's headers do not check
what the compiler knows. By the third, functions may be inlined.
"""


class CompileHook(BuildHookInterface[Any]):
    """Puts a compiled module beside each source in the wheel; an import takes the compiled one."""

    def dependencies(self) -> list[str]:
        """What a build that compiles needs besides; it must see the package's own dependencies
        too, for their types.
        """
        return (
            ["mypy>=1.18", "setuptools>=77", "types-PyYAML>=6", *self.metadata.core.dependencies]
            if _wanted()
            else []
        )

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files are collected. An editable install stays plain: its sources
        are to be changed.
        """
        if not _wanted() or version == "editable":
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        folder = Path(self.directory) / "compiled"
        for built in _compiled(Path(self.root), folder):
            build_data["force_include"][str(built)] = str(built.relative_to(folder))


def _wanted() -> bool:
    return os.environ.get("COMPILE_SIDECAR") == "1"


def _compiled(root: Path, folder: Path) -> list[Path]:
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    paths = [str(root / "sidecar" / f"{name}.py") for name in MODULES]
    extensions = mypycify(paths, target_dir=str(folder / "c"))
    for extension in extensions:
        extension.extra_compile_args += FLAGS
    command = build_ext(Distribution({"name": "sidecar", "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(folder), str(folder / "c")
    command.ensure_finalized()
    command.run()
    return [Path(built) for built in command.get_outputs()]
