"""The truth about each rule: the site is visited with the rule off, then with the rule enforced."""

from __future__ import annotations

from dataclasses import dataclass

from tests.patience import PATIENCE
from tests.zoo.harness import Harness, ProxiedSite, Visit

BREAKING = 2.5
"""Seconds that a visitor waits for a sign of life where, as the site's row says, none will come."""


@dataclass(frozen=True)
class Truth:
    """One site seen without its rule and with it."""

    off: Visit
    enforced: Visit

    @property
    def breaks(self) -> bool:
        """Whether the rule breaks what works without it."""
        return self.off.works and not self.enforced.works


def visited(harness: Harness, proxied: ProxiedSite, mode: str, patience: float) -> Visit:
    """One visit by somebody new, with the rule in this mode."""
    proxied.put(mode)
    context = harness.browser.context()
    try:
        with proxied.person(context, patience) as person:
            return proxied.visit(person)
    finally:
        context.close()


def truth(harness: Harness, proxied: ProxiedSite, off: Visit | None = None) -> Truth:
    """Off (where that visit has not been made yet), then enforced."""
    patience = BREAKING if proxied.site.breaks else PATIENCE
    return Truth(
        off or visited(harness, proxied, "off", PATIENCE),
        visited(harness, proxied, "enforce", patience),
    )
