"""The table of headers: one row for each security-relevant response header in use, and the names
that disclose.

To add a header, add a row to the file. Sources: the specification named in each row; OWASP Secure
Headers Project, lists of 2026-07-19.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

from sidecar.policy.data import read_table

_Protecting: TypeAlias = Literal["content", "transport", "framing", "cross-origin", "cors"]
_Other: TypeAlias = Literal["reporting", "session", "caching", "disclosure", "deprecated"]
Group: TypeAlias = Literal[_Protecting, _Other]
_Dictionary: TypeAlias = Literal["permissions", "endpoints", "integrity", "dictionary"]
_List: TypeAlias = Literal["csp", "hsts", "referrer", "cache", "vary", "names", "site-data"]
_Word: TypeAlias = Literal["token", "exact", "item", "boolean", "number", "origin", "text"]
_Own: TypeAlias = Literal["cookie", "nel", "report-to", "origins", "allowlist"]
_Plain: TypeAlias = Literal["media-type", "disposition", "date", "challenge", "path"]
Grammar: TypeAlias = Literal[_Dictionary, _List, _Word, _Own, _Plain]
"""How a value is read; `token` and `exact` are single words, and case counts only in the latter."""
Scope: TypeAlias = Literal["documents", "all", "https", "logout"]
"""Where the header has an effect: pages (and workers), every response, responses over HTTPS, the
response to a logout.
"""
Repeats: TypeAlias = Literal[
    "first", "last", "union", "intersect", "invalid", "conflict-blocks", "separate"
]
"""How browsers read several copies: the first counts; they are one list in which the last entry
counts; they are one list; all of them hold; none of them counts; they block unless they agree; each
is a header of its own.
"""


class Header(NamedTuple):
    """What is known of one header."""

    name: str
    group: Group
    grammar: Grammar
    purpose: str
    """What it is for; of a deprecated header: what to do instead."""
    spec: str
    """The address of its specification."""
    scope: Scope = "all"
    repeats: Repeats = "first"
    strong: str = ""
    """The recommended value as sent; "" = it depends on the site."""
    tokens: tuple[str, ...] = ()
    """The values that browsers recognise, the most protective first; () = not a closed list."""
    weak: tuple[tuple[str, str], ...] = ()
    """Values that protect little, and why."""
    report_only: str | None = None
    """The header that only reports what this one would block, where one exists."""
    breaks: str = ""
    """What the recommended value may break."""
    deprecated: bool = False

    @property
    def key(self) -> str:
        """The name in lower case."""
        return self.name.lower()

    @property
    def single(self) -> bool:
        """Whether a response may hold it only once."""
        return self.repeats in ("first", "invalid", "conflict-blocks")

    @property
    def shape(self) -> Literal["single", "list", "dictionary", "policies", "lines"]:
        """What the copies of the header are together."""
        if self.repeats in ("intersect", "separate"):
            return "policies" if self.repeats == "intersect" else "lines"
        if self.single:
            return "single"
        return "dictionary" if self.grammar in get_args(_Dictionary) else "list"


def _read() -> tuple[Header, ...]:
    rows = read_table("sidecar.policy.headers", "table.json")
    names = {row["name"] for row in rows}
    for row in rows:
        row["tokens"] = tuple(row.get("tokens", ()))
        row["weak"] = tuple(row.get("weak", {}).items())
        reporting = f"{row['name']}-Report-Only"
        row["report_only"] = reporting if reporting in names and not row.get("deprecated") else None
    return tuple(Header(**row) for row in rows)


ALL: tuple[Header, ...] = _read()

DISCLOSURE: frozenset[str] = frozenset(read_table("sidecar.policy.headers", "disclosure.json"))
"""Names to remove from responses, in lower case: the OWASP list, and the name that Kubernetes in
fact sends (...-UID).
"""
