"""The admin page for everybody: axe-core's rules, the keyboard alone, a phone's width; light and
dark, with a trial's causes open.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium, Tab
from tests.e2e.conftest import POLICY, Start
from tests.e2e.processes import Service
from tests.e2e.running import Sidecar, command
from tests.pictures import rollout
from tests.portion import by_default

SCHEMES = ("light", "dark")
WIDTHS = (390, 1280)
AXE = """
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then((found) => found.violations.map(
  (rule) => `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.target.join(" ")).join(", ")}`))
"""  # noqa: E501
WIDER = """
[...document.querySelectorAll("body *")].filter((it) => it.getBoundingClientRect().right > innerWidth && !it.closest(".scroll, pre, .skip"))
  .map((it) => it.outerHTML.slice(0, 90))
"""  # noqa: E501
FOCUSED = """
(() => { const it = document.activeElement, style = getComputedStyle(it);
  return [it.id || it.name || it.querySelector("strong")?.textContent || it.textContent.trim(), style.outlineStyle !== "none"]; })()
"""  # noqa: E501


@cache
def axe() -> str:
    """axe-core's script; skipped where it is not installed."""
    folders = [*os.environ.get("NODE_PATH", "").split(os.pathsep), "node_modules"]
    found = [
        path
        for folder in folders
        if folder and (path := Path(folder, "axe-core/axe.min.js")).exists()
    ]
    if not found:
        pytest.skip("axe-core is not in node_modules or NODE_PATH")
    return found[0].read_text("utf-8")


def violations(tab: Tab) -> list[str]:
    """What axe finds on the page as it is shown now."""
    tab.run(axe() + "; null")
    found: list[str] = tab.run(AXE)
    return found


def dress(tab: Tab, scheme: str, width: int) -> None:
    """Colours and width."""
    tab.resize(width)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    tab.send("Emulation.setEmulatedMedia", features=features)


def unfold(tab: Tab) -> None:
    """Open all that can be opened."""
    tab.run("document.querySelectorAll('details').forEach((it) => { it.open = true; })")


@pytest.fixture(scope="module")
def trial(browser: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar in the middle of a rollout, with causes."""
    with rollout(tmp_path_factory.mktemp("rollout"), browser, loads=2) as sidecar:
        yield sidecar


@pytest.mark.parametrize(
    ("scheme", "width"),
    by_default(itertools.product(SCHEMES, WIDTHS), ("light", 390).__eq__),
)
def test_axe_finds_nothing(browser: Chromium, trial: Sidecar, scheme: str, width: int) -> None:
    """On the page with everything open, and on a revision beside the one in force."""
    with browser.tab() as tab:
        dress(tab, scheme, width)
        tab.visit(trial.admin)
        unfold(tab)
        assert tab.run("document.querySelectorAll('.causes li').length") >= 3
        assert violations(tab) == []
        with tab.loading():
            tab.run("document.querySelector('.timeline a').click()")
        assert violations(tab) == []


@pytest.mark.parametrize("scheme", by_default(SCHEMES, "dark".__eq__))
def test_axe_finds_nothing_where_something_is_wrong(
    browser: Chromium, start: Start, shop: Service, scheme: str
) -> None:
    """A refused file, a limited mode, and the message of an order."""
    sidecar = start(POLICY, shop.url)
    assert sidecar.order("/-/mode", mode="off", reason="look", ttl="1h").status == 200
    sidecar.write("mode: enfroce\n")
    sidecar.event("policy.rejected")
    with browser.tab() as tab:
        dress(tab, scheme, 1280)
        tab.visit(f"{sidecar.admin}/?message=The%20mode%20is%20off%20now.")
        unfold(tab)
        assert tab.run("document.querySelectorAll('.alarm, .message').length") == 2
        assert "unknown mode 'enfroce'" in tab.run("document.querySelector('.alarm').textContent")
        assert tab.complaints == []
        assert violations(tab) == []


@pytest.mark.parametrize("scheme", by_default(SCHEMES, "dark".__eq__))
def test_axe_finds_nothing_at_the_login(
    browser: Chromium, start: Start, shop: Service, tmp_path: Path, scheme: str
) -> None:
    """Before and after a wrong token."""
    token = tmp_path / "token"
    token.write_text("a-token-that-nobody-guesses")
    sidecar = start(POLICY, shop.url, admin_token_file=str(token))
    with browser.tab() as tab:
        dress(tab, scheme, 390)
        tab.visit(sidecar.admin)
        assert violations(tab) == []
        assert tab.run(WIDER) == []
        tab.type("#token", "wrong")
        with tab.loading():
            tab.click("button")
        assert tab.run("document.querySelector('[role=alert]').textContent")
        assert violations(tab) == []


def test_a_phone_needs_no_scrolling_sideways(browser: Chromium, trial: Sidecar) -> None:
    """At 390 px nothing is wider than the window but what scrolls in itself."""
    with browser.tab() as tab:
        dress(tab, "light", 390)
        for path in ("/", f"/revisions/{trial.status()['parent']}"):
            tab.visit(trial.admin + path)
            unfold(tab)
            assert tab.run(WIDER) == []
            assert tab.run("document.documentElement.scrollWidth <= innerWidth") is True


def test_the_keyboard_alone(browser: Chromium, start: Start, shop: Service) -> None:
    """Every stop is visible; a rule opens, events are filtered and paused, and a revision is
    rolled back without a mouse.
    """
    sidecar = start(POLICY, shop.url)
    sidecar.get("/")
    sidecar.save("mode: report-only", "mode: enforce")
    sidecar.event("policy.activated", who="file")
    with browser.tab() as tab:
        tab.visit(sidecar.admin)
        tab.awaits("document.getElementById('live').textContent === 'Live.'", "the page is live")

        reach(tab, "nosniff")
        tab.press("Enter", 13, "\r")
        assert tab.run("document.activeElement.closest('details').open") is True
        reach(tab, "back-reason")
        tab.send("Input.insertText", text="by hand")
        reach(tab, "sure")
        tab.press(" ", 32, " ")
        reach(tab, "pause", also="filter")
        tab.press("Enter", 13, "\r")
        assert tab.run("document.getElementById('pause').getAttribute('aria-pressed')") == "true"
        tab.run(
            "document.querySelector('form[action=\"/orders/rollback\"] input[name=sure]').focus()"
        )
        reach(tab, "Roll back to", begins=True)
        with tab.loading():
            tab.press("Enter", 13, "\r")
        sidecar.event("policy.rolled_back", who="admin page", reason="by hand")
        assert tab.complaints == []


def reach(tab: Tab, wanted: str, *, also: str = "", begins: bool = False) -> None:
    """Go by Tab to a control; each stop on the way shows that it has the focus."""
    passed = []
    for _ in range(40):
        tab.press("Tab", 9)
        name, seen = tab.run(FOCUSED)
        assert seen, f"the focus on {name} is not visible"
        passed.append(name)
        if name == wanted or (begins and name.startswith(wanted)):
            assert also in (*passed, "")
            return
    raise AssertionError(f"{wanted} is not reached: {json.dumps(passed)}")


def test_events_are_filtered_and_paused(browser: Chromium, start: Start, shop: Service) -> None:
    """By name or any text; a pause keeps what comes, and shows it when it ends; what nothing
    matches says so.
    """
    sidecar = start(POLICY, shop.url)
    with browser.tab() as tab:
        tab.visit(sidecar.admin)
        tab.awaits("document.getElementById('live').textContent === 'Live.'", "the page is live")
        sidecar.get("/")
        sidecar.order("/-/mode", mode="off", reason="look")
        tab.awaits(f"{SHOWN}.includes('mode.overridden')", "the order arrives")

        tab.type("#filter", "overridden")
        assert set(tab.run(SHOWN)) == {"mode.overridden"}
        tab.type("#filter", " nothing")
        assert tab.run(SHOWN) == []
        assert tab.run("document.getElementById('none').textContent") == "No event matches."
        tab.run(
            "(() => { const it = document.getElementById('filter'); it.value = '';"
            " it.dispatchEvent(new Event('input')); })()"
        )
        before = tab.run(SHOWN)
        assert len(before) >= 2

        tab.click("#pause")
        sidecar.order("/-/mode", mode="enforce", reason="look")
        tab.awaits("document.getElementById('pause').textContent.includes('1 waiting')", "it waits")
        assert tab.run(SHOWN) == before
        tab.click("#pause")
        assert len(tab.run(SHOWN)) == len(before) + 1


SHOWN = (
    "[...document.querySelectorAll('#events li:not([hidden]) strong')].map((it) => it.textContent)"
)


def test_commands_are_copied(browser: Chromium, trial: Sidecar, tmp_path: Path) -> None:
    """The button puts a command on the clipboard, and it works in any folder; without scripts
    the text can be marked.
    """
    with browser.tab() as tab:
        tab.send(
            "Browser.grantPermissions",
            permissions=["clipboardReadWrite", "clipboardSanitizedWrite"],
        )
        tab.visit(trial.admin)
        tab.send("Page.bringToFront")
        shown = tab.run("document.querySelector('.rule[open] .command code').textContent")
        assert shown == f"sidecar suggest csp --policy {trial.policy} --admin {trial.admin}"
        done = command(*shlex.split(shown)[1:], cwd=tmp_path)
        assert "script-src" in done.stdout, done.stderr
        tab.click(".rule[open] .command button")
        tab.awaits(
            "document.querySelector('.rule[open] .command button').textContent === 'Copied'",
            "copied",
        )
        assert tab.run("navigator.clipboard.readText()") == shown
        tab.send("Emulation.setScriptExecutionDisabled", value=True)
        tab.visit(trial.admin)
        assert tab.run("document.querySelector('.command button').offsetParent") is None
        assert (
            tab.run("getComputedStyle(document.querySelector('.command code')).userSelect")
            != "none"
        )


def test_lines_are_drawn_from_the_first_minute(browser: Chromium, trial: Sidecar) -> None:
    """Ten seconds after the first response each rule that changes something has a bar."""
    with browser.tab() as tab:
        tab.visit(trial.admin)
        drawn = tab.run(
            "[...document.querySelectorAll('#rules svg path:not(.ground)')].map((it) =>"
            " it.getTotalLength())"
        )
        assert sum(length > 1 for length in drawn) >= 3
