"""Traefik's middlewares and routers, from files, labels and Kubernetes resources; the options by
a table.
"""

from __future__ import annotations

import pytest

from sidecar.importing.formats import convert
from sidecar.importing.traefik_rules import rule_alternatives
from sidecar.policy.terms import PolicyError
from tests.importing.making import Fields, answered, differing, enforced, imported, lost


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{stsSeconds: 60}", [("Strict-Transport-Security", "max-age=60")]),
        (
            "{stsSeconds: 60, stsIncludeSubdomains: true, stsPreload: true}",
            [("Strict-Transport-Security", "max-age=60; includeSubDomains; preload")],
        ),
        ("{stsSeconds: 60, isDevelopment: true}", []),
        ("{stsSeconds: 0, stsPreload: true}", []),
        ("{frameDeny: true}", [("X-Frame-Options", "DENY")]),
        ("{frameDeny: false}", []),
        (
            "{frameDeny: true, customFrameOptionsValue: SAMEORIGIN}",
            [("X-Frame-Options", "SAMEORIGIN")],
        ),
        ("{contentTypeNosniff: true}", [("X-Content-Type-Options", "nosniff")]),
        ("{browserXssFilter: true}", [("X-XSS-Protection", "1; mode=block")]),
        ("{browserXssFilter: true, customBrowserXSSValue: '0'}", [("X-XSS-Protection", "0")]),
        (
            "{contentSecurityPolicy: \"default-src 'self'\"}",
            [("Content-Security-Policy", "default-src 'self'")],
        ),
        (
            "{contentSecurityPolicyReportOnly: \"default-src 'self'\"}",
            [("Content-Security-Policy-Report-Only", "default-src 'self'")],
        ),
        ("{referrerPolicy: same-origin}", [("Referrer-Policy", "same-origin")]),
        ("{permissionsPolicy: camera=()}", [("Permissions-Policy", "camera=()")]),
        ("{customResponseHeaders: {X-A: '1', X-S: ''}}", [("X-A", "1")]),
        (
            "{customResponseHeaders: {X-Frame-Options: SAMEORIGIN}, frameDeny: true}",
            [("X-Frame-Options", "SAMEORIGIN")],
        ),
        ("{customRequestHeaders: {X-A: '1'}, sslRedirect: true}", []),
    ],
)
def test_options(options: str, expected: Fields) -> None:
    """Each option does what Traefik's documentation says; a line of the service's own is
    replaced, an empty value removes.
    """
    policy = imported("traefik", f"http: {{middlewares: {{m: {{headers: {options}}}}}}}")
    service = [("X-S", "0")] if "X-S" in options else []
    assert answered(policy, "/", *service) == expected


FILE = """
http:
  routers:
    web: {rule: Host(`a.example`), middlewares: [outer@file, inner]}
    api:
      rule: Host(`a.example`) && (PathPrefix(`/api`) || Path(`/rpc`))
      middlewares: [inner]
    low: {rule: PathPrefix(`/api`), priority: 1, middlewares: [outer]}
    old: {rule: Host(`old.example`), middlewares: [tls]}
  middlewares:
    tls: {redirectScheme: {scheme: https}}
    outer: {headers: {customResponseHeaders: {X-A: outer, X-B: outer}}}
    inner: {chain: {middlewares: [deep]}}
    deep: {headers: {customResponseHeaders: {X-A: inner, X-C: inner}}}
"""


def test_routers() -> None:
    """The router of the highest priority responses, longer rules first; the outer middleware has
    the last word.
    """
    plan = enforced(imported("traefik", FILE))
    data = {
        (host, path): dict(answered(plan, path, host=host))
        for host in ("a.example", "b.example", "old.example")
        for path in ("/", "/api", "/rpc")
    }
    whole, inner, outer = (
        {"X-A": "outer", "X-B": "outer", "X-C": "inner"},
        {"X-A": "inner", "X-C": "inner"},
        {"X-A": "outer", "X-B": "outer"},
    )
    assert data == {
        ("a.example", "/"): whole,
        ("a.example", "/api"): inner,
        ("a.example", "/rpc"): inner,
        ("b.example", "/"): {},
        ("b.example", "/api"): outer,
        ("b.example", "/rpc"): {},
        ("old.example", "/"): {},
        ("old.example", "/api"): outer,
        ("old.example", "/rpc"): {},
    }


COMPOSE = """
services:
  app:
    labels:
      - traefik.http.routers.app.rule=Host(`a.example`)
      - traefik.http.routers.app.middlewares=sec@docker,gone
      - traefik.http.middlewares.sec.headers.framedeny=true
      - "traefik.http.middlewares.sec.headers.customresponseheaders.X-Cost=5$$"
  other:
    deploy:
      labels: {traefik.http.middlewares.unused.headers.stsseconds: "60", unrelated: 1}
"""
RESOURCES = """
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: sec}
spec:
  headers: {contentTypeNosniff: true}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: web}
spec:
  routes:
    - match: Host(`a.example`) && PathPrefix(`/app`)
      kind: Rule
      middlewares: [{name: sec}]
"""
TOML = """
[http.routers.web]
rule = "PathPrefix(`/app`)"
middlewares = ["sec"]
[http.middlewares.sec.headers]
frameDeny = true
accessControlAllowMethods = ["GET"]
"""


def test_labels() -> None:
    """Labels of a compose file hold routers and middlewares; two dollar signs are one."""
    policy = imported("traefik", COMPOSE)
    assert answered(policy) == [("X-Frame-Options", "DENY"), ("X-Cost", "5$")]
    assert lost(policy) == [
        "5: middlewares gone are not among the given texts; their headers are not carried"
    ]


def test_kubernetes() -> None:
    """Middleware and IngressRoute resources stand in documents of one stream, with their own
    lines.
    """
    policy = imported("traefik", RESOURCES)
    assert answered(policy, "/app") == [("X-Content-Type-Options", "nosniff")]
    assert answered(policy, "/") == []
    assert "# traefik.yaml:6\n" in policy.policy_yaml


INGRESS = """
kind: Ingress
metadata:
  annotations:
    traefik.ingress.kubernetes.io/router.middlewares: web-sec@kubernetescrd
spec:
  rules:
    - host: a.example
      http: {paths: [{path: /app, pathType: Prefix}, {path: /exact, pathType: Exact}]}
    - http: {paths: [{pathType: Prefix}]}
"""


def test_ingress_annotation() -> None:
    """An Ingress names its middlewares with their namespace; they count at its hosts and paths."""
    plan = enforced(imported("traefik", f"{INGRESS}---{RESOURCES.partition('---')[0]}"))
    asked = [("a.example", "/app/x"), ("a.example", "/exact"), ("b.example", "/any")]
    assert [answered(plan, path, host=host) for host, path in asked] == [
        [("X-Content-Type-Options", "nosniff")]
    ] * 3


def test_toml() -> None:
    """TOML says the same, and CORS is reported with its line."""
    policy = convert({"dynamic.toml": TOML}, "traefik")
    assert answered(policy, "/app") == [("X-Frame-Options", "DENY")]
    assert answered(policy, "/") == []
    assert lost(policy) == [
        (
            "7: accesscontrolallowmethods: CORS headers depend on the request's Origin and are not"
            " carried"
        )
    ]


def test_entry_points() -> None:
    """Middlewares of an entry point stand outside of every router's."""
    text = (
        "entryPoints: {web: {http: {middlewares: [all@file]}}}\nhttp:\n  routers: {r: {rule:"
        " PathPrefix(`/a`)}}\n  middlewares: {all: {headers: {frameDeny: true}}}"
    )
    assert answered(imported("traefik", text), "/a") == [("X-Frame-Options", "DENY")]


def test_middleware_alone() -> None:
    """A middleware that no router names is taken for every request, and that is reported."""
    policy = imported("traefik", "http: {middlewares: {m: {headers: {frameDeny: true}}}}")
    assert answered(policy, "/any", host="any") == [("X-Frame-Options", "DENY")]
    assert differing(policy) == [
        "1: no router names the middleware 'm'; it counts for every request"
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("Host(`a`) || Host(`b`)", [(("a",), ["/**"]), (("b",), ["/**"])]),
        ("Host(`a`, `B`) && Path(`/x`)", [(("a", "b"), ["/x"])]),
        ("PathPrefix(`/a`) && PathPrefix(`/a/b`)", [((), ["/a/b**"])]),
        ("PathRegexp(`\\.js$`)", [((), ["/**.js"])]),
        ("Host(`a`) && Host(`b`)", []),
        ("(Host(`a`))", [(("a",), ["/**"])]),
        ("!Host(`a`)", None),
        ("HostRegexp(`a`)", None),
        ("Path(`/{id}`)", None),
        ("Method(`GET`)", None),
        ("Host(`a`) &&", None),
        ("Host(`a`) Host(`b`)", None),
        ("Host(`a", None),
        ("(" * 40, None),
        ("", None),
    ],
)
def test_rules(rule: str, expected: list[object] | None) -> None:
    """Rules of hosts and paths are said as alternatives; others are refused."""
    found = rule_alternatives(rule, ())
    assert (
        None
        if found is None
        else [(ground.hosts, [str(pattern) for pattern in ground.patterns]) for ground in found]
    ) == expected


def test_rule_that_is_lost() -> None:
    """A rule that cannot be said is reported."""
    policy = imported(
        "traefik",
        "http:\n  routers: {r: {rule: Method(`GET`), middlewares: [m]}}\n  middlewares: {m:"
        " {headers: {frameDeny: true}}}",
    )
    assert lost(policy) == [
        "2: no hosts and path globs express rule Method(`GET`); its headers are not carried"
    ]


@pytest.mark.parametrize(
    ("name", "text"), [("a.yaml", "a: [1"), ("a.toml", "a = ["), ("a.yaml", "a: *b: c")]
)
def test_no_document(name: str, text: str) -> None:
    """A text that is neither YAML nor TOML is refused."""
    with pytest.raises(PolicyError):
        convert({name: text}, "traefik")
