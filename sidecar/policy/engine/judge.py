"""What checks say of one response, and a memory of it: services repeat what rules look at.

Pure: remembering changes the cost of a judgement, never what it says.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from sidecar.policy.browsers.alike import report_only
from sidecar.policy.browsers.trial import ReportOnly, added
from sidecar.policy.engine.nonces import SOURCE, spelled
from sidecar.policy.rules.checks import Check
from sidecar.policy.rules.conditions import (
    Ask,
    Facts,
    Finding,
    RawFields,
    RequestHeader,
    RequestLines,
    Seen,
    by_name,
    write,
)

REMEMBERED = 512
"""Verdicts that a judge keeps; when there are more, it starts anew."""

KEPT_BYTES = 4096
"""Longer lines together are judged each time: what a service sends must not fill our memory."""

Place: TypeAlias = tuple[tuple[bytes, bytes], ...] | None
"""What stands in the place of a line; None = the line itself."""

_MARK = (b"", b"")
"""A line without a name: no rule can look at it."""

_SECRET = b"set-cookie"
"""Never kept."""

_NO_KEYS: Mapping[int, str] = {}


class Decision(NamedTuple):
    """What the rules say of one response.

    `fields` are the header lines that leave: the object that came in when nothing was changed.
    `skipped` holds the indices of rules whose conditions did not hold, `report_only` what trials
    add.
    """

    fields: RawFields
    findings: tuple[Finding, ...]
    skipped: tuple[int, ...]
    report_only: tuple[ReportOnly, ...] = ()

    @property
    def changed(self) -> bool:
        """True when at least one change was made, not only reported."""
        return any(finding.made for finding in self.findings)


def decide_by(
    checks: tuple[Check, ...], facts: Facts, keys: Mapping[int, str] = _NO_KEYS
) -> Decision:
    """Judge one response by checks, in order; each sees what the ones before it made.

    `keys` holds the reports' key of each rule in trial that has a report-only form, by its index.
    """
    sent = facts.fields if isinstance(facts.fields, list) else list(facts.fields)
    fields = sent
    seen: Seen = {name.lower(): (value,) for name, value in fields}
    if len(seen) != len(fields):
        seen = by_name(fields)
    findings: list[Finding] = []
    skipped: list[int] = []
    tried: list[tuple[Finding, str]] = []
    for check in checks:
        for condition in check.when:
            if not condition.holds(facts, seen):
                skipped.append(check.index)
                break
        else:
            found = check.judge(facts, seen)
            if found:
                findings += found
                if found[0].made:
                    fields = write(list(sent) if fields is sent else fields, seen, found)
                elif found[0].mode == "trial" and check.index in keys:
                    tried += [(finding, keys[check.index]) for finding in found]
    tried_headers = report_only_headers(tried, facts.scheme, seen) if tried else ()
    if tried_headers:
        fields = [*fields, *added(tried_headers)]
    return Decision(fields, tuple(findings), tuple(skipped), tried_headers)


def report_only_headers(
    tried: list[tuple[Finding, str]], scheme: str, seen: Seen
) -> tuple[ReportOnly, ...]:
    """What trials add after all checks, of findings with their reports' keys; to `seen` as well."""
    found: list[ReportOnly] = []
    for finding, key in tried:
        if (one := report_only(finding, key, scheme, seen)) is not None:
            found.append(one)
            for name, value in one.lines:  # a second rule in trial sees that the place is taken
                seen[name.lower()] = (*seen.get(name.lower(), ()), value)
    return tuple(found)


class PreparedDecision:
    """What the rules say of responses whose lines, as far as rules look at them, are the same.

    `findings`, `skipped` and `report_only` as in `Decision`. Equal only to itself, so that others
    can use it as a key; `remembered`: it will come again.
    """

    __slots__ = (
        "_added",
        "_carries",
        "_places",
        "_watching",
        "added",
        "changed",
        "findings",
        "remembered",
        "replaced",
        "report_only",
        "skipped",
    )

    def __init__(
        self,
        decision: Decision,
        watching: Mapping[bytes, bool],
        places: tuple[Place, ...],
        added: RawFields,
        *,
        remembered: bool,
    ) -> None:
        self.findings: tuple[Finding, ...] = decision.findings
        self.skipped = decision.skipped
        self.report_only = decision.report_only
        self.changed = decision.changed
        self.remembered = remembered
        self._watching, self._places, self._added = watching, places, added
        made = (*added, *(line for place in places if place for line in place))
        self._carries = any(SOURCE in value for _, value in made)
        self.added = written(added)
        """What was added at the end, as it is sent."""
        self.replaced = tuple(None if place is None else written(place) for place in places)
        """What is sent in the places of the watched lines; None = the line itself."""

    def spelled(self, nonce: bytes) -> PreparedDecision:
        """The same for one response, with its nonce where rules have written the placeholder."""
        if not self._carries:
            return self
        places = tuple(place and spelled(place, nonce) for place in self._places)
        added = list(spelled(tuple(self._added), nonce))
        decision = Decision([], self.findings, self.skipped, self.report_only)
        return PreparedDecision(decision, self._watching, places, added, remembered=False)

    def fields(self, sent: RawFields) -> RawFields:
        """The lines that leave, for the lines that came: the same object when nothing changed."""
        if not self.changed:
            return sent + self._added if self._added else sent
        watching, places = self._watching, iter(self._places)
        fields: RawFields = []
        for line in sent:
            if not watching[line[0]] or (instead := next(places)) is None:
                fields.append(line)
            elif instead:
                fields += instead
        return fields + self._added


def written(lines: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Lines as they are sent, with their ends."""
    return b"".join(b"%b: %b\r\n" % line for line in lines)


class _Watching(dict[bytes, bool]):
    """Whether rules look at a line, by its name as it is written."""

    def __init__(self, looks: frozenset[bytes]) -> None:
        super().__init__()
        self._looks = looks

    def __missing__(self, name: bytes) -> bool:
        found = name.lower() in self._looks
        if len(self) < REMEMBERED and len(name) < KEPT_BYTES // 64:
            self[name] = found
        return found


class Judge:
    """Checks with a memory; `keys` as for `decide_by`, `looks`: what their trials look at."""

    __slots__ = ("_asks", "_checks", "_keys", "_of_request", "_verdicts", "_watching", "looks")

    def __init__(
        self,
        checks: tuple[Check, ...],
        keys: Mapping[int, str] = _NO_KEYS,
        looks: frozenset[bytes] = frozenset(),
    ) -> None:
        self._checks = checks
        self._keys = keys
        self.looks = looks.union(*(check.looks() for check in checks))
        """Lower-case names of the lines that count: all others pass whatever they hold."""
        self._watching = _Watching(self.looks)
        asks = dict.fromkeys(ask for check in checks for ask in check.asks())
        self._asks: tuple[Ask, ...] = tuple(
            ask for ask in asks if not isinstance(ask, RequestHeader)
        )
        self._of_request: dict[bytes, list[RequestHeader]] = {}
        for ask in asks:
            if isinstance(ask, RequestHeader):
                self._of_request.setdefault(ask.key, []).append(ask)
        self._verdicts: dict[Hashable, PreparedDecision] = {}

    def __call__(self, facts: Facts) -> PreparedDecision:
        """What `decide_by` says of the response."""
        watching = self._watching
        watched = [line for line in facts.fields if watching[line[0]]]
        facts, asked = self._asked(facts)
        key = (facts.status, facts.scheme, *watched, *asked)
        verdict = self._verdicts.get(key)
        return self._fresh(facts, watched, key) if verdict is None else verdict

    def of_lines(self, facts: Facts, watched: list[bytes]) -> PreparedDecision:
        """The same for a response with these lines that `looks` names, in order, as they came."""
        if self._asks or self._of_request:
            facts, asked = self._asked(facts)
            key: Hashable = (facts.status, facts.scheme, *watched, *asked)
        else:
            key = (facts.status, facts.scheme, b"\n".join(watched))
        verdict = self._verdicts.get(key)
        if verdict is not None:
            return verdict
        split = [line.partition(b":") for line in watched]
        return self._fresh(facts, [(name, value.strip(b" \t")) for name, _, value in split], key)

    def _asked(self, facts: Facts) -> tuple[Facts, list[Hashable]]:
        """What counts besides the response's lines, and the facts with the request's lines read."""
        asked: list[Hashable] = [ask(facts) for ask in self._asks]
        if self._of_request:
            lines = RequestLines(facts.request)
            facts = facts._replace(request=lines)
            for name, tests in self._of_request.items():
                values = lines.named.get(name)
                if values is not None:
                    asked.append((name, *[test.wanted(values) for test in tests]))
        return facts, asked

    def _fresh(self, facts: Facts, watched: RawFields, key: Hashable) -> PreparedDecision:
        # A mark before each line and after the last shows which lines replaced which.
        marked = [_MARK]
        for name, value in watched:
            marked += ((name, value), _MARK)
        decision = decide_by(self._checks, facts._replace(fields=marked), self._keys)
        places: list[RawFields] = []
        for line in decision.fields:
            if not line[0]:
                places.append([])
            else:
                places[-1].append(line)
        added = places.pop()
        instead = tuple(
            None if place == [line] else tuple(place)
            for place, line in zip(places, watched, strict=True)
        )
        size = sum(len(name) + len(value) for name, value in watched)
        keep = size <= KEPT_BYTES and not any(name.lower() == _SECRET for name, _ in watched)
        verdict = PreparedDecision(decision, self._watching, instead, added, remembered=keep)
        if keep:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            self._verdicts[key] = verdict
        return verdict
