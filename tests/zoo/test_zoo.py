"""The acceptance of the gate: every site of the zoo, in every mode, in a real browser."""

from __future__ import annotations

import shutil

import pytest

from tests.portion import FULL, by_default, full
from tests.zoo.running import rows
from tests.zoo.site import Site
from tests.zoo.sites import SITES
from tests.zoo.table import Row

BY_DEFAULT = [
    site for site in SITES if site.name in ("csp-inline-script", "xfo-sameorigin-framed-by-itself")
]
"""What runs without `TESTS_FULL=1`: one site that breaks, as browsers say, and a harmless one, as
the proxy sees.
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """One row for each site, all of them found in one run; without `TESTS_FULL=1`, for two."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return rows(SITES if FULL else BY_DEFAULT, tmp_path_factory.mktemp("zoo"), trial=True)


def _names(found: list[Row]) -> list[str]:
    return [f"{row.site.name}: {row.after_report_only}, {row.after_trial}" for row in found]


def test_half_of_the_sites_are_harmless() -> None:
    """At least 40 sites, of which about half break, on https, http and the loopback; no name
    twice.
    """
    breaking = [site for site in SITES if site.breaks]
    assert len(SITES) >= 44
    assert 0.45 <= len(breaking) / len(SITES) <= 0.55
    assert {site.scheme for site in SITES} == {"https", "http", "loopback"}
    assert len({site.name for site in SITES}) == len(SITES)


@pytest.mark.parametrize(
    "site", by_default(SITES, BY_DEFAULT.__contains__), ids=lambda site: site.name
)
def test_the_truth_is_as_declared(zoo: list[Row], site: Site) -> None:
    """Each site works without its rule, and with it breaks, or not, as its row says."""
    row = next(row for row in zoo if row.site is site)
    assert (row.works_without, row.breaks) == (True, site.breaks)


def test_no_breaking_rule_passes(zoo: list[Row]) -> None:
    """The gate never passes a rule that breaks its site: not after report-only, not after a
    trial.
    """
    assert (
        _names(
            [
                row
                for row in zoo
                if row.breaks and "pass" in (row.after_report_only, row.after_trial)
            ]
        )
        == []
    )


def test_a_trial_flags_what_has_a_witness(zoo: list[Row]) -> None:
    """After a trial, the gate fails every breaking rule that somebody can bear witness to."""
    assert (
        _names(
            [
                row
                for row in zoo
                if row.breaks and row.site.witness != "nobody" and row.after_trial != "fail"
            ]
        )
        == []
    )


@full
def test_harmless_rules_pass(zoo: list[Row]) -> None:
    """After a trial, at least nine of ten harmless rules pass."""
    harmless = [row for row in zoo if not row.breaks]
    held = [row for row in harmless if row.after_trial != "pass"]
    assert len(held) <= len(harmless) / 10, _names(held)


def test_no_harmless_rule_fails(zoo: list[Row]) -> None:
    """The gate raises no false alarm: a harmless rule may be inconclusive, never failed."""
    assert (
        _names(
            [
                row
                for row in zoo
                if not row.breaks and "fail" in (row.after_report_only, row.after_trial)
            ]
        )
        == []
    )


def test_trial_changes_nothing(zoo: list[Row]) -> None:
    """Pages show in report-only and in trial what they show without the rule."""
    assert [row.site.name for row in zoo if not row.unchanged] == []
