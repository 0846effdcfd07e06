"""Who can tell whether a rule breaks the site: nobody needs to, the proxy, browsers in a trial, or
nobody can.

A verdict may claim no more than the witness has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sidecar.policy import csp
from sidecar.policy.browsers.keeping import COOKIES, STORED, cleared
from sidecar.policy.browsers.loosening import referrer_token, telling
from sidecar.policy.browsers.support import FEATURES, GONE, SUPPORT_DATE
from sidecar.policy.browsers.trial import taken
from sidecar.policy.browsers.witness_kinds import Witness, browsers, harmless, nobody, proxy
from sidecar.policy.browsers.witness_of_cookies import of_cookie
from sidecar.policy.headers.table import DISCLOSURE
from sidecar.policy.headers.tokens import parse_cache
from sidecar.policy.model import WRITING, Rule
from sidecar.policy.rules.checks import value_text
from sidecar.policy.rules.ladder import HEADER as HSTS


def witnesses(rule: Rule) -> tuple[Witness, ...]:
    """Every witness that must have spoken before a complete rule may enforce; never empty."""
    if rule.action == "require" or (rule.cookie is None and rule.action not in WRITING):
        return (harmless("the rule only judges and changes nothing", "the policy itself"),)
    if rule.cookie is not None:
        return tuple(of_cookie(rule))
    value = "" if rule.value is None else value_text(rule.value)
    found = (_of_header(name.lower(), rule, value) for name in rule.header or ())
    return tuple(dict.fromkeys(witness for each in found for witness in each))


def replacing(rule: Rule) -> Witness | None:
    """Who can tell besides, where a rule replaces a line of the service's; None = nobody else is
    needed.

    What is harmless where nothing was sent may take away what the service's own line gave: the
    isolation that shared memory needs, or reports.
    """
    if rule.action != "set" or rule.value is None:
        return None
    value = value_text(rule.value).partition(";")[0].strip().lower()
    for name in map(str.lower, rule.header or ()):
        if _TABLE.get(name) is _ASKING:
            return _ASKING.removed
        if name in _ISOLATING and value not in _ISOLATING[name]:
            return nobody(
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


def _of_header(name: str, rule: Rule, value: str) -> tuple[Witness, ...]:
    if name in DISCLOSURE and rule.action != "append" and not name.startswith(_READ_BY_CLIENTS):
        return (
            harmless(
                "no browser acts on a header that names software",
                "OWASP Secure Headers, headers to remove",
            ),
        )
    if name == HSTS and rule.ladder is not None:
        wide = "includesubdomains" in value.lower() or "preload" in value.lower()
        return (_STEPWISE, *_transport(value.lower())) if wide else (_STEPWISE,)
    row = _TABLE.get(name)
    if row is None:
        return (nobody(f"what clients do with {name} cannot be seen", "-"),)
    if rule.action == "remove" and row.removed is not None:
        return (row.removed,)
    return row.written(value.strip().lower())


_READ_BY_CLIENTS = (
    "sourcemap",
    "x-b3-",
    "x-datadog-",
    "x-kong-request-id",
    "x-nextjs-",
    "x-redirect-by",
    "x-sourcemap",
)
"""How names of the list of headers to remove begin that programs and scripts are known to read."""


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
        (browsers("browsers report what the policy would block", "CSP Level 3 section 5"),)
        if acting - {"sandbox"}
        else ()
    )
    return (
        (*data, _SANDBOX)
        if "sandbox" in names
        else data or (nobody("the policy says nothing", "CSP Level 3"),)
    )


def _transport(value: str) -> tuple[Witness, ...]:
    reason = "whether every host answers over https cannot be seen here"
    if "includesubdomains" in value or "preload" in value:
        reason = (
            "whether every subdomain responses over https cannot be seen here, and browsers"
            " remember"
        )
    return (nobody(reason, "RFC 6797 section 14.4"),)


def _referrer(value: str) -> tuple[Witness, ...]:
    if telling(referrer_token(value)):
        return (_TOLD_MORE,)
    return (
        nobody(
            "whether someone checks the Referer that would be missing cannot be seen",
            "Referrer Policy section 3",
        ),
    )


def _filter(value: str) -> tuple[Witness, ...]:
    if value == "0":
        return (
            harmless(
                "it switches off a filter that browsers no longer have", "OWASP Secure Headers"
            ),
        )
    return (nobody("old browsers with the filter may break pages", "OWASP Secure Headers"),)


def _opener(value: str) -> tuple[Witness, ...]:
    if value.partition(";")[0].strip() == "unsafe-none":
        return (harmless("it is what browsers do without it", "HTML section 7.1.3"),)
    return (
        browsers(
            "browsers report windows that would be cut off from each other", "HTML section 7.1.3.2"
        ),
    )


def _embedder(value: str) -> tuple[Witness, ...]:
    if value.partition(";")[0].strip() == "unsafe-none":
        return (harmless("it is what browsers do without it", "HTML section 7.1.4"),)
    return (browsers("browsers report what would not be loaded", "HTML section 7.1.4"),)


def _resource(value: str) -> tuple[Witness, ...]:
    if value == "cross-origin":
        return (harmless("it lets in everybody, as browsers do without it", "Fetch section 3.7"),)
    return (_FETCHED,)


def _permissions(value: str) -> tuple[Witness, ...]:
    """Browsers report what is refused, of some features only; that a page merely asks whether it
    may, of none.
    """
    names = taken(value).keys() - GONE
    source = f"Permissions Policy section 5.2; Chromium, {SUPPORT_DATE}"
    untold = sorted(names - FEATURES)
    found: tuple[Witness, ...] = ()
    if names & FEATURES:
        found = (browsers("browsers report features that would be refused", source),)
    if untold:
        named = ", ".join(untold[:6]) + (", ..." if untold[6:] else "")
        step = 'Leave these features out of the value, or give --override "why".'
        why = f"browsers do not report what a page loses with {named}"
        found += (Witness("nobody", why, source, step),)
    return found or (harmless("it refuses nothing that browsers know", source),)


def _cached(value: str) -> tuple[Witness, ...]:
    said = parse_cache(value)[0]
    if "no-store" in said:
        return (
            proxy(
                "requests show whose result would be gone on the way back: that of a sent form",
                "RFC 9111 section 5.2.2.5",
            ),
        )
    if said and said.keys() <= _ASK_AGAIN and said.get("max-age", "0") == "0":
        return (harmless("browsers ask again, nothing is lost", "RFC 9111 section 5.2.2"),)
    return (nobody("who relies on a stored response cannot be seen", "RFC 9111 section 5.2"),)


_ASK_AGAIN = {"no-cache", "private", "must-revalidate", "proxy-revalidate", "max-age"}


def _clearing(value: str) -> tuple[Witness, ...]:
    """Cookies come back in requests; what scripts have stored does not."""
    stored = nobody(
        "whether scripts need what they have stored cannot be seen", "Clear Site Data section 3.1"
    )
    seen = proxy(
        "requests show who goes on with a cookie that would have been cleared",
        "Clear Site Data section 3.1",
    )
    elsewhere = nobody(
        "browsers clear the cookies of all hosts of the domain, and who needs those cannot be seen",
        "Clear Site Data section 3.1",
    )
    types = cleared(value)
    found = ((COOKIES, elsewhere), (STORED, stored))
    return (seen, *(witness for kinds, witness in found if types & kinds))


_STEPWISE = proxy(
    "trusted proxies, or our own TLS, say which requests came over https",
    "RFC 6797 sections 8.1 and 14.1",
)
_SHARED = proxy(
    "requests of other origins name themselves, and what they ask for", "Fetch section 3.3"
)
_SAVED = proxy(
    "requests show which responses are opened in a window, and their type is seen",
    "RFC 6266 section 4.2",
)
_FRAMED = proxy(
    "requests for frames say from which site they come",
    "Fetch Metadata; HTML section 7.1.6; CSP3 section 6.4.2",
)
_SANDBOX = nobody("browsers never report what `sandbox` blocks", "CSP Level 3 section 6.3.2")
_SNIFFED = proxy(
    "requests say what a response is fetched for, and its type is seen", "Fetch section 3.6"
)
_FETCHED = proxy("requests say from which site a resource is fetched", "Fetch section 3.7")
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
_DEAD = harmless("browsers ignore it", "OWASP Secure Headers, deprecated headers")
_ASKING = _Row(
    _always(harmless("it only asks for reports", "Reporting API section 3.2")),
    nobody("whether somebody reads the reports cannot be seen", "Reporting API section 3.2"),
)
_LESS = nobody("what the header protected or allowed before cannot be seen", "-")

_SCRIPTS_READ = nobody("which headers scripts read cannot be seen", "Fetch section 3.3.3")
_ASKED_LESS = harmless("browsers only ask more or less often", "Fetch section 3.3.3")

_TABLE: Mapping[str, _Row] = {
    "access-control-allow-credentials": _either_way(_SHARED),
    "access-control-allow-headers": _either_way(_SHARED),
    "access-control-allow-methods": _either_way(_SHARED),
    "access-control-allow-origin": _either_way(_SHARED),
    "access-control-expose-headers": _either_way(_SCRIPTS_READ),
    "access-control-max-age": _either_way(_ASKED_LESS),
    "clear-site-data": _Row(
        _clearing, nobody("what is no longer cleared cannot be seen", "Clear Site Data")
    ),
    "content-disposition": _either_way(_SAVED),
    "content-security-policy": _Row(_csp, _UPGRADED),
    "content-security-policy-report-only": _ASKING,
    "cross-origin-embedder-policy": _Row(_embedder, _LESS),
    "cross-origin-embedder-policy-report-only": _ASKING,
    "cross-origin-opener-policy": _Row(_opener, _LESS),
    "cross-origin-opener-policy-report-only": _ASKING,
    "cross-origin-resource-policy": _Row(_resource, _LESS),
    "expect-ct": _either_way(_DEAD),
    "feature-policy": _Row(
        _always(nobody("old browsers obey it", "Permissions Policy")),
        harmless("without it browsers block less", "Permissions Policy"),
    ),
    "integrity-policy": _Row(
        _always(
            browsers(
                "browsers report scripts without integrity",
                "Subresource Integrity, Integrity-Policy",
            )
        ),
        harmless("without it browsers block less", "Subresource Integrity"),
    ),
    "integrity-policy-report-only": _ASKING,
    "nel": _ASKING,
    "p3p": _either_way(_DEAD),
    "permissions-policy": _Row(
        _permissions, harmless("without it browsers block less", "Permissions Policy")
    ),
    "permissions-policy-report-only": _ASKING,
    "public-key-pins": _either_way(_DEAD),
    "referrer-policy": _Row(_referrer, _TOLD_MORE),
    "report-to": _ASKING,
    "reporting-endpoints": _ASKING,
    "strict-transport-security": _Row(
        _transport, nobody("browsers keep what they have seen", "RFC 6797 section 8.1")
    ),
    "x-content-type-options": _Row(
        _always(_SNIFFED),
        nobody("what browsers then take for a page or a file cannot be seen", "Fetch section 3.6"),
    ),
    "x-dns-prefetch-control": _Row(
        _always(harmless("it only changes when names are looked up", "MDN")),
        harmless("it only changes when names are looked up", "MDN"),
    ),
    "x-download-options": _either_way(_DEAD),
    "x-frame-options": _Row(
        _always(_FRAMED), harmless("without it browsers block less", "HTML section 7.1.6")
    ),
    "x-permitted-cross-domain-policies": _Row(
        _always(harmless("only plugins that are gone asked for it", "OWASP Secure Headers")), _DEAD
    ),
    "x-ua-compatible": _either_way(_DEAD),
    "x-webkit-csp": _either_way(_DEAD),
    "x-content-security-policy": _either_way(_DEAD),
    "x-xss-protection": _Row(
        _filter, harmless("browsers no longer have the filter", "OWASP Secure Headers")
    ),
    "cache-control": _Row(_cached, _LESS),
    "pragma": _Row(_cached, _DEAD),
}
