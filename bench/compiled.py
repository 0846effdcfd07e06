"""The sidecar as the image has it: its wheel built with the request path compiled, laid out in a
folder.

Built once for the sources as they stand, below build/.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def missing() -> str | None:
    """What is not here that compiling needs; None: nothing."""
    absent = [
        name
        for name in ("mypyc", "hatchling", "setuptools", "build")
        if importlib.util.find_spec(name) is None
    ]
    if not (shutil.which("cc") or shutil.which("gcc")):
        absent.append("a C compiler")
    return f"{', '.join(absent)} not installed" if absent else None


def compiled(flags: str = "") -> Path:
    """The folder to put on Python's path; `flags` are the C compiler's and linker's besides its
    own.

    Raises ValueError with what the build said when it fails.
    """
    mark = hashlib.sha256(sys.version.encode())
    for source in sorted(
        [*(ROOT / "sidecar").rglob("*.py"), ROOT / "deploy" / "compile.py", ROOT / "pyproject.toml"]
    ):
        mark.update(source.read_bytes())
    kind = "compiled" + hashlib.sha256(flags.encode()).hexdigest()[:4] if flags else "compiled"
    folder = ROOT / "build" / f"{kind}-{mark.hexdigest()[:16]}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        for old in folder.parent.glob(f"{kind}-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            source = _copied(Path(scratch, "source"))
            build = ("--wheel", "--no-isolation", "--outdir", scratch, str(source))
            _run("build", *build, **({"CFLAGS": flags, "LDFLAGS": flags} if flags else {}))
            wheel = next(Path(scratch).glob("*.whl"))
            _run(
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--no-index",
                "--target",
                f"{scratch}/laid-out",
                str(wheel),
            )
            Path(scratch, "laid-out").rename(folder)
    return folder


def _copied(to: Path) -> Path:
    """The sources as they stand now: a build takes minutes, in which they may change."""
    to.mkdir()
    for name in ("sidecar", "deploy"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to / name)
    return to


def _run(module: str, *argv: str, **variables: str) -> None:
    environment = os.environ | {"COMPILE_SIDECAR": "1"} | variables
    done = subprocess.run(
        [sys.executable, "-m", module, *argv],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"{module}: {(done.stderr or done.stdout).strip()[-500:]}")


if __name__ == "__main__":
    print(compiled())
