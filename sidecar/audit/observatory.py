"""A visit judged by the MDN HTTP Observatory's twelve tests: one outcome each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from sidecar.audit import observatory_parts
from sidecar.audit.outcomes import POINTS
from sidecar.audit.visit import HTML_TYPES, PageMarkup, Visit, decoded, read_page
from sidecar.observed import ObservedResponse, split
from sidecar.policy.headers.fields import parse_item, serialise
from sidecar.policy.headers.tokens import HALF_YEAR, REFERRER_POLICIES, parse_hsts, referrer_policy

_CSP = "content-security-policy"
_HSTS_PASSED = frozenset({"hsts-implemented-max-age-at-least-six-months", "hsts-preloaded"})


class ObservatoryResult(NamedTuple):
    """One test of one page: its name, and that of its outcome (see `OUTCOMES`)."""

    test: str
    outcome: str

    @property
    def points(self) -> int:
        """What it adds to the score."""
        return POINTS[self.outcome]

    @property
    def signed(self) -> str:
        """The same with its sign, for people."""
        return f"{self.points:+d}" if self.points else "0"


@dataclass(frozen=True, slots=True)
class JudgedVisit:
    """What is judged: a visit with a response, and what its HTML holds."""

    visit: Visit
    response: ObservedResponse
    page: PageMarkup | None
    """None: the response calls itself HTML, and cannot be read."""

    @property
    def metas(self) -> tuple[str, ...]:
        """The policies in the page's meta elements."""
        return self.page.policies if self.page else ()


def look(visit: Visit) -> JudgedVisit | None:
    """Read what is judged; None without a response."""
    response = visit.page
    if response is None:
        return None
    if response.media_type and response.media_type not in HTML_TYPES:
        return JudgedVisit(visit, response, PageMarkup())
    body = decoded(response)
    return JudgedVisit(visit, response, None if body is None else read_page(body))


def observatory_results(seen: JudgedVisit) -> tuple[ObservatoryResult, ...]:
    """One result for each test, in the order of the table. Total."""
    return tuple(ObservatoryResult(test, find(seen)) for test, find in TESTS.items())


def _csp(seen: JudgedVisit) -> str:
    return observatory_parts.policies(
        seen.response.values(_CSP),
        seen.metas,
        report_only=any(seen.response.values(f"{_CSP}-report-only")),
        is_https=seen.response.place.scheme == "https",
    )


def _cookies(seen: JudgedVisit) -> str:
    kept = observatory_parts.cookies_kept((*seen.visit.session, *seen.visit.others))
    return observatory_parts.cookies(kept, seen.response, hsts=_hsts(seen) in _HSTS_PASSED)


def _cors(seen: JudgedVisit) -> str:
    probe = seen.visit.probe
    allowed = probe.first("access-control-allow-origin") if probe else ""
    if probe is None or not allowed:
        return "cross-origin-resource-sharing-not-implemented"
    if allowed == "*":
        return "cross-origin-resource-sharing-implemented-with-public-access"
    with_credentials = probe.first("access-control-allow-credentials").lower() == "true"
    mirrored = allowed == seen.visit.origin and with_credentials
    who = "universal" if mirrored else "restricted"
    return f"cross-origin-resource-sharing-implemented-with-{who}-access"


def _redirection(seen: JudgedVisit) -> str:
    chain = seen.visit.http
    if not chain:
        return "redirection-not-needed-no-http"
    if not all(response.verified for response in chain):
        return "redirection-invalid-cert"
    urls = [response.url for response in chain]
    if chain[-1].target:
        urls.append(chain[-1].target)
    places = [split(url) for url in urls]
    if all(seen.visit.is_preloaded(place.hostname or "") for place in places):
        return "redirection-all-redirects-preloaded"
    if len(places) == 1:
        return "redirection-missing"
    if places[-1].scheme != "https":
        return "redirection-not-to-https"
    if places[1].scheme != "https":
        return "redirection-not-to-https-on-initial-redirection"
    same_host = places[0].hostname == places[1].hostname
    return "redirection-to-https" if same_host else "redirection-off-host-from-http"


def _hsts(seen: JudgedVisit) -> str:
    chain = seen.visit.https
    if not chain:
        return "hsts-not-implemented-no-https"
    if seen.visit.is_preloaded(seen.visit.host):
        return "hsts-preloaded"
    if not all(response.verified for response in chain):
        return "hsts-invalid-cert"
    values = chain[-1].values("strict-transport-security")
    if not values:
        return "hsts-not-implemented"
    hsts = parse_hsts(values[0])
    if len(values) > 1 or "," in values[0] or not hsts.valid or hsts.max_age is None:
        return "hsts-header-invalid"
    lasting = "at-least" if hsts.max_age >= HALF_YEAR else "less-than"
    return f"hsts-implemented-max-age-{lasting}-six-months"


def _referrer(seen: JudgedVisit) -> str:
    written = seen.page.referrer if seen.page else None
    values = (*seen.response.values("referrer-policy"), *(() if written is None else (written,)))
    if not values:
        return "referrer-policy-not-implemented"
    policy = referrer_policy(", ".join(values))
    if policy is None:
        return "referrer-policy-header-invalid"
    return "referrer-policy-private" if REFERRER_POLICIES[policy] else "referrer-policy-unsafe"


def _nosniff(seen: JudgedVisit) -> str:
    value = seen.response.first("x-content-type-options").lower()
    if not value:
        return "x-content-type-options-not-implemented"
    return f"x-content-type-options-{'nosniff' if value == 'nosniff' else 'header-invalid'}"


def _framing(seen: JudgedVisit) -> str:
    policy = observatory_parts.policy_of(seen.response.values(_CSP))
    if policy is not None and policy.get("frame-ancestors"):
        return "x-frame-options-implemented-via-csp"
    value = seen.response.first("x-frame-options").lower()
    if not value:
        return "x-frame-options-not-implemented"
    if value in ("deny", "sameorigin"):
        return "x-frame-options-sameorigin-or-deny"
    wrong = "allow-from-origin" if value.startswith("allow-from") else "header-invalid"
    return f"x-frame-options-{wrong}"


def _corp(seen: JudgedVisit) -> str:
    value = seen.response.first("cross-origin-resource-policy").lower()
    if not value:
        return "corp-not-implemented"
    found = f"corp-implemented-with-{value}"
    return found if found in POINTS else "corp-header-invalid"


def _token(header: str, name: str, seen: JudgedVisit) -> str:
    """The outcome of a header that is one structured token; a second line makes it void."""
    values = seen.response.values(header)
    if not any(values):
        return f"{name}-not-implemented"
    item = parse_item(values[0]).value if len(values) == 1 else None
    # Serialised, a string has quotes: only a token is found.
    found = f"{name}-implemented-with-{serialise((item[0], {}))}" if item else ""
    return found if found in POINTS else f"{name}-header-invalid"


TESTS: Mapping[str, Callable[[JudgedVisit], str]] = {
    "content-security-policy": _csp,
    "cookies": _cookies,
    "cross-origin-resource-sharing": _cors,
    "redirection": _redirection,
    "referrer-policy": _referrer,
    "strict-transport-security": _hsts,
    "subresource-integrity": lambda seen: observatory_parts.scripts(seen.response, seen.page),
    "x-content-type-options": _nosniff,
    "x-frame-options": _framing,
    "cross-origin-resource-policy": _corp,
    "cross-origin-embedder-policy": partial(_token, "cross-origin-embedder-policy", "coep"),
    "cross-origin-opener-policy": partial(_token, "cross-origin-opener-policy", "coop"),
}
"""Test -> how its outcome is found."""
