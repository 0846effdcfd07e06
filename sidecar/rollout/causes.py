"""What browsers reported of rules in trial, as causes: what was blocked, where, and whose it is.

In bounded memory, whatever is posted.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from sidecar.policy.browsers.reports import RANKS, BrowserReport
from sidecar.policy.browsers.trial import CANARY
from sidecar.policy.engine.plan import Plan
from sidecar.rollout.isolation import (
    FRAME,
    WORKER,
    RuleContext,
    both_ends,
    framed,
    other_page,
    parted_already,
    rule_context,
    unclear,
    uncredentialed,
    unreported,
)
from sidecar.rollout.model import Cause, CauseKind
from sidecar.rollout.served_pages import ServedPages, hashed_clients

MAX_OF_RULE = 200
MAX_CAUSES = 2_000
PER_MINUTE = 60
"""Reports of one client that count in a minute; more are ignored, as they may be forged."""
_CLIENTS = 16
_MAX_CLIENTS = 4_096
_PAGES = 5
_ADDRESSES = 8
_IMAGE_STYLE = "display: block;-webkit-user-select: none"
"""How Chromium 156 begins the style of an image that is opened by itself."""
_DISTINCT = 8
"""A sample of so many characters is not in other code by chance."""
_NOTHING = RuleContext()


def classify(
    report: BrowserReport,
    served: ServedPages,
    route: str,
    pages: Sequence[str] = (),
    addresses: Sequence[str] = (),
    context: RuleContext = _NOTHING,
) -> tuple[CauseKind, str]:
    """Who caused a report, and why we say so: what is in a page that we served is the site's own.

    `pages` and `addresses` are those of other reports of the cause; `context` is how the rule is
    judged. That something is in no page counts only where each page was read often enough; before
    that, the source that the browser names counts.
    """
    if report.noise:
        return _of_extension(report, served, route)
    own_style = report.sample == _IMAGE_STYLE and report.directive == "style-src-attr"
    if own_style and not any(served.has_read(path) for path in {report.document, *pages}):
        return "noise", "the browser's own style for an image that is opened by itself"
    if context.unlike:
        return "unexplained", "COOP parts pages with COEP from those without, whatever their origin"
    if context.alike or (context.agrees and context.leaves and report.directive != WORKER):
        return other_page(served, (report.blocked, *addresses), context)
    if context.features and report.type == "csp-violation":
        return framed(report, served, route, addresses, context)
    if not report.origin:
        return "unexplained", "the report names no page"
    if context.credentialless and report.directive == "corp":
        return uncredentialed(served, route, (report.blocked, *addresses))
    if why := unclear(report, context):
        return "unexplained", why
    source, page = report.source, f"{report.origin}{report.document}"
    own = source.startswith(f"{report.origin}/")
    known = all(served.knows(route, path) for path in {report.document, *pages})
    if own and source != page:
        return "script", f"a script of the site caused it: {urlsplit(source).path}"
    if source and not own:
        if not known or served.linked(route, "script-src", source):
            return "script", f"the script {source} caused it"
        return "unserved", f"the script {source} caused it, which is in no page that we served"
    if _stands(report, served, route, addresses):
        return "served", "it is in a page that we served"
    if known and _would_stand(report):
        return "unserved", "it is in no page that we served"
    if own:
        return "served", "it is in the page, or the page's own inline script made it"
    return "served", "the browser met it while it loaded the page"


def _of_extension(report: BrowserReport, served: ServedPages, route: str) -> tuple[CauseKind, str]:
    """An extension is named. A site may use one on purpose, as one of its own."""
    source, scheme = report.source, report.blocked.partition(":")[0]
    if source.startswith(f"{report.origin}/") and source != f"{report.origin}{report.document}":
        return "unexplained", f"a script of the site uses an extension: {urlsplit(source).path}"
    if scheme.endswith("extension") and served.uses_scheme(route, scheme):
        return "unexplained", "a page that we served uses an extension itself"
    return "noise", "a browser extension caused it"


def _would_stand(report: BrowserReport) -> bool:
    """Whether a page would hold it: code with a sample, or an address of another origin."""
    if report.type != "csp-violation" or "-src" not in report.directive:
        return False
    if report.blocked == "inline":
        return bool(report.sample)
    parts = urlsplit(report.blocked)
    return bool(parts.netloc) and f"{parts.scheme}://{parts.netloc}" != report.origin


def _stands(
    report: BrowserReport, served: ServedPages, route: str, addresses: Sequence[str]
) -> bool:
    """Whether a page has it as code, as an address, or named in the page's own inline code."""
    if not _would_stand(report):
        return False
    if report.blocked == "inline":
        sample = report.sample.strip()
        if served.quoted(route, report.directive, sample):
            return True
        return len(sample) >= _DISTINCT and served.named(route, sample)
    if any(served.linked(route, report.directive, one) for one in (report.blocked, *addresses)):
        return True
    return served.named(route, urlsplit(report.blocked).netloc)


@dataclass(slots=True)
class _OpenCause:
    """A cause that grows."""

    report: BrowserReport
    first: float
    last: float
    context: RuleContext = _NOTHING
    verdict: tuple[CauseKind, str] = ("unexplained", "")
    seen: tuple[int, int, int] | None = None
    """What the verdict is based on: the version of `served`, how many pages and addresses."""
    count: int = 0
    clients: set[bytes] = field(default_factory=set)
    engines: set[str] = field(default_factory=set)
    pages: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)


class Causes:
    """The causes of all rules in trial; clients are known by a hash of this process alone."""

    def __init__(
        self, clock: Callable[[], float] = time.time, served: ServedPages | None = None
    ) -> None:
        self._clock = clock
        self._served = served or ServedPages()
        self._client = hashed_clients()
        self._held: dict[tuple[str, str], dict[str, _OpenCause]] = {}
        self._keys: Mapping[str, tuple[str, str]] = {}
        self._plan: Plan
        self._contexts: Mapping[tuple[str, str], RuleContext] = {}
        self._isolated: dict[tuple[str, str], set[bool]] = {}
        self._reported: dict[bytes, int] = {}
        self._minute = 0
        self.overflow = 0
        """Reports beyond the bound, or too many from one client."""

    def activated(self, plan: Plan) -> None:
        """Another plan is in force: causes of rules whose meaning changed are gone."""
        kept = {key: place for key, place in plan.trials.items() if self._keys.get(key) == place}
        self._held = {place: self._held[place] for place in kept.values() if place in self._held}
        self._isolated = {}
        self._keys = plan.trials
        self._plan = plan
        self._contexts = {
            (route.name, route.rules[index].name): rule_context(route.rules[index].named.rule)
            for route in plan.routes
            for index in route.trials
        }

    def add(
        self, key: str, report: BrowserReport, client: str, engine: str
    ) -> tuple[str, str, str] | None:
        """Count one report; returns route, rule and kind, or None when it does not count.

        The kind is "dropped" where a report that could count against the rule found no room: then
        silence is no proof. Forged reports delay a promotion; they never cause one by crowding out
        the others.
        """
        place = self._keys.get(key)
        if place is None or not report.breaks or _is_canary(report, engine):
            return None
        context = self._contexts.get(place, _NOTHING)
        if context.features and report.type == "csp-violation":
            report = replace(report, directive=FRAME)
        if context.credentialless and report.type == "csp-violation":
            report = replace(report, type="coep", directive="corp")
        if context.typed and report.directive == "trusted-types" and report.sample != "default":
            return None  # only the default policy runs unasked
        if parted_already(report, context):
            return None
        if ends := both_ends(self._plan, place[1], report):
            unlike = self._unlike(place, report)
            if ends == "any" and report.directive != WORKER and not unlike and not context.leaves:
                return None  # what a worker loads is never reported
            context = replace(context, agrees=ends == "any", alike=ends == "page", unlike=unlike)
        who = self._client(client)
        held, identity = self._held.setdefault(place, {}), _identity(place, report)
        cause = held.get(identity)
        if not self._within_rate(who):
            self.overflow += 1
            return None if cause is not None or report.noise else (*place, "dropped")
        if cause is None:
            now, verdict = self._clock(), classify(report, self._served, place[0], context=context)
            cause = _OpenCause(report, now, now, context, verdict)
            if not self._has_room(held, cause):
                self.overflow += 1
                return None if report.noise else (*place, "dropped")
            held[identity] = cause
        elif (report.source, report.origin) != (cause.report.source, cause.report.origin):
            # A forged report that came first must not hide that the site itself caused it.
            kind, _ = classify(report, self._served, place[0], context=context)
            if RANKS[kind] < RANKS[cause.verdict[0]]:
                cause.report, cause.context, cause.seen = report, context, None
        cause.count += 1
        cause.last = self._clock()
        if len(cause.clients) < _CLIENTS:
            cause.clients.add(who)
        if engine:
            cause.engines.add(engine)
        if len(cause.pages) < _PAGES and report.document not in cause.pages:
            cause.pages.append(report.document)
        if len(cause.addresses) < _ADDRESSES and report.blocked not in cause.addresses:
            cause.addresses.append(report.blocked)
        return (*place, self._judged(place[0], cause)[0])

    def _unlike(self, place: tuple[str, str], report: BrowserReport) -> bool:
        """Whether pages of the rule were seen with COEP and without."""
        seen = self._isolated.setdefault(place, set())
        if report.isolated is not None:
            seen.add(report.isolated)
        return report.type == "coop" and len(seen) > 1

    def _judged(self, route: str, cause: _OpenCause) -> tuple[CauseKind, str]:
        """Whose a cause is by what is known now: pages may be read after the report came."""
        seen = self._served.version(route), len(cause.pages), len(cause.addresses)
        if cause.seen != seen:
            cause.seen = seen
            known = (cause.pages, cause.addresses, cause.context)
            cause.verdict = classify(cause.report, self._served, route, *known)
        return cause.verdict

    def of(self, route: str, rule: str) -> tuple[Cause, ...]:
        """The causes of one rule on one route: the site's own first, the most frequent first."""
        held = self._held.get((route, rule), {})
        for cause in held.values():
            self._judged(route, cause)
        made = [_frozen(identity, route, rule, cause) for identity, cause in held.items()]
        context = self._contexts.get((route, rule), _NOTHING)
        for directive, blocked, why in unreported(self._served, route, context):
            report = BrowserReport("other", directive, "report", blocked, "", noise=False)
            silent = _OpenCause(report, 0.0, 0.0, verdict=("unexplained", why))
            made.append(_frozen(_identity((route, rule), report), route, rule, silent))
        return tuple(sorted(made, key=lambda cause: (RANKS[cause.kind], -cause.count, cause.id)))

    def all(self) -> tuple[Cause, ...]:
        """Every cause, rule by rule."""
        return tuple(cause for place in self._held for cause in self.of(*place))

    def summary(self) -> dict[str, Any]:
        """All of them as data, and how many reports found no room."""
        return {"causes": [asdict(cause) for cause in self.all()], "overflow": self.overflow}

    def _within_rate(self, who: bytes) -> bool:
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._reported = minute, {}
        count = self._reported.get(who, 0)
        if count >= PER_MINUTE or (not count and len(self._reported) >= _MAX_CLIENTS):
            return False
        self._reported[who] = count + 1
        return True

    def _has_room(self, held: dict[str, _OpenCause], new: _OpenCause) -> bool:
        """Make room for one more: a cause of a lower kind is dropped for one of a higher."""
        if len(held) < MAX_OF_RULE and sum(map(len, self._held.values())) < MAX_CAUSES:
            return True
        rank = {identity: (RANKS[it.verdict[0]], -it.count) for identity, it in held.items()}
        worst = max(rank, key=rank.__getitem__, default=None)
        if worst is None or rank[worst][0] <= RANKS[new.verdict[0]]:
            return False
        del held[worst]
        return True


def _is_canary(report: BrowserReport, engine: str) -> bool:
    """The canary's preload, which rules in trial report too: its own scheme; in Firefox a data:
    address that no line of a page asks for.
    """
    if report.blocked.rstrip(":") == CANARY:
        return True
    if engine != "firefox":
        return False
    preload = report.blocked in ("data", "data:") and not report.source and not report.line
    return preload and report.directive in ("connect-src", "default-src")


def _identity(place: tuple[str, str], report: BrowserReport) -> str:
    """Equal for reports of one cause: rule, directive, blocked origin or beginning of the code."""
    parts = urlsplit(report.blocked)
    blocked = f"{parts.scheme}://{parts.netloc}" if parts.netloc else report.blocked
    if report.origin and blocked == report.origin:
        blocked = "'self'"
    source = report.source if report.blocked == "eval" else ""
    about = (report.type, report.directive, blocked, report.sample, source, str(report.noise))
    what = (*place, *about)
    return hashlib.sha256("\0".join(what).encode("utf-8", "replace")).hexdigest()[:8]


def _frozen(identity: str, route: str, rule: str, held: _OpenCause) -> Cause:
    report, (kind, why) = held.report, held.verdict
    about = (report.type, report.directive, report.blocked, report.sample, report.source)
    seen = (tuple(held.pages), held.count, len(held.clients), tuple(sorted(held.engines)))
    times = (held.first, held.last)
    addresses = tuple(held.addresses)
    return Cause(
        *(identity, route, rule, kind, *about, *seen, *times, why, report.origin, addresses)
    )
