"""Which scripts arrived, as a real Chromium says it, in the note for PCI DSS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sidecar.rollout.pci import read_inventory
from tests.browser.chromium import Chromium
from tests.browser.test_trial import PAGE, serving
from tests.certificates import certificate
from tests.e2e.conftest import Start
from tests.e2e.processes import until
from tests.e2e.running import Sidecar
from tests.portion import full

POLICY = """\
version: 1
owner: web@example.com
mode: enforce
rules:
  endpoints: {header: Reporting-Endpoints, action: set, value: 'own="/.well-known/sidecar/reports"'}
  csp:
    header: Content-Security-Policy
    action: set
    value: "script-src 'self' 'report-sha256'; report-to own"
"""


@full
def test_the_note_knows_which_text_of_a_script_arrived(tmp_path: Path, start: Start):
    """A script is edited between two visits: the inventory holds both hashes, and the note fails
    until somebody answers for the script.
    """
    text = ["document.title = 'one'"]
    files: dict[str, tuple[str, str | Callable[..., str]]] = {
        "/": ("text/html", PAGE + "<script src=/app.js></script>"),
        "/app.js": ("text/javascript", lambda _: text[0]),
    }
    chain, key = certificate(tmp_path)
    inventory = tmp_path / "scripts.yaml"
    browser = Chromium(tmp_path, "--ignore-certificate-errors", "--short-reporting-delay")
    try:
        with serving(files) as origin:
            sidecar = start(
                POLICY,
                origin,
                tls={"certificate": str(chain), "key": str(key)},
                reports={"enabled": True},
            )
            for number, title in ((1, "one"), (2, "two")):
                text[0] = f"document.title = '{title}'"
                visit(browser, sidecar, title)
                until(lambda n=number: len(loaded(sidecar)) == n, "the hash is reported")

            note = ("note", "--format", "pci", "--scripts", str(inventory))
            first = sidecar.verb(*note)
            assert (first.returncode, "1 script without owner or reason" in first.stderr) == (
                1,
                True,
            )
            (script,) = read_inventory(inventory.read_bytes(), "")
            assert (len(script.hashes), script.pages) == (2, ("/",))

            written = (
                inventory.read_text()
                .replace('owner: ""', "owner: ann")
                .replace('why: ""', "why: title")
            )
            inventory.write_text(written)
            second = sidecar.verb(*note)
            assert (second.returncode, second.stderr) == (0, "")
            assert f"| {script.script} | yes | ann | title | **2 texts:** " in second.stdout
    finally:
        browser.close()


def visit(browser: Chromium, sidecar: Sidecar, title: str) -> None:
    """Load the page in a new tab until the script has run."""
    with browser.tab() as tab:
        tab.visit(f"https://127.0.0.1:{sidecar.listen[1]}/")
        until(lambda: tab.run("document.title") == title, f"the script says {title}")


def loaded(sidecar: Sidecar) -> list[str]:
    """The hashes that browsers reported."""
    return [one["hash"] for one in sidecar.ask("/api/pages").json()["scripts"]]
