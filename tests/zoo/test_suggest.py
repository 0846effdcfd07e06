"""Suggestions for every site whose rule browsers say would break it: what needs no person works
once it is enforced.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT, until
from tests.e2e.running import command
from tests.patience import PATIENCE
from tests.portion import full
from tests.zoo.browser import Context
from tests.zoo.harness import Harness, ProxiedSite, policy
from tests.zoo.sites import SITES
from tests.zoo.trial import BUNDLES, REPORTS, SETTINGS, VISITS

BROKEN = [site for site in SITES if site.breaks and site.witness == "browsers"]
NEED_PERSON = {
    "coop-noopener-own-window",
    "coop-opened-by-another",
    "permissions-frame-given",
    "permissions-whole-screen-of-a-frame",
    "csp-ancestors-in-a-portal",
    "csp-ancestors-none",
    "csp-ancestors-none-http",
    "csp-ancestors-replaced",
    "csp-ancestors-unnamed",
    "csp-base-elsewhere",
    "csp-eval",
    "csp-form-leads-elsewhere",
    "csp-frame-leads-elsewhere",
    "csp-in-blob-worker",
    "csp-merge-narrows",
    "csp-payment-frame",
    "csp-trusted-types",
    "csp-upgrade-insecure",
    "csp-window-written",
    "csp-worker-blob",
    "integrity-missing",
    "xfo-deny-framed-http",
}
"""Sites where the page has to change, or a person to decide."""
pytestmark = full


@dataclass(frozen=True)
class Repaired:
    """What came of a suggestion: whether a person is needed; if not, whether the site works under
    the edited rule, enforced.
    """

    name: str
    person: bool
    works: bool


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> list[Repaired]:
    """Every such site tried, its policy edited as suggested, and visited again."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("zoo")
    with Harness(BROKEN, folder, settings=SETTINGS) as harness:
        pairs = [(proxied, harness.browser.context()) for proxied in harness.proxied_sites]

        def tried(pair: tuple[ProxiedSite, Context]) -> None:
            proxied, context = pair
            with proxied.person(context, PATIENCE) as person:
                proxied.put("trial")
                for _ in range(VISITS):
                    proxied.visit(person)

        def suggested(pair: tuple[ProxiedSite, Context]) -> Repaired:
            proxied, context = pair
            file = folder / f"{proxied.rule}.yaml"
            file.write_text(policy(proxied.site, harness.service, "trial"))
            code = _suggest(proxied, file)
            proxied.sidecar.put(file.read_text().replace("mode: trial", "mode: enforce"))
            if code == 1:
                return Repaired(proxied.rule, person=True, works=False)
            with proxied.person(context, PATIENCE) as person:
                return Repaired(proxied.rule, person=False, works=proxied.visit(person).works)

        harness.each(pairs, tried)
        for proxied, _ in pairs:
            ask = proxied.sidecar.ask
            until(lambda ask=ask: ask("/api/reports").json()["causes"], proxied.rule, BUNDLES)
        time.sleep(REPORTS)
        return harness.each(pairs, suggested)


def _suggest(proxied: ProxiedSite, file: Path) -> int:
    now = ("--min-clients", "1", "--min-time", "0s", "--write", "--json")
    where = ("--policy", str(file), "--admin", proxied.sidecar.admin)
    done = command("suggest", proxied.rule, *now, *where)
    assert json.loads(done.stdout)["proposals"], (proxied.rule, done.stderr)
    return done.returncode


def test_what_needs_no_person_works(repaired: list[Repaired]) -> None:
    """Under the edited rule, enforced, the site does what it did without it."""
    assert [one.name for one in repaired if not one.person and not one.works] == []


def test_who_needs_a_person(repaired: list[Repaired]) -> None:
    """Those where an edit would undo the policy, or where the page is what has to change."""
    assert {one.name for one in repaired if one.person} == NEED_PERSON


def test_the_document_has_these_numbers() -> None:
    """`docs/suggest.md` says of how many sites the edit alone was enough."""
    said = " ".join((ROOT / "docs/suggest.md").read_text("utf-8").split())
    works = len(BROKEN) - len(NEED_PERSON)
    assert f"has {len(BROKEN)} sites whose rule breaks them" in said
    assert f"made {works} of them work" in said
    assert f"For the other {len(NEED_PERSON)} an edit" in said
