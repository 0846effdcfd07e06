"""Apache's expressions: conditions of rules, and the variables that SetEnvIfExpr sets.

An expression that is "" always holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sidecar.exporting import patterns, terms
from sidecar.exporting.program import ExportedRoute, Program
from sidecar.policy.rules.classes import MEDIA

_ROUTE = "reqenv('policy_route')"
_TYPE = "%{CONTENT_TYPE}"
_ATTACHED = "resp('Content-Disposition')"


class Conditions:
    """The expressions of one file, and what must be noted of requests for them."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.needs_path = False
        self.needs_route = False
        self.defined: dict[str, str] = {}
        """Expressions by the name under which the file has them, as arguments of `Define`."""

    def routes(self) -> Iterator[tuple[str, ExportedRoute]]:
        """The expressions of the routes; the first that holds counts."""
        for source, route in patterns.routes(self._program.routes, self._program.slash):
            text = "%{REQUEST_METHOD} %{reqenv:policy_host} %{reqenv:policy_path}"
            yield argument(f"'{text}' =~ {self.regex(source)}"), route

    def place(self, routes: Sequence[ExportedRoute]) -> str:
        """The request is of one of these routes."""
        program = self._program
        if len(routes) == len(program.routes):
            return ""
        self.needs_path = self.needs_route = True
        if program.routes[-1] in routes:
            others = [program.number(route) for route in program.routes if route not in routes]
            return " && ".join(f"{_ROUTE} != '{number}'" for number in others)
        return self.any_of([f"{_ROUTE} == '{program.number(route)}'" for route in routes])

    def expr(self, asked: str) -> str:
        """The argument of a directive; "" where the condition always holds."""
        return f" {argument(f'expr={asked}')}" if asked else ""

    def all_of(self, *found: str) -> str:
        """All hold."""
        return " && ".join(dict.fromkeys(one for one in found if one))

    def any_of(self, found: Sequence[str]) -> str:
        """One of them holds."""
        if "" in found:
            return ""
        return found[0] if len(found) == 1 else f"({' || '.join(f'({one})' for one in found)})"

    def holds(self, when: terms.Condition) -> str:
        """A rule's condition."""
        return self.any_of([self._alternative(one) for one in when])

    def _alternative(self, alternative: terms.Alternative) -> str:
        return self.all_of(*(self._term(term) for term in alternative))

    def _term(self, term: terms.Term) -> str:
        match term:
            case terms.Scheme(scheme):
                return f"%{{HTTPS}} {'==' if scheme == 'https' else '!='} 'on'"
            case terms.Status(ranges):
                return self.any_of([_status(low, high) for low, high in ranges])
            case terms.Media(types):
                return self._type(types)
            case terms.Class(wanted):
                return self.any_of([self._named(one) for one in wanted])
            case terms.LogoutPath():
                return self._path(patterns.LOGOUT_PATH)
            case terms.Field(side=side, name=name, pattern=asked):
                # The plain `req` would add the header's name to Vary.
                value = f"%{{{'req_novary' if side == 'request' else 'resp'}:{name}}}"
                if isinstance(asked, bool):
                    return f"{'-n' if asked else '-z'} {value}"
                return f"{value} =~ {self.regex(patterns.glob(asked), fold=True)}"

    def _type(self, types: tuple[str, ...]) -> str:
        return f"{_TYPE} =~ {self.regex(patterns.media(types), fold=True)}"

    def _path(self, source: str) -> str:
        self.needs_path = True
        return f"reqenv('policy_path') =~ {self.regex(source, fold=True)}"

    def _named(self, name: str) -> str:
        """A class by its name: the expression is written once in the file."""
        word = f"policy_is_{name}"
        if word not in self.defined:
            self.defined[word] = argument(_escaped(self._class(name)))
        return f"(${{{word}}})"

    def _class(self, name: str) -> str:
        """The content of a response: an attachment, else documentation, else by its media type."""
        attached = f"{_ATTACHED} =~ {self.regex(patterns.ATTACHMENT, fold=True)}"
        if name == "download":
            return self.any_of([attached, self._types("download")])
        found = self._types(name)
        if name == "docs":
            found = self.any_of([self._types("html"), self._types("api")])
            return self.all_of(f"!({attached})", self._path(patterns.DOCS_PATH), found)
        if name in ("html", "api"):
            return self.all_of(f"!({attached})", f"!({self._path(patterns.DOCS_PATH)})", found)
        return self.all_of(f"!({attached})", found)

    def _types(self, name: str) -> str:
        found: list[str] = []
        for position, (one, types) in enumerate(MEDIA):
            if one != name:
                continue
            others = [some for other, some in MEDIA[:position] if other != name]
            earlier = tuple(media for some in others for media in some)
            first = f"!({self._type(earlier)})" if earlier and "*" in types[0] else ""
            found.append(self.all_of(self._type(types), first))
        return self.any_of(found)

    def regex(self, source: str, *, fold: bool = False) -> str:
        """A regular expression, between signs that it does not contain."""
        safe = source.replace("#", r"\x23")
        return f"m#{safe}#{'i' if fold else ''}"


def _status(low: int, high: int) -> str:
    if low == high:
        return f"%{{REQUEST_STATUS}} -eq {low}"
    return f"%{{REQUEST_STATUS}} -ge {low} && %{{REQUEST_STATUS}} -le {high}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def argument(text: str) -> str:
    """One argument of a directive: in double quotes a backslash and a quote are escaped."""
    return f'"{_escaped(text)}"'
