"""What is wrong with a Content Security Policy as a whole: the checks of Google's CSP Evaluator.

Nothing here raises. Source: CSP Evaluator (https://csp-evaluator.withgoogle.com), its checks as of
May 2026; the hosts in `table.json` are our own short list, each of a service whose documentation
names a JSONP callback, or that serves AngularJS or any file that anyone publishes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from sidecar.policy import csp
from sidecar.policy.csp import CspDirective, CspPolicy, effective
from sidecar.policy.csp.sources import SourceExpression, Sources, parse_source, source_list
from sidecar.policy.csp.table import (
    ANGULAR_HOSTS,
    BROAD,
    COUNTS_IN,
    DIRECTIVES,
    JSONP_HOSTS,
    PLUGIN_HOSTS,
)
from sidecar.policy.faults import Fault, fault

_SHORT_NONCE = 8


class _Check(NamedTuple):
    """One check of one policy. Of several policies all must fail; with `each`, one is enough."""

    test: Callable[[CspPolicy, Sources], Fault | None]
    governed: str = ""
    """Only policies with an effective directive of this name are checked, by what that allows; "" =
    all, and no sources.
    """
    each: bool = False


def csp_faults(text: str) -> tuple[Fault, ...]:
    """What browsers ignore in a header value, then what lets injected scripts run.

    A page must satisfy every policy, so a weakness counts only where all policies have it.
    """
    policies = csp.parse(text)
    return (
        *chain.from_iterable(policy.faults for policy in policies),
        *_found(_SCRIPT_CHECKS, policies),
    )


def csp_weaknesses(text: str) -> tuple[Fault, ...]:
    """All that is wrong with a header value: what `csp_faults` says, then the further checks.

    What concerns old browsers or reports is said of each policy.
    """
    found = _found(_FURTHER_CHECKS, csp.parse(text))
    return tuple(dict.fromkeys((*csp_faults(text), *comma_faults(text), *found)))


def comma_faults(text: str) -> tuple[Fault, ...]:
    """A comma in one line where a semicolon or a space was meant (section 2.2.2).

    That is where the second policy continues with what the first left out; two whole policies in
    one line repeat a directive.
    """
    first, *rest = csp.parse(text) or (CspPolicy(),)
    said = {one.name for one in first.directives}
    for policy in rest:
        names = [one.name for one in policy.directives]
        if said and names and names[0] not in DIRECTIVES:
            return (fault("csp-comma", names[0], "Separate sources by spaces, without commas"),)
        if said and names and not said.intersection(names):
            return (fault("csp-comma", names[0], "Write a semicolon in place of the comma"),)
    return ()


def _found(checks: Iterable[_Check], policies: tuple[CspPolicy, ...]) -> Iterator[Fault]:
    for check in checks:
        found = [
            check.test(policy, allowed(policy, check.governed))
            for policy in policies
            if not check.governed or effective(policy, check.governed)
        ]
        faulty = [*filter(None, found)]
        if faulty and (check.each or len(faulty) == len(found)):
            yield faulty[0]


def allowed(policy: CspPolicy, name: str) -> Sources:
    """The sources that a policy allows for a directive by itself or a fallback; else empty."""
    governing = effective(policy, name)
    return source_list(governing.values if governing else ())


def is_broad(source: SourceExpression) -> bool:
    """Whether any attacker can host files under the source."""
    return source.key in BROAD or source.host == "*"


def _scripts_open(policy: CspPolicy, _: Sources) -> Fault | None:
    return None if effective(policy, "script-src") else fault("csp-scripts-open")


def _inline(policy: CspPolicy, _: Sources) -> Fault | None:
    for name in ("script-src-elem", "script-src-attr"):
        sources = allowed(policy, name)
        strict = "'strict-dynamic'" in sources or _trusts(sources)
        if "'unsafe-inline'" in sources and not strict:
            return fault("csp-unsafe-inline", name)
    return None


def _eval(_: CspPolicy, sources: Sources) -> Fault | None:
    return fault("csp-unsafe-eval", "script-src") if "'unsafe-eval'" in sources else None


def _broad(policy: CspPolicy, _: Sources) -> Fault | None:
    scripts = _by_address(allowed(policy, "script-src-elem"))
    objects = allowed(policy, "object-src").values()
    return _first("csp-broad-source", filter(is_broad, (*scripts, *objects)))


def _base_open(policy: CspPolicy, _: Sources) -> Fault | None:
    scripts = allowed(policy, "script-src-elem")
    shapes = {source.shape for source in scripts.values()}
    relative = "nonce" in shapes or ("hash" in shapes and "'strict-dynamic'" in scripts)
    return fault("csp-base-open") if relative and not policy.get("base-uri") else None


def _by_address(sources: Sources) -> list[SourceExpression]:
    """The script sources by address, which count only without 'strict-dynamic' (6.7.3.2)."""
    if "'strict-dynamic'" in sources:
        return []
    return [source for source in sources.values() if source.is_url]


def _hosts(sources: Iterable[SourceExpression]) -> Iterable[SourceExpression]:
    return (source for source in sources if source.shape == "host" and source.host != "*")


def _serves(source: SourceExpression, hosts: frozenset[str]) -> bool:
    """Whether a source lets in all of one of these hosts; one that names a path does not."""
    if source.path not in ("", "/"):
        return False
    return source.host in hosts or (
        source.host.startswith("*.") and any(host.endswith(source.host[1:]) for host in hosts)
    )


def _first(code: str, sources: Iterable[SourceExpression]) -> Fault | None:
    return next((fault(code, source.text) for source in sources), None)


def _unsafe_hashes(_: CspPolicy, sources: Sources) -> Fault | None:
    return fault("csp-unsafe-hashes") if "'unsafe-hashes'" in sources else None


def _base_broad(_: CspPolicy, sources: Sources) -> Fault | None:
    return _first("csp-base-broad", filter(is_broad, sources.values()))


def _object_open(policy: CspPolicy, _: Sources) -> Fault | None:
    return None if effective(policy, "object-src") else fault("csp-object-open")


def _objects(_: CspPolicy, sources: Sources) -> Fault | None:
    objects = sources.values()
    served = (source for source in _hosts(objects) if _serves(source, PLUGIN_HOSTS))
    return (
        _first("csp-broad-source", filter(is_broad, objects))
        or _first("csp-object-host", served)
        or _first("csp-object-allowed", objects)
    )


def _script_hosts(_: CspPolicy, sources: Sources) -> Fault | None:
    scripts = _by_address(sources)
    hosts = [*_hosts(scripts)]
    return (
        _first("csp-broad-source", filter(is_broad, scripts))
        or _first("csp-jsonp-host", (one for one in hosts if _serves(one, JSONP_HOSTS)))
        or _first("csp-angular-host", (one for one in hosts if _serves(one, ANGULAR_HOSTS)))
        or _first("csp-script-host", scripts)
    )


def _allow_list(_: CspPolicy, sources: Sources) -> Fault | None:
    return _first("csp-allow-list", (one for one in _by_address(sources) if one.key != "'self'"))


def _dynamic_alone(_: CspPolicy, sources: Sources) -> Fault | None:
    alone = "'strict-dynamic'" in sources and not _trusts(sources)
    return fault("csp-dynamic-alone") if alone else None


def _inline_fallback(_: CspPolicy, sources: Sources) -> Fault | None:
    missing = _trusts(sources) and "'unsafe-inline'" not in sources
    return fault("csp-no-inline-fallback") if missing else None


def _trusts(sources: Sources) -> bool:
    """Whether single scripts are trusted, by nonce or hash."""
    return any(source.shape in ("nonce", "hash") for source in sources.values())


def _host_fallback(_: CspPolicy, sources: Sources) -> Fault | None:
    held = any(source.is_url and source.key != "'self'" for source in sources.values())
    return fault("csp-no-host-fallback") if "'strict-dynamic'" in sources and not held else None


def _trusted_types(policy: CspPolicy, sources: Sources) -> Fault | None:
    """Nothing to say where no script runs at all."""
    sinks = policy.get("require-trusted-types-for")
    demanded = sinks is not None and "'script'" in (word.lower() for word in sinks.values)
    return fault("csp-no-trusted-types") if sources and not demanded else None


def _listed(policy: CspPolicy) -> Iterable[tuple[str, SourceExpression]]:
    """Every address in the policy with its directive."""
    for directive in policy.directives:
        if DIRECTIVES.get(directive.name) in ("sources", "uris"):
            yield from ((directive.name, parse_source(value)) for value in directive.values)


def _ip_source(policy: CspPolicy, _: Sources) -> Fault | None:
    hosts = _hosts(source for _name, source in _listed(policy))
    return _first("csp-ip-source", (one for one in hosts if is_unmatched_address(one.host)))


def is_unmatched_address(host: str) -> bool:
    """Whether it is an IP address, which browsers never match (CSP3 section 6.7.2.9)."""
    try:
        return str(ipaddress.ip_address(host)) != "127.0.0.1"
    except ValueError:
        return False


def _idle(policy: CspPolicy, _: Sources) -> Fault | None:
    for name, source in _listed(policy):
        counts = COUNTS_IN.get(source.shape) or COUNTS_IN.get(source.key)
        if counts and name not in counts and DIRECTIVES[name] == "sources":
            return fault("csp-keyword-idle", source.text, name)
    return None


def _report_uri(policy: CspPolicy, _: Sources) -> Fault | None:
    """A name where an address belongs."""
    addresses = (policy.get("report-uri") or CspDirective("report-uri")).values
    names = (value for value in addresses if not set("/:.") & set(value))
    return next((fault("csp-report-uri-name", name) for name in names), None)


def _nonce_short(policy: CspPolicy, _: Sources) -> Fault | None:
    short = any(
        source.shape == "nonce" and len(source.text) < len("'nonce-'") + _SHORT_NONCE
        for _name, source in _listed(policy)
    )
    return fault("csp-nonce-short") if short else None


def _insecure(policy: CspPolicy, _: Sources) -> Fault | None:
    for name, source in _listed(policy):
        if source.text.lower().startswith("http://"):
            return fault("csp-insecure-source", source.text, name)
    return None


def _reports(policy: CspPolicy, _: Sources) -> Fault | None:
    by_uri, by_name = policy.get("report-uri"), policy.get("report-to")
    if by_uri:
        return None
    return fault("csp-report-to-alone" if by_name else "csp-no-reports")


_SCRIPT_CHECKS = (
    _Check(_scripts_open),
    _Check(_inline, "script-src"),
    _Check(_eval, "script-src"),
    _Check(_broad, "script-src"),
    _Check(_base_open, "script-src"),
)

_FURTHER_CHECKS = (
    _Check(_unsafe_hashes, "script-src-attr"),
    _Check(_base_broad, "base-uri"),
    _Check(_object_open),
    _Check(_objects, "object-src"),
    _Check(_script_hosts, "script-src-elem"),
    _Check(_allow_list, "script-src-elem"),
    _Check(_dynamic_alone, "script-src-elem", each=True),
    _Check(_inline_fallback, "script-src-elem", each=True),
    _Check(_host_fallback, "script-src-elem", each=True),
    _Check(_trusted_types, "script-src-elem"),
    _Check(_ip_source, each=True),
    _Check(_idle, each=True),
    _Check(_report_uri, each=True),
    _Check(_nonce_short, each=True),
    _Check(_insecure, each=True),
    _Check(_reports),
)
