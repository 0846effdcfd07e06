"""Who can tell whether a rule on a cookie breaks the site."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.policy.browsers.witness_kinds import Witness, harmless, nobody, proxy
from sidecar.policy.model import Rule


def of_cookie(rule: Rule) -> Iterator[Witness]:
    """Each attribute that the rule writes has its own witness (RFC 6265bis sections 5.4 to 5.6)."""
    wanted = rule.attributes
    if wanted is None:
        return
    source = "RFC 6265bis section 5"
    if wanted.same_site in ("Lax", "Strict"):
        yield proxy("requests from other sites show whether they carry the cookie", source)
    elif wanted.same_site is not None:
        yield nobody("browsers refuse SameSite=None without Secure", source)
    if wanted.secure:
        yield proxy("requests over http show whether they carry the cookie", source)
    if wanted.http_only:
        yield nobody("whether a script reads the cookie cannot be seen", source)
    if wanted.partitioned or wanted.path is not None or wanted.domain is not None:
        yield nobody("where the cookie is needed cannot be seen", source)
    if not (
        wanted.same_site
        or wanted.secure
        or wanted.http_only
        or wanted.partitioned
        or wanted.path is not None
        or wanted.domain is not None
    ):
        yield harmless("it takes protection away and blocks nothing", source)
