"""Places and their effects as a policy file for people: in the order of the source, a comment on each rule.

Lives here: rules shared by all places stand at the top, routes say only what is other. Must not know any format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from sidecar.importing.draft import Effect, Notes, Place, SourceLine
from sidecar.policy.engine.resolve import MAX_RULES

MAX_CHARS = 900_000
"""Below what a policy file may hold (source.MAX_BYTES)."""

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9 ._/;=+()@*-]*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_PRINTABLE = re.compile(r"[ -~]*")
_SPECIAL = frozenset('"\\')


def quoted(text: str) -> str:
    """A text as YAML, in a block or a flow, on one line: plain where that is safe."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and not text.endswith(" "):
        return text
    if not _PRINTABLE.fullmatch(text):
        return (
            '"'
            + "".join(
                char
                if _PRINTABLE.fullmatch(char) and char not in _SPECIAL
                else f"\\U{ord(char):08x}"
                for char in text
            )
            + '"'
        )
    if "'" in text and not _SPECIAL & set(text):
        return f'"{text}"'
    return f"'{text.replace(chr(39), chr(39) * 2)}'"


def flow(value: object) -> str:
    """A condition's value as YAML: text, truth, list of texts, or header names with patterns."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return f"{{{', '.join(f'{quoted(str(key))}: {flow(item)}' for key, item in value)}}}"
    if isinstance(value, tuple):
        items = [
            str(item) if re.fullmatch(r"[1-5]\d\d", str(item)) else quoted(str(item))
            for item in value
        ]
        return items[0] if len(items) == 1 else f"[{', '.join(items)}]"
    return quoted(str(value))


def policy_text(name: str, reason: str, places: Sequence[Place], notes: Notes) -> str:
    """The whole file. What would make it larger than a policy may be is reported and left out."""
    rest = bool(places) and not places[-1].hosts and not places[-1].patterns
    shared = _numbered(places[-1].effects if rest else ())
    routes = places[:-1] if rest else places
    names = _slots([shared, *(_numbered(place.effects) for place in routes)])
    room = _Room(MAX_RULES, MAX_CHARS)
    lines = [
        "version: 1",
        f"name: {quoted(name)}",
        f"reason: {quoted(re.sub(r'[^ -~]', '?', reason))}",
        "mode: report-only  # nothing is changed yet; promote rule by rule on evidence",
        "rules:" if shared else "rules: {}",
    ]
    for position, (slot, effect) in enumerate(shared.items()):
        text = list(_rule(names[slot], effect, None, "  "))
        if not room.takes(1, text):
            notes.lost(
                effect.source_line,
                f"{len(shared) - position} of {len(shared)} rules are left out: a policy holds {MAX_RULES}",
                "import fewer at a time",
            )
            shared = dict(list(shared.items())[:position])
            break
        lines += text
    taken = {"default"}
    for position, route in enumerate(routes):
        own = _numbered(route.effects)
        text = _route(_route_name(route, taken), route, own, shared, names)
        if not room.takes(len(shared.keys() | own.keys()), text):
            source_line = next(
                (effect.source_line for place in routes[position:] for effect in place.effects),
                SourceLine(""),
            )
            notes.lost(
                source_line,
                f"{len(routes) - position} of {len(routes)} routes are left out: a policy holds {MAX_RULES} rules over all routes",
                "import fewer at a time",
            )
            break
        lines += [*([] if position else ["routes:"]), *text]
    return "\n".join(lines) + "\n"


class _Room:
    """What is left of the rules and characters that a policy may have."""

    def __init__(self, rules: int, chars: int) -> None:
        self.rules = rules
        self.chars = chars

    def takes(self, rules: int, text: list[str]) -> bool:
        """True when this much more has room; then it is taken."""
        chars = sum(map(len, text)) + len(text)
        if rules > self.rules or chars > self.chars:
            return False
        self.rules -= rules
        self.chars -= chars
        return True


Slot = tuple[str, int]


def _numbered(effects: Sequence[Effect]) -> dict[Slot, Effect]:
    """The effects by header and by their number among those on it: the places line up by these.

    Headers come in the order of the source; what becomes of one does not depend on the others.
    """
    counts: dict[str, int] = {}
    found: dict[Slot, Effect] = {}
    first: dict[str, tuple[str, int]] = {}
    for effect in effects:
        place = (effect.source_line.file, effect.source_line.line)
        first[effect.key] = min(place, first.get(effect.key, place))
    for effect in sorted(effects, key=lambda effect: first[effect.key]):
        counts[effect.key] = counts.get(effect.key, 0) + 1
        found[effect.key, counts[effect.key]] = effect
    return found


def _slots(lists: Sequence[Mapping[Slot, Effect]]) -> dict[Slot, str]:
    """A rule name for every slot."""
    taken: set[str] = set()
    names: dict[Slot, str] = {}
    for slot in dict.fromkeys(slot for effects in lists for slot in effects):
        key, number = slot
        names[slot] = _free(
            _word(key.replace("*", "any")) + (f"-{number}" if number > 1 else ""), taken
        )
    return names


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-._")[:50] or "rule"


def _free(base: str, taken: set[str]) -> str:
    """The name, with a number where it is taken; from now on it is."""
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


def _rule(name: str, effect: Effect, above: Effect | None, indent: str) -> Iterator[str]:
    """A rule, or what is other than in the one of the same name above."""
    word = "cookie" if effect.attributes else "header"
    keys: list[tuple[str, str]] = []
    if above is None:
        keys.append((word, quoted(effect.header)))
    if effect.attributes:
        keys.append(
            (
                "attributes",
                f"{{{', '.join(f'{key}: {flow(value)}' for key, value in effect.attributes)}}}",
            )
        )
    else:
        if above is None or above.action != effect.action:
            keys.append(("action", effect.action))
        if effect.action != "remove" and (
            above is None or (above.action, above.value) != (effect.action, effect.value)
        ):
            keys.append(("value", quoted(effect.value)))
    if effect.when != (above.when if above else ()):
        keys.append(
            ("when", f"{{{', '.join(f'{key}: {flow(value)}' for key, value in effect.when)}}}")
        )
    yield f"{indent}# {_comment(effect)}"
    yield f"{indent}{name}:"
    yield from (f"{indent}  {key}: {text}" for key, text in keys)


def _comment(effect: Effect) -> str:
    text = f"{effect.source_line}: {effect.about}" if effect.about else str(effect.source_line)
    return re.sub(r"[^ -~]", "?", text)


def _route_name(route: Place, taken: set[str]) -> str:
    path = str(route.patterns[0]) if route.patterns else ""
    base = _word("-".join((*route.hosts[:1], "root" if path == "/" else path)).replace(".", "-"))
    return _free(base, taken)


def _route(
    name: str,
    route: Place,
    own: Mapping[Slot, Effect],
    above: Mapping[Slot, Effect],
    names: Mapping[Slot, str],
) -> list[str]:
    source_lines = tuple(
        dict.fromkeys(
            source_line for pattern in route.patterns for source_line in pattern.source_lines
        )
    )
    lines = [f"  # {re.sub(r'[^ -~]', '?', ', '.join(source_lines))}"] if source_lines else []
    lines += [f"  - name: {quoted(name)}", "    match:"]
    if route.hosts:
        lines.append(f"      host: {flow(route.hosts)}")
    if route.patterns:
        lines.append(f"      path: {flow(tuple(map(str, route.patterns)))}")
    rules: list[str] = []
    for slot in (*above, *(slot for slot in own if slot not in above)):
        if slot not in own:
            rules.append(f"      {names[slot]}: {{mode: off}}")
        elif own[slot] != above.get(slot):
            rules += _rule(names[slot], own[slot], above.get(slot), "      ")
    return [*lines, *(["    rules:", *rules] if rules else [])]
