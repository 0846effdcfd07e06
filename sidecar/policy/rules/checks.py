"""One small class per action: what it finds in a response's header lines, and the edit to fix it.

Everything knowable is known when a check is made; only a mismatch allocates. Of cookies, names and
attributes are judged, never values (`cookies` has the grammar).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from sidecar.policy import headers
from sidecar.policy.faults import Fault, FaultVerdict
from sidecar.policy.headers import cookies
from sidecar.policy.model import Rule
from sidecar.policy.rules.conditions import (
    Ask,
    Condition,
    Facts,
    Finding,
    Findings,
    Seen,
    conditions,
    glob_source,
    scheme_is,
)
from sidecar.policy.terms import WRITING, Action, Mode, ViolationKind


class Check(ABC):
    """What a rule demands of one header, or of several as `MultiHeaderCheck`: one check."""

    __slots__ = ("header", "index", "key", "made", "mode", "name", "rule", "value", "when")
    action: Action
    kinds: tuple[ViolationKind, ...]
    """The kinds of violation that it can find."""

    def __init__(
        self,
        *,
        rule: str,
        header: str,
        index: int,
        mode: Mode,
        when: tuple[Condition, ...],
        declared: Rule,
    ) -> None:
        known = headers.get(header)
        self.rule, self.header, self.index, self.mode = rule, header, index, mode
        self.name = header.encode()
        self.key = self.name.lower()
        self.value = declared.text.encode()
        self.made = mode == "enforce" and self.action in WRITING
        secured = known is not None and known.scope == "https"
        https_only = secured and self.action not in ("remove", "forbid")
        self.when = (scheme_is("https"), *when) if https_only else when

    @abstractmethod
    def judge(self, facts: Facts, seen: Seen) -> Findings:
        """What is wrong with the response; () = nothing."""

    def looks(self) -> frozenset[bytes]:
        """The lower-case names of the response's lines that the judgement depends on."""
        return frozenset({self.key}).union(*(condition.looks for condition in self.when))

    def asks(self) -> tuple[Ask, ...]:
        """What else it depends on, besides scheme and status."""
        return tuple(ask for condition in self.when for ask in condition.asks)

    def finding(
        self, kind: ViolationKind, before: tuple[bytes, ...], after: tuple[bytes, ...] | None
    ) -> Findings:
        """One finding of this check."""
        return (
            Finding(
                self.rule,
                self.index,
                self.header,
                self.name,
                self.key,
                self.action,
                kind,
                self.mode,
                before,
                after,
                self.made,
            ),
        )


class Set(Check):
    """The header is there once, with this value."""

    __slots__ = ("missing", "right")
    action: Action = "set"
    kinds: tuple[ViolationKind, ...] = ("missing", "mismatch", "duplicate")

    def __init__(self, **known: object) -> None:
        super().__init__(**known)  # type: ignore[arg-type]
        self.right = (self.value,)
        self.missing = self.finding("missing", (), self.right)

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        observed = seen.get(self.key)
        if observed is None:
            return self.missing
        if observed == self.right:
            return ()
        repeated = len(observed) > 1 and self.value in observed
        return self.finding("duplicate" if repeated else "mismatch", observed, self.right)


class Default(Set):
    """The header is there; the service's value wins, but a once-only header is not sent twice."""

    __slots__ = ()
    action: Action = "default"
    kinds: tuple[ViolationKind, ...] = ("missing", "duplicate")

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        observed = seen.get(self.key)
        if observed is None:
            return self.missing
        if len(observed) == 1:
            return ()
        copies = [value.decode("latin-1") for value in observed]
        collapsed = headers.collapse(self.header, copies)
        if collapsed is None:
            return ()
        return self.finding("duplicate", observed, (collapsed.encode("latin-1"),))


class Append(Set):
    """One line of the header has this value."""

    __slots__ = ()
    action: Action = "append"
    kinds: tuple[ViolationKind, ...] = ("missing",)

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        observed = seen.get(self.key)
        if observed is None:
            return self.missing
        if self.value in observed:
            return ()
        return self.finding("missing", observed, (*observed, self.value))


class Remove(Check):
    """The header is absent."""

    __slots__ = ()
    action: Action = "remove"
    kinds: tuple[ViolationKind, ...] = ("forbidden",)

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        observed = seen.get(self.key)
        return () if observed is None else self.finding("forbidden", observed, ())


class Merge(Set):
    """The header holds what this value demands, by the header's own grammar."""

    __slots__ = ("merged",)
    action: Action = "merge"
    kinds: tuple[ViolationKind, ...] = ("missing", "mismatch")

    def __init__(self, *, declared: Rule, **known: object) -> None:
        super().__init__(declared=declared, **known)
        ours, header = self.value.decode(), self.header
        widen = bool(declared.widen)

        # Services repeat their values, and parsing costs more than all else here.
        @lru_cache(maxsize=256)
        def merged(observed: tuple[bytes, ...]) -> tuple[bytes, ...]:
            text = ", ".join(value.decode("latin-1") for value in observed)
            after = headers.merge(header, text, ours, widen=widen)
            # Several lines are one list: no need to fold them.
            return observed if after == text else (after.encode("latin-1"),)

        self.merged: Callable[[tuple[bytes, ...]], tuple[bytes, ...]] = merged

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        observed = seen.get(self.key)
        if observed is None:
            return self.missing
        after = self.merged(observed)
        return () if after == observed else self.finding("mismatch", observed, after)


class Require(Check):
    """The header is there, not repeated if single, with the value that is given, or a sound one."""

    __slots__ = ("pattern", "single", "verdict")
    action: Action = "require"
    kinds: tuple[ViolationKind, ...] = ("missing", "mismatch", "duplicate", "weak", "invalid")

    def __init__(self, **known: object) -> None:
        super().__init__(**known)  # type: ignore[arg-type]
        row = headers.get(self.header)
        self.single = row is not None and row.single
        glob = glob_source(self.value.decode()).encode()
        self.pattern = re.compile(glob, re.DOTALL) if self.value else None
        header = self.header

        def verdict(observed: tuple[bytes, ...], scheme: str) -> FaultVerdict | None:
            worst = worst_fault(header, observed, scheme)
            return None if worst is None else worst.verdict

        # As in Merge: services repeat their values. Cookies are secrets and never kept.
        kept = verdict if self.key == b"set-cookie" else lru_cache(maxsize=256)(verdict)
        self.verdict: Callable[[tuple[bytes, ...], str], FaultVerdict | None] = kept

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        observed = seen.get(self.key)
        if observed is None:
            return self.finding("missing", (), None)
        if self.single and len(observed) > 1:
            return self.finding("duplicate", observed, None)
        if self.pattern is None:
            verdict = self.verdict(observed, facts.scheme)
            return () if verdict is None else self.finding(verdict, observed, None)
        if any(map(self.pattern.fullmatch, observed)):
            return ()
        return self.finding("mismatch", observed, None)


def worst_fault(header: str, lines: tuple[bytes, ...], scheme: str) -> Fault | None:
    """The worst fault of a header's lines together, invalid before weak; None = sound."""
    values = [line.decode("latin-1") for line in lines]
    if header.lower() != "set-cookie":
        values = [", ".join(values)]
    found = [fault for value in values for fault in headers.header_faults(header, value, scheme)]
    return min(found, key=lambda fault: fault.verdict, default=None)


class Forbid(Require):
    """The header is absent, or does not have this value."""

    __slots__ = ()
    action: Action = "forbid"
    kinds: tuple[ViolationKind, ...] = ("forbidden",)

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        observed = seen.get(self.key)
        if observed is None:
            return ()
        if self.pattern is not None and not any(map(self.pattern.fullmatch, observed)):
            return ()
        return self.finding("forbidden", observed, None)


class CheckOfAnother(Check):
    """A check in the name of another one's rule."""

    __slots__ = ("action", "kinds")

    def __init__(self, other: Check) -> None:
        self.rule, self.index, self.mode, self.when = (
            other.rule,
            other.index,
            other.mode,
            other.when,
        )
        self.action, self.kinds, self.made = other.action, other.kinds, other.made
        self.header = other.header


class MultiHeaderCheck(CheckOfAnother):
    """One rule over many headers: its conditions are asked once, before any of its changes."""

    __slots__ = ("inner",)

    def __init__(self, inner: list[Check], when: tuple[Condition, ...]) -> None:
        super().__init__(inner[0])
        self.when = when
        self.header = ", ".join(check.header for check in inner)
        self.inner = {check.key: check for check in inner}

    def looks(self) -> frozenset[bytes]:
        """Of all its headers."""
        return frozenset(self.inner).union(*(condition.looks for condition in self.when))

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        return tuple(
            finding
            for check in self.inner.values()
            if all(condition.holds(facts, seen) for condition in check.when)
            for finding in check.judge(facts, seen)
        )


class AnyOf(MultiHeaderCheck):
    """Many names that should be absent: a single look when all are."""

    __slots__ = ()

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        if self.inner.keys().isdisjoint(seen):
            return ()
        return tuple(
            finding
            for key in seen
            if key in self.inner
            for finding in self.inner[key].judge(facts, seen)
        )


class CookieCheck(Check):
    """Every Set-Cookie line whose name matches has the attributes that the rule demands.

    HttpOnly is not demanded of CSRF cookies that scripts must read, unless the rule names one.
    """

    __slots__ = ("action", "demands", "pattern")
    kinds: tuple[ViolationKind, ...] = ("mismatch",)

    def __init__(self, *, declared: Rule, **known: object) -> None:
        assert declared.cookie is not None
        self.action: Action = declared.action or "set"
        super().__init__(header="Set-Cookie", declared=declared, **known)  # type: ignore[arg-type]
        self.pattern, self.demands = declared.cookie, demands_of(declared)

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        """One finding when any line differs from what is demanded; the lines stay in order."""
        observed = seen.get(self.key)
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


def make_check(rule: str, declared: Rule, index: int, mode: Mode) -> Check:
    """The check of one complete rule."""
    when = conditions(declared.when)
    if declared.cookie is not None:
        return CookieCheck(rule=rule, index=index, mode=mode, when=when, declared=declared)
    assert declared.action is not None
    assert declared.header is not None
    make = partial(_ACTIONS[declared.action], rule=rule, index=index, mode=mode, declared=declared)
    if len(declared.header) == 1:
        return make(header=declared.header[0], when=when)
    inner = [make(header=header, when=()) for header in declared.header]
    return (AnyOf if declared.action in ("remove", "forbid") else MultiHeaderCheck)(inner, when)


_ACTIONS: Mapping[Action, Callable[..., Check]] = {
    kind.action: kind for kind in (Set, Default, Append, Remove, Merge, Require, Forbid)
}
