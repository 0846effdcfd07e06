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

from tests.e2e.processes import until
from tests.e2e.running import command
from tests.patience import PATIENCE
from tests.portion import full
from tests.zoo.browser import Context
from tests.zoo.sites import SITES
from tests.zoo.trial import BUNDLES, REPORTS, SETTINGS, VISITS
from tests.zoo.world import Enclosure, World, policy

BROKEN = [site for site in SITES if site.breaks and site.witness == "browsers"]
NEED_PERSON = {
    "coop-noopener-own-window",
    "coop-opened-by-another",
    "permissions-frame-given",
    "csp-ancestors-none",
    "csp-ancestors-none-http",
    "csp-ancestors-replaced",
    "csp-ancestors-unnamed",
    "csp-base-elsewhere",
    "csp-eval",
    "csp-form-leads-elsewhere",
    "csp-frame-leads-elsewhere",
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
    with World(BROKEN, folder, settings=SETTINGS) as world:
        pairs = [(enclosure, world.browser.context()) for enclosure in world.enclosures]

        def tried(pair: tuple[Enclosure, Context]) -> None:
            enclosure, context = pair
            with enclosure.person(context, PATIENCE) as person:
                enclosure.put("trial")
                for _ in range(VISITS):
                    enclosure.visit(person)

        def suggested(pair: tuple[Enclosure, Context]) -> Repaired:
            enclosure, context = pair
            file = folder / f"{enclosure.rule}.yaml"
            file.write_text(policy(enclosure.site, world.service, "trial"))
            code = _suggest(enclosure, file)
            enclosure.sidecar.put(file.read_text().replace("mode: trial", "mode: enforce"))
            if code == 1:
                return Repaired(enclosure.rule, person=True, works=False)
            with enclosure.person(context, PATIENCE) as person:
                return Repaired(enclosure.rule, person=False, works=enclosure.visit(person).works)

        world.each(pairs, tried)
        for enclosure, _ in pairs:
            ask = enclosure.sidecar.ask
            until(lambda ask=ask: ask("/api/reports").json()["causes"], enclosure.rule, BUNDLES)
        time.sleep(REPORTS)
        return world.each(pairs, suggested)


def _suggest(enclosure: Enclosure, file: Path) -> int:
    now = ("--min-clients", "1", "--min-time", "0s", "--write", "--json")
    where = ("--policy", str(file), "--admin", enclosure.sidecar.admin)
    done = command("suggest", enclosure.rule, *now, *where)
    assert json.loads(done.stdout)["proposals"], (enclosure.rule, done.stderr)
    return done.returncode


def test_what_needs_no_person_works(repaired: list[Repaired]) -> None:
    """Under the edited rule, enforced, the site does what it did without it."""
    assert [one.name for one in repaired if not one.person and not one.works] == []


def test_who_needs_a_person(repaired: list[Repaired]) -> None:
    """Those where an edit would undo the policy, or where the page is what has to change."""
    assert {one.name for one in repaired if one.person} == NEED_PERSON
