"""Starting: what is refused in words, what is served all the same, where settings come from."""

import json
import signal
from pathlib import Path

import pytest

from tests.e2e import wire
from tests.e2e.conftest import ENFORCED, POLICY, Start
from tests.e2e.processes import Service
from tests.e2e.running import Sidecar
from tests.patience import PATIENCE
from tests.portion import by_default

KUBERNETES = {
    "SIDECAR_SERVICE_HOST": "10.0.0.1",
    "SIDECAR_SERVICE_PORT": "80",
    "SIDECAR_SERVICE_PORT_HTTP": "80",
    "SIDECAR_PORT": "tcp://10.0.0.1:80",
    "SIDECAR_PORT_80_TCP_ADDR": "10.0.0.1",
}


def refused(sidecar: Sidecar, env: dict[str, str] | None = None) -> str:
    """Start what must end with exit code 1; returns what it said."""
    child = sidecar.spawn(env)
    assert child.wait() == 1
    said = child.stderr.read_text()
    assert "Traceback" not in said
    assert not [
        data for data in sidecar.events() if data["event"] in ("process.crashed", "service.started")
    ]
    return said


def test_bad_file_at_start_means_last_good(shop: Service, start: Start) -> None:
    """A process that starts on a broken file serves the last good revision, says so, and reports
    the problem.
    """
    sidecar = start(ENFORCED, shop.url)
    revision = sidecar.status()["revision"]
    assert sidecar.stop() == 0
    sidecar.write("mode: enfroce\n")
    sidecar.start()
    assert sidecar.status()["revision"] == revision
    assert sidecar.get("/").value("X-Policy-Mark") == "one"
    assert "enfroce" in str(sidecar.reported("policy.rejected")[0]["problems"])
    assert sidecar.metric("sidecar_config_last_reload_successful") == 0
    sidecar.write(ENFORCED.replace("value: one", "value: repaired"))
    sidecar.awaits(
        lambda response: response.value("X-Policy-Mark") == "repaired",
        "/",
        "the repaired file",
    )
    assert len(sidecar.reported("policy.rejected")) == 1


def test_bad_file_and_nothing_kept_is_refused(shop: Service, tmp_path: Path) -> None:
    """A process with a broken file and no last good revision ends with exit code 1 and says what
    and where.
    """
    sidecar = Sidecar(tmp_path, POLICY.replace("report-only", "enfroce"), shop.url)
    assert (
        f"{sidecar.policy}:5:7: error: unknown mode 'enfroce'; did you mean 'enforce'?"
        in refused(sidecar)
    )


@pytest.mark.parametrize("name", by_default(["listen", "admin", "health"], "admin".__eq__))
def test_taken_address_is_refused_in_words(tmp_path: Path, shop: Service, name: str) -> None:
    """An address that is in use ends the process with exit code 1 and names the setting."""
    taken = f"127.0.0.1:{shop.address[1]}"
    sidecar = Sidecar(tmp_path, POLICY, shop.url, settings={name: taken})
    assert f"{name} address {taken} cannot be bound: Address already in use; choose" in refused(
        sidecar
    )


def test_state_folder_that_cannot_be_used_is_refused_in_words(
    tmp_path: Path, shop: Service
) -> None:
    """A state folder that cannot be made ends the process with exit code 1 and says so."""
    (tmp_path / "file").touch()
    said = refused(Sidecar(tmp_path, POLICY, shop.url, settings={"state": str(tmp_path / "file")}))
    assert f"the state folder {tmp_path / 'file'} cannot be used" in said


def test_a_state_folder_in_use_is_refused_in_words(
    tmp_path: Path, shop: Service, start: Start
) -> None:
    """Two sidecars would write over each other's evidence; that of one that was killed is free."""
    first = start(POLICY, shop.url)
    second = Sidecar(tmp_path / "second", POLICY, shop.url, settings={"state": str(first.state)})
    assert f"another sidecar runs on the state folder {first.state}" in refused(second)
    first.signal(signal.SIGKILL)
    first.child.end(PATIENCE)
    first.start()


def test_misspelt_settings_are_refused_in_words(tmp_path: Path, shop: Service) -> None:
    """A misspelt setting is refused with place and fix, from the file and from the environment,
    all at once.
    """
    sidecar = Sidecar(tmp_path, POLICY, shop.url, settings={"timeouts": {"headr": "5s"}})
    said = refused(sidecar, {"SIDECAR_LIMITS__BDY": "1KiB"})
    assert "unknown key 'headr'; did you mean 'header'?" in said
    assert "SIDECAR_LIMITS__BDY: error: unknown key 'bdy'; did you mean 'body'?" in said


def test_process_ceiling(tmp_path: Path, shop: Service) -> None:
    """`run --mode report-only` holds an enforcing file down, and no order lifts it."""
    sidecar = Sidecar(tmp_path, ENFORCED, shop.url, flags=("--mode", "report-only")).start()
    try:
        data = json.loads(sidecar.verb("mode", "enforce", "--json").stdout)
        assert data["mode"] == "report-only"
        assert sidecar.get("/").stable == wire.get(shop.address, "/").stable
    finally:
        assert sidecar.stop() == 0


def test_environment_goes_over_the_file(tmp_path: Path, shop: Service) -> None:
    """An environment variable beats the settings file, SIDECAR_CONFIG names that file, and what
    Kubernetes sets for a Service named `sidecar` is no setting.
    """
    sidecar = Sidecar(tmp_path, POLICY, "http://127.0.0.1:9")
    sidecar.start(
        {**KUBERNETES, "SIDECAR_CONFIG": str(sidecar.config), "SIDECAR_UPSTREAM": shop.url}
    )
    try:
        assert sidecar.status()["upstream"] == shop.url
    finally:
        assert sidecar.stop() == 0
