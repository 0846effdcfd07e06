"""Where a proxy's time goes under load: by Python function (py-spy) and by native symbol (perf).

Both sample from outside, so the figures are not bent by the measuring. Knows no proxy.
"""

import subprocess
from collections import Counter
from pathlib import Path

from .peers import program
from .process import Cores, running
from .rounds import PAGE, Contender

RATE = 400
"""Samples a second."""
TOP = 20
Shares = list[tuple[str, float]]


def own_time(collapsed: str) -> Counter[str]:
    """Samples per innermost function, from collapsed stacks (``outer;inner (file:line) count``)."""
    found: Counter[str] = Counter()
    for line in collapsed.splitlines():
        stack, _, count = line.rpartition(" ")
        found[stack.rpartition(";")[2]] += int(count)
    return found


def by_file(functions: Counter[str]) -> Counter[str]:
    """The same samples per file; code without one (built-in, generated) under its own name."""
    found: Counter[str] = Counter()
    for function, count in functions.items():
        found[function.rpartition("(")[2].partition(":")[0].rstrip(")")] += count
    return found


def shares(counts: Counter[str], top: int = TOP) -> Shares:
    """The largest, as parts of the whole."""
    whole = sum(counts.values())
    return [(name, count / whole) for name, count in counts.most_common(top)]


def parse_perf(output: str, top: int = TOP) -> Shares:
    """Rows of ``perf report --stdio``: a percentage, then the name."""
    found = []
    for line in output.splitlines():
        share, _, name = line.strip().partition(" ")
        if share.endswith("%"):
            found.append((" ".join(name.split()), float(share[:-1]) / 100))
    return found[:top]


def _call(*argv: str) -> str:
    """Run a tool to its end. Raises ValueError with what it said when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise ValueError(f"{Path(argv[0]).name}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def _python(py_spy: str, each: Contender, seconds: int) -> dict[str, Shares]:
    stacks = each.folder / "stacks.txt"
    argv = ["record", "--pid", str(each.pid), "--duration", str(seconds), "--rate", str(RATE)]
    _call(py_spy, *argv, "--function", "--format", "raw", "--output", str(stacks))
    functions = own_time(stacks.read_text())
    return {
        "own time by file": shares(by_file(functions)),
        "own time by function": shares(functions),
    }


def _native(perf: str, each: Contender, seconds: int) -> dict[str, Shares]:
    data = str(each.folder / "perf.data")
    _call(
        perf,
        "record",
        "-q",
        "-F",
        str(RATE),
        "-p",
        str(each.pid),
        "-o",
        data,
        "--",
        "sleep",
        str(seconds),
    )
    report = (perf, "report", "--stdio", "-i", data, "-F")
    return {
        "by library and kernel": parse_perf(_call(*report, "overhead,dso")),
        "by native symbol": parse_perf(_call(*report, "overhead,dso,symbol")),
    }


def profile(
    each: Contender, seconds: int, cores: Cores
) -> tuple[dict[str, Shares], dict[str, str]]:
    """Sample under the small page's load; returns shares by title, and absent tools with the
    reason.
    """
    found: dict[str, Shares] = {}
    skipped: dict[str, str] = {}
    wrk = ["wrk", "-t", "1", "-c", str(PAGE.connections), "-d", "10m"]
    wrk.append(f"http://127.0.0.1:{each.port}/{PAGE.size}")
    with running(wrk, cores=[cores.load], log=each.folder / "wrk.log"):
        for tool, sample in (("py-spy", _python), ("perf", _native)):
            path = program(tool)
            if path is None:
                skipped[tool] = f"{tool} not installed"
                continue
            try:
                found |= sample(path, each, seconds)
            except ValueError as error:
                skipped[tool] = str(error)
    return found, skipped
