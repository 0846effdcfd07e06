"""Virtual servers by host name, as a first-match list of host patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType

from sidecar.importing.draft import HeaderEffect, Notes, SourceLine
from sidecar.importing.syntax import ConfigDirective

# A host as a policy writes it: * stands for one run, at an end.
_HOST = re.compile(r"(\*\.|\.)?[\w-]+(\.[\w-]+)*\.?(\.\*)?|\[[0-9a-fA-F:.]+\]|\*", re.ASCII)
_SCHEMES: Mapping[tuple[bool | None, bool | None], str] = MappingProxyType(
    {(True, False): "https", (False, True): "http"}
)


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """One virtual server.

    `tls`: it speaks HTTPS only (True), HTTP only (False), or both or unknown (None). `plain`: it
    does nothing to headers. `default`: it is marked as the one for all other hosts.
    """

    names: tuple[str, ...]
    item: ConfigDirective
    tls: bool | None = None
    plain: bool = False
    default: bool = False
    scheme: str = ""
    """Its effects count for this scheme only: a site of the same name does nothing on the other."""

    def on_scheme(self, effects: tuple[HeaderEffect, ...]) -> tuple[HeaderEffect, ...]:
        """Its effects with the condition on the scheme, where there is one."""
        if not self.scheme:
            return effects
        scheme = ("scheme", self.scheme)
        return tuple(replace(effect, when=(scheme, *effect.when)) for effect in effects)


def alone(item: ConfigDirective, what: str, how: str, notes: Notes, *, touches: bool) -> None:
    """Leave out a server that responds by itself: its responses never pass the sidecar."""
    if touches:
        message = f"{what} responds by itself ({how}); these headers are not the service's"
        notes.lost(item.where, message, "do nothing, if the service is not behind it")


def host_patterns(names: Sequence[str], where: SourceLine, notes: Notes) -> tuple[str, ...]:
    """The names that a policy can express; the others are reported."""
    kept: list[str] = []
    for name in names:
        if name in ("", "_"):
            continue
        if _HOST.fullmatch(name):
            kept.extend((name[1:], f"*{name}") if name.startswith(".") else (name,))
        else:
            fix = "write the names under match: {host: [...]} by hand"
            notes.lost(where, f"no host pattern expresses {name!r}", fix)
    return tuple(dict.fromkeys(kept))


def one_per_name(sites: Sequence[VirtualServer], notes: Notes) -> list[VirtualServer]:
    """The sites with at most one for each name: a policy knows the host, not the port.

    The usual pair, one for HTTP that does nothing and one for HTTPS, becomes the latter with
    conditions on the scheme.
    """
    kept: list[VirtualServer] = []
    owner: dict[str, int] = {}

    def keep(site: VirtualServer, at: int) -> None:
        kept[at : at + 1] = [site]
        owner.update(dict.fromkeys(site.names or ("",), at))

    for site in sites:
        shared = [name for name in site.names or ("",) if name in owner]
        if not shared:
            keep(site, len(kept))
            continue
        at = owner[shared[0]]
        earlier = kept[at]
        quiet, loud = (earlier, site) if earlier.plain else (site, earlier)
        rest = (name for name in quiet.names if name not in loud.names)
        others = tuple(name for name in rest if owner.get(name, at) == at)
        if quiet.plain:
            scheme = _SCHEMES.get((loud.tls, quiet.tls), "")
            keep(replace(loud, default=loud.default or quiet.default, scheme=scheme), at)
        else:
            names = " ".join(shared) or "the default server"
            message = f"line {earlier.item.where.line} has {names} too; a policy knows no ports"
            fix = "import it alone if it is the one in front of the service"
            notes.lost(site.item.where, f"{message}, so this one is not carried", fix)
        if others:
            keep(replace(quiet, names=others, default=False), len(kept))
    return kept


def by_host(
    sites: Sequence[VirtualServer], *, in_order: bool
) -> Iterator[tuple[tuple[str, ...], VirtualServer]]:
    """Host patterns and their site, first match first; the last has no hosts and is for all others.

    Args:
        sites: of none nothing comes.
        in_order: the first site that names a host counts (Apache); otherwise exact names win over
            wildcards, longer wildcards over shorter ones, leading over trailing ones (nginx).
    """
    if not sites:
        return
    default = next((site for site in sites if site.default), sites[0])
    named = [(name, site) for site in sites for name in site.names]
    if not in_order:
        named.sort(key=lambda entry: _specificity(entry[0]))
    groups: list[tuple[tuple[str, ...], VirtualServer]] = []
    for site, together in groupby(named, key=itemgetter(1)):
        groups.append((tuple(name for name, _ in together), site))
    others = [name for site in sites if site is not default for name in site.names if "*" in name]
    wild = any(fnmatchcase(own, name) for name in others for own in default.names)
    yield from ((hosts, site) for hosts, site in groups if site is not default or wild)
    yield (), default


def _specificity(name: str) -> tuple[int, int]:
    if "*" not in name:
        return (0, 0)
    return (1 if name.startswith("*") else 2, -len(name))
