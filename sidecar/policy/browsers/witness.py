"""Who can tell whether a rule breaks the site: its witnesses, of four kinds.

`harmless`: nobody needs to tell; `proxy`: requests and responses that pass here show it;
`browsers`: they report it in a trial; `nobody`: it is never seen. A verdict may claim no more than
the witness has seen. The texts, and a row for each header, are in `witness.json`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sidecar.policy import csp
from sidecar.policy.browsers.losses import taken, taken_from_page
from sidecar.policy.browsers.removals import sends_default_or_more
from sidecar.policy.browsers.storage import COOKIES, STORED, asks_again, cleared, unstored
from sidecar.policy.browsers.support import FEATURES, GONE, SELF_BY_DEFAULT, SUPPORT_DATE
from sidecar.policy.browsers.trial import by_api, has_report_only
from sidecar.policy.csp.table import REPORTING
from sidecar.policy.data import read_table
from sidecar.policy.headers.table import DISCLOSURE
from sidecar.policy.headers.tokens import parse_cache, referrer_policy
from sidecar.policy.model import Attributes, Rule
from sidecar.policy.rules.ladder import HEADER as HSTS
from sidecar.policy.terms import WRITING

WitnessKind: TypeAlias = Literal["harmless", "proxy", "browsers", "nobody"]

TRIAL = "Run `sidecar promote RULE --to trial`, and let browsers load pages."
OVERRIDE = (
    'Write `share: 5%` in the rule and promote it with --override "why"; take the share away when'
    " nobody complains."
)
WAIT = "Wait for more traffic of browsers."
_NEXT: Mapping[str, str] = {"harmless": "", "proxy": WAIT, "browsers": TRIAL, "nobody": OVERRIDE}

_TABLE = read_table("sidecar.policy.browsers", "witness.json")
_HEADERS: Mapping[str, Mapping[str, Any]] = _TABLE["headers"]
"""The witness of a header that is `written`, or has one of some `values`, and of one `removed`."""
_ISOLATING: Mapping[str, frozenset[str]] = {
    "cross-origin-opener-policy": frozenset({"same-origin"}),
    "cross-origin-embedder-policy": frozenset({"require-corp", "credentialless"}),
}
"""Values under which a page stays cross-origin isolated."""
_READ_BY_CLIENTS = (
    *("liferay-portal", "sourcemap", "x-atmosphere-", "x-b3-", "x-datadog-", "x-jitsi-release"),
    *("x-kong-request-id", "x-litespeed-", "x-nextjs-", "x-redirect-by", "x-sourcemap"),
)
"""How names of the list of headers to remove begin that programs and scripts are known to read."""


@dataclass(frozen=True, slots=True)
class Witness:
    """One who can tell: `why` is what it sees, or why there is none; `next` is how to get its
    word.
    """

    kind: WitnessKind
    why: str
    source: str
    next: str


def _witness(code: str, **words: str) -> Witness:
    row = _TABLE["witnesses"][code]
    why, source = (row[key].format(**words) for key in ("why", "source"))
    return Witness(row["kind"], why, source, row.get("next", _NEXT[row["kind"]]))


def witnesses(rule: Rule) -> tuple[Witness, ...]:
    """Every witness that must have spoken before a complete rule may enforce; never empty."""
    if rule.action == "require" or (rule.cookie is None and rule.action not in WRITING):
        return (_witness("judges-only"),)
    if rule.cookie is not None:
        return tuple(map(_witness, _of_cookie(rule.attributes or Attributes())))
    value = rule.text
    found = (_of_header(name, rule, value) for name in rule.names)
    return tuple(dict.fromkeys(witness for each in found for witness in each))


def replacing(rule: Rule) -> Witness | None:
    """Who can tell besides, where a rule replaces a line of the service's; None = nobody else is
    needed.

    What is harmless where nothing was sent may take away what the service's own line gave: the
    isolation that shared memory needs, or reports.
    """
    if rule.action != "set" or rule.value is None:
        return None
    if "cache-control" in rule.names and asks_again(rule.text) and not unstored(rule.text):
        return _witness("way-back")
    value = rule.text.partition(";")[0].strip().lower()
    for name in rule.names:
        if _HEADERS.get(name, {}).get("written") == "asks-for-reports":
            return _witness("reports-removed")
        if name in _ISOLATING and value not in _ISOLATING[name]:
            return _witness("isolation", name=name)
    return None


def _of_cookie(wanted: Attributes) -> Iterator[str]:
    """Each attribute that the rule writes has its own witness (RFC 6265bis sections 5.4 to 5.6)."""
    parts = (wanted.partitioned, wanted.path, wanted.domain)
    scoped = any(part is not None for part in parts)
    if wanted.same_site is not None:
        yield "cookie-same-site-none" if wanted.same_site == "None" else "cookie-same-site"
    if wanted.secure:
        yield "cookie-secure"
    if wanted.http_only:
        yield "cookie-http-only"
    if scoped:
        yield "cookie-scope"
    if (wanted.secure is False or wanted.http_only is False) and wanted.same_site is None:
        yield "cookie-loosened"


def _of_header(name: str, rule: Rule, value: str) -> tuple[Witness, ...]:
    if name in DISCLOSURE and rule.action != "append" and not name.startswith(_READ_BY_CLIENTS):
        return (_witness("names-software"),)
    if name == HSTS and rule.ladder is not None:
        wide = _reaches_subdomains(value.lower())
        return tuple(map(_witness, ("hsts-ladder", *(("hsts-subdomains",) if wide else ()))))
    row = _HEADERS.get(name)
    if row is None:
        return (_witness("unknown-header", name=name),)
    if rule.action == "remove":
        return (_witness(row["removed"]),)
    if name == "permissions-policy":
        found = tuple(_permissions(value.strip().lower()))
        # In the place of the service's own line it takes what that alone gives.
        if found:
            return found
        code = "features-granted" if rule.action == "set" else "features-none"
        return (_witness(code, date=SUPPORT_DATE),)
    value = value.strip().lower()
    if by_value := _BY_VALUE.get(name):
        return tuple(map(_witness, by_value(value)))
    token = value.partition(";")[0].strip()
    return (_witness(row.get("values", {}).get(token, row["written"])),)


def _csp(value: str) -> tuple[str, ...]:
    """Browsers report all of CSP but `sandbox`; who is framed is seen in requests too (CSP3
    section 6.4.2).
    """
    names = {directive.name for directive in csp.directives(value)}
    acting = names - REPORTING
    if acting == {"frame-ancestors"}:
        return ("framing",)
    reported = ("csp",) if acting - {"sandbox"} else ()
    sandbox = ("csp-sandbox",) if "sandbox" in names else ()
    return (*reported, *sandbox) or ("csp-empty",)


def _reaches_subdomains(value: str) -> bool:
    return "includesubdomains" in value or "preload" in value


def _remembered(value: str) -> str:
    """HSTS; with max-age=0 browsers forget it (RFC 6797 section 6.1.1)."""
    if _OFF.search(value):
        return "protection-removed"
    return "hsts-subdomains" if _reaches_subdomains(value) else "hsts"


_OFF = re.compile(r"max-age\s*=\s*\"?0+\"?\s*(?:;|$)")


def _cached(value: str) -> tuple[str, ...]:
    said = parse_cache(value)[0]
    if "no-store" in said:
        return ("no-store",)
    known = {"no-cache", "private", "must-revalidate", "proxy-revalidate", "max-age"}
    if not said or not said.keys() <= known or said.get("max-age", "0") != "0":
        return ("caching",)
    return ("revalidation" if asks_again(value) else "freshness",)


def _clearing(value: str) -> Iterator[str]:
    """Cookies come back in requests; what scripts and browsers have stored does not."""
    types = cleared(value)
    yield "clearing"
    if types & COOKIES:
        yield "clearing-cookies"
    if types & {"cache", "*"}:
        yield "clearing-cache"
    if types & STORED:
        yield "clearing-storage"


_BY_VALUE: Mapping[str, Callable[[str], Iterable[str]]] = {
    "cache-control": _cached,
    "clear-site-data": _clearing,
    "content-security-policy": _csp,
    "content-security-policy-report-only": lambda value: (
        "types-run" if "require-trusted-types-for" in value else "asks-for-reports",
    ),
    "pragma": _cached,
    "referrer-policy": lambda value: (
        "referrer-fuller" if sends_default_or_more(referrer_policy(value)) else "referrer",
    ),
    "strict-transport-security": lambda value: (_remembered(value),),
}
"""Headers whose witnesses depend on more of the value than one word; it is in lower case."""


def _permissions(value: str) -> Iterator[Witness]:
    """Browsers report what is refused, of some features only; that a page merely asks whether it
    may, of none. Where the page keeps what only `allow` gives to frames, it is these that a trial
    has reported.
    """
    names = taken(value).keys() - GONE
    reported = FEATURES | (SELF_BY_DEFAULT - taken_from_page(value))
    silent = sorted(names - reported)
    if names & reported:
        yield _witness("features", date=SUPPORT_DATE)
    if silent:
        shown = ", ".join(silent[:6]) + (", ..." if silent[6:] else "")
        yield _witness("features-silent", names=shown, date=SUPPORT_DATE)


def prospect(rule: Rule) -> tuple[str, ...]:
    """What a trial of this complete rule can show, and what it cannot: a sentence each."""
    names = ", ".join(rule.header or ()) or f"cookie {rule.cookie}"
    reported = (
        f"page loads carry the report-only header of {names}, and browsers report what would break"
    )
    if not has_report_only(rule):
        said = [
            f"{names} has no report-only form: in trial the rule does what it does in report-only"
        ]
    elif by_api(rule):
        late = "browsers deliver these reports over https only, and some a minute late"
        said = [reported, f"{late}: over plain http nothing is said"]
    else:
        said = [f"{reported}, over plain http too"]
    if "require-trusted-types-for" in rule.text.lower():
        said.append(
            "a page that makes a default policy of Trusted Types is changed by the trial: browsers"
            " run that policy under a report-only line too; it is reported as a cause"
        )
    for witness in witnesses(rule):
        if witness.kind != "browsers":
            said.append(f"{_BESIDE[witness.kind]}: {witness.why}")
    return tuple(said)


_BESIDE = {
    "harmless": "harmless by nature, no trial is needed",
    "proxy": "the sidecar sees by itself, in trial as in report-only",
    "nobody": "what a trial cannot show",
}
"""What other witnesses than browsers mean for a trial."""
