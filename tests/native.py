"""The tests of the wire and of decisions again, on native code, as the image has it.

`python -m tests.native [--address-sanitizer] [--seconds N] [TEST ...]` compiles the request path,
runs the tests and N seconds of the fuzz on it. With `--address-sanitizer` the C compiler adds
AddressSanitizer (gcc's libasan), which ends the process at the first read or write outside of what
was allocated. Exits with the first failure's status.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.compiled import ROOT, compiled

TESTS = ("tests/wire", "tests/proxy", "tests/policy", "tests/telemetry")
BESIDE = ("tests", "bench", "config", "deploy", "docs", "pyproject.toml", "README.md")
"""What the tests look for beside the package."""
SANITIZED = "-fsanitize=address -fno-omit-frame-pointer -g1"
MYPYC = "ignore:the (type, exc, tb) signature of throw() is deprecated:DeprecationWarning"
"""How mypyc's runtime passes an exception on to what is awaited; Python 3.12 warns of it, 3.13
still takes it.
"""
PROOF = "import sidecar.proxy.exchange as it; assert it.__file__.endswith('.so'), it.__file__"


def sanitizer(reports: Path) -> dict[str, str]:
    """The environment of a program whose modules are sanitized; what is found wrong stands in
    files named so.
    """
    library = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
    return {
        "LD_PRELOAD": library,
        # Leaks: the interpreter keeps what it has to its end. The quarantine: bounds of memory are
        # tested too.
        "ASAN_OPTIONS": f"detect_leaks=0:quarantine_size_mb=4:log_path={reports}",
        "PYTHONMALLOC": "malloc",  # each object by itself, so that its neighbours are not its own
    }


def main() -> int:
    """Build, lay out, run; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--address-sanitizer", action="store_true")
    parser.add_argument("--seconds", type=int, default=20, help="of the fuzz (default %(default)s)")
    parser.add_argument("tests", nargs="*", default=TESTS)
    options = parser.parse_args()
    native = compiled(SANITIZED if options.address_sanitizer else "")
    with tempfile.TemporaryDirectory() as name:
        folder, reports = Path(name, "native"), Path(name, "address")
        shutil.copytree(native, folder)
        for beside in BESIDE:
            copy = shutil.copytree if (ROOT / beside).is_dir() else shutil.copy
            copy(ROOT / beside, folder / beside)
        environment = os.environ | {"PYTHONPATH": str(folder)}
        if options.address_sanitizer:
            environment |= sanitizer(reports)
        for argv in (
            ["-c", PROOF],
            ["-m", "pytest", "-q", "-W", MYPYC, *options.tests],
            ["-m", "tests.wire.fuzz", "--seconds", str(options.seconds)],
        ):
            status = subprocess.run([sys.executable, *argv], cwd=folder, env=environment).returncode
            found = sorted(reports.parent.glob(f"{reports.name}.*"))
            for report in found:
                print(report.read_text("utf-8", "replace"), file=sys.stderr)
            if status or found:
                return status or 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
