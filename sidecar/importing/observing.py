"""A policy from what a running proxy or application was seen to send: one rule where all responses
agree, conditions and routes where they do not.

Lives here: what explains the differences of one header between responses. The first that does is
taken: nothing, the media type, the status class, the scheme, two of these; then the path. Must not
know formats, sockets or YAML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeAlias

from sidecar.importing.draft import Effect, Notes, Place, SourceLine, When, placed
from sidecar.importing.paths import ALL, Pattern, below
from sidecar.importing.sightings import LEAVE, Edit, Sighting, discloses, looked_at
from sidecar.policy.headers import cookies
from sidecar.policy.headers.shapes import cookie as shape_of_cookie
from sidecar.policy.headers.shapes import display_name
from sidecar.policy.model import Action

Seen: TypeAlias = tuple[Sighting, ...]
Cell: TypeAlias = tuple[str, ...]
_DIMENSIONS = ("content-type", "status", "scheme")
_SCHEME = 2
_BY = [chosen for size in range(4) for chosen in combinations(range(3), size)]
_FLAGS = ("Secure", "HttpOnly", "SameSite", "Partitioned")
_KINDS = ("page", "data", "static", "redirect", "error")


class _Row(NamedTuple):
    """What is asked of a sighting again and again, for one header."""

    sighting: Sighting
    path: str
    cell: Cell
    edits: tuple[Edit, ...]


Rows: TypeAlias = Sequence[_Row]


@dataclass(frozen=True, slots=True)
class _Found:
    """An edit of one header, when it is made, and the responses that showed it."""

    edit: Edit
    when: When
    seen: Seen


Plan: TypeAlias = tuple[_Found, ...]


def places(sightings: Iterable[Sighting], notes: Notes) -> list[Place]:
    """The places of everything that was seen, first match first; responses of other hosts than
    the first are left out.
    """
    every = tuple(sightings)
    host = next((one for one in every if one.kind == "page"), every[0]).response.place.hostname
    seen = tuple(one for one in every if one.response.place.hostname == host)
    source = SourceLine(f"{every[0].response.place.scheme}://{host}")
    others = {one.response.place.hostname or "" for one in every} - {host or ""}
    if others:
        notes.lost(
            source,
            f"responses of {', '.join(sorted(others))} are left out",
            "import each host alone",
        )
    rows = {
        key: tuple(_Row(one, one.path, one.cell, one.edits(key)) for one in seen)
        for key in looked_at(seen)
    }
    trees = [
        [(area, tuple(_effects(key, plan, source))) for area, plan in _spread("", held, 1)]
        for key, held in rows.items()
    ]
    for key, held in rows.items():
        _tell_varying(key, held, source, notes)
    _tell_unseen(seen, [display_name(key) for key in rows if discloses(key)], source, notes)
    always = tuple(_cookies(seen, source, notes))

    def holds(pattern: Pattern) -> tuple[Effect, ...]:
        made = (effect for tree in trees for effect in _at(pattern, tree))
        return (*made, *always)

    patterns = [pattern for tree in trees for area, _ in tree for pattern in area]
    return list(placed((), patterns, holds, lambda: always, (source, "paths", notes)))


Tree: TypeAlias = list[tuple[tuple[Pattern, ...], Plan]]
"""Paths with what explains them, narrow ones first; the last covers all that the tree is about."""


def _at(
    pattern: Pattern, tree: Sequence[tuple[tuple[Pattern, ...], tuple[Effect, ...]]]
) -> tuple[Effect, ...]:
    return next(found for area, found in tree if any(one.covers(pattern) for one in area))


def _spread(folder: str, rows: Rows, depth: int) -> Tree:
    """What explains a header below a folder: one plan, or one for most and others for some of
    the paths.
    """
    area = below(folder) if folder else (ALL,)
    plan = _explained(rows)
    if plan is not None:
        return [(area, plan)]
    rest: list[_Row] = []
    children: dict[str, list[_Row]] = {}
    for row in rows:
        segment = row.path.split("/")[depth : depth + 1]
        if row.sighting.probe or not segment:
            rest.append(row)
        else:
            children.setdefault(f"{folder}/{segment[0]}", []).append(row)
    by_path, by_size = list(children.items()), sorted(children.items(), key=_size)
    splits = [_gathered(rest, order) for order in (by_path, by_size)]
    most, apart = min(splits, key=lambda split: len(split[1]))
    tree = [leaf for path, own in apart for leaf in _branch(path, own, depth + 1)]
    return [*tree, (area, _explained(most) or ())]


def _size(child: tuple[str, Rows]) -> int:
    return -len(child[1])


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
    """What becomes of a header in these responses, by the fewest conditions; None when no
    conditions tell them apart.
    """
    for dimensions in _BY:
        cells: dict[Cell, list[_Row]] = {}
        for row in rows:
            cells.setdefault(tuple(row.cell[number] for number in dimensions), []).append(row)
        plan = _agreed(cells, dimensions)
        if plan is not None:
            return plan
    return None


def _agreed(cells: Mapping[Cell, Sequence[_Row]], dimensions: tuple[int, ...]) -> Plan | None:
    """One edit for each cell, and cells of the same edit put together; None when a cell has no
    one edit.
    """
    choices = {cell: _common(rows) for cell, rows in cells.items()}
    if not all(choices.values()):
        return None
    wanted = [edit for edits in choices.values() for edit in edits]
    usual = max(wanted, key=wanted.count, default=LEAVE)  # fewer rules where there is a choice
    groups: dict[Edit, list[Cell]] = {}
    for cell, edits in choices.items():
        groups.setdefault(usual if usual in edits else edits[0], []).append(cell)
    groups.pop(LEAVE, None)
    return tuple(
        _Found(
            edit,
            _when(area, dimensions),
            tuple(row.sighting for cell in area for row in cells[cell]),
        )
        for edit, held in groups.items()
        for area in _areas(held, list(choices))
    )


def _areas(held: list[Cell], every: list[Cell]) -> Iterator[list[Cell]]:
    """The cells in as few parts as conditions can say: all combinations of some values, and no
    other cell.
    """
    sides = [list(dict.fromkeys(side)) for side in zip(*held, strict=True)]
    inside = [
        cell
        for cell in every
        if all(value in side for value, side in zip(cell, sides, strict=True))
    ]
    mixed = next((number for number, side in enumerate(sides) if "" in side and side != [""]), None)
    if mixed is None and len(inside) <= len(held):
        yield held
        return
    number = (
        next(number for number, side in enumerate(sides) if len(side) > 1)
        if mixed is None
        else mixed
    )
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


def _effects(key: str, plan: Plan, source: SourceLine) -> Iterator[Effect]:
    """The effects of a plan: of several lines the first is set, the others stand beside it."""
    for found in plan:
        action, lines = found.edit
        about = _about(found.seen)
        name = display_name(key)
        if action == "remove":
            yield Effect("remove", name, "", found.when, where=source, about=about)
        for number, line in enumerate(lines):
            how: Action = "set" if action == "set" and not number else "append"
            yield Effect(how, name, line, found.when, where=source, about=about)


def _about(seen: Seen) -> str:
    """Where something was seen, for people: the paths, how many responses, of which kinds."""
    kinds = Counter(one.kind for one in seen)
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"on {_paths(seen)}: {len(seen)} response{'s' * (len(seen) > 1)} ({said})"


def _paths(seen: Iterable[Sighting]) -> str:
    paths = list(dict.fromkeys("a missing page" if one.probe else one.path for one in seen))
    return ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")


def _tell_varying(key: str, rows: Rows, source: SourceLine, notes: Notes) -> None:
    """Say which values change in a way that no rule can follow."""
    name = display_name(key)
    varying = [(row.sighting, what) for row in rows if (what := row.sighting.varies(key))]
    if varying:
        what = varying[0][1]
        notes.lost(
            source,
            f"{name}: {what} changes with every response on {_paths(one for one, _ in varying)}; it"
            " is left to the service",
            (
                "write 'nonce-{request}' and give templates the nonce that the sidecar sends along"
                if what == "a nonce"
                else "write a rule without what changes, where the service does not send it itself"
            ),
        )
        return
    alike: dict[tuple[str, Cell], list[_Row]] = {}
    for row in rows:
        alike.setdefault((row.path, row.cell), []).append(row)
    torn = [group[0].sighting for group in alike.values() if not _common(group)]
    if torn:
        notes.lost(
            source,
            f"{name}: similar responses differ on {_paths(torn)}; nothing that was seen explains"
            " the difference",
            "write the rule by hand, with a condition on the request",
        )


def _tell_unseen(seen: Seen, software: Sequence[str], source: SourceLine, notes: Notes) -> None:
    """Say what responses cannot show."""
    if not any(one.bare for one in seen):
        also = f", and so are {', '.join(software)}, which name software" if software else ""
        notes.differs(
            source,
            "what is removed from the service's own responses cannot be seen; absent headers are"
            f" left alone{also}",
            "give the address of the service itself: --service URL",
        )
    missing = [kind for kind in _KINDS if kind not in {one.kind for one in seen}]
    if missing:
        notes.differs(
            source,
            f"no response of these kinds was seen: {', '.join(missing)}; rules without conditions"
            " hold for them too",
            "give paths that respond so",
        )


def _cookies(seen: Seen, source: SourceLine, notes: Notes) -> Iterator[Effect]:
    """A rule for each cookie whose attributes are the same in all responses, and not the
    service's own.
    """
    names: dict[str, list[tuple[Sighting, dict[str, bool | str], bool]]] = {}
    for one in seen:
        own = dict(_attributes(one.bare.values("set-cookie"))) if one.bare else {}
        for name, attributes in _attributes(one.response.values("set-cookie")):
            changed = own.get(name) != attributes
            names.setdefault(name, []).append((one, attributes, changed))
    for name, found in names.items():
        wanted = found[0][1]
        where = tuple(dict.fromkeys(one for one, _, _ in found))
        if any(attributes != wanted for _, attributes, _ in found):
            notes.lost(
                source,
                f"cookie {name}: its attributes are not the same on {_paths(where)}",
                "write cookie rules on routes",
            )
        elif wanted and any(changed for _, _, changed in found):
            yield Effect(
                "set", name, attributes=tuple(wanted.items()), where=source, about=_about(where)
            )


def _attributes(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, bool | str]]]:
    """The name of each cookie (* for what looks random), and its attributes that protect it."""
    for line in lines:
        name = shape_of_cookie(line)[0].replace("...", "*")
        said = dict(cookies.parse(line).attributes)
        flags = {
            flag: said[flag.lower()].capitalize() or True for flag in _FLAGS if flag.lower() in said
        }
        if flags.get("SameSite", "Lax") not in ("Strict", "Lax", "None"):
            del flags["SameSite"]
        if name:
            yield name, {key: value if key == "SameSite" else True for key, value in flags.items()}
