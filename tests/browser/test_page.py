"""The admin page in a real browser: log in, read, order, see it live, roll back; with and
without scripts.
"""

from pathlib import Path

import pytest

from tests.browser.chromium import Chromium, Tab
from tests.e2e.conftest import ENFORCED, POLICY, Start
from tests.e2e.processes import Service
from tests.e2e.running import Sidecar
from tests.portion import full

TOKEN = "a-token-that-nobody-guesses"
ABOUT = POLICY.replace(
    "reason: header review\n",
    "reason: header review\nexpected: locked\nrollback: sidecar rollback\n",
)


@pytest.fixture
def guarded(start: Start, shop: Service, tmp_path: Path) -> Sidecar:
    """A sidecar whose admin listener wants a token."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    return start(ABOUT, shop.url, admin_token_file=str(token))


def log_in(tab: Tab, sidecar: Sidecar) -> None:
    """Through the form."""
    tab.visit(sidecar.admin)
    assert tab.run("location.pathname") == "/login"
    tab.type("#token", TOKEN)
    with tab.loading():
        tab.click("button")
    assert tab.run("location.pathname") == "/"


def test_a_shift(browser: Chromium, guarded: Sidecar):
    """Log in, read the table, go to report-only and back with a reason, see an event arrive
    live, roll back; no complaint.
    """
    with browser.tab() as tab:
        log_in(tab, guarded)
        rules = tab.run(
            "[...document.querySelectorAll('#rules summary strong')].map((cell) =>"
            " cell.textContent)"
        )
        assert rules == ["no-server", "nosniff", "csp", "mark"]
        assert tab.run("document.querySelector('.now .mode').textContent") == "report-only"

        guarded.save("mode: report-only", "mode: enforce")
        guarded.event("policy.activated", who="file")
        with tab.loading():
            tab.run("location.reload()")
        assert tab.run("document.querySelector('.now .mode').textContent") == "enforce"
        assert "+mode: enforce" in tab.run("document.querySelector('.diff').textContent")

        tab.awaits("document.getElementById('live').textContent === 'Live.'", "the page is live")
        guarded.get("/")
        tab.awaits(
            "document.querySelector('#events li strong').textContent === 'header.changed'",
            "the event arrives",
        )

        tab.run("document.querySelector('#mode').value = 'report-only'")
        tab.type("#mode-reason", "the portal is down")
        tab.click("form[action='/orders/mode'] input[name=sure]")
        with tab.loading():
            tab.click("form[action='/orders/mode'] button")
        assert (
            tab.run("document.querySelector('[role=status]').textContent")
            == "The mode is report-only now."
        )
        guarded.event("mode.overridden", who="admin page", reason="the portal is down")

        tab.run("document.querySelector('#mode').value = 'enforce'")
        tab.type("#mode-reason", "the portal is back")
        tab.click("form[action='/orders/mode'] input[name=sure]")
        with tab.loading():
            tab.click("form[action='/orders/mode'] button")
        assert (
            tab.run("document.querySelector('[role=status]').textContent")
            == "The mode is enforce now."
        )

        tab.type("#back-reason", "as agreed")
        tab.click("form[action='/orders/rollback'] input[name=sure]")
        with tab.loading():
            tab.click("form[action='/orders/rollback'] button")
        guarded.event("policy.rolled_back", who="admin page", reason="as agreed")
        assert tab.complaints == []


def test_without_scripts(browser: Chromium, start: Start, shop: Service):
    """With JavaScript off everything works but the live list."""
    sidecar = start(ENFORCED.replace("mode: enforce", "mode: report-only"), shop.url)
    sidecar.get("/")
    sidecar.save("mode: report-only", "mode: enforce")
    sidecar.event("policy.activated", who="file")
    with browser.tab() as tab:
        tab.send("Emulation.setScriptExecutionDisabled", value=True)
        tab.visit(sidecar.admin)
        assert "As of this page" in tab.run("document.getElementById('live').textContent")
        assert tab.run("document.querySelectorAll('#events li').length") > 0
        tab.type("#back-reason", "without scripts")
        tab.click("form[action='/orders/rollback'] input[name=sure]")
        with tab.loading():
            tab.click("form[action='/orders/rollback'] button")
        assert "is in force again" in tab.run("document.querySelector('[role=status]').textContent")
        assert tab.complaints == []
    assert sidecar.status()["mode"] == "report-only"


@full
def test_keyboard(browser: Chromium, start: Start, shop: Service):
    """Tab goes through links, fields and buttons in the order of the page, and the first stop
    skips to the rules.
    """
    sidecar = start(POLICY, shop.url)
    with browser.tab() as tab:
        tab.visit(sidecar.admin)
        stops = []
        for _ in range(9):
            tab.press("Tab", 9)
            stops.append(
                tab.run(
                    "document.activeElement.id || document.activeElement.name ||"
                    " document.activeElement.querySelector('strong')?.textContent ||"
                    " document.activeElement.textContent.trim()"
                )
            )

        rules = ["no-server", "nosniff", "csp", "mark"]
        assert stops == ["Skip to the rules", *rules, "mode", "mode-reason", "sure", "Set the mode"]


def test_other_sites_can_do_nothing(browser: Chromium, start: Start, shop: Service):
    """A page of another origin cannot order by a form, read, or frame the admin page."""
    sidecar = start(POLICY, shop.url)
    with browser.tab() as tab:
        tab.visit(f"{shop.url}/")
        posted = tab.run(
            f"fetch({sidecar.admin!r} + '/-/mode', {{method: 'POST', mode: 'no-cors', headers:"
            " {'Content-Type': 'text/plain'}, body: '{\"mode\": \"off\"}'}).then(() =>"
            " 'sent', () => 'refused')"
        )
        framed = tab.run(
            "new Promise((done) => { const frame = document.createElement('iframe'); frame.src ="
            f" {sidecar.admin!r}; frame.onload = () => {{try {{ done(frame.contentDocument ?"
            " frame.contentDocument.title : 'foreign'); } catch (error) { done('foreign'); }"
            " }; document.body.append(frame); })"
        )

        assert posted in ("sent", "refused")
        assert framed != "shop - header sidecar"
        assert any("frame" in text.lower() for text in tab.complaints)
    assert sidecar.status()["override"] is None
