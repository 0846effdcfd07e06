"""One row for each header of a response, sent or missing: verdict, why it matters, fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sidecar.audit import fixes
from sidecar.audit.fixes import Fix
from sidecar.audit.observatory import JudgedVisit
from sidecar.audit.observatory_parts import is_deletion, policy_of
from sidecar.audit.oshp import is_due, recommended, removed
from sidecar.audit.visit import Visit, shown
from sidecar.observed import ObservedResponse
from sidecar.policy import csp, headers
from sidecar.policy.csp.weaknesses import comma_faults
from sidecar.policy.data import read_table
from sidecar.policy.faults import Fault
from sidecar.policy.headers import Header, cookies, destinations

HeaderVerdict: TypeAlias = Literal["good", "weak", "missing", "invalid", "leaks"]
TEXTS = read_table("sidecar.audit", "texts.json")
"""What rows say, beside what the tables of headers and faults say. `copies`: how browsers treat a
repeated header (`Header.repeats`); `about`: the verdicts in short.
"""
_NEEDED = {
    "object-src": ("'none'",),
    "base-uri": ("'self'",),
    "form-action": ("'self'",),
    "frame-ancestors": ("'none'",),
}
"""What every Content Security Policy should govern, and a value to begin with."""
_WORST = ("cookie-not-secure", "cookie-readable")
_SPELT = {"httponly": "HttpOnly", "samesite": "SameSite"}
_REPORTING = "content-security-policy-report-only"


@dataclass(frozen=True, slots=True)
class JudgedHeader:
    """The verdict on one header (or one cookie). All texts are safe to show."""

    header: str
    verdict: HeaderVerdict
    why: str
    """One sentence: what is wrong and what follows, or what the header is for."""
    observed: tuple[str, ...] = ()
    """The values, without cookie values, nonces and query strings."""
    more: tuple[str, ...] = ()
    """What else is wrong."""
    advice: str = ""
    """What the service itself can do."""
    fix: Fix | None = None
    """What the sidecar can do."""
    spec: str = ""

    @property
    def said(self) -> tuple[str, ...]:
        """All that is said of it, sentence by sentence."""
        return (self.why, *self.more, *((f"Fix: {self.advice}",) if self.advice else ()))


def verdicts(seen: JudgedVisit) -> tuple[JudgedHeader, ...]:
    """The rows of a page: the recommended headers first, then what else is sent. Total."""
    response, visit = seen.response, seen.visit
    return (
        *(*_recommended(seen), *_others(response)),
        *(*_cookies(visit), *_cors(visit), *_leaks(response)),
    )


def _recommended(seen: JudgedVisit) -> Iterator[JudgedHeader]:
    response = seen.response
    framed = policy_of(response.values("content-security-policy"))
    # What the page's meta elements say in place of a header.
    written = {"content-security-policy": seen.metas}
    if seen.page and seen.page.referrer is not None:
        written["referrer-policy"] = (seen.page.referrer,)
    for one in recommended():
        row = one.row
        if values := response.values(one.header) or written.get(row.key, ()):
            found = _judged(row, values, response)
            yield _completed(found, response) if row.key == "content-security-policy" else found
        elif row.key == "x-frame-options" and framed is not None and framed.get("frame-ancestors"):
            yield JudgedHeader(row.name, "good", TEXTS["instead"], spec=row.spec)
        elif is_due(row, response):
            fix = fixes.for_header(row, present=False)
            yield JudgedHeader(row.name, "missing", row.purpose, fix=fix, spec=row.spec)


def _completed(row: JudgedHeader, response: ObservedResponse) -> JudgedHeader:
    """The row of a policy that is sound but for what it leaves ungoverned."""
    policy = policy_of(response.values(row.header))
    faults = headers.header_faults(row.header, ", ".join(response.values(row.header)))
    if (
        policy is None
        or not policy.directives
        or row.verdict == "invalid"
        or any(fault.code != "csp-base-open" for fault in faults)
    ):
        return row
    framed = response.first("x-frame-options").lower() in ("deny", "sameorigin")
    lacking = {
        name: value
        for name, value in _NEEDED.items()
        if not csp.effective(policy, name) and not (framed and name == "frame-ancestors")
    }
    if not lacking:
        return row
    why = f"It says nothing of {', '.join(lacking)}, so all of that is allowed."
    more = () if row.verdict == "good" else (row.why, *row.more)
    advice, fix = "Name what it leaves out.", fixes.for_policy(lacking)
    return replace(row, verdict="weak", why=why, more=more, advice=advice, fix=fix)


def _others(response: ObservedResponse) -> Iterator[JudgedHeader]:
    """Known headers beyond the recommended: reported where they are wrong or protect."""
    done = {one.header.lower() for one in recommended()} | {"set-cookie"} | removed().keys()
    for name in dict.fromkeys(name.decode("latin-1").lower() for name, _ in response.fields):
        row, values = headers.get(name), response.values(name)
        if row is None and (known := headers.meant(name)):
            why = f"Its name is almost {known}: browsers do not know it."
            observed = tuple(map(shown, values))
            yield JudgedHeader(shown(name), "invalid", why, observed, (), f"Write {known}.")
        if row is None or name in done:
            continue
        found = _judged(row, values, response)
        if row.key == _REPORTING and not any(
            policy.get("report-uri") or policy.get("report-to")
            for policy in csp.parse(", ".join(values))
        ):
            advice = "Name an address with report-uri and report-to."
            found = replace(found, verdict="invalid", why=TEXTS["nowhere"], more=(), advice=advice)
        if found.verdict != "good" or row.strong or row.tokens or row.key == _REPORTING:
            yield found


def _judged(row: Header, values: tuple[str, ...], response: ObservedResponse) -> JudgedHeader:
    together = values[:1] if row.repeats == "first" else values
    if not row.single:
        together = (", ".join(values),)
    faults = dict.fromkeys(
        fault
        for value in together
        for fault in headers.header_faults(row.name, value, response.place.scheme or "https")
    )
    if row.grammar == "csp":
        faults |= dict.fromkeys(fault for value in values for fault in comma_faults(value))
    differ = len(set(values)) > 1 or row.repeats == "invalid"
    copies = TEXTS["copies"].get(row.repeats, "") if len(values) > 1 and differ else ""
    advice = "Send it once." if copies else ""
    if row.scope == "https" and response.place.scheme == "http":
        copies = "Browsers ignore it in a response over plain HTTP."
        advice = "Send it over HTTPS only."
    found = _row(row, tuple(map(shown, values)), tuple(faults), copies, advice)
    idle = list(_idle(row, together, response))
    texts = tuple(text for text, _ in idle)
    if idle and found.verdict == "good":
        return replace(found, verdict="weak", why=texts[0], more=texts[1:], advice=idle[0][1])
    return replace(found, more=(*found.more, *texts))


def _idle(
    row: Header, values: tuple[str, ...], response: ObservedResponse
) -> Iterator[tuple[str, str]]:
    """What is of no use in this response: (problem, advice). Endpoints that the value reports to
    and the response does not declare, and upgrades over plain HTTP.
    """
    declaring = destinations.DECLARING.get(row.key, "Reporting-Endpoints")
    declared = destinations.declared(declaring, ", ".join(response.values(declaring)))
    older = destinations.declared("Report-To", ", ".join(response.values("Report-To")))
    named = [name for value in values for name in destinations.named(row, value) or () if name]
    for name in dict.fromkeys(map(shown, (one for one in named if one not in declared | older))):
        why = f"It reports to {name}, which {declaring} does not name, so these reports go nowhere."
        yield why, f"Send {declaring} with {name} in it."
    asked = row.key == "content-security-policy" and response.place.scheme == "http"
    if asked and any(
        policy.get("upgrade-insecure-requests") for value in values for policy in csp.parse(value)
    ):
        yield TEXTS["upgrades"], "Send upgrade-insecure-requests over HTTPS only."


def _row(
    row: Header, observed: tuple[str, ...], faults: tuple[Fault, ...], copies: str, advice: str
) -> JudgedHeader:
    if not faults and not copies:
        return JudgedHeader(row.name, "good", row.purpose, observed, spec=row.spec)
    ordered = sorted(faults, key=lambda fault: fault.verdict)  # invalid before weak
    texts = [text for text in (copies, *(shown(fault.text) for fault in ordered)) if text]
    verdict: HeaderVerdict = "invalid" if copies or ordered[0].verdict == "invalid" else "weak"
    advice = advice or shown(ordered[0].fix)
    fix = fixes.for_header(row, present=True)
    return JudgedHeader(
        row.name, verdict, texts[0], observed, tuple(texts[1:]), advice, fix, row.spec
    )


def _cookies(visit: Visit) -> Iterator[JudgedHeader]:
    """A row for each cookie by name, as the visit set it last."""
    row = headers.get("set-cookie")
    breaks, spec = (row.breaks, row.spec) if row else ("", "")
    responses = (*visit.session, *visit.others)
    lines = {
        cookies.parse(line).name: (line, response)
        for response in responses
        for line in response.values("set-cookie")
    }
    for line, response in lines.values():
        cookie = cookies.parse(line)
        if is_deletion(cookie, response):
            continue
        data = [
            f"{_SPELT.get(name, name.title())}={value}".rstrip("=")
            for name, value in cookie.attributes
            if name
        ]
        observed = (shown("; ".join((cookie.name or "(no name)", *data))),)
        faults = sorted(
            cookies.cookie_faults(line, response.place.scheme or "https"),
            key=lambda fault: (fault.verdict, fault.code not in _WORST),
        )
        if not faults:
            yield JudgedHeader("Set-Cookie", "good", TEXTS["safe-cookie"], observed, spec=spec)
            continue
        fix = fixes.for_cookie(cookie.name, _demands(cookie, response), breaks)
        verdict, advice = faults[0].verdict, shown(faults[0].fix)
        why, *more = (shown(fault.text) for fault in faults)
        yield JudgedHeader("Set-Cookie", verdict, why, observed, tuple(more), advice, fix, spec)


def _demands(cookie: cookies.Cookie, response: ObservedResponse) -> dict[str, str | bool]:
    """The attributes that a cookie lacks and a rule can add."""
    demands: dict[str, str | bool] = {}
    if cookie.get("secure") is None and response.place.scheme != "http":
        demands["Secure"] = True
    if cookie.get("httponly") is None and not cookies.is_readable_csrf(cookie.name):
        demands["HttpOnly"] = True
    if (cookie.get("samesite") or "").lower() not in ("strict", "lax", "none"):
        demands["SameSite"] = "Lax"
    return demands


def _cors(visit: Visit) -> Iterator[JudgedHeader]:
    probe, name = visit.probe, "Access-Control-Allow-Origin"
    if probe is None or not visit.origin or probe.first(name) != visit.origin:
        return
    if probe.first("access-control-allow-credentials").lower() == "true":
        rule = {"header": "Access-Control-Allow-Credentials", "action": "remove"}
        breaks = "Scripts of other origins that read responses with the visitor's cookies."
        fix = Fix("cors-credentials", rule, breaks)
        advice = "Compare the request's origin with a list, and name only an origin of the list."
        spec = "https://fetch.spec.whatwg.org/#http-access-control-allow-origin"
        yield JudgedHeader(name, "weak", TEXTS["mirrored"], (visit.origin,), (), advice, fix, spec)


def _leaks(response: ObservedResponse) -> Iterator[JudgedHeader]:
    for name in dict.fromkeys(name.decode("latin-1").lower() for name, _ in response.fields):
        if name in removed():
            row, spelt = headers.get(name), removed()[name]
            why, spec = (row.purpose, row.spec) if row else (TEXTS["discloses"], "")
            observed = tuple(map(shown, response.values(name)))
            yield JudgedHeader(spelt, "leaks", why, observed, fix=fixes.removal(spelt), spec=spec)
