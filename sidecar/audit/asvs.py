"""OWASP ASVS 5.0.0, section V3.4 (browser security mechanism headers), for one page.

A control is about a whole application; each result names the responses of the visit that it is
about. Source: OWASP Application Security Verification Standard 5.0.0, V3.4.1 to V3.4.8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from sidecar.audit.observatory import JudgedVisit, look
from sidecar.audit.observatory_parts import policy_of
from sidecar.audit.visit import HTML_TYPES, Visit, shown
from sidecar.observed import ObservedResponse, without_query
from sidecar.policy import csp
from sidecar.policy.csp.sources import source_list
from sidecar.policy.headers import destinations
from sidecar.policy.headers.tokens import parse_hsts, referrer_policy
from sidecar.policy.words import counted
from sidecar.sarif import Finding, log, place
from sidecar.templates import page as filled_page

Outcome: TypeAlias = Literal["pass", "fail", "review", "not seen"]
"""`review`: a person has to look; `not seen`: no response could show it."""
Level: TypeAlias = Literal[1, 2, 3]

PROFILE = "asvs-5.0"
SCOPE = (
    "Each result is about the responses that it quotes. The standard asks for all responses of an"
    " application: audit a page of each kind."
)
_HOME = "https://github.com/OWASP/ASVS/blob/v5.0.0/5.0/en/0x12-V3-Web-Frontend-Security.md"
_LEVELS = {"fail": "error", "review": "warning", "not seen": "note"}
"""Outcome -> level of SARIF (section 3.27.10); what passed is no result."""
YEAR = 31_536_000
"""Seconds."""
_CSP = "content-security-policy"
_KEEPS_PATHS = {"no-referrer", "same-origin", "origin", "strict-origin"} | {
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
}
"""Referrer policies that give other origins no path and no query."""
_ANY_SITE = frozenset({"*", "http:", "https:", "http://*", "https://*"})


@dataclass(frozen=True, slots=True)
class ObservedLine:
    """A header line of one response as `NAME: VALUE`, or `no NAME` without it."""

    url: str
    line: str

    def __str__(self) -> str:
        return f"{self.url} {self.line}"


@dataclass(frozen=True, slots=True)
class ControlResult:
    """One control for one page. All texts are safe to show."""

    control: str
    """As `V3.4.1`."""
    level: Level
    """The lowest level of the standard that asks for it."""
    asks: str
    outcome: Outcome
    why: str
    proof: tuple[ObservedLine, ...]


def controls(visit: Visit, level: Level = 3) -> tuple[ControlResult, ...]:
    """The controls up to this level, in the standard's order; () without a response. Total."""
    seen = look(visit)
    if seen is None:
        return ()
    return tuple(
        ControlResult(control, asked_from, asks, *judge(seen, level))
        for control, asked_from, asks, judge in _CONTROLS
        if asked_from <= level
    )


_Judged: TypeAlias = tuple[Outcome, str, tuple[ObservedLine, ...]]


def _of_host(seen: JudgedVisit) -> tuple[ObservedResponse, ...]:
    """All responses of the page's own host, the page first."""
    host = seen.response.place.hostname
    rest = (*seen.visit.session[:-1], *seen.visit.others)
    return (seen.response, *(one for one in rest if one.place.hostname == host))


def _lines(responses: Iterable[ObservedResponse], name: str) -> tuple[ObservedLine, ...]:
    """What each response sends of a header."""
    return tuple(
        ObservedLine(
            without_query(one.url), f"no {name}" if value is None else f"{name}: {shown(value)}"
        )
        for one in responses
        for value in one.values(name) or (None,)
    )


def _every(
    responses: Iterable[ObservedResponse],
    name: str,
    fault: Callable[[ObservedResponse], str],
    good: str,
) -> _Judged:
    """Fail with the first fault that a response has; the proof is what all of them send."""
    held = tuple(responses)
    faults = [(one, text) for one in held if (text := fault(one))]
    if not faults:
        return "pass", f"{good} ({counted(len(held), 'response')} seen).", _lines(held, name)
    url = without_query(faults[0][0].url)
    return "fail", f"{url} {faults[0][1]}", _lines([one for one, _ in faults], name)


def _hsts(seen: JudgedVisit, level: Level) -> _Judged:
    responses = [one for one in _of_host(seen) if one.place.scheme == "https"]
    if not responses:
        why = "No response came over HTTPS, and browsers ignore the header over plain HTTP."
        return "not seen", why, ()

    def fault(response: ObservedResponse) -> str:
        values = response.values("Strict-Transport-Security")
        if not values:
            return "sends no Strict-Transport-Security."
        said = parse_hsts(values[0])  # browsers obey the first line (RFC 6797, section 8.1)
        if not said.valid:
            return "sends a value that browsers cannot read."
        if (said.max_age or 0) < YEAR:
            return f"asks for {said.max_age or 0} seconds; a year is {YEAR}."
        if level > 1 and not said.include_subdomains:
            return "lacks includeSubDomains, which is asked from level 2 on."
        return ""

    return _every(responses, "Strict-Transport-Security", fault, "Every response over HTTPS has it")


def _cors(seen: JudgedVisit, _: Level) -> _Judged:
    name, visit = "Access-Control-Allow-Origin", seen.visit
    asked = (seen.response, *((visit.probe,) if visit.probe else ()))
    proof = _lines(asked, name)
    values = {value for one in asked for value in one.values(name)}
    if visit.origin in values - {""}:
        return "fail", f"An unknown origin ({visit.origin}) may read it.", proof
    if "null" in values:
        return "fail", "The origin null may read it, and any sandboxed page has that origin.", proof
    if "*" in values:
        why = "Every origin may read this response: check that nothing in it is sensitive."
        return "review", why, proof
    if visit.probe is None:
        return "not seen", "No request with a foreign Origin was made.", proof
    return "pass", f"A foreign origin ({visit.origin}) asked, and may not read it.", proof


_NO_POLICY = "No Content-Security-Policy is sent as a header."


def _policy(seen: JudgedVisit, level: Level) -> _Judged:
    proof = _lines((seen.response,), "Content-Security-Policy")
    values = seen.response.values(_CSP)
    policy = policy_of(values)
    if not values or policy is None:
        return "fail", "The policy cannot be read." if values else _NO_POLICY, proof
    lacking = [
        name
        for name in ("object-src", "base-uri")
        if (found := csp.effective(policy, name)) is None or source_list(found.values)
    ]
    if lacking:
        return "fail", f"{' and '.join(lacking)} must come to 'none'.", proof
    scripts = csp.effective(policy, "script-src")
    sources = source_list(scripts.values) if scripts else {}
    secret = any(source.shape in ("nonce", "hash") for source in sources.values())
    if scripts is None or ("'unsafe-inline'" in sources and not secret) or _ANY_SITE & {*sources}:
        why = "Scripts are bound neither to a list of sources nor to nonces or hashes."
        return "fail", why, proof
    if level == 3 and sources and not secret:
        return "fail", "Level 3 asks for nonces or hashes for scripts, and it has none.", proof
    has_nonce = any(source.shape == "nonce" for source in sources.values())
    fresh = " One response cannot show that the nonce changes." * has_nonce
    return "pass", f"It binds scripts, objects and the base address.{fresh}", proof


def _nosniff(seen: JudgedVisit, _: Level) -> _Judged:
    def fault(response: ObservedResponse) -> str:
        values = response.values("X-Content-Type-Options")
        first = values[0].partition(",")[0].strip().lower() if values else ""
        return "" if first == "nosniff" else "does not send nosniff."

    return _every(_of_host(seen), "X-Content-Type-Options", fault, "Every response has nosniff")


def _referrer(seen: JudgedVisit, _: Level) -> _Judged:
    written = seen.page.referrer if seen.page else None
    values = seen.response.values("Referrer-Policy")
    proof = _lines((seen.response,), "Referrer-Policy")
    if written is not None:
        url = without_query(seen.response.url)
        proof = (*proof, ObservedLine(url, f'<meta name="referrer" content="{shown(written)}">'))
    said = referrer_policy(written or "") or referrer_policy(", ".join(values))
    if not said:
        why = "The page sets no referrer policy, so each browser's default holds."
        return "fail", why, proof
    if said not in _KEEPS_PATHS:
        return "fail", f"{said} gives other sites the path and the query.", proof
    return "pass", f"With {said} other sites get no path and no query.", proof


def _framing(seen: JudgedVisit, _: Level) -> _Judged:
    def fault(response: ObservedResponse) -> str:
        policy = policy_of(response.values(_CSP))
        found = policy.get("frame-ancestors") if policy else None
        if found is None:
            xfo = ", and X-Frame-Options alone may not be relied upon"
            return "has no frame-ancestors" + xfo * bool(response.values("X-Frame-Options")) + "."
        return "lets any site frame it." if _ANY_SITE & {*found.values} else ""

    good = "Every response says by whom it may be framed"
    return _every(_of_host(seen), "Content-Security-Policy", fault, good)


def _reporting(seen: JudgedVisit, _: Level) -> _Judged:
    proof = _lines((seen.response,), "Content-Security-Policy")
    policies = csp.parse(", ".join(seen.response.values(_CSP)))
    if any(policy.get("report-uri") for policy in policies):
        return "pass", "Violations are reported by report-uri.", proof
    named = {
        word for policy in policies if (found := policy.get("report-to")) for word in found.values
    }
    header = "Reporting-Endpoints"
    declared = destinations.declared(header, ", ".join(seen.response.values(header)))
    proof = (*proof, *_lines((seen.response,), header))
    if not policies:
        return "fail", _NO_POLICY, proof
    if not named:
        return "fail", "The policy names no place to report violations to.", proof
    if not named & declared:
        return "fail", f"No {header} line of the response declares what report-to names.", proof
    return "pass", "Violations are reported by report-to.", proof


def _opener(seen: JudgedVisit, _: Level) -> _Judged:
    name = "Cross-Origin-Opener-Policy"
    documents = [one for one in _of_host(seen) if one.media_type in HTML_TYPES]
    if not documents:
        return "not seen", "No response of the visit is a document.", ()

    def fault(response: ObservedResponse) -> str:
        said = response.first(name).partition(";")[0].strip()
        good = said in ("same-origin", "same-origin-allow-popups")
        return "" if good else f"does not send {name}: same-origin or same-origin-allow-popups."

    return _every(documents, name, fault, "Every document has it")


_CONTROLS: tuple[tuple[str, Level, str, Callable[[JudgedVisit, Level], _Judged]], ...] = (
    ("V3.4.1", 1, "HSTS for a year or more on every response; from level 2 with subdomains", _hsts),
    ("V3.4.2", 1, "Cross-origin reading for known origins only", _cors),
    ("V3.4.3", 2, "A Content Security Policy that binds scripts, objects and the base", _policy),
    ("V3.4.4", 2, "nosniff on every response", _nosniff),
    ("V3.4.5", 2, "A referrer policy that keeps paths and queries from other sites", _referrer),
    ("V3.4.6", 2, "frame-ancestors on every response", _framing),
    ("V3.4.7", 3, "A Content Security Policy that reports violations", _reporting),
    ("V3.4.8", 3, "Cross-Origin-Opener-Policy on every document", _opener),
)
"""Control, the lowest level that asks for it, what it asks, how it is judged."""

Page: TypeAlias = tuple[Visit, Sequence[ControlResult]]


def data(pages: Iterable[Page]) -> dict[str, Any]:
    """For JSON: `pages`, each with `url`, `controls` and `notes`."""
    found = []
    for visit, results in pages:
        shown = {"url": address(visit), "controls": [asdict(one) for one in results]}
        found.append({**shown, "notes": list(visit.notes)})
    return {"profile": PROFILE, "scope": SCOPE, "pages": found}


def address(visit: Visit) -> str:
    """The page that was judged, fit to be shown."""
    return without_query(visit.page.url if visit.page else visit.url)


def markdown(pages: Iterable[Page]) -> str:
    """One table for each page; ends with a line feed."""
    facts = {"pages": pages, "scope": SCOPE, "address": address}
    return filled_page("sidecar.audit", "asvs.md.jinja", **facts)


def sarif(pages: Iterable[Page]) -> dict[str, Any]:
    """A result for each control that did not pass, tagged with the control."""
    held = tuple(pages)
    found = ((address(visit), one) for visit, results in held for one in results)
    return log(
        (_finding(url, one) for url, one in found if one.outcome != "pass"),
        notes=[("note", f"{address(visit)}: {note}") for visit, _ in held for note in visit.notes],
        successful=all(visit.page is not None for visit, _ in held),
    )


def _finding(url: str, one: ControlResult) -> Finding:
    tags = ["security", "owasp-asvs-5.0", one.control, f"level-{one.level}"]
    about = {
        "shortDescription": {"text": f"{one.asks}."},
        "helpUri": _HOME,
        "properties": {"tags": tags},
    }
    properties = {"outcome": one.outcome, "proof": [str(proof) for proof in one.proof]}
    rule, level = f"{PROFILE}/{one.control}", _LEVELS[one.outcome]
    return Finding(rule, about, level, one.why, place(url), (url, one.control), properties)
