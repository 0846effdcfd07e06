"""The facts of one exchange, the conditions (`when`) of a rule over them, what a rule finds in its
header lines, and how these are changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sidecar.policy.model import When
from sidecar.policy.rules.classes import LOOKS, is_class, of_path
from sidecar.policy.rules.matching import wild
from sidecar.policy.terms import Action, Mode, ViolationKind
from sidecar.policy.values import ResponseClass

RawFields: TypeAlias = list[tuple[bytes, bytes]]
"""Header lines as on the wire: name and value, in order, undecoded."""

Seen: TypeAlias = dict[bytes, tuple[bytes, ...]]
"""The same lines by lower-case name."""


class Facts(NamedTuple):
    """What is known of one request and its response when rules judge it."""

    method: str
    host: str
    path: str
    """As sent, without query."""
    scheme: str
    """http or https, as far as trusted proxies say."""
    request: Iterable[tuple[bytes, bytes]]
    status: int
    fields: Iterable[tuple[bytes, bytes]]
    """The response's header lines, in order."""
    client: str = ""
    """The client's address, as far as trusted proxies say."""
    body: bytes = b""
    """The beginning of the request body, where a rule needs it (`RoutePlan.reads_body`)."""


def by_name(fields: Iterable[tuple[bytes, bytes]]) -> Seen:
    """The lines by lower-case name, repeats in order."""
    seen: Seen = {}
    for name, value in fields:
        key = name.lower()
        seen[key] = (*seen[key], value) if key in seen else (value,)
    return seen


class RequestLines(list[tuple[bytes, bytes]]):
    """A request's lines that many conditions look at: their names are read once."""

    __slots__ = ("named",)

    def __init__(self, lines: Iterable[tuple[bytes, bytes]]) -> None:
        super().__init__(lines)
        self.named = by_name(self)


Test: TypeAlias = Callable[[Facts, Seen], bool]
Ask: TypeAlias = Callable[[Facts], Hashable]
"""What a judgement needs of the facts besides scheme, status and the response's lines."""


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """Whether the request's values under a lower-case name are as a condition wants them."""

    key: bytes
    wanted: Callable[[tuple[bytes, ...]], bool]

    def __call__(self, facts: Facts) -> bool:
        """Whether the condition holds."""
        lines = facts.request
        named = lines.named if isinstance(lines, RequestLines) else by_name(lines)
        return self.wanted(named.get(self.key, ()))


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: its text for people, the test, and all that the test looks at.

    `looks` are the response's lines by lower-case name; scheme and status need no mention.
    """

    text: str
    holds: Test
    looks: frozenset[bytes] = frozenset()
    asks: tuple[Ask, ...] = ()
    of_response: bool = False
    """Whether it is on the response, and not on how the client asked."""


def conditions(when: When | None) -> tuple[Condition, ...]:
    """The conditions of a rule, cheapest first; () = always."""
    if when is None:
        return ()
    found: list[Condition] = []
    if when.scheme is not None:
        found.append(scheme_is(when.scheme))
    if when.status is not None:
        found.append(_status_in(when.status))
    if when.response_class is not None:
        found.append(_class_in(when.response_class))
    if when.content_type is not None:
        found.append(_content_type_in(when.content_type))
    for name, pattern in (when.response or {}).items():
        found.append(_response_header(name, pattern))
    for name, pattern in (when.request or {}).items():
        found.append(_request_header(name, pattern))
    return tuple(found)


def scheme_is(scheme: str) -> Condition:
    """The client spoke this scheme."""
    return Condition(f"scheme is {scheme}", lambda facts, seen: facts.scheme == scheme)


def _status_in(patterns: tuple[str, ...]) -> Condition:
    codes: set[int] = set()
    for pattern in patterns:
        low, high = int(pattern.replace("x", "0")), int(pattern.replace("x", "9"))
        codes.update(range(low, high + 1))
    text = f"status is {' or '.join(patterns)}"
    return Condition(text, lambda facts, seen: facts.status in codes, of_response=True)


def _class_in(classes: tuple[ResponseClass, ...]) -> Condition:
    wanted = frozenset(classes)
    text = f"class is {' or '.join(classes)}"
    return Condition(
        text,
        lambda facts, seen: is_class(wanted, facts.path, facts.status, seen),
        LOOKS,
        (_of_path,),
        of_response=True,
    )


def _of_path(facts: Facts) -> Hashable:
    return of_path(facts.path)


def _content_type_in(types: tuple[str, ...]) -> Condition:
    exact = frozenset(item.encode() for item in types if "*" not in item)
    globs = tuple(_glob(item) for item in types if "*" in item)

    def holds(facts: Facts, seen: Seen) -> bool:
        observed = seen.get(b"content-type")
        if observed is None:
            return False
        media = observed[0].partition(b";")[0].strip(b" \t").lower()
        return media in exact or any(glob.fullmatch(media) for glob in globs)

    text = f"content type is {' or '.join(types)}"
    return Condition(text, holds, frozenset({b"content-type"}), of_response=True)


def _response_header(name: str, pattern: str | bool) -> Condition:
    key = name.lower().encode()
    test = _values_test(pattern)
    return Condition(
        _text("response", name, pattern),
        lambda facts, seen: test(seen.get(key, ())),
        frozenset({key}),
        of_response=True,
    )


def _request_header(name: str, pattern: str | bool) -> Condition:
    asked = RequestHeader(name.lower().encode(), _values_test(pattern))
    text = _text("request", name, pattern)
    return Condition(text, lambda facts, seen: asked(facts), asks=(asked,))


def _values_test(pattern: str | bool) -> Callable[[tuple[bytes, ...]], bool]:
    if isinstance(pattern, bool):
        return lambda values: bool(values) is pattern
    glob = _glob(pattern)
    return lambda values: any(glob.fullmatch(value) for value in values)


def _text(side: str, name: str, pattern: str | bool) -> str:
    if isinstance(pattern, bool):
        return f"{side} has {'a' if pattern else 'no'} {name}"
    return f"{side} has {name}: {pattern}"


def _glob(pattern: str) -> re.Pattern[bytes]:
    return re.compile(glob_source(pattern).encode(), re.DOTALL | re.IGNORECASE)


def glob_source(pattern: str) -> str:
    """A regular expression for a text in which * stands for any run."""
    return wild(re.split(r"\*+", pattern), ".*")


class Finding(NamedTuple):
    """A violation and the change that fixes it.

    `before` and `after` are the header's values, one for each line; `after` is () for a removal and
    None where the action only judges. `made`: the change is made, not only reported.
    """

    rule: str
    position: int
    """Of the rule, among the rules of its route."""
    header: str
    name: bytes
    """The header's name as it is written."""
    key: bytes
    """The same in lower case."""
    action: Action
    kind: ViolationKind
    mode: Mode
    before: tuple[bytes, ...]
    after: tuple[bytes, ...] | None
    made: bool


Findings: TypeAlias = tuple[Finding, ...]


def write(fields: RawFields, seen: Seen, findings: Findings) -> RawFields:
    """Write each finding's `after`: in place of the header's lines, else at the end.

    Changes and returns `fields`, and keeps `seen` in step.
    """
    for finding in findings:
        key, after = finding.key, finding.after
        assert after is not None
        if key in seen:
            fields = _rewritten(fields, finding.name, key, after)
        else:
            fields.extend((finding.name, value) for value in after)
        if after:
            seen[key] = after
        else:
            del seen[key]
    return fields


def _rewritten(fields: RawFields, name: bytes, key: bytes, after: tuple[bytes, ...]) -> RawFields:
    if not after:
        return [field for field in fields if field[0].lower() != key]
    rest = iter(after)
    kept: RawFields = []
    for field in fields:
        if field[0].lower() != key:
            kept.append(field)
        elif (value := next(rest, None)) is not None:
            kept.append((field[0], value))
    kept.extend((name, value) for value in rest)
    return kept
