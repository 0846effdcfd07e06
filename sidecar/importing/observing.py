"""A policy from what a running proxy or application sends: one rule where all responses agree,
conditions and routes where they do not.

The differences of one header between responses are explained by the first of these that does:
nothing, media type, status class, scheme, two of these; then the path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeAlias

from sidecar.importing.draft import HeaderEffect, HeaderScope, Notes, SourceLine, When, placed
from sidecar.importing.observations import LEAVE, Edit, Observation, discloses, looked_at
from sidecar.importing.paths import ALL, Pattern, below
from sidecar.policy.headers import cookies
from sidecar.policy.headers.shapes import cookie as shape_of_cookie
from sidecar.policy.headers.shapes import display_name
from sidecar.policy.terms import Action
from sidecar.policy.words import counted

Seen: TypeAlias = tuple[Observation, ...]
Cell: TypeAlias = tuple[str, ...]
_DIMENSIONS = ("content-type", "status", "scheme")
_SCHEME = 2
_BY = [chosen for size in range(4) for chosen in combinations(range(3), size)]
_FLAGS = ("Secure", "HttpOnly", "SameSite", "Partitioned")
_KINDS = ("page", "data", "static", "redirect", "error")


class _Row(NamedTuple):
    """What is needed of an observation again and again, for one header."""

    observation: Observation
    path: str
    cell: Cell
    edits: tuple[Edit, ...]


Rows: TypeAlias = Sequence[_Row]


@dataclass(frozen=True, slots=True)
class _Found:
    """An edit of one header, its condition, and the responses that showed it."""

    edit: Edit
    when: When
    seen: Seen


Plan: TypeAlias = tuple[_Found, ...]


def places(observations: Iterable[Observation], notes: Notes) -> list[HeaderScope]:
    """The places of all that was seen, first match first; only the first host's responses count."""
    every = tuple(observations)
    host = next((one for one in every if one.kind == "page"), every[0]).response.place.hostname
    seen = tuple(one for one in every if one.response.place.hostname == host)
    source = SourceLine("{0.scheme}://{0.netloc}".format(every[0].response.place))
    others = {one.response.place.hostname or "" for one in every} - {host or ""}
    if others:
        message = f"responses of {', '.join(sorted(others))} are left out"
        notes.lost(source, message, "import each host alone")
    rows = {
        key: tuple(_Row(one, one.path, one.cell, one.edits(key)) for one in seen)
        for key in looked_at(seen)
    }
    trees = [
        [(area, tuple(_effects(key, plan, source))) for area, plan in _spread("", held, 1)]
        for key, held in rows.items()
    ]
    for key, held in rows.items():
        _note_varying(key, held, source, notes)
    _note_unseen(seen, [display_name(key) for key in rows if discloses(key)], source, notes)
    always = tuple(_cookies(seen, source, notes))

    def holds(pattern: Pattern) -> tuple[HeaderEffect, ...]:
        made: list[HeaderEffect] = []
        for tree in trees:
            made += next(held for area, held in tree if any(one.covers(pattern) for one in area))
        return (*made, *always)

    patterns = [pattern for tree in trees for area, _ in tree for pattern in area]
    return list(placed((), patterns, holds, (source, "paths", notes)))


Tree: TypeAlias = list[tuple[tuple[Pattern, ...], Plan]]
"""Paths with what explains them, narrow ones first; the last covers all of the tree's paths."""


def _spread(folder: str, rows: Rows, depth: int) -> Tree:
    """What explains a header below a folder: one plan, or one for most paths and others."""
    area = below(folder) if folder else (ALL,)
    plan = _explained(rows)
    if plan is not None:
        return [(area, plan)]
    rest: list[_Row] = []
    children: dict[str, list[_Row]] = {}
    for row in rows:
        segment = row.path.split("/")[depth : depth + 1]
        if row.observation.probe or not segment:
            rest.append(row)
        else:
            children.setdefault(f"{folder}/{segment[0]}", []).append(row)
    by_path = list(children.items())
    by_size = sorted(by_path, key=lambda child: -len(child[1]))
    splits = [_gathered(rest, order) for order in (by_path, by_size)]
    most, apart = min(splits, key=lambda split: len(split[1]))
    tree = [leaf for path, own in apart for leaf in _branch(path, own, depth + 1)]
    return [*tree, (area, _explained(most) or ())]


def _gathered(
    rest: Rows, children: Iterable[tuple[str, Rows]]
) -> tuple[Rows, list[tuple[str, Rows]]]:
    """The children that one plan explains together with the first of them, and the others."""
    most, apart = list(rest), list[tuple[str, Rows]]()
    kinds = _kinds(rest)
    for path, own in children:
        more = kinds | _kinds(own)
        if _explained(list(more.values())) is not None:
            kinds = more
            most += own
        else:
            apart.append((path, own))
    return most, apart


def _kinds(rows: Rows) -> dict[tuple[Cell, tuple[Edit, ...]], _Row]:
    """One of each kind of row: what explains these explains all."""
    return {(row.cell, row.edits): row for row in rows}


def _branch(path: str, rows: Rows, depth: int) -> Tree:
    """What explains a header at one path, and below it where paths below it were seen."""
    if any(row.path != path for row in rows):
        return _spread(path, rows, depth)
    name = path.rpartition("/")[2]
    area = (Pattern(path),) if "." in name or not name else below(path)
    return [(area, _explained(rows) or ())]


def _explained(rows: Rows) -> Plan | None:
    """What is done to a header in these responses, by the fewest conditions; None = none fit."""
    for dimensions in _BY:
        cells: dict[Cell, list[_Row]] = {}
        for row in rows:
            cells.setdefault(tuple(row.cell[number] for number in dimensions), []).append(row)
        if (plan := _agreed(cells, dimensions)) is not None:
            return plan
    return None


def _agreed(cells: Mapping[Cell, Sequence[_Row]], dimensions: tuple[int, ...]) -> Plan | None:
    """One edit for each cell, cells of the same edit together; None when a cell has no one edit."""
    choices = {cell: _common(rows) for cell, rows in cells.items()}
    if not all(choices.values()):
        return None
    wanted = [edit for edits in choices.values() for edit in edits]
    usual = max(wanted, key=wanted.count, default=LEAVE)  # fewer rules where there is a choice
    groups: dict[Edit, list[Cell]] = {}
    for cell, edits in choices.items():
        groups.setdefault(usual if usual in edits else edits[0], []).append(cell)
    groups.pop(LEAVE, None)
    found: list[_Found] = []
    for edit, held in groups.items():
        for area in _areas(held, list(choices)):
            seen = tuple(row.observation for cell in area for row in cells[cell])
            found.append(_Found(edit, _when(area, dimensions), seen))
    return tuple(found)


def _areas(held: list[Cell], every: list[Cell]) -> Iterator[list[Cell]]:
    """The cells in few parts, each of which one condition expresses: a full product of values."""
    sides = [list(dict.fromkeys(side)) for side in zip(*held, strict=True)]
    inside = [
        cell
        for cell in every
        if all(value in side for value, side in zip(cell, sides, strict=True))
    ]
    mixed = [number for number, side in enumerate(sides) if "" in side and side != [""]]
    if not mixed and len(inside) <= len(held):
        yield held
        return
    several = (number for number, side in enumerate(sides) if len(side) > 1)
    number = mixed[0] if mixed else next(several)
    for value in sides[number]:
        yield from _areas([cell for cell in held if cell[number] == value], every)


def _when(area: list[Cell], dimensions: tuple[int, ...]) -> When:
    """The condition that holds in these cells."""
    said: list[tuple[str, object]] = []
    for number, side in zip(dimensions, zip(*area, strict=True), strict=True):
        values = tuple(dict.fromkeys(side))
        if values == ("",):
            said.append(("response", (("Content-Type", False),)))
        else:
            said.append((_DIMENSIONS[number], values[0] if number == _SCHEME else values))
    return tuple(said)


def _common(rows: Sequence[_Row]) -> list[Edit]:
    """The edits that suit all of these responses, the mildest first."""
    return [edit for edit in rows[0].edits if all(edit in row.edits for row in rows)]


def _effects(key: str, plan: Plan, source: SourceLine) -> Iterator[HeaderEffect]:
    """The effects of a plan: of several lines the first is set, the others are appended."""
    for found in plan:
        action, lines = found.edit
        about = _about(found.seen)
        name = display_name(key)
        if action == "remove":
            yield HeaderEffect("remove", name, "", found.when, where=source, about=about)
        for number, line in enumerate(lines):
            how: Action = "set" if action == "set" and not number else "append"
            yield HeaderEffect(how, name, line, found.when, where=source, about=about)


def _about(seen: Seen) -> str:
    """Where something was seen, for people: the paths, how many responses, of which kinds."""
    kinds = Counter(one.kind for one in seen)
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"on {_paths(seen)}: {counted(len(seen), 'response')} ({said})"


def _paths(seen: Iterable[Observation]) -> str:
    paths = list(dict.fromkeys("a missing page" if one.probe else one.path for one in seen))
    return ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")


def _note_varying(key: str, rows: Rows, source: SourceLine, notes: Notes) -> None:
    """Report values that change in a way that no rule can follow."""
    name = display_name(key)
    varying = [(row.observation, what) for row in rows if (what := row.observation.varies(key))]
    if varying:
        what, paths = varying[0][1], _paths(one for one, _ in varying)
        message = f"{name}: {what} changes with every response on {paths}"
        fix = "write a rule without what changes, where the service does not send it itself"
        if what == "a nonce":
            fix = "write 'nonce-{request}' and give templates the nonce that the sidecar sends"
        notes.lost(source, f"{message}; it is left to the service", fix)
        return
    alike: dict[tuple[str, Cell], list[_Row]] = {}
    for row in rows:
        alike.setdefault((row.path, row.cell), []).append(row)
    torn = [group[0].observation for group in alike.values() if not _common(group)]
    if torn:
        message = (
            f"{name}: similar responses differ on {_paths(torn)}, and nothing seen explains it"
        )
        notes.lost(source, message, "write the rule by hand, with a condition on the request")


def _note_unseen(seen: Seen, software: Sequence[str], source: SourceLine, notes: Notes) -> None:
    """Report what responses cannot show."""
    if not any(one.bare for one in seen):
        text = "whether this server removes headers of the service behind it cannot be seen"
        also = f", not even {', '.join(software)}" if software else ""
        fix = "give the address of the service itself: --service URL"
        notes.differs(source, f"{text}, so no rule removes any{also}", fix)
    missing = [kind for kind in _KINDS if kind not in {one.kind for one in seen}]
    if missing:
        text = f"no response of these kinds was seen: {', '.join(missing)}"
        fix = "give paths that respond so"
        notes.differs(source, f"{text}; rules without conditions hold for them too", fix)


def _cookies(seen: Seen, source: SourceLine, notes: Notes) -> Iterator[HeaderEffect]:
    """A rule for each cookie whose attributes agree in all responses and are not the service's."""
    names: dict[str, list[tuple[Observation, dict[str, bool | str], bool]]] = {}
    for one in seen:
        own = dict(_attributes(one.bare.values("set-cookie"))) if one.bare else {}
        for line in one.response.values("set-cookie"):
            for fault in cookies.cookie_faults(line, "https"):
                if fault.verdict == "invalid":
                    fix = fault.fix[:1].lower() + fault.fix[1:].removesuffix(".")
                    notes.differs(source, fault.text.removesuffix("."), fix)
        for name, attributes in _attributes(one.response.values("set-cookie")):
            changed = own.get(name) != attributes
            names.setdefault(name, []).append((one, attributes, changed))
    for name, found in names.items():
        wanted = found[0][1]
        where = tuple(dict.fromkeys(one for one, _, _ in found))
        if any(attributes != wanted for _, attributes, _ in found):
            message = f"cookie {name}: its attributes are not the same on {_paths(where)}"
            notes.lost(source, message, "write cookie rules on routes")
        elif wanted and any(changed for _, _, changed in found):
            demands, about = tuple(wanted.items()), _about(where)
            yield HeaderEffect("set", name, attributes=demands, where=source, about=about)


def _attributes(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, bool | str]]]:
    """The name of each cookie (* for what looks random), and its attributes that protect it."""
    for line in lines:
        name = shape_of_cookie(line)[0].replace("...", "*")
        said = dict(cookies.parse(line).attributes)
        flags: dict[str, bool | str] = {flag: True for flag in _FLAGS if flag.lower() in said}
        if "SameSite" in flags:
            flags["SameSite"] = said["samesite"].capitalize()
            if flags["SameSite"] not in ("Strict", "Lax", "None"):
                del flags["SameSite"]
        if name:
            yield name, flags
