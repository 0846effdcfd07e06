"""The check of a cookie rule: attributes of Set-Cookie lines by cookie name, never values.

The grammar is in `cookies`.
"""

from __future__ import annotations

from sidecar.policy.headers import cookies
from sidecar.policy.model import Rule
from sidecar.policy.rules.checks import Check
from sidecar.policy.rules.conditions import Facts, Seen, conditions
from sidecar.policy.rules.findings import Findings
from sidecar.policy.terms import WRITING, Action, Mode, ViolationKind

_KEY = b"set-cookie"


class CookieCheck(Check):
    """Every Set-Cookie line whose name matches has the attributes that the rule demands.

    HttpOnly is not demanded of CSRF cookies that scripts must read, unless the rule names one.
    """

    __slots__ = ("action", "demands", "kinds", "pattern")

    def __init__(self, rule: str, declared: Rule, index: int, mode: Mode) -> None:
        assert declared.cookie is not None
        self.rule, self.index, self.mode, self.when = rule, index, mode, conditions(declared.when)
        self.header, self.name, self.key = "Set-Cookie", b"Set-Cookie", _KEY
        self.action: Action = declared.action or "set"
        self.kinds: tuple[ViolationKind, ...] = ("mismatch",)
        self.made = mode == "enforce" and self.action in WRITING
        self.pattern = declared.cookie
        self.demands = demands_of(declared)

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        """One finding when any line differs from what is demanded; the lines stay in order."""
        observed = seen.get(_KEY)
        if observed is None:
            return ()
        after = tuple(self._right(line, facts.scheme) for line in observed)
        if after == observed:
            return ()
        return self.finding("mismatch", observed, after if self.action in WRITING else None)

    def _right(self, line: bytes, scheme: str) -> bytes:
        text = line.decode("latin-1")
        if not cookies.matches(self.pattern, cookies.parse(text).name):
            return line
        return cookies.apply(text, self.demands, scheme).encode("latin-1")


def demands_of(rule: Rule) -> cookies.Demands:
    """What a complete cookie rule demands of the cookies that its pattern matches."""
    attributes = rule.attributes
    assert attributes is not None
    return cookies.Demands(
        secure=attributes.secure,
        http_only=attributes.http_only,
        same_site=attributes.same_site,
        partitioned=attributes.partitioned,
        path=attributes.path,
        host_only=attributes.domain is False,
        hide_csrf="*" not in (rule.cookie or ""),
    )
