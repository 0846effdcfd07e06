"""Trial: the report-only header of what a rule would write, so that browsers report breakage.

Source: CSP Level 3 section 3.2, HTML section 7.1.3 and 7.1.4 (COOP, COEP), Permissions Policy
section 5.2, Subresource Integrity (Integrity-Policy-Report-Only), Reporting API section 3.2
(`Reporting-Endpoints`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from http_sf import Token

from sidecar.policy import csp
from sidecar.policy.browsers.losses import (
    lifts,
    loses_grants,
    loses_sandbox,
    loses_types,
    loses_upgrade,
    taken,
    taken_from_page,
    upgrades,
)
from sidecar.policy.csp.sources import meet, source_list
from sidecar.policy.csp.table import DIRECTIVES, FALLBACKS, NONCES_COUNT_IN
from sidecar.policy.headers import fields
from sidecar.policy.model import Rule
from sidecar.policy.rules.conditions import Finding, RawFields, Seen
from sidecar.policy.terms import GIVING

REPORTS_PATH = "/.well-known/sidecar/reports"
"""Where browsers post; a trial appends `/KEY`, the key of the rule on its route."""

CANARY = "sidecar-canary"
"""The scheme of the address that a canary has browsers preload; no site uses it."""

State: TypeAlias = Literal["carried", "waiting", "silent", "upgraded", "granted"]
"""What became of a report-only header. `carried`: it was sent; `waiting`: the service's own has its
place; `silent`: browsers would not report it here. The others were sent too, but browsers do not
report what the rule would take away: the service's own `upgrade-insecure-requests` (`upgraded`), or
what its Trusted Types, its sandbox or its Permissions-Policy alone give (`granted`).
"""

_CSP, _XFO = b"content-security-policy", b"x-frame-options"
_PERMISSIONS = b"permissions-policy"
_COEP, _COOP = b"cross-origin-embedder-policy", b"cross-origin-opener-policy"
_CSP_REPORT_ONLY = b"Content-Security-Policy-Report-Only"
_COOP_REPORT_ONLY = b"Cross-Origin-Opener-Policy-Report-Only"


class ReportOnly(NamedTuple):
    """What a trial adds to one response for one rule: `lines` are () where nothing goes along."""

    position: int
    """Of the rule, among the rules of its route."""
    state: State
    lines: tuple[tuple[bytes, bytes], ...]


def has_report_only(rule: Rule) -> bool:
    """Whether browsers have a report-only form of what this complete rule writes."""
    return rule.action in GIVING and any(name.encode() in _REPORT_ONLY for name in rule.names)


def by_api(rule: Rule) -> bool:
    """Whether the Reporting API reports any of the rule's headers: later, over https only."""
    names = (name.encode() for name in rule.names)
    return any(_REPORT_ONLY[name].api for name in names if name in _REPORT_ONLY)


def looks(rule: Rule) -> frozenset[bytes]:
    """The lower-case names of a response's lines that decide what a trial of the rule can send."""
    names = [name.encode() for name in rule.names]
    found = {_REPORT_ONLY[name].name.lower() for name in names if name in _REPORT_ONLY}
    found |= {_CSP, _XFO} if {_CSP, _XFO} & set(names) else set()
    return frozenset(found | ({_COOP, _COOP_REPORT_ONLY.lower()} if _COEP in names else set()))


def report_only(finding: Finding, key: str, scheme: str, seen: Seen) -> ReportOnly | None:
    """What reports instead of enforcing one finding; None where browsers have no such form.

    `key` names the rule on its route in the reports' address; `seen` are the lines of the response.
    """
    row = _REPORT_ONLY.get(finding.key)
    if row is None or not finding.after:
        return None
    position = finding.position
    if finding.key == _XFO and csp.names_ancestors(seen.get(_CSP, ())):
        return None
    if row.api and scheme != "https":
        return ReportOnly(position, "silent", ())
    if row.single and row.name.lower() in seen:
        return ReportOnly(position, "waiting", ())
    # An append adds a line; for every other action `after` is the whole header.
    added = finding.after[len(finding.before) :] if finding.action == "append" else finding.after
    if finding.key == _CSP:
        added = tuple(_news(value, finding.before) for value in added)
    values = [text for value in added for text in row.values(value.decode("latin-1"), key)]
    if finding.key == _CSP and upgrades(finding.before) and upgrades(finding.after):
        # Browsers report an address before they upgrade it, and http: matches https: too (CSP3
        # section 6.7.2.7).
        values = [
            text.replace("https:", "http:").replace("wss:", "ws:")
            for text in values
            if not text.startswith(_SECURE_ONLY)
        ]
    if finding.key == _CSP and lifts(finding.before, finding.after):
        values += [
            one for xfo in seen.get(_XFO, ())[:1] for one in _framing(xfo.decode("latin-1"), key)
        ]
    if not values:
        return ReportOnly(position, "silent", ())
    lines = [(row.name, value.encode("latin-1")) for value in values]
    if finding.key == _PERMISSIONS:
        lines += [(_CSP_REPORT_ONLY, one) for value in added for one in _frames(value, key)]
    if finding.key == _COEP and _isolates(seen):
        lines.append((_COOP_REPORT_ONLY, f'same-origin; report-to="{endpoint(key)}"'.encode()))
    if finding.key == _COEP and any(b"credentialless" in value.lower() for value in added):
        lines.append((_CSP_REPORT_ONLY, f"{_OWN_ONLY}; report-uri {REPORTS_PATH}/{key}".encode()))
    if row.api:
        lines.append((b"Reporting-Endpoints", f'{endpoint(key)}="{REPORTS_PATH}/{key}"'.encode()))
    return ReportOnly(position, _state(finding, scheme), tuple(lines))


_OWN_ONLY = "; ".join(
    f"{name} 'self' data: blob: filesystem:{code}"
    for name, code in (
        ("img-src", ""),
        ("media-src", ""),
        ("script-src", " 'unsafe-inline' 'unsafe-eval'"),
        ("style-src", " 'unsafe-inline'"),
    )
)
"""Reports what COEP's `credentialless` loads without cookies: where CORP allows it, COEP's own
report-only header says nothing (Fetch section 2.2.5).
"""


def _isolates(seen: Seen) -> bool:
    """Whether the service's own COOP parts, with COEP beside it, a page from those without COEP:
    the report-only headers of both report that together (HTML section 7.1.3.2).
    """
    own = seen.get(_COOP, (b"",))[0].partition(b";")[0].strip().lower()
    return own == b"same-origin" and _COOP_REPORT_ONLY.lower() not in seen


def _state(finding: Finding, scheme: str) -> State:
    """What comes of a report-only header that is sent."""
    if finding.key == _PERMISSIONS and loses_grants(finding.before, finding.after or ()):
        return "granted"
    if finding.key != _CSP or finding.after is None:
        return "carried"
    if loses_upgrade(finding.before, finding.after):
        return "upgraded"
    if loses_types(finding.before, finding.after) or loses_sandbox(finding.before, finding.after):
        return "granted"
    # Links within the host are upgraded too, and of these nothing is reported (Upgrade Insecure
    # Requests section 3.2): over https they were safe before.
    links = scheme == "http" and loses_upgrade(finding.after, finding.before)
    return "silent" if links else "carried"


def endpoint(key: str) -> str:
    """The name of a key's reporting endpoint: it must begin with a letter (RFC 9651)."""
    return f"sidecar-{key}"


class _Row(NamedTuple):
    name: bytes
    values: Callable[[str, str], list[str]]
    """The report-only header's values, for the value that would be written and the key."""
    single: bool
    """Only one line or member counts: the service's own goes first."""
    api: bool
    """Delivered by the Reporting API, which browsers use on https only."""


_LEFT_OUT = frozenset(
    {"sandbox", "upgrade-insecure-requests", "block-all-mixed-content", "report-uri", "report-to"}
)
"""Of no effect in a report-only policy, or replaced by the trial's own destination."""
_SECURE_ONLY = (
    "default-src https: wss: data: blob: filesystem: mediastream: 'unsafe-inline' 'unsafe-eval'"
    " 'wasm-unsafe-eval'; form-action https:"
)
"""Reports exactly what `upgrade-insecure-requests` would load over https instead."""


def _csp(value: str, key: str) -> list[str]:
    """Each policy with the trial's destination: `report-uri`, which works at once and over http.

    Where Trusted Types are asked for, the policies that a page makes are reported too: one called
    default runs on every text, also under a report-only line (Trusted Types section 4.2).
    """
    made, report = [], f"report-uri {REPORTS_PATH}/{key}"
    for policy in csp.parse(value):
        kept = [_sampled(one) for one in policy.directives if one.name not in _LEFT_OUT]
        if kept:
            made.append("; ".join((*kept, report)))
        if policy.get("upgrade-insecure-requests"):
            made.append(f"{_SECURE_ONLY}; {report}")
        if policy.get("require-trusted-types-for") and not policy.get("trusted-types"):
            made.append(f"trusted-types 'none'; {report}")
    return made


_OPEN = (
    *("*", "data:", "blob:", "filesystem:", "mediastream:"),
    *("'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'"),
)


def _news(value: bytes, before: Iterable[bytes]) -> bytes:
    """The policy with those directives opened that stop no more than one of the service's own: what
    that blocks is blocked today, and a report would say nothing new.
    """
    own = [policy for line in before for policy in csp.parse(line.decode("latin-1"))]
    if not own:
        return value
    made = []
    for policy in csp.parse(value.decode("latin-1")):
        directives = [
            directive._replace(values=(*_OPEN, *_schemes(directive)))
            if any(_stops(one, policy, directive) for one in own)
            else directive
            for directive in policy.directives
        ]
        made.append(csp.CspPolicy(tuple(directives)))
    return csp.serialise(*made).encode("latin-1")


def _schemes(directive: csp.CspDirective) -> list[str]:
    """Those that it names, such as `myapp:`, of which `*` has only some."""
    return [word for word in directive.values if word.endswith(":") and word not in _OPEN]


def _stops(own: csp.CspPolicy, policy: csp.CspPolicy, directive: csp.CspDirective) -> bool:
    """Whether `own` allows nothing that this directive of `policy` forbids."""
    if DIRECTIVES.get(directive.name) != "sources":
        return False
    ruled = {name for name in FALLBACKS if csp.effective(policy, name) is directive}
    allowed = source_list(directive.values)
    for name in ruled | {directive.name}:
        governing = csp.effective(own, name)
        if governing is None:
            return False
        sources = source_list(governing.values)
        if sources.keys() - meet(sources, allowed).keys():
            return False
    return True


def _sampled(directive: csp.CspDirective) -> str:
    """The directive with 'report-sample': reports quote the beginning of what was blocked."""
    words = directive.values
    if directive.name in NONCES_COUNT_IN and "'report-sample'" not in (
        word.lower() for word in words
    ):
        words = (*(word for word in words if word.lower() != "'none'"), "'report-sample'")
    return " ".join((directive.name, *words))


def _framing(value: str, key: str) -> list[str]:
    """X-Frame-Options as the CSP directive that replaced it (HTML section 7.1.6)."""
    ancestors = {"deny": "'none'", "sameorigin": "'self'"}.get(value.strip().lower())
    if ancestors is None:
        return []
    return [f"frame-ancestors {ancestors}; report-uri {REPORTS_PATH}/{key}"]


def _item(value: str, key: str) -> list[str]:
    """COOP and COEP: the token, with the trial's endpoint."""
    parsed = fields.parse_item(value).value
    return [] if parsed is None else [fields.serialise((parsed[0], {"report-to": endpoint(key)}))]


def _permissions(value: str, key: str) -> list[str]:
    """Permissions-Policy: each feature reports by itself."""
    parsed = fields.parse_dictionary(value).value
    if not parsed:
        return []
    reports = {"report-to": Token(endpoint(key))}
    reporting = {name: (member, own | reports) for name, (member, own) in parsed.items()}
    return [fields.serialise(reporting)]


def _frames(value: bytes, key: str) -> list[bytes]:
    """A CSP that reports frames of other origins: browsers never report what these are refused.

    Origins that keep every feature are left out.
    """
    text = value.decode("latin-1")
    kept = [*taken(text).values()]
    if not kept:
        return []
    common = frozenset.intersection(*kept)
    origins = sorted(origin for origin in common if not set(origin) & set(" ;,"))
    own = () if taken_from_page(text) else ("'self'", "blob:")
    sources = " ".join((*own, "about:", *origins))
    return [f"frame-src {sources}; report-uri {REPORTS_PATH}/{key}".encode("latin-1", "replace")]


def _integrity(value: str, key: str) -> list[str]:
    parsed = fields.parse_dictionary(value).value
    if not parsed:
        return []
    return [fields.serialise({**parsed, "endpoints": ([(Token(endpoint(key)), {})], {})})]


def _by_api(name: str, values: Callable[[str, str], list[str]]) -> _Row:
    return _Row(f"{name}-Report-Only".encode(), values, single=True, api=True)


_REPORT_ONLY: Mapping[bytes, _Row] = {
    _CSP: _Row(_CSP_REPORT_ONLY, _csp, single=False, api=False),
    _XFO: _Row(_CSP_REPORT_ONLY, _framing, single=False, api=False),
    b"cross-origin-embedder-policy": _by_api("Cross-Origin-Embedder-Policy", _item),
    b"cross-origin-opener-policy": _by_api("Cross-Origin-Opener-Policy", _item),
    _PERMISSIONS: _by_api("Permissions-Policy", _permissions),
    b"integrity-policy": _by_api("Integrity-Policy", _integrity),
}


def added(report_only: tuple[ReportOnly, ...]) -> RawFields:
    """All lines that trials add."""
    return [line for one in report_only for line in one.lines]
