"""The main job: edit one word, enforce, roll back; a broken file changes nothing."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import wire
from tests.e2e.conftest import ENFORCED, FRAMEWORKS, POLICY, FrontOf, Start
from tests.e2e.processes import Service, until
from tests.e2e.running import Sidecar
from tests.portion import by_default

STATUSES = {"/": 200, "/old": 302, "/nowhere": 404, "/broken": 500}
BROKEN = {
    "a wrong word": ("mode: enforce", "mode: enfroce", "unknown mode 'enfroce'"),
    "a duplicate key": ("owner:", "name:", "name"),
    "an illegal value": ("value: one", 'value: "one\\r\\ntwo"', "CR, LF or NUL"),
    "no YAML": ("rules:", "rules: [", ""),
}


def marked(response: wire.Response) -> bool:
    """True when the policy was enforced on this response."""
    return bool(response.values("X-Policy-Mark"))


def enforce(sidecar: Sidecar) -> None:
    """Edit the one word and wait until it is in force."""
    sidecar.save("mode: report-only", "mode: enforce")
    sidecar.awaits(marked, "/", "enforced after the edit")


@pytest.mark.parametrize("name", by_default(FRAMEWORKS, "flask".__eq__))
def test_one_word_enforces_and_rollback_restores(
    name: str, services: Callable[[str], Service], front_of: FrontOf
) -> None:
    """One edited word enforces on pages, redirects, 404s and the framework's 500; `sidecar
    rollback` restores.
    """
    service, sidecar = services(name), front_of(name)
    since, rollbacks = (
        len(sidecar.events()),
        sidecar.metric("sidecar_rollbacks_total", cause="operator"),
    )
    direct = {target: wire.get(service.address, target) for target in STATUSES}
    enforce(sidecar)
    for target, status in STATUSES.items():
        response = sidecar.get(target)
        assert response.status == status
        assert response.body == direct[target].body
        assert response.values("Server") == []
        assert response.value("X-Content-Type-Options") == "nosniff"
        assert response.value("X-Policy-Mark") == "one"
        assert (
            response.value("Content-Security-Policy")
            == "default-src 'self'; frame-ancestors 'none'"
        )
        kept = [line for line in direct[target].stable if not line.lower().startswith(b"server:")]
        assert [line for line in response.stable if line in kept] == kept
    assert sidecar.event("header.changed", since, url_path="/broken")["changes"]
    assert sidecar.metric("sidecar_header_changes_total", rule="mark", action="set") >= len(
        STATUSES
    )

    done = sidecar.verb("rollback", "--reason", "the shop looks odd")
    assert (done.returncode, done.stdout) == (0, "")
    for target in STATUSES:
        assert sidecar.get(target).stable == direct[target].stable
    assert sidecar.event("policy.rolled_back", since)["reason"] == "the shop looks odd"
    assert sidecar.metric("sidecar_rollbacks_total", cause="operator") == rollbacks + 1


def test_rollback_stays(shop: Service, start: Start) -> None:
    """A rolled-back file stays out: touched, commented, by HUP, by reload, and when the process
    starts again; an edit of its meaning comes in.
    """
    sidecar = start(POLICY, shop.url)
    enforce(sidecar)
    assert sidecar.verb("rollback").returncode == 0

    def pinned(reloads: int) -> None:
        until(
            lambda: sidecar.metric("sidecar_config_reloads_total", result="pinned") == reloads,
            f"{reloads} reloads held back",
        )
        assert not marked(sidecar.get("/"))
        assert sidecar.status()["pinned"]

    os.utime(sidecar.policy)
    sidecar.save("version: 1", "version: 1  # touched")
    pinned(1)
    sidecar.signal(signal.SIGHUP)
    pinned(2)
    done = sidecar.verb("reload")
    assert done.returncode == 1
    assert "rolled back" in done.stderr
    pinned(3)
    sidecar.restart()
    pinned(1)
    sidecar.save("value: one", "value: two")
    sidecar.awaits(marked, "/", "the edited file in force")
    assert sidecar.status()["pinned"] is None


def test_unpin_takes_the_file_back(front: Sidecar) -> None:
    """`sidecar reload --unpin` puts the rolled-back file in force again, and says so."""
    enforce(front)
    assert front.verb("rollback").returncode == 0
    assert not marked(front.get("/"))
    done = front.verb("reload", "--unpin")
    assert (done.returncode, done.stderr[:10]) == (0, "activated:")
    assert marked(front.get("/"))


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_changes_nothing(front: Sidecar, case: str) -> None:
    """A file that cannot be put in force leaves the responses alone and is reported in event,
    metric and status, until it is repaired.
    """
    old, new, words = BROKEN[case]
    front.put(ENFORCED)
    before, since = front.get("/").stable, len(front.events())
    rejected = front.metric("sidecar_config_reloads_total", result="rejected")
    front.save(old, new)
    data = front.event("policy.rejected", since)
    assert words in str(data["problems"])
    assert f"{front.policy}:" in data["problems"][0]
    assert front.metric("sidecar_config_last_reload_successful") == 0
    assert front.metric("sidecar_config_reloads_total", result="rejected") == rejected + 1
    assert front.status()["problems"] == data["problems"]
    assert front.get("/").stable == before
    assert front.ready()[0] == 200
    front.write(ENFORCED.replace("value: one", "value: repaired"))
    front.awaits(
        lambda response: response.value("X-Policy-Mark") == "repaired",
        "/",
        "the repaired file",
    )
    assert front.metric("sidecar_config_last_reload_successful") == 1
    assert front.status()["problems"] == []


def test_vanished_file_changes_nothing(front: Sidecar) -> None:
    """A policy file that is deleted, then comes back, is reported once and changes nothing in
    between.
    """
    front.put(ENFORCED)
    since = len(front.events())
    front.policy.unlink()
    front.event("policy.rejected", since)
    assert marked(front.get("/"))
    front.write(ENFORCED.replace("value: one", "value: back"))
    front.awaits(
        lambda response: response.value("X-Policy-Mark") == "back",
        "/",
        "the file that came back",
    )
    assert len(front.reported("policy.rejected", since)) == 1


def test_mounted_folder_swap_is_seen(shop: Service, start: Start, tmp_path: Path) -> None:
    """A folder swapped behind a symbolic link, as Kubernetes mounts a ConfigMap, is followed."""
    mount = tmp_path / "mount"

    def publish(version: str, text: str) -> None:
        (mount / version).mkdir(parents=True)
        (mount / version / "policy.yaml").write_text(text, "utf-8")
        (mount / "..new").symlink_to(version)
        (mount / "..new").replace(mount / "..data")

    publish("..1", POLICY)
    (mount / "policy.yaml").symlink_to("..data/policy.yaml")
    sidecar = start(POLICY, shop.url, policy=str(mount / "policy.yaml"))
    assert not marked(sidecar.get("/"))
    publish("..2", ENFORCED)
    sidecar.awaits(marked, "/", "the swapped folder's policy")
