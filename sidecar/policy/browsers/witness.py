"""Who can tell whether a rule breaks the site: nobody needs to, the proxy, browsers in a trial, or
nobody can.

Lives here: one row per header, and what depends on the rule's value. A verdict may claim no more
than the witness has seen. Must not know counters, verdicts or modes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from sidecar.policy import csp
from sidecar.policy.browsers.keeping import STORED, cleared
from sidecar.policy.browsers.loosening import referrer_token, telling
from sidecar.policy.browsers.support import FEATURES, GONE, SUPPORT_DATE
from sidecar.policy.browsers.trial import taken
from sidecar.policy.headers.table import DISCLOSURE
from sidecar.policy.headers.tokens import parse_cache
from sidecar.policy.model import WRITING, Rule
from sidecar.policy.rules.checks import value_text
from sidecar.policy.rules.ladder import HEADER as HSTS

WitnessKind: TypeAlias = Literal["harmless", "proxy", "browsers", "nobody"]


@dataclass(frozen=True, slots=True)
class Witness:
    """One who can tell: `why` is what it sees, or why there is none; `next` is how to get its
    word.
    """

    kind: WitnessKind
    why: str
    source: str
    next: str


TRIAL = "Run `sidecar promote RULE --to trial`, and let browsers load pages."
OVERRIDE = 'Try it with `share: 5%`, then give --override "why".'
WAIT = "Wait for more traffic of browsers."


def witnesses(rule: Rule) -> tuple[Witness, ...]:
    """Every witness that must have spoken before a complete rule may enforce; never empty."""
    if rule.action == "require" or (rule.cookie is None and rule.action not in WRITING):
        return (_harmless("the rule only judges and changes nothing", "the policy itself"),)
    if rule.cookie is not None:
        return tuple(_of_cookie(rule))
    value = "" if rule.value is None else value_text(rule.value)
    found = (_of_header(name.lower(), rule, value) for name in rule.header or ())
    return tuple(dict.fromkeys(witness for each in found for witness in each))


def replacing(rule: Rule) -> Witness | None:
    """Who can tell besides, where a rule replaces a line of the service's; None = nobody else is
    needed.

    What is harmless where nothing was sent may take away what the service's own line gave: the
    isolation that shared memory needs.
    """
    if rule.action != "set" or rule.value is None:
        return None
    value = value_text(rule.value).partition(";")[0].strip().lower()
    for name in map(str.lower, rule.header or ()):
        if name in _ISOLATING and value not in _ISOLATING[name]:
            return _nobody(
                f"whether pages need the isolation that the service's own {name} gives cannot be"
                " seen",
                "HTML section 7.1.4",
            )
    return None


_ISOLATING: Mapping[str, frozenset[str]] = {
    "cross-origin-opener-policy": frozenset({"same-origin"}),
    "cross-origin-embedder-policy": frozenset({"require-corp", "credentialless"}),
}
"""Values under which a page stays cross-origin isolated."""


def _harmless(why: str, source: str) -> Witness:
    return Witness("harmless", why, source, "")


def _proxy(why: str, source: str) -> Witness:
    return Witness("proxy", why, source, WAIT)


def _browsers(why: str, source: str) -> Witness:
    return Witness("browsers", why, source, TRIAL)


def _nobody(why: str, source: str) -> Witness:
    return Witness("nobody", why, source, OVERRIDE)


def _of_header(name: str, rule: Rule, value: str) -> tuple[Witness, ...]:
    if name in DISCLOSURE and rule.action == "remove" and name not in _READ_BY_CLIENTS:
        return (
            _harmless(
                "no browser acts on a header that names software",
                "OWASP Secure Headers, headers to remove",
            ),
        )
    if name == HSTS and rule.ladder is not None:
        wide = "includesubdomains" in value.lower() or "preload" in value.lower()
        return (_STEPWISE, *_transport(value.lower())) if wide else (_STEPWISE,)
    row = _TABLE.get(name)
    if row is None:
        return (_nobody(f"what clients do with {name} cannot be seen", "-"),)
    if rule.action == "remove" and row.removed is not None:
        return (row.removed,)
    return row.written(value.strip().lower())


_READ_BY_CLIENTS = frozenset(
    (
        "x-kong-request-id",
        "x-redirect-by",
        "sourcemap",
        "x-sourcemap",
        "x-nextjs-redirect",
        "x-nextjs-matched-path",
    )
)
"""Names of the list of headers to remove that programs are known to read."""


class _Row(NamedTuple):
    written: Callable[[str], tuple[Witness, ...]]
    removed: Witness | None = None


def _always(witness: Witness) -> Callable[[str], tuple[Witness, ...]]:
    return lambda _value: (witness,)


def _either_way(witness: Witness) -> _Row:
    """The same whether the header is written or removed."""
    return _Row(_always(witness), witness)


def _csp(value: str) -> tuple[Witness, ...]:
    """Browsers report all of CSP but `sandbox`; who is framed is seen in requests too (CSP3
    section 6.4.2).
    """
    names = {directive.name for policy in csp.parse(value) for directive in policy.directives}
    acting = names - {"report-uri", "report-to"}
    if acting == {"frame-ancestors"}:
        return (_FRAMED,)
    data = (
        (_browsers("browsers report what the policy would block", "CSP Level 3 section 5"),)
        if acting - {"sandbox"}
        else ()
    )
    return (
        (*data, _SANDBOX)
        if "sandbox" in names
        else data or (_nobody("the policy says nothing", "CSP Level 3"),)
    )


def _transport(value: str) -> tuple[Witness, ...]:
    reason = "whether every host answers over https cannot be seen here"
    if "includesubdomains" in value or "preload" in value:
        reason = (
            "whether every subdomain responses over https cannot be seen here, and browsers"
            " remember"
        )
    return (_nobody(reason, "RFC 6797 section 14.4"),)


def _referrer(value: str) -> tuple[Witness, ...]:
    if telling(referrer_token(value)):
        return (_TOLD_MORE,)
    return (
        _nobody(
            "whether someone checks the Referer that would be missing cannot be seen",
            "Referrer Policy section 3",
        ),
    )


def _filter(value: str) -> tuple[Witness, ...]:
    if value == "0":
        return (
            _harmless(
                "it switches off a filter that browsers no longer have", "OWASP Secure Headers"
            ),
        )
    return (_nobody("old browsers with the filter may break pages", "OWASP Secure Headers"),)


def _opener(value: str) -> tuple[Witness, ...]:
    if value.partition(";")[0].strip() == "unsafe-none":
        return (_harmless("it is what browsers do without it", "HTML section 7.1.3"),)
    return (
        _browsers(
            "browsers report windows that would be cut off from each other", "HTML section 7.1.3.2"
        ),
    )


def _embedder(value: str) -> tuple[Witness, ...]:
    if value.partition(";")[0].strip() == "unsafe-none":
        return (_harmless("it is what browsers do without it", "HTML section 7.1.4"),)
    return (_browsers("browsers report what would not be loaded", "HTML section 7.1.4"),)


def _permissions(value: str) -> tuple[Witness, ...]:
    """Browsers report what is refused, of some features only; that a page merely asks whether it
    may, of none.
    """
    names = taken(value).keys() - GONE
    source = f"Permissions Policy section 5.2; Chromium, {SUPPORT_DATE}"
    untold = sorted(names - FEATURES)
    found: tuple[Witness, ...] = ()
    if names & FEATURES:
        found = (_browsers("browsers report features that would be refused", source),)
    if untold:
        named = ", ".join(untold[:6]) + (", ..." if untold[6:] else "")
        step = 'Leave these features out of the value, or give --override "why".'
        why = f"browsers do not report what a page loses with {named}"
        found += (Witness("nobody", why, source, step),)
    return found or (_harmless("it refuses nothing that browsers know", source),)


def _cached(value: str) -> tuple[Witness, ...]:
    said = parse_cache(value)[0]
    if "no-store" in said:
        return (
            _proxy(
                "requests show whose result would be gone on the way back: that of a sent form",
                "RFC 9111 section 5.2.2.5",
            ),
        )
    if said and said.keys() <= _ASK_AGAIN and said.get("max-age", "0") == "0":
        return (_harmless("browsers ask again, nothing is lost", "RFC 9111 section 5.2.2"),)
    return (_nobody("who relies on a stored response cannot be seen", "RFC 9111 section 5.2"),)


_ASK_AGAIN = {"no-cache", "private", "must-revalidate", "proxy-revalidate", "max-age"}


def _clearing(value: str) -> tuple[Witness, ...]:
    """Cookies come back in requests; what scripts have stored does not."""
    stored = _nobody(
        "whether scripts need what they have stored cannot be seen", "Clear Site Data section 3.1"
    )
    seen = _proxy(
        "requests show who goes on with a cookie that would have been cleared",
        "Clear Site Data section 3.1",
    )
    return (seen, stored) if cleared(value) & STORED else (seen,)


_STEPWISE = _proxy(
    "trusted proxies, or our own TLS, say which requests came over https",
    "RFC 6797 sections 8.1 and 14.1",
)
_SHARED = _proxy(
    "requests of other origins name themselves, and what they ask for", "Fetch section 3.3"
)
_SAVED = _proxy(
    "requests show which responses are opened in a window, and their type is seen",
    "RFC 6266 section 4.2",
)
_FRAMED = _proxy(
    "requests for frames say from which site they come",
    "Fetch Metadata; HTML section 7.1.6; CSP3 section 6.4.2",
)
_SANDBOX = _nobody("browsers never report what `sandbox` blocks", "CSP Level 3 section 6.3.2")
_SNIFFED = _proxy(
    "requests say what a response is fetched for, and its type is seen", "Fetch section 3.6"
)
_FETCHED = _proxy("requests say from which site a resource is fetched", "Fetch section 3.7")
_TOLD_MORE = Witness(
    "proxy",
    "responses show whether the service tells more of the Referer today",
    "Referrer Policy section 3",
    'Keep what the service says today with `action: default`, or give --override "why".',
)
_UPGRADED = Witness(
    "proxy",
    "without it browsers block less; responses show whether it upgraded http: addresses too",
    "CSP Level 3; Upgrade Insecure Requests section 3.1",
    'Set `upgrade-insecure-requests` in place of the removal, or give --override "why".',
)
_DEAD = _harmless("browsers ignore it", "OWASP Secure Headers, deprecated headers")
_REPORTS = _harmless("it only asks for reports", "Reporting API section 3.2")
_LESS = _nobody("what the header protected or allowed before cannot be seen", "-")

_SCRIPTS_READ = _nobody("which headers scripts read cannot be seen", "Fetch section 3.3.3")
_ASKED_LESS = _harmless("browsers only ask more or less often", "Fetch section 3.3.3")

_TABLE: Mapping[str, _Row] = {
    "access-control-allow-credentials": _either_way(_SHARED),
    "access-control-allow-headers": _either_way(_SHARED),
    "access-control-allow-methods": _either_way(_SHARED),
    "access-control-allow-origin": _either_way(_SHARED),
    "access-control-expose-headers": _either_way(_SCRIPTS_READ),
    "access-control-max-age": _either_way(_ASKED_LESS),
    "clear-site-data": _Row(
        _clearing, _nobody("what is no longer cleared cannot be seen", "Clear Site Data")
    ),
    "content-disposition": _either_way(_SAVED),
    "content-security-policy": _Row(_csp, _UPGRADED),
    "content-security-policy-report-only": _either_way(_REPORTS),
    "cross-origin-embedder-policy": _Row(_embedder, _LESS),
    "cross-origin-embedder-policy-report-only": _either_way(_REPORTS),
    "cross-origin-opener-policy": _Row(_opener, _LESS),
    "cross-origin-opener-policy-report-only": _either_way(_REPORTS),
    "cross-origin-resource-policy": _Row(_always(_FETCHED), _LESS),
    "expect-ct": _either_way(_DEAD),
    "feature-policy": _Row(
        _always(_nobody("old browsers obey it", "Permissions Policy")),
        _harmless("without it browsers block less", "Permissions Policy"),
    ),
    "integrity-policy": _Row(
        _always(
            _browsers(
                "browsers report scripts without integrity",
                "Subresource Integrity, Integrity-Policy",
            )
        ),
        _harmless("without it browsers block less", "Subresource Integrity"),
    ),
    "integrity-policy-report-only": _either_way(_REPORTS),
    "nel": _either_way(_REPORTS),
    "p3p": _either_way(_DEAD),
    "permissions-policy": _Row(
        _permissions, _harmless("without it browsers block less", "Permissions Policy")
    ),
    "permissions-policy-report-only": _either_way(_REPORTS),
    "public-key-pins": _either_way(_DEAD),
    "referrer-policy": _Row(_referrer, _TOLD_MORE),
    "report-to": _either_way(_REPORTS),
    "reporting-endpoints": _either_way(_REPORTS),
    "strict-transport-security": _Row(
        _transport, _nobody("browsers keep what they have seen", "RFC 6797 section 8.1")
    ),
    "x-content-type-options": _Row(
        _always(_SNIFFED), _harmless("without it browsers block less", "Fetch section 3.6")
    ),
    "x-dns-prefetch-control": _Row(
        _always(_harmless("it only changes when names are looked up", "MDN")),
        _harmless("it only changes when names are looked up", "MDN"),
    ),
    "x-download-options": _either_way(_DEAD),
    "x-frame-options": _Row(
        _always(_FRAMED), _harmless("without it browsers block less", "HTML section 7.1.6")
    ),
    "x-permitted-cross-domain-policies": _Row(
        _always(_harmless("only plugins that are gone asked for it", "OWASP Secure Headers")), _DEAD
    ),
    "x-ua-compatible": _either_way(_DEAD),
    "x-webkit-csp": _either_way(_DEAD),
    "x-content-security-policy": _either_way(_DEAD),
    "x-xss-protection": _Row(
        _filter, _harmless("browsers no longer have the filter", "OWASP Secure Headers")
    ),
    "cache-control": _Row(_cached, _LESS),
    "pragma": _Row(_cached, _DEAD),
}


def _of_cookie(rule: Rule) -> Iterator[Witness]:
    """Each attribute that the rule writes has its own witness (RFC 6265bis sections 5.4 to 5.6)."""
    wanted = rule.attributes
    if wanted is None:
        return
    source = "RFC 6265bis section 5"
    if wanted.same_site in ("Lax", "Strict"):
        yield _proxy("requests from other sites show whether they carry the cookie", source)
    elif wanted.same_site is not None:
        yield _nobody("browsers refuse SameSite=None without Secure", source)
    if wanted.secure:
        yield _proxy("requests over http show whether they carry the cookie", source)
    if wanted.http_only:
        yield _nobody("whether a script reads the cookie cannot be seen", source)
    if wanted.partitioned or wanted.path is not None or wanted.domain is not None:
        yield _nobody("where the cookie is needed cannot be seen", source)
    if not (
        wanted.same_site
        or wanted.secure
        or wanted.http_only
        or wanted.partitioned
        or wanted.path is not None
        or wanted.domain is not None
    ):
        yield _harmless("it takes protection away and blocks nothing", source)
