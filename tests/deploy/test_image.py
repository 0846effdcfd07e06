"""The image: its build steps done here without an engine, and what they make is run as the image
would run it.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sidecar
from tests.cli import VERBS
from tests.deploy.dockerfile import build, environment, of, stages
from tests.deploy.files import DEPLOY, ROOT, program, run
from tests.e2e.processes import Child, until
from tests.e2e.running import Event
from tests.portion import full

BUILD, FINAL = stages(ROOT / "Dockerfile")
OURS, SERVICE = ROOT / "Dockerfile", DEPLOY / "compose" / "service" / "Dockerfile"


@pytest.mark.parametrize("file", [OURS, SERVICE], ids=["sidecar", "sample-service"])
def test_hadolint_is_content(file):
    """There is no complaint of hadolint about a Dockerfile that we ship."""
    run(program("hadolint"), file)


def test_both_stages_stand_on_the_same_python():
    """The environment is moved from one stage into the other, so both name the same Python and
    system; the first has a compiler too.
    """
    assert of(BUILD, "FROM")[0].split()[0] == of(FINAL, "FROM")[0].replace("-slim", "")


def test_it_runs_as_a_number_without_a_shell():
    """The user is numeric and not root; entry point, command and health check are lists, so no
    shell is asked.
    """
    user, group = map(int, of(FINAL, "USER")[0].split(":"))
    assert user > 0 and group > 0
    assert json.loads(of(FINAL, "ENTRYPOINT")[0]) == ["sidecar"]
    assert json.loads(of(FINAL, "CMD")[0]) == ["run"]
    assert json.loads(of(FINAL, "HEALTHCHECK")[0].partition("CMD ")[2]) == ["sidecar", "health"]
    assert not of(FINAL, "RUN")


def test_it_is_open_where_it_must_be_and_nowhere_else():
    """Data and health listen on every address and are the exposed ports; admin is left on
    loopback.
    """
    env = environment(FINAL)
    assert {env["SIDECAR_LISTEN"], env["SIDECAR_HEALTH"]} == {
        f"0.0.0.0:{port}" for port in of(FINAL, "EXPOSE")[0].split()
    }
    assert "SIDECAR_ADMIN" not in env
    asked = VERBS["health"].params[0].default
    assert asked == f"http://127.0.0.1:{env['SIDECAR_HEALTH'].rpartition(':')[2]}/readyz", (
        "what the health check asks without an argument"
    )


def test_its_labels_are_the_projects():
    """Version, licence and source in the labels are those of the package."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', of(FINAL, "LABEL")[0]))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert labels["version"] == sidecar.__version__
    assert labels["licenses"] == project["license"]
    assert project["urls"]["Documentation"].startswith(labels["source"])


def test_the_build_is_given_what_it_copies_and_nothing_else():
    """.dockerignore shuts out everything but what the Dockerfile copies."""
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if not line.startswith("#")
    ]
    copied = {name for rest in of(BUILD, "COPY") for name in rest.split()[:-1]}
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert not any(
        fnmatch(name, line) for name in copied for line in lines[1:] if not line.startswith("!")
    )


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", "project.dependencies"),
        ("requirements-build.lock", "build-system.requires"),
    ],
)
def test_each_lock_holds_what_the_project_asks_for(lock, wanted):
    """Every requirement of pyproject.toml is in its lock at a version that it allows, each line
    with hashes, none with a host.
    """
    text = (ROOT / lock).read_text("utf-8")
    pinned = {
        canonicalize_name(name): version
        for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", text)
    }
    table, key = wanted.split(".")
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[table][key]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), (
            requirement
        )
    entries = re.split(r"(?m)^(?=[\w.-]+==)", text)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build stage makes, from the Dockerfile's own lines."""
    root = tmp_path_factory.mktemp("image") / "opt"
    build(BUILD, ROOT, root)
    return root


@pytest.fixture
def container(image: Path, tmp_path: Path) -> Iterator[Child]:
    """The image's entry point, command and environment as a process; addresses and folders are
    the test's.
    """
    (tmp_path / "policy.yaml").write_bytes((ROOT / "config" / "policy.yaml").read_bytes())
    env = environment(FINAL) | {
        "PATH": f"{image}/sidecar/bin:/usr/bin:/bin",
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_ADMIN": "127.0.0.1:0",
        "SIDECAR_HEALTH": "127.0.0.1:0",
        "SIDECAR_POLICY": str(tmp_path / "policy.yaml"),
        "SIDECAR_STATE": str(tmp_path / "state"),
    }
    argv = [*json.loads(of(FINAL, "ENTRYPOINT")[0]), *json.loads(of(FINAL, "CMD")[0])]
    child = Child([str(image / "sidecar" / "bin" / argv[0]), *argv[1:]], tmp_path, env=env)
    yield child
    child.ask_to_end()
    assert child.end() == 0


def _told(child: Child, name: str) -> Event | None:
    lines = (
        json.loads(line)
        for line in child.stdout.read_text("utf-8").splitlines(keepends=True)
        if line.endswith("\n")
    )
    return next((event for event in lines if event["event"] == name), None)


@full
def test_the_build_steps_make_a_sidecar_that_runs_and_is_healthy(image, container):
    """Hashed locks, then the wheel of this tree: the command tells its version, serves, and its
    own probe says ready.
    """
    command = image / "sidecar" / "bin" / "sidecar"
    assert run(command, "--version", cwd=image).strip().endswith(sidecar.__version__)
    started = until(lambda: _told(container, "service.started"), "the service starts")
    assert "policy" in run(command, "health", f"http://{started['health']}/readyz")
    assert run(command, "health", "http://127.0.0.1:1/readyz", good=False) == ""


@full
def test_the_environment_is_complete_compiled_and_holds_no_installer(image):
    """Requirements of all installed packages are met, bytecode is there (a read-only root can
    add none), pip is not.
    """
    packages = next((image / "sidecar" / "lib").glob("python3*/site-packages"))
    run(sys.executable, "-m", "pip", "--python", str(image / "sidecar" / "bin" / "python"), "check")
    missing = [
        source
        for source in packages.rglob("*.py")
        if not any((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"))
    ]
    assert not missing
    assert not (packages / "pip").exists()
    assert [*(packages / "sidecar" / "proxy").glob("exchange.*.so")]
