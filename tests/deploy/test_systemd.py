"""The unit: right by systemd's own tools, and the sidecar lives within what it forbids."""

import configparser
import json
import os
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from sidecar.settings import Settings
from tests.deploy.files import DEPLOY, ROOT, program, run
from tests.e2e.processes import Child, free_port, until
from tests.e2e.running import command

UNIT = DEPLOY / "systemd" / "header-sidecar.service"


def _service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(UNIT.read_text("utf-8"))
    return parser["Service"]


def test_systemd_reads_it_without_complaint(tmp_path):
    """systemd-analyze verify is silent, with the command of this environment in the place of the
    installed one.
    """
    copy = tmp_path / UNIT.name
    copy.write_text(
        UNIT.read_text("utf-8").replace("/opt/header-sidecar/bin/sidecar", sys.executable), "utf-8"
    )
    run(program("systemd-analyze"), "verify", copy)


def test_its_exposure_is_low():
    """The score that systemd gives to what the process may still do is at most 1.5 of 10."""
    run(
        program("systemd-analyze"),
        "security",
        "--offline=yes",
        "--threshold=15",
        "--no-pager",
        UNIT,
    )


def test_its_command_is_one_that_the_sidecar_takes_and_may_finish():
    """The flags of ExecStart exist, state is the folder that systemd makes, and stopping may
    take longer than the drain.
    """
    service = _service()
    _, verb, *words = shlex.split(service["ExecStart"])
    flags = [word for word in words if word.startswith("--")]
    data = command(verb, "--help").stdout
    assert all(re.search(rf"{flag}\b", data) for flag in flags)
    assert words[words.index("--state") + 1] == f"/var/lib/{service['StateDirectory']}"
    timeouts = Settings().timeouts
    assert int(service["TimeoutStopSec"]) > timeouts.drain_delay + timeouts.drain


def _allowed(analyze: str, line: str) -> set[str]:
    """The system calls of one SystemCallFilter line, groups unfolded."""
    calls: set[str] = set()
    for name in line.split():
        if not name.startswith("@"):
            calls.add(name)
            continue
        listed = run(analyze, "syscall-filter", "--no-pager", name).splitlines()[1:]
        calls |= _allowed(
            analyze,
            " ".join(word for word in map(str.strip, listed) if word and not word.startswith("#")),
        )
    return calls


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Every system call of a sidecar that starts, serves, reports to its admin, and stops; and
    its state folder. Coverage, which writes a file of its own, stays out.
    """
    folder = tmp_path_factory.mktemp("traced")
    calls, policy = folder / "calls", ROOT / "config" / "policy.yaml"
    addresses = [
        word for name in ("listen", "admin", "health") for word in (f"--{name}", "127.0.0.1:0")
    ]
    nobody = f"http://127.0.0.1:{free_port()}"
    argv = [
        program("strace"),
        "-f",
        "-q",
        "-o",
        str(calls),
        sys.executable,
        "-B",
        "-m",
        "sidecar",
        "run",
        "--policy",
        str(policy),
        "--state",
        str(folder / "state"),
        "--upstream",
        nobody,
        *addresses,
    ]
    child = Child(argv, folder, env={"COVERAGE_PROCESS_START": ""})
    try:
        until(lambda: "service.started" in child.stdout.read_text("utf-8"), "it starts")
        started = next(
            data
            for line in child.stdout.read_text("utf-8").splitlines()
            if (data := json.loads(line))["event"] == "service.started"
        )
        assert command("health", f"http://{started['health']}/metrics").returncode == 0
        assert command("health", f"http://{started['listen'][0]}/").returncode == 1
        assert command("mode", "off", "--admin", f"http://{started['admin']}").returncode == 0
    finally:
        traced = int(calls.read_text("utf-8", "replace").split()[0])
        os.kill(traced, signal.SIGTERM)  # strace itself is deaf to it
    assert child.end(20) == 0
    return calls.read_text("utf-8", "replace"), folder / "state"


def test_the_system_call_filter_lets_through_what_it_needs(trace):
    """No system call of a whole life is outside of the unit's filter."""
    analyze = program("systemd-analyze")
    taken, *refused = [
        line.partition("=")[2]
        for line in UNIT.read_text("utf-8").splitlines()
        if line.startswith("SystemCallFilter=")
    ]
    allowed = _allowed(analyze, taken) | _allowed(analyze, "@default")
    for line in refused:
        allowed -= _allowed(analyze, line.removeprefix("~"))
    used = set(re.findall(r"(?m)^\d+\s+([a-z_0-9]+)\(", trace[0]))
    assert len(used) > 30
    assert not used - allowed


def test_it_needs_no_writable_code_and_writes_its_state_alone(trace):
    """MemoryDenyWriteExecute and a read-only root are no hindrance: no memory is both, and only
    the state folder is written to.
    """
    calls, state = trace
    assert not re.search(r"PROT_WRITE\|PROT_EXEC", calls)
    written = re.findall(
        r'open(?:at)?\((?:AT_FDCWD, )?"([^"]+)", [^)]*(?:O_WRONLY|O_RDWR|O_CREAT)', calls
    )
    assert any(path.startswith(str(state)) for path in written)
    ours = (str(state), "/dev/null")
    others = {path for path in written if not path.startswith(ours)}
    assert others == set()
