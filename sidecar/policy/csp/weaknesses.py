"""What is weak in a Content Security Policy as a whole: the checks that Google's CSP Evaluator
publishes.

Lives here: the checks beyond those that `csp_faults` makes of any value, and `csp_weaknesses`,
which makes them all. Must not know rules, routes or lines and columns. Nothing here raises. Source:
CSP Evaluator (https://csp-evaluator.withgoogle.com), its checks as of May 2026; the hosts below are
our own short list, each of a service whose documentation names a JSONP callback, or that serves
AngularJS or any file that anyone publishes.
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sidecar.policy import csp, faults
from sidecar.policy.csp import Directive, Policy, allowed, effective
from sidecar.policy.csp.sources import Source, parse_source
from sidecar.policy.csp.table import BROAD, COUNTS_IN, DIRECTIVES
from sidecar.policy.csp.table import CspFaultKind as Known
from sidecar.policy.faults import Fault

JSONP_HOSTS = frozenset(
    """
    accounts.google.com ajax.googleapis.com api.bing.com api.flickr.com api.github.com
    api.pinterest.com api.stackexchange.com api.tumblr.com clients1.google.com disqus.com
    en.wikipedia.org graph.facebook.com itunes.apple.com maps.google.com maps.googleapis.com
    openlibrary.org soundcloud.com suggestqueries.google.com translate.googleapis.com vimeo.com
    www.google.com www.googleapis.com www.reddit.com www.youtube.com
    """.split()
)
"""Hosts that answer with a script of the caller's choice (JSONP)."""

ANGULAR_HOSTS = frozenset(
    """
    ajax.aspnetcdn.com ajax.googleapis.com cdn.bootcdn.net cdn.jsdelivr.net cdn.rawgit.com
    cdn.skypack.dev cdn.staticfile.org cdnjs.cloudflare.com code.angularjs.org esm.sh
    raw.githack.com rawcdn.githack.com s3.amazonaws.com storage.googleapis.com unpkg.com
    yastatic.net
    """.split()
)
"""Hosts that serve AngularJS, whose templates run as script, or any file that anyone publishes."""

PLUGIN_HOSTS = frozenset({"ajax.googleapis.com", "storage.googleapis.com", "vk.com"})
"""Hosts that serve plugin files which run scripts of the caller's choice."""

_SHORT_NONCE = 8


class Weakness(faults.FaultKind):
    """What weakens a policy as a whole."""

    UNSAFE_HASHES = (
        "csp-unsafe-hashes",
        "weak",
        (
            "Event handlers may run by hash ('unsafe-hashes'), and an injected element can use the"
            " same ones."
        ),
        "Move handlers into scripts, and remove 'unsafe-hashes'.",
    )
    BASE_BROAD = (
        "csp-base-broad",
        "weak",
        (
            "The source {part} in base-uri lets an injected base element redirect every relative"
            " script."
        ),
        "Write base-uri 'none' or 'self'.",
    )
    OBJECT_OPEN = (
        "csp-object-open",
        "weak",
        "No directive governs plugins and embedded objects, which can run scripts.",
        "Add object-src 'none'.",
    )
    OBJECT_HOST = (
        "csp-object-host",
        "weak",
        "The host {part} serves plugin files that run anyone's scripts.",
        "Write object-src 'none'.",
    )
    OBJECT_ALLOWED = (
        "csp-object-allowed",
        "weak",
        "Plugins and embedded objects may load from {part}.",
        "Write object-src 'none', if the pages embed none.",
    )
    JSONP_HOST = (
        "csp-jsonp-host",
        "weak",
        (
            "The host {part} answers with scripts of the caller's choice (JSONP), which passes by"
            " the policy."
        ),
        "Name the file's path, or use nonces with 'strict-dynamic'.",
    )
    ANGULAR_HOST = (
        "csp-angular-host",
        "weak",
        "The host {part} serves AngularJS or anyone's files, so injected markup can run scripts.",
        "Name the file's path, or serve the file yourself.",
    )
    SCRIPT_HOST = (
        "csp-script-host",
        "weak",
        (
            "Scripts may load from {part}: see that it serves no JSONP, no AngularJS and no uploads"
            " of visitors."
        ),
        "Use nonces or hashes, if you cannot be sure.",
    )
    ALLOW_LIST = (
        "csp-allow-list",
        "weak",
        "Scripts are trusted by host ({part}); such lists are often passed by.",
        "Use nonces or hashes with 'strict-dynamic'.",
    )
    DYNAMIC_ALONE = (
        "csp-dynamic-alone",
        "weak",
        "With 'strict-dynamic' but neither nonce nor hash every script is blocked.",
        "Add nonces or hashes, or remove it.",
    )
    NO_INLINE_FALLBACK = (
        "csp-no-inline-fallback",
        "weak",
        "Browsers of CSP 1 ignore nonces and hashes, and block the inline scripts.",
        "Add 'unsafe-inline'; newer browsers ignore it beside a nonce or hash.",
    )
    NO_HOST_FALLBACK = (
        "csp-no-host-fallback",
        "weak",
        (
            "Browsers before CSP 3 ignore 'strict-dynamic', and block the scripts that trusted"
            " scripts load."
        ),
        "Add https: and http:; newer browsers ignore them beside 'strict-dynamic'.",
    )
    NO_TRUSTED_TYPES = (
        "csp-no-trusted-types",
        "weak",
        "Scripts may write text into places where it runs (DOM-based injection).",
        "Add require-trusted-types-for 'script'.",
    )
    IP_SOURCE = (
        "csp-ip-source",
        "weak",
        "The source {part} is an address and no name; browsers match none but 127.0.0.1.",
        "Name the host.",
    )
    NONCE_SHORT = (
        "csp-nonce-short",
        "weak",
        "A nonce has fewer than 8 characters and can be guessed.",
        "Use at least 128 random bits for each response.",
    )
    INSECURE_SOURCE = (
        "csp-insecure-source",
        "weak",
        "The address {part} in {hint} is plain HTTP, which anyone on the way can change.",
        "Write https://.",
    )
    NO_REPORTS = (
        "csp-no-reports",
        "weak",
        "Nobody hears what the policy blocks.",
        "Add report-uri and report-to.",
    )
    REPORT_TO_ALONE = (
        "csp-report-to-alone",
        "weak",
        "Browsers that do not know report-to, Firefox among them, report nothing.",
        "Add report-uri beside report-to.",
    )


INFO: frozenset[str] = frozenset(
    (
        Weakness.UNSAFE_HASHES,
        Weakness.OBJECT_ALLOWED,
        Weakness.SCRIPT_HOST,
        Weakness.ALLOW_LIST,
        Weakness.NO_INLINE_FALLBACK,
        Weakness.NO_HOST_FALLBACK,
        Weakness.NO_TRUSTED_TYPES,
        Weakness.IP_SOURCE,
        Weakness.NO_REPORTS,
        Weakness.REPORT_TO_ALONE,
        Known.DEPRECATED,
        Known.KEYWORD_IDLE,
    )
)
"""Kinds to know of, where the Evaluator says "maybe", "strict CSP" or "info"; all others call
for a change.
"""

ABSENT: frozenset[str] = frozenset(
    (
        Weakness.OBJECT_OPEN,
        Weakness.NO_TRUSTED_TYPES,
        Weakness.NO_REPORTS,
        Weakness.NO_INLINE_FALLBACK,
        Weakness.NO_HOST_FALLBACK,
        Known.SCRIPTS_OPEN,
        Known.BASE_OPEN,
    )
)
"""Kinds that complain of what is not there: of a value that is merged into another, they say
little.
"""


@dataclass(frozen=True, slots=True)
class _Check:
    """One check of one policy. Of several policies, all have to fail; with `each` it is enough
    that one does.
    """

    test: Callable[[Policy], Fault | None]
    governed: str = ""
    """Only policies that say something of this directive are asked."""
    each: bool = False


def csp_weaknesses(text: str) -> tuple[Fault, ...]:
    """All that is wrong with a header value: what `csp_faults` says, then the further checks.

    Every policy must be passed, so a weakness stands only where no policy is free of it; what old
    browsers make of it, or a report needs, is said of each.
    """
    policies = csp.parse(text)
    return tuple(
        dict.fromkeys(
            (
                *csp.csp_faults(text),
                *comma_faults(text),
                *(fault for check in _CHECKS for fault in _found(check, policies)),
            )
        )
    )


def comma_faults(text: str) -> tuple[Fault, ...]:
    """A comma in one line where a semicolon or a space was meant (section 2.2.2).

    It is meant where the second policy goes on with what the first has left out; two whole policies
    in one line repeat a directive.
    """
    first, *rest = csp.parse(text) or (Policy(),)
    said = {one.name for one in first.directives}
    for policy in rest:
        names = [one.name for one in policy.directives]
        if said and names and names[0] not in DIRECTIVES:
            return (Known.COMMA.about(names[0], "Separate sources by spaces, without commas"),)
        if said and names and not said.intersection(names):
            return (Known.COMMA.about(names[0], "Write a semicolon in place of the comma"),)
    return ()


def _found(check: _Check, policies: tuple[Policy, ...]) -> tuple[Fault, ...]:
    asked = [
        policy for policy in policies if not check.governed or effective(policy, check.governed)
    ]
    found = [check.test(policy) for policy in asked]
    if not found or (None in found and not check.each):
        return ()
    return next(((fault,) for fault in found if fault is not None), ())


def _scripts(policy: Policy) -> list[Source]:
    """The script sources that count: beside 'strict-dynamic' those by address do not (section
    6.7.3.2).
    """
    sources = allowed(policy, "script-src-elem")
    return [
        source
        for source in sources.values()
        if not (source.is_url and "'strict-dynamic'" in sources)
    ]


def _hosts(sources: Iterable[Source]) -> Iterable[Source]:
    return (source for source in sources if source.shape == "host" and source.host != "*")


def _serves(source: Source, hosts: frozenset[str]) -> bool:
    """Whether a source lets in all of one of these hosts; one that names a path does not."""
    if source.path not in ("", "/"):
        return False
    return source.host in hosts or (
        source.host.startswith("*.") and any(host.endswith(source.host[1:]) for host in hosts)
    )


def _is_broad(source: Source) -> bool:
    return source.key in BROAD or source.host == "*"


def _first(kind: faults.FaultKind, sources: Iterable[Source]) -> Fault | None:
    return next((kind.about(source.text) for source in sources), None)


def _unsafe_hashes(policy: Policy) -> Fault | None:
    return (
        Weakness.UNSAFE_HASHES.about()
        if "'unsafe-hashes'" in allowed(policy, "script-src-attr")
        else None
    )


def _base_broad(policy: Policy) -> Fault | None:
    return _first(Weakness.BASE_BROAD, filter(_is_broad, allowed(policy, "base-uri").values()))


def _object_open(policy: Policy) -> Fault | None:
    return None if effective(policy, "object-src") else Weakness.OBJECT_OPEN.about()


def _objects(policy: Policy) -> Fault | None:
    sources = allowed(policy, "object-src").values()
    served = (source for source in _hosts(sources) if _serves(source, PLUGIN_HOSTS))
    return (
        _first(Known.BROAD_SOURCE, filter(_is_broad, sources))
        or _first(Weakness.OBJECT_HOST, served)
        or _first(Weakness.OBJECT_ALLOWED, sources)
    )


def _script_hosts(policy: Policy) -> Fault | None:
    sources = [source for source in _scripts(policy) if source.is_url]
    hosts = [*_hosts(sources)]
    return (
        _first(Known.BROAD_SOURCE, filter(_is_broad, sources))
        or _first(Weakness.JSONP_HOST, (source for source in hosts if _serves(source, JSONP_HOSTS)))
        or _first(Weakness.ANGULAR_HOST, (one for one in hosts if _serves(one, ANGULAR_HOSTS)))
        or _first(Weakness.SCRIPT_HOST, sources)
    )


def _allow_list(policy: Policy) -> Fault | None:
    return _first(
        Weakness.ALLOW_LIST,
        (source for source in _scripts(policy) if source.is_url and source.key != "'self'"),
    )


def _dynamic_alone(policy: Policy) -> Fault | None:
    sources = allowed(policy, "script-src-elem")
    trusted = any(source.shape in ("nonce", "hash") for source in sources.values())
    return Weakness.DYNAMIC_ALONE.about() if "'strict-dynamic'" in sources and not trusted else None


def _inline_fallback(policy: Policy) -> Fault | None:
    sources = allowed(policy, "script-src-elem")
    trusted = any(source.shape in ("nonce", "hash") for source in sources.values())
    idle = trusted and "'unsafe-inline'" not in sources
    return Weakness.NO_INLINE_FALLBACK.about() if idle else None


def _host_fallback(policy: Policy) -> Fault | None:
    sources = allowed(policy, "script-src-elem")
    held = any(source.is_url and source.key != "'self'" for source in sources.values())
    return Weakness.NO_HOST_FALLBACK.about() if "'strict-dynamic'" in sources and not held else None


def _trusted_types(policy: Policy) -> Fault | None:
    """Nothing to say where no script runs at all."""
    sinks = policy.get("require-trusted-types-for")
    demanded = sinks is not None and "'script'" in (word.lower() for word in sinks.values)
    return (
        Weakness.NO_TRUSTED_TYPES.about()
        if not demanded and allowed(policy, "script-src-elem")
        else None
    )


def _listed(policy: Policy) -> Iterable[tuple[str, Source]]:
    """Every address in the policy with its directive."""
    for directive in policy.directives:
        if DIRECTIVES.get(directive.name) in ("sources", "uris"):
            yield from ((directive.name, parse_source(value)) for value in directive.values)


def _ip_source(policy: Policy) -> Fault | None:
    return _first(
        Weakness.IP_SOURCE,
        (
            source
            for _, source in _listed(policy)
            if source.shape == "host" and _is_address(source.host)
        ),
    )


def _is_address(host: str) -> bool:
    try:
        return str(ipaddress.ip_address(host)) != "127.0.0.1"
    except ValueError:
        return False


def _idle(policy: Policy) -> Fault | None:
    for directive in policy.directives:
        for value in directive.values if DIRECTIVES.get(directive.name) == "sources" else ():
            source = parse_source(value)
            counts = COUNTS_IN.get(source.shape) or COUNTS_IN.get(source.key)
            if counts and directive.name not in counts:
                return Known.KEYWORD_IDLE.about(value, directive.name)
    return None


def _report_uri(policy: Policy) -> Fault | None:
    """A name where an address belongs."""
    addresses = (policy.get("report-uri") or Directive("report-uri")).values
    names = (value for value in addresses if not set("/:.") & set(value))
    return next((Known.REPORT_URI_NAME.about(name) for name in names), None)


def _nonce_short(policy: Policy) -> Fault | None:
    short = any(
        source.shape == "nonce" and len(source.text) < len("'nonce-'") + _SHORT_NONCE
        for _, source in _listed(policy)
    )
    return Weakness.NONCE_SHORT.about() if short else None


def _insecure(policy: Policy) -> Fault | None:
    found = (
        (source, name)
        for name, source in _listed(policy)
        if source.text.lower().startswith("http://")
    )
    return next((Weakness.INSECURE_SOURCE.about(source.text, name) for source, name in found), None)


def _reports(policy: Policy) -> Fault | None:
    by_uri, by_name = policy.get("report-uri"), policy.get("report-to")
    if by_uri:
        return None
    return (Weakness.REPORT_TO_ALONE if by_name else Weakness.NO_REPORTS).about()


_CHECKS = (
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
