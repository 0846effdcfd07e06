"""Whether responses are as a policy makes them, when only these and not the service's are known.

It claims nothing that was not seen, and reports what a response cannot show.

The reasoning: a policy applied to its own result changes nothing more. So a response that it would
still change did not pass through it, whatever the service sent. That needs conditions that read the
same before and after; rules whose conditions look at what rules change are left out, and so are all
rules on the headers that those write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias, get_args

from sidecar.exporting.program import Gap, Weight
from sidecar.exporting.target import TEXTS, Written
from sidecar.exporting.terms import condition, https_only, response_names
from sidecar.policy.engine.nonces import TARGETED, asks_for_nonce
from sidecar.policy.engine.plan import RoutePlan, RuleLine, compile_policy, decide
from sidecar.policy.engine.resolve import NamedRule, Resolved
from sidecar.policy.headers import cookies
from sidecar.policy.headers.shapes import Lines, shapes
from sidecar.policy.model import Rule
from sidecar.policy.rules.checks import demands_of
from sidecar.policy.rules.conditions import Facts, by_name, conditions
from sidecar.policy.terms import WRITING
from sidecar.policy.words import counted

Verdict: TypeAlias = Literal["differs", "announced", "holds", "unseen", "unknown"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

UNREACHED = "no request reached this route"

_EXAMPLES = 5
_TARGETED = frozenset(name.decode() for name in TARGETED)


@dataclass(frozen=True, slots=True)
class ResponseDifference:
    """One response that differs: lines as they may be shown."""

    request: str
    expected: Lines
    got: Lines


@dataclass(slots=True)
class VerificationRow:
    """What was seen of one header of one rule on one route."""

    route: str
    rule: str
    header: str
    demand: str
    """What the rule writes, as it may be shown."""
    verdict: Verdict = "unseen"
    reason: str = ""
    responses: int = 0
    """Responses that show the verdict."""
    examples: list[ResponseDifference] = field(default_factory=list)


Key: TypeAlias = tuple[str, str]
"""Rule and header in lower case."""


class Verification:
    """Takes responses one by one; `rows` is what they show.

    `written` is the export for the server, with the gaps that it announced; None = no export.
    """

    def __init__(self, resolved: Resolved, written: Written | None = None) -> None:
        self._gaps = written.gaps if written else ()
        self._exported = written is not None
        self._plan = compile_policy(resolved)
        share = resolved.policy.share or 1.0
        doubts = {route.name: _doubts(route, share) for route in self._plan.routes}
        # Without what is not in force, and what no response can show.
        routes = tuple(
            replace(named, mode=None, rules=tuple(_kept(route, doubts[route.name])))
            for named, route in zip(resolved.routes, self._plan.routes, strict=True)
        )
        policy = resolved.policy.model_copy(update={"mode": "enforce", "share": None})
        known = replace(resolved, policy=policy, routes=routes)
        self._whole = _routes(known)
        self._left = _routes(remaining(known, self._gaps))
        self._counts = {route.name: 0 for route in self._plan.routes}
        self._rows = {
            route.name: dict(_rows(route, doubts[route.name])) for route in self._plan.routes
        }
        for route, rows in self._rows.items():
            for (rule, header), row in rows.items():
                if row.verdict != "unknown" and (gap := self._gap(route, rule, header, "lost")):
                    row.reason = gap.text

    def take(self, facts: Facts) -> None:
        """One response as it left the server."""
        route = self._plan.route(facts.host, facts.method, facts.path)
        self._counts[route.name] += 1
        whole, left = (_differing(one[route.name], facts) for one in (self._whole, self._left))
        held = _held(self._whole[route.name], facts)
        for key, row in self._rows[route.name].items():
            if row.verdict == "unknown":
                continue
            gap = self._gap(route.name, *key, "differs" if key in left else "lost")
            if gap is not None and key in whole:
                _note(row, "announced", whole[key].example, gap.text)
            elif key in left and self._exported and left[key].copies:
                _note(row, "announced", left[key].example, TEXTS["shared"]["copies"])
            elif key in left:
                _note(row, "differs", left[key].example)
            elif key in held:
                _note(row, "holds")

    def rows(self) -> tuple[VerificationRow, ...]:
        """Route by route, in the order of the policy."""
        for route, rows in self._rows.items():
            rules = {line.name: line.named.rule for line in self._whole[route].rules}
            for row in rows.values():
                if row.verdict == "unseen" and not (count := self._counts[route]):
                    row.reason = UNREACHED
                elif row.verdict == "unseen":
                    needs = _needs(rules[row.rule], row.header)
                    seen = counted(count, "response")
                    row.reason = f"nothing of it could be seen in {seen}{needs}"
                elif row.verdict == "holds" and not row.reason:
                    rule = rules[row.rule]
                    row.reason = TEXTS["holds"]["cookie" if rule.cookie else str(rule.action)]
        return tuple(row for rows in self._rows.values() for row in rows.values())

    def _gap(self, route: str, rule: str, header: str, weight: Weight) -> Gap | None:
        for gap in self._gaps:
            mine = gap.rule == rule and gap.weight == weight and gap.route in ("", route)
            if mine and header in gap.header.lower().split(", "):
                return gap
        return None


def _note(
    row: VerificationRow,
    verdict: Verdict,
    example: ResponseDifference | None = None,
    reason: str = "",
) -> None:
    """Keep the worst verdict, and the responses that showed it."""
    if VERDICTS.index(verdict) < VERDICTS.index(row.verdict):
        row.verdict, row.responses, row.examples, row.reason = verdict, 0, [], reason
    if verdict == row.verdict:
        row.responses += 1
        if example is not None and len(row.examples) < _EXAMPLES:
            row.examples.append(example)


def remaining(resolved: Resolved, gaps: Iterable[Gap]) -> Resolved:
    """The policy without each rule, header or part of a rule, on the routes where it is lost."""
    lost = [gap for gap in gaps if gap.weight == "lost"]
    routes = []
    for route in resolved.routes:
        here = [gap for gap in lost if gap.route in ("", route.name)]
        pairs = ((named, [gap for gap in here if gap.rule == named.name]) for named in route.rules)
        kept = (_left(named, gaps) for named, gaps in pairs)
        routes.append(replace(route, rules=tuple(named for named in kept if named)))
    return replace(resolved, routes=tuple(routes))


def _left(named: NamedRule, gaps: Sequence[Gap]) -> NamedRule | None:
    rule = named.rule
    if rule.attributes is not None:
        if any(not gap.parts for gap in gaps):
            return None
        gone = {part for gap in gaps for part in gap.parts}
        attributes = rule.attributes.model_copy(update=dict.fromkeys(gone))
        if all(value is None for value in attributes.model_dump().values()):
            return None
        return replace(named, rule=rule.model_copy(update={"attributes": attributes}))
    whole = [gap for gap in gaps if not gap.parts]
    lost = {header.lower() for gap in whole for header in gap.header.split(", ")}
    left = tuple(header for header in rule.header or () if header.lower() not in lost)
    action = "default" if any("merge" in gap.parts for gap in gaps) else rule.action
    if not left or "" in lost:
        return None
    return replace(named, rule=rule.model_copy(update={"header": left, "action": action}))


class _Difference(NamedTuple):
    """What the policy would still change, and whether only copies would be made one."""

    example: ResponseDifference
    copies: bool


def _routes(resolved: Resolved) -> dict[str, RoutePlan]:
    """A policy whose rules all read the same before and after, to apply to what left."""
    return {route.name: route for route in compile_policy(resolved).routes}


def _needs(rule: Rule, header: str) -> str:
    """The conditions of a rule as the end of a sentence."""
    texts = [one.text for one in conditions(rule.when)]
    if https_only(header, rule.action) and "scheme is https" not in texts:
        texts.insert(0, "scheme is https")
    if rule.cookie is not None:
        texts.append(f"a cookie {rule.cookie} is set")
    return f"; it needs: {', '.join(texts)}" if texts else "; another rule writes over it"


def _differing(route: RoutePlan, facts: Facts) -> dict[Key, _Difference]:
    """The rules that would still change the response."""
    made = decide(route, facts)
    request = f"{facts.method} {facts.path} -> {facts.status}"
    before, after = by_name(facts.fields), by_name(made.fields)
    differences: dict[Key, _Difference] = {}
    for found in made.findings:
        key, copies = found.key.decode(), (found.action, found.kind) == ("default", "duplicate")
        expected, got = after.get(found.key, ()), before.get(found.key, ())
        if _meant(found.key, expected) != _meant(found.key, got):
            example = ResponseDifference(request, shapes(key, expected), shapes(key, got))
            differences[found.rule, key] = _Difference(example, copies)
    return differences


def _held(route: RoutePlan, facts: Facts) -> frozenset[Key]:
    """The rules whose demand is met in the response, as far as it shows."""
    skipped, seen = decide(route, facts).skipped, by_name(facts.fields)
    return frozenset(
        (line.name, header.lower())
        for index, line in enumerate(route.rules)
        if index not in skipped
        for header in line.named.rule.header or ("Set-Cookie",)
        if _stands(line.named.rule, header, facts, seen.get(header.lower().encode(), ()))
    )


def _meant(key: bytes, lines: tuple[bytes, ...]) -> Sequence[object]:
    """Lines as far as their differences count: the order of a cookie's attributes does not."""
    if key != b"set-cookie":
        return lines
    read = ((line.partition(b";")[0], cookies.parse(line.decode("latin-1"))) for line in lines)
    return [(pair, dict(cookie.attributes)) for pair, cookie in read]


def _stands(rule: Rule, header: str, facts: Facts, lines: tuple[bytes, ...]) -> bool:
    """Whether the lines of a header show what a rule whose conditions hold demands."""
    if rule.cookie is not None:
        demands = demands_of(rule)
        names = {cookies.parse(line.decode("latin-1")).name for line in lines}
        # Would a cookie with no attributes, or one with all, be changed over this scheme?
        all_ = "; Secure; HttpOnly; SameSite=None; Partitioned; Domain=x.example"
        mine = (name for name in names if cookies.matches(rule.cookie, name))
        written = (f"{name}=x{more}" for name in mine for more in ("", all_))
        return any(cookies.apply(one, demands, facts.scheme) != one for one in written)
    if facts.scheme != "https" and https_only(header, rule.action):
        return False
    value = rule.text.encode()
    match rule.action:
        case "set":
            return lines == (value,)
        case "append":
            return value in lines
        case "remove":
            return not lines
        case _:
            return bool(lines)


def _writes(line: RuleLine) -> bool:
    return line.mode == "enforce" and (line.named.rule.action or "set") in WRITING


def _names(rule: Rule) -> frozenset[str]:
    """All that a rule may write, in lower case."""
    found = frozenset(header.lower() for header in rule.header or ("Set-Cookie",))
    return found | {"cache-control"} | _TARGETED if asks_for_nonce(rule) else found


def _doubts(route: RoutePlan, share: float) -> dict[Key, str]:
    """What no response can show, with the reason."""
    lines = [line for line in route.rules if _writes(line)]
    found: dict[Key, str] = {}
    hidden: dict[str, str] = {}
    if route.trials:
        hidden["reporting-endpoints"] = "a trial adds lines of its own"
    for at, line in enumerate(lines):
        later = frozenset[str]().union(*(_names(other.named.rule) for other in lines[at:]))
        if reason := _hidden(line.named.rule, share, later):
            names = _names(line.named.rule)
            hidden |= dict.fromkeys(names, f"rule {line.name} writes it too: {reason}")
            found |= {(line.name, name): reason for name in names}
    for line in lines:
        for name in _names(line.named.rule):
            if name.endswith("-report-only") and route.trials:
                found.setdefault((line.name, name), "a trial adds lines of its own")
            elif name in hidden:
                found.setdefault((line.name, name), hidden[name])
    return found


def _hidden(rule: Rule, share: float, later: frozenset[str]) -> str:
    """Why no response shows whether the rule was applied; "" = it does."""
    if min(share, rule.share or 1.0) < 1.0:
        return "it holds for a share of the clients only"
    if asks_for_nonce(rule):
        return "its value is new in each response"
    changed = response_names(condition(rule.when)) & later
    if changed:
        return f"its conditions look at {', '.join(sorted(changed))}, which the policy changes"
    return ""


def _kept(route: RoutePlan, doubts: Mapping[Key, str]) -> Iterator[NamedRule]:
    for line in route.rules:
        rule = line.named.rule
        names = rule.header or ("Set-Cookie",)
        left = tuple(header for header in names if (line.name, header.lower()) not in doubts)
        if _writes(line) and left:
            kept = {} if rule.header is None else {"header": left}
            yield replace(line.named, rule=rule.model_copy(update={**kept, "mode": None}))


def _rows(route: RoutePlan, doubts: Mapping[Key, str]) -> Iterator[tuple[Key, VerificationRow]]:
    for line in route.rules:
        if not _writes(line):
            continue
        for header in line.named.rule.header or ("Set-Cookie",):
            key = line.name, header.lower()
            row = VerificationRow(route.name, line.name, header, _demand(line.named.rule, header))
            if key in doubts:
                row.verdict, row.reason = "unknown", doubts[key]
            yield key, row


def _demand(rule: Rule, header: str) -> str:
    if rule.attributes is not None:
        said = rule.attributes.model_dump(by_alias=True, exclude_none=True)
        return f"{rule.cookie}: " + ", ".join(f"{key}={value}" for key, value in said.items())
    if rule.value is None:
        return str(rule.action)
    return f"{rule.action} {' '.join(shapes(header.lower(), (rule.text.encode(),)))}"


def counts(rows: Iterable[VerificationRow]) -> dict[Verdict, int]:
    """How many rows have each verdict."""
    found = [row.verdict for row in rows]
    return {verdict: found.count(verdict) for verdict in VERDICTS}
