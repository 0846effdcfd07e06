"""A trial in the other engines, Firefox and WebKit: what breaks is reported, silence is proved
by canaries that come back.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.engines import Engine, Firefox, WebKit
from tests.browser.test_trial import EXTERNAL, INLINE, POLICY, canaries, serving, settled, verdict
from tests.e2e.conftest import Start
from tests.e2e.processes import until
from tests.e2e.running import Sidecar
from tests.portion import full

TRIED = POLICY.replace("mode: report-only}", "mode: trial}")
APP = ("text/javascript", "document.title = 'ran'")


@pytest.fixture(
    params=[
        pytest.param(("firefox", Firefox), id="firefox"),
        pytest.param(("safari", WebKit), id="webkit"),
    ],
    scope="module",
)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Engine]]:
    """What the sidecar calls the engine, and the engine itself."""
    name, made = request.param
    opened: Engine = made(tmp_path_factory.mktemp(name))
    yield name, opened
    opened.close()


@full
def test_what_breaks_is_reported(engine: tuple[str, Engine], start: Start):
    """An inline script that the rule would block: the gate fails it, and its cause names the
    engine.
    """
    name, opened = engine
    with serving({"/": ("text/html", INLINE)}) as origin:
        sidecar = start(TRIED.replace("VALUE", "script-src-elem 'self'"), origin)
        visits(opened, sidecar, 1, "ran")
        causes = until(lambda: sidecar.ask("/api/reports").json()["causes"], "the report comes")

        assert [(cause["kind"], cause["engines"]) for cause in causes] == [("served", [name])]
        assert verdict(sidecar)["outcome"] == "fail"


@full
def test_canaries_come_back(engine: tuple[str, Engine], start: Start):
    """A page that keeps to the rule: every canary comes back from this engine, none becomes a
    cause, and the rule passes.
    """
    name, opened = engine
    files = {"/": ("text/html", EXTERNAL), "/app.js": APP}
    with serving(files) as origin:
        sidecar = start(
            TRIED.replace("VALUE", "script-src-elem 'self'; img-src 'self'; connect-src 'self'"),
            origin,
        )
        visits(opened, sidecar, 3, "ran")
        until(lambda: canaries(sidecar) == 3, "all canaries came back")
        until(lambda: settled(sidecar) == 3, "all page loads have had time to report")

        said = verdict(sidecar)
        assert (said["outcome"], said["canaries"][name]) == ("pass", [3, 3]), said


def visits(opened: Engine, sidecar: Sidecar, times: int, title: str) -> None:
    """Load the page so often; each time its script ran."""
    for _ in range(times):
        opened.visit(f"http://127.0.0.1:{sidecar.listen[1]}/")
        until(lambda: opened.run("document.title") == title, "the page's script ran")
