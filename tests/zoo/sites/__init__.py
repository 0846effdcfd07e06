"""All sites of the zoo, in the order of the table."""

from __future__ import annotations

from tests.zoo.site import Site
from tests.zoo.sites import (
    apps,
    content,
    cookies,
    framing,
    isolation,
    plain,
    relayed,
    scripts,
    sniffing,
)

SITES: tuple[Site, ...] = tuple(
    site
    for module in (scripts, content, apps, framing, sniffing, isolation, cookies, relayed, plain)
    for site in module.FAMILY.sites
)
