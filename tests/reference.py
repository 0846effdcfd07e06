"""A slow, obvious reading of a complete policy, for comparison with the compiled one.

`reference`, which interprets rules one by one and keeps no secrets of speed. Shares with the
compiled plan only what is proved elsewhere: the tables and grammars of headers, and where a client
stands in a share.
"""

from __future__ import annotations

from typing import NamedTuple

from sidecar.policy import headers
from sidecar.policy.engine.resolve import NamedRoute, Resolved
from sidecar.policy.headers import cookies
from sidecar.policy.model import Rule, When
from sidecar.policy.rules.conditions import Facts, RawFields
from sidecar.policy.rules.shares import position, shared_cacheable
from sidecar.policy.terms import MODES, Mode


class Told(NamedTuple):
    """One violation in the reference's words."""

    rule: str
    header: str
    kind: str
    mode: str
    before: list[bytes]
    after: list[bytes] | None


def reference(
    policy: Resolved, override: Mode | None, facts: Facts
) -> tuple[RawFields, list[Told]]:
    """The lines that leave, and every violation in order."""
    route = next(route for route in policy.routes if applies(route, facts))
    lines, data = list(facts.fields), []
    for named in route.rules:
        rule = named.rule
        said = [override, policy.policy.mode or "report-only", route.mode, rule.mode]
        mode = min((mode for mode in said if mode), key=MODES.index)
        if mode == "off" or not holds(rule.when, facts, lines):
            continue
        if mode in ("trial", "enforce") and not in_share(
            min(policy.policy.share or 1, rule.share or 1), facts, lines
        ):
            mode = "report-only"
        if rule.cookie:
            found = cookie_complaint(named.name, rule, mode, facts, lines)
        else:
            found = [
                data
                for header in rule.header or ()
                for data in complaint(named.name, rule, header, mode, facts, lines)
            ]
        if rule.action in (
            "remove",
            "forbid",
        ):  # these go through the response, not through the rule
            names = [name.lower() for name, _ in lines]
            found.sort(key=lambda item: names.index(item.header.lower().encode()))
        for item in found:
            data.append(item)
            if mode == "enforce" and item.after is not None:
                lines = rewritten(lines, item.header, item.after)
    return lines, data


def complaint(
    name: str, rule: Rule, header: str, mode: str, facts: Facts, lines: RawFields
) -> list[Told]:
    """What one action says of one header: nothing, or one violation."""
    row = headers.get(header)
    before = [value for found, value in lines if found.lower() == header.lower().encode()]
    text = sent(rule.value)
    value = text.encode()

    def say(kind: str, after: list[bytes] | None) -> list[Told]:
        return [Told(name, header, kind, mode, before, after)]

    if (
        rule.action in ("set", "default", "append", "merge", "require")
        and row is not None
        and row.scope == "https"
        and facts.scheme != "https"
    ):
        return []
    if rule.action == "remove":
        return say("forbidden", []) if before else []
    if rule.action == "forbid":
        return (
            say("forbidden", None)
            if before and (not text or any(glob(text, item) for item in before))
            else []
        )
    if rule.action == "require":
        if not before:
            return say("missing", None)
        if row is not None and row.single and len(before) > 1:
            return say("duplicate", None)
        if not text:
            verdicts = [
                fault.verdict
                for item in judged_together(header, before)
                for fault in headers.header_faults(header, item, facts.scheme)
            ]
            return (
                say("invalid", None)
                if "invalid" in verdicts
                else say("weak", None)
                if verdicts
                else []
            )
        return [] if any(glob(text, item) for item in before) else say("mismatch", None)
    if not before:
        return say("missing", [value])
    if rule.action == "append":
        return [] if value in before else say("missing", [*before, value])
    if rule.action == "set":
        kind = "duplicate" if len(before) > 1 and value in before else "mismatch"
        return [] if before == [value] else say(kind, [value])
    if rule.action == "merge":
        (now,) = judged_together("", before)
        merged = headers.merge(header, now, text, widen=rule.widen is True)
        return [] if merged == now else say("mismatch", [merged.encode("latin-1")])
    assert rule.action == "default"
    one = (
        headers.collapse(header, tuple(item.decode("latin-1") for item in before))
        if len(before) > 1
        else None
    )
    return [] if one is None else say("duplicate", [one.encode("latin-1")])


def judged_together(header: str, lines: list[bytes]) -> list[str]:
    """The texts that a grammar reads: cookies line by line, of all else the lines as one list."""
    texts = [line.decode("latin-1") for line in lines]
    return texts if header.lower() == "set-cookie" else [", ".join(texts)]


def cookie_complaint(
    name: str, rule: Rule, mode: str, facts: Facts, lines: RawFields
) -> list[Told]:
    """What a cookie rule says of all Set-Cookie lines together."""
    asked = rule.attributes
    assert rule.cookie
    assert asked
    demands = cookies.Demands(
        secure=asked.secure,
        http_only=asked.http_only,
        same_site=asked.same_site,
        partitioned=asked.partitioned,
        path=asked.path,
        host_only=asked.domain is False,
        hide_csrf="*" not in rule.cookie,
    )
    before = [value for found, value in lines if found.lower() == b"set-cookie"]
    texts = [line.decode("latin-1") for line in before]
    after = [
        (
            cookies.apply(text, demands, facts.scheme)
            if cookies.matches(rule.cookie, cookie_name(text))
            else text
        )
        for text in texts
    ]
    if after == texts:
        return []
    return [
        Told(
            name,
            "Set-Cookie",
            "mismatch",
            mode,
            before,
            None if rule.action == "require" else [text.encode("latin-1") for text in after],
        )
    ]


def cookie_name(line: str) -> str:
    """What stands before the first = of the first part; a part without one is all value (RFC
    6265bis section 5.6).
    """
    pair = line.partition(";")[0]
    return pair.partition("=")[0].strip(" \t") if "=" in pair else ""


def in_share(share: float, facts: Facts, lines: RawFields) -> bool:
    """Whether this client and this response belong to the share of those that are enforced."""
    seen = {
        name.lower(): tuple(value for other, value in lines if other.lower() == name.lower())
        for name, _ in lines
    }
    return share >= 1 or (position(facts.client) < share and not shared_cacheable(facts, seen))


def sent(value: object) -> str:
    """A declared value as text."""
    if not isinstance(value, dict):
        return str(value or "")
    parts = []
    for directive, sources in value.items():
        if sources is not False:
            parts.append(" ".join([directive, *([] if sources is True else sources)]))
    return "; ".join(parts)


def rewritten(lines: RawFields, header: str, values: list[bytes]) -> RawFields:
    """The lines with this header's values replaced one by one; surplus lines fall, further ones
    stand at the end.
    """
    left, made = list(values), []
    for name, old in lines:
        if name.lower() != header.lower().encode():
            made.append((name, old))
        elif left:
            made.append((name, left.pop(0)))
    return made + [(header.encode(), value) for value in left]


def holds(when: When | None, facts: Facts, lines: RawFields) -> bool:
    """Whether all conditions of a rule hold for the response as it stands now."""
    if when is None:
        return True
    media = next(
        (
            value.partition(b";")[0].strip(b" \t").lower()
            for name, value in lines
            if name.lower() == b"content-type"
        ),
        None,
    )
    asked = [(facts.request, pair) for pair in (when.request or {}).items()] + [
        (lines, pair) for pair in (when.response or {}).items()
    ]
    return (
        when.scheme in (None, facts.scheme)
        and (
            when.response_class is None
            or not what_it_is(facts, lines).isdisjoint(when.response_class)
        )
        and (
            when.status is None
            or str(facts.status) in when.status
            or f"{facts.status // 100}xx" in when.status
        )
        and (
            when.content_type is None
            or (media is not None and any(glob(item, media) for item in when.content_type))
        )
        and all(pattern_holds(where, name, pattern) for where, (name, pattern) in asked)
    )


DOWNLOADS = ("application/octet-stream", "application/zip")
DATA = ("application/json", "text/event-stream", "application/xml")
FILES = ("image/png", "image/svg+xml", "text/css", "text/javascript", "font/woff2")


def what_it_is(facts: Facts, lines: RawFields) -> set[str]:
    """The classes of a response whose media type is one of the few above."""
    values = {name.lower(): value.decode("latin-1").lower() for name, value in reversed(lines)}
    media = values.get(b"content-type", "").split(";")[0].strip(" \t")
    path = facts.path.rstrip("/")
    found = set()
    if (
        values.get(b"content-disposition", "").split(";")[0].strip(" \t") == "attachment"
        or media in DOWNLOADS
    ):
        found.add("download")
    elif media in FILES:
        found.add("static")
    elif media == "text/html" or media in DATA:
        found.add(
            "docs"
            if path in ("/docs", "/openapi.json")
            else "html"
            if media == "text/html"
            else "api"
        )
    if path.endswith("/logout") and facts.status < 400:
        found.add("logout")
    return found


def pattern_holds(lines: RawFields, header: str, pattern: str | bool) -> bool:
    """Whether a header is there, is not there, or has a line of this pattern."""
    values = [value for name, value in lines if name.lower() == header.lower().encode()]
    return (
        (len(values) > 0) is pattern
        if isinstance(pattern, bool)
        else any(glob(pattern.lower(), value.lower()) for value in values)
    )


def applies(route: NamedRoute, facts: Facts) -> bool:
    """Whether a route's match holds."""
    match = route.match
    return (
        (match.method is None or facts.method in match.method)
        and (match.host is None or any(glob(host, facts.host.encode()) for host in match.host))
        and (match.path is None or any(path_glob(path, facts.path) for path in match.path))
    )


def glob(pattern: str, value: bytes) -> bool:
    """A pattern in which * stands for any run, letter by letter."""
    reached = {0}
    text = value.decode("latin-1")
    for letter in pattern:
        if letter == "*":
            reached = set(range(min(reached, default=len(text) + 1), len(text) + 1))
        else:
            reached = {at + 1 for at in reached if text[at : at + 1] == letter}
    return len(text) in reached


def path_glob(pattern: str, path: str) -> bool:
    """A path pattern in which * stays within a segment and ** does not, letter by letter."""
    reached, rest = {0}, pattern
    while rest:
        if rest.startswith("**"):
            reached, rest = (
                set(range(min(reached, default=len(path) + 1), len(path) + 1)),
                rest.lstrip("*"),
            )
        elif rest.startswith("*"):
            ends = [
                (path.find("/", at) if "/" in path[at:] else len(path)) for at in sorted(reached)
            ]
            reached, rest = (
                {
                    at
                    for start, end in zip(sorted(reached), ends, strict=True)
                    for at in range(start, end + 1)
                },
                rest[1:],
            )
        else:
            reached, rest = {at + 1 for at in reached if path[at : at + 1] == rest[0]}, rest[1:]
    return len(path) in reached
