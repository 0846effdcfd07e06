"""Every command of the documents works as it stands, on a machine where the default ports are taken."""

import os
import socket
import sys
from pathlib import Path

import pytest

from tests.e2e import recipes
from tests.e2e.processes import ROOT, Service, clean_environment

DOCUMENTS = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))
    if any(not block.is_set_up for block in recipes.blocks(path.read_text("utf-8")))
]


def free_ports(count: int) -> list[str]:
    """Ports that nobody listens on now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_works(document: Path, shop: Service, tmp_path: Path) -> None:
    """The ```sh blocks of a document, in order, in an empty folder beside a running service, all succeed."""
    data, admin, health = free_ports(3)
    env = clean_environment() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SIDECAR_UPSTREAM": shop.url,
        "SIDECAR_LISTEN": f"127.0.0.1:{data}",
        "SIDECAR_ADMIN": f"127.0.0.1:{admin}",
        "SIDECAR_HEALTH": f"127.0.0.1:{health}",
    }
    replace = {"8000": str(shop.address[1]), "18000": data, "19000": admin, "19001": health}
    ready = f"curl -fs http://127.0.0.1:{health}/readyz"
    outcome = recipes.run(recipes.blocks(document.read_text("utf-8")), tmp_path, env=env, ready=ready, replace=replace)
    assert outcome.line == 0, f"{document.name}:{outcome.line}\n{outcome.output}"
