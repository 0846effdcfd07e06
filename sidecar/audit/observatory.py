"""A visit judged by the MDN HTTP Observatory's twelve tests: one outcome each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sidecar.audit import observatory_csp, observatory_page
from sidecar.audit.outcomes import Outcome, Test
from sidecar.audit.page import Page, decoded, read_page
from sidecar.audit.visit import HTML_TYPES, Visit
from sidecar.observed import Response, split
from sidecar.policy.headers.fields import parse_item, serialise
from sidecar.policy.headers.tokens import HALF_YEAR, REFERRER_POLICIES, parse_hsts, referrer_policy

_CSP = "content-security-policy"
_HSTS_PASSED = frozenset({Outcome.HSTS_SIX_MONTHS, Outcome.HSTS_PRELOADED})

_CORP: Mapping[str, Outcome] = {
    "same-origin": Outcome.CORP_SAME_ORIGIN,
    "same-site": Outcome.CORP_SAME_SITE,
    "cross-origin": Outcome.CORP_CROSS_ORIGIN,
}
_COEP: Mapping[str, Outcome] = {
    "": Outcome.COEP_ABSENT,
    "require-corp": Outcome.COEP_REQUIRE_CORP,
    "credentialless": Outcome.COEP_CREDENTIALLESS,
    "unsafe-none": Outcome.COEP_UNSAFE_NONE,
}
_COOP: Mapping[str, Outcome] = {
    "": Outcome.COOP_ABSENT,
    "same-origin": Outcome.COOP_SAME_ORIGIN,
    "same-origin-allow-popups": Outcome.COOP_ALLOW_POPUPS,
    "noopener-allow-popups": Outcome.COOP_NOOPENER,
    "unsafe-none": Outcome.COOP_UNSAFE_NONE,
}


class Result(NamedTuple):
    """One test of one page."""

    test: Test
    outcome: Outcome

    @property
    def points(self) -> str:
        """What it adds to the score, with its sign."""
        return f"{self.outcome.points:+d}" if self.outcome.points else "0"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is judged: a visit with a response, and what its HTML holds."""

    visit: Visit
    response: Response
    page: Page | None
    """None: the response calls itself HTML, and cannot be read."""

    @property
    def metas(self) -> tuple[str, ...]:
        """The policies in the page's meta elements."""
        return self.page.policies if self.page else ()


def look(visit: Visit) -> Seen | None:
    """Read what is judged; None without a response."""
    response = visit.page
    if response is None:
        return None
    if response.media_type and response.media_type not in HTML_TYPES:
        return Seen(visit, response, Page())
    body = decoded(response)
    return Seen(visit, response, None if body is None else read_page(body))


def observatory_results(seen: Seen) -> tuple[Result, ...]:
    """One result for each test, in the order of the table. Total."""
    return tuple(Result(test, find(seen)) for test, find in TESTS.items())


def _csp(seen: Seen) -> Outcome:
    return observatory_csp.outcome(
        seen.response.values(_CSP),
        seen.metas,
        report_only=any(seen.response.values(f"{_CSP}-report-only")),
        is_https=seen.response.place.scheme == "https",
    )


def _cookies(seen: Seen) -> Outcome:
    kept = observatory_page.cookies_kept((*seen.visit.session, *seen.visit.others))
    return observatory_page.cookies(kept, seen.response, hsts=_hsts(seen) in _HSTS_PASSED)


def _cors(seen: Seen) -> Outcome:
    probe = seen.visit.probe
    allowed = probe.first("access-control-allow-origin") if probe else ""
    if probe is None or not allowed:
        return Outcome.CORS_ABSENT
    if allowed == "*":
        return Outcome.CORS_PUBLIC
    with_credentials = probe.first("access-control-allow-credentials").lower() == "true"
    mirrored = allowed == seen.visit.origin and with_credentials
    return Outcome.CORS_UNIVERSAL if mirrored else Outcome.CORS_RESTRICTED


def _redirection(seen: Seen) -> Outcome:
    chain = seen.visit.http
    if not chain:
        return Outcome.REDIRECTION_NO_HTTP
    if not all(response.verified for response in chain):
        return Outcome.REDIRECTION_BAD_CERTIFICATE
    urls = [response.url for response in chain]
    if chain[-1].target:
        urls.append(chain[-1].target)
    places = [split(url) for url in urls]
    if all(seen.visit.is_preloaded(place.hostname or "") for place in places):
        return Outcome.REDIRECTION_PRELOADED
    if len(places) == 1:
        return Outcome.REDIRECTION_ABSENT
    if places[-1].scheme != "https":
        return Outcome.REDIRECTION_NEVER_HTTPS
    if places[1].scheme != "https":
        return Outcome.REDIRECTION_LATE
    same_host = places[0].hostname == places[1].hostname
    return Outcome.REDIRECTION_HTTPS if same_host else Outcome.REDIRECTION_OFF_HOST


def _hsts(seen: Seen) -> Outcome:
    chain = seen.visit.https
    if not chain:
        return Outcome.HSTS_NO_HTTPS
    if seen.visit.is_preloaded(seen.visit.host):
        return Outcome.HSTS_PRELOADED
    if not all(response.verified for response in chain):
        return Outcome.HSTS_BAD_CERTIFICATE
    values = chain[-1].values("strict-transport-security")
    if not values:
        return Outcome.HSTS_ABSENT
    hsts = parse_hsts(values[0])
    if len(values) > 1 or "," in values[0] or not hsts.valid or hsts.max_age is None:
        return Outcome.HSTS_INVALID
    return Outcome.HSTS_SIX_MONTHS if hsts.max_age >= HALF_YEAR else Outcome.HSTS_SHORTER


def _referrer(seen: Seen) -> Outcome:
    written = seen.page.referrer if seen.page else None
    values = (*seen.response.values("referrer-policy"), *(() if written is None else (written,)))
    if not values:
        return Outcome.REFERRER_ABSENT
    policy = referrer_policy(", ".join(values))
    if policy is None:
        return Outcome.REFERRER_INVALID
    return Outcome.REFERRER_PRIVATE if REFERRER_POLICIES[policy] else Outcome.REFERRER_UNSAFE


def _nosniff(seen: Seen) -> Outcome:
    value = seen.response.first("x-content-type-options")
    if not value:
        return Outcome.NOSNIFF_ABSENT
    return Outcome.NOSNIFF if value.lower() == "nosniff" else Outcome.NOSNIFF_INVALID


def _framing(seen: Seen) -> Outcome:
    policy = observatory_csp.policy_of(seen.response.values(_CSP))
    if policy is not None and policy.get("frame-ancestors"):
        return Outcome.FRAMING_BY_CSP
    value = seen.response.first("x-frame-options").lower()
    if not value:
        return Outcome.FRAMING_ABSENT
    if value in ("deny", "sameorigin"):
        return Outcome.FRAMING_LIMITED
    return Outcome.FRAMING_ALLOW_FROM if value.startswith("allow-from") else Outcome.FRAMING_INVALID


def _corp(seen: Seen) -> Outcome:
    value = seen.response.first("cross-origin-resource-policy").lower()
    return _CORP.get(value, Outcome.CORP_INVALID) if value else Outcome.CORP_ABSENT


def _token(seen: Seen, header: str, known: Mapping[str, Outcome], invalid: Outcome) -> Outcome:
    """The outcome of a header that is one structured token; a second line makes it void."""
    values = seen.response.values(header)
    if not any(values):
        return known[""]
    item = parse_item(values[0]).value if len(values) == 1 else None
    # Serialised, a string has quotes: only a token is found.
    return known.get(serialise((item[0], {})), invalid) if item else invalid


TESTS: Mapping[Test, Callable[[Seen], Outcome]] = {
    Test.CSP: _csp,
    Test.COOKIES: _cookies,
    Test.CORS: _cors,
    Test.REDIRECTION: _redirection,
    Test.REFERRER: _referrer,
    Test.HSTS: _hsts,
    Test.SRI: lambda seen: observatory_page.scripts(seen.response, seen.page),
    Test.NOSNIFF: _nosniff,
    Test.FRAMING: _framing,
    Test.CORP: _corp,
    Test.COEP: lambda seen: _token(seen, Test.COEP, _COEP, Outcome.COEP_INVALID),
    Test.COOP: lambda seen: _token(seen, Test.COOP, _COOP, Outcome.COOP_INVALID),
}
"""Test -> how its outcome is found."""
