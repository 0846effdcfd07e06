"""nginx variables computed by map blocks: conditions, routes, and a header's value after all steps.

Conditions are tested on the response as it leaves, error pages of nginx included (`sent`); those of
cookies while the lines of the service are copied, when only these are known (`upstream`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from sidecar.exporting import patterns, terms
from sidecar.exporting.program import ExportedRoute, ExportedStep, Program
from sidecar.policy.rules.classes import MEDIA

Side: TypeAlias = Literal["sent", "upstream"]
Entries: TypeAlias = Sequence[tuple[str, str]]
ROUTE, PATH, DOLLAR = "$policy_route", "$policy_path", "${policy_dollar}"


def quoted(text: str) -> str:
    """One word, with every character literal; a dollar is a variable that the file declares."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", DOLLAR)
    return f'"{escaped}"'


def pattern(source: str, *, fold: bool = False) -> str:
    """A regular expression as a map's key: there a dollar is itself."""
    escaped = source.replace("\\", "\\\\").replace('"', '\\"')
    return f'"~{"*" if fold else ""}{escaped}"'


def field_variable(prefix: str, name: str) -> str:
    """The variable of a header line; "" where nginx has none."""
    return f"${prefix}_{name.lower().replace('-', '_')}" if re.fullmatch(r"[\w-]+", name) else ""


def unnamed_field(step: ExportedStep) -> str:
    """That a step's condition looks at a header without a variable; "" = it does not."""
    for term in (term for alternative in step.when for term in alternative):
        if isinstance(term, terms.Field) and not field_variable("http", term.name):
            return f"nginx has no variable for the header {term.name}"
    return ""


class Maps:
    """The map blocks of one file, each variable once."""

    def __init__(self, program: Program) -> None:
        self._names: dict[tuple[str, tuple[tuple[str, str], ...], str], str] = {}
        self._taken: set[str] = {"$policy_route", "$policy_path", "$policy_dollar"}
        self.blocks: list[str] = []
        """Each after those it uses."""
        self._program = program

    def routes(self) -> Iterator[tuple[str, int, ExportedRoute]]:
        """The expressions of the routes, of which the first that matches counts."""
        for source, route in patterns.routes(self._program.routes):
            yield source, self._program.number(route), route

    def made(self, hint: str, source: str, entries: Entries, default: str, about: str = "") -> str:
        """The variable that maps a source; `default` and the values are words of nginx."""
        known = (source, tuple(entries), default)
        if known not in self._names:
            base = "$policy_" + re.sub(r"[^a-z0-9]+", "_", hint.lower()).strip("_")[:32]
            name, count = base, 1
            while name in self._taken:
                count += 1
                name = f"{base}_{count}"
            self._taken.add(name)
            self._names[known] = name
            lines = [f"# {about}"] if about else []
            lines += [f"map {source} {name} {{"]
            lines += [f"    {key} {value};" for key, value in entries]
            self.blocks.append("\n".join([*lines, f"    default {default};", "}\n"]))
        return self._names[known]

    # Conditions

    def holds(self, when: terms.Condition, side: Side) -> str:
        """The variable that is 1 where the condition holds."""
        found = [self._alternative(one, side) for one in when]
        if len(found) == 1:
            return found[0]
        return self.made("any", _joined(found), [(quoted("0" * len(found)), "0")], "1")

    def _alternative(self, alternative: terms.Alternative, side: Side) -> str:
        found = [self._term(term, side) for term in alternative]
        if len(found) == 1:
            return found[0]
        return self.made("all", _joined(found), [(quoted("1" * len(found)), "1")], "0")

    def _term(self, term: terms.Term, side: Side) -> str:
        content = f"${'sent' if side == 'sent' else 'upstream'}_http_content_type"
        match term:
            case terms.Scheme(scheme):
                return self.made(f"is_{scheme}", "$scheme", [(scheme, "1")], "0")
            case terms.Status(ranges):
                source = "$status" if side == "sent" else "$upstream_status"
                codes = patterns.any_of(_codes(low, high) for low, high in ranges)
                key = pattern(rf"(?:^|[ ,:]){codes}$")
                return self.made("is_status", source, [(key, "1")], "0")
            case terms.Media(types):
                key = pattern(patterns.media(types), fold=True)
                return self.made("is_type", content, [(key, "1")], "0")
            case terms.Class(wanted):
                key = pattern(f"^{patterns.any_of(wanted)}$")
                hint = f"is_{'_'.join(wanted)}"
                return self.made(hint, self._class(content), [(key, "1")], "0")
            case terms.LogoutPath():
                key = pattern(patterns.LOGOUT_PATH, fold=True)
                return self.made("is_logout", PATH, [(key, "1")], "0")
            case terms.Field(side=whose, name=name, pattern=asked):
                source = field_variable("http" if whose == "request" else "upstream_http", name)
                if isinstance(asked, bool):
                    yes, no = ("1", "0") if asked else ("0", "1")
                    return self.made(f"has_{name}", source, [('""', no)], yes)
                key = pattern(f"(?s){patterns.glob(asked)}", fold=True)
                return self.made(f"has_{name}", source, [(key, "1")], "0")

    def _class(self, content: str) -> str:
        types = [(pattern(patterns.media(some), fold=True), name) for name, some in MEDIA]
        media = self.made("media", content, types, '""')
        docs = self.made("is_docs", PATH, [(pattern(patterns.DOCS_PATH, fold=True), "1")], "0")
        disposition = "$upstream_http_content_disposition"
        attachment = pattern(patterns.ATTACHMENT, fold=True)
        attached = self.made("is_attachment", disposition, [(attachment, "1")], "0")
        cases = [('"~^1"', "download"), ('"~^01(?:html|api)$"', "docs")]
        source = f'"{inside(attached)}{inside(docs)}{inside(media)}"'
        return self.made("class", source, cases, media, "what a response carries")

    # Values

    def after(self, step: ExportedStep, before: str) -> str:
        """A header's value after a step, as words like `before`; "" in quotes = no line."""
        value = quoted(step.value) if step.act != "remove" else '""'
        if step.act != "default" or before == '""':
            return self.where(step.when, value, before, step.header, step.rule, "sent")
        if not before.startswith("$"):
            return before
        source, absent = before, '""'
        if not step.always:
            source = f'"{inside(self.holds(step.when, "sent"))}:{inside(before)}"'
            absent = '"1:"'
        return self.made(step.header, source, [(absent, value)], before, f"rule {step.rule}")

    def where(
        self, when: terms.Condition, value: str, before: str, hint: str, rule: str, side: Side
    ) -> str:
        """One word where the condition holds, and what was before elsewhere."""
        if () in when or value == before:
            return value
        return self.made(hint, self.holds(when, side), [("1", value)], before, f"rule {rule}")

    def by_route(self, hint: str, found: Sequence[str]) -> str:
        """One word for what differs by route; `found` is in the order of the routes."""
        if len(set(found)) == 1:
            return found[0]
        entries = [
            (str(self._program.number(route)), value)
            for route, value in zip(self._program.routes, found, strict=True)
            if value != found[-1]
        ]
        return self.made(hint, ROUTE, entries, found[-1], f"{hint}, by route")


def inside(variable: str) -> str:
    """A variable as a part of a longer word."""
    return "${" + variable[1:] + "}"


def _joined(variables: Iterable[str]) -> str:
    return f'"{"".join(inside(variable) for variable in variables)}"'


def _codes(low: int, high: int) -> str:
    if low == high:
        return str(low)
    hundreds = "".join(str(digit) for digit in range(low // 100, high // 100 + 1))
    return f"[{hundreds}]\\d\\d"
