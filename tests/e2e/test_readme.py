"""Every command of the documents works as it stands, on a machine where the default ports are
taken.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.e2e import recipes
from tests.e2e.processes import ROOT, Service, clean_environment, free_port
from tests.portion import by_default

DOCUMENTS = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))
    if any(not block.is_set_up for block in recipes.blocks(path.read_text("utf-8")))
]


@pytest.mark.parametrize(
    "document",
    by_default(DOCUMENTS, lambda path: path.name == "README.md"),
    ids=lambda path: path.name,
)
def test_every_command_works(document: Path, shop: Service, tmp_path: Path) -> None:
    """The ```sh blocks of a document, in order, in an empty folder beside a running service, all
    succeed.
    """
    data, admin, health = (str(free_port()) for _ in range(3))
    env = clean_environment() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SIDECAR_UPSTREAM": shop.url,
        "SIDECAR_LISTEN": f"127.0.0.1:{data}",
        "SIDECAR_ADMIN": f"127.0.0.1:{admin}",
        "SIDECAR_HEALTH": f"127.0.0.1:{health}",
    }
    replace = {"8000": str(shop.address[1]), "18000": data, "19000": admin, "19001": health}
    ready = f"curl -fs http://127.0.0.1:{health}/readyz"
    outcome = recipes.run(
        recipes.blocks(document.read_text("utf-8")), tmp_path, env=env, ready=ready, replace=replace
    )
    assert outcome.line == 0, f"{document.name}:{outcome.line}\n{outcome.output}"
