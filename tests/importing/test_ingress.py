"""ingress-nginx resources: snippets, custom headers and the controller's ConfigMap."""

from __future__ import annotations

from tests.importing.making import answered, enforced, imported, lost

INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations:
    nginx.ingress.kubernetes.io/configuration-snippet: |
      more_set_headers "X-Frame-Options: DENY";
      add_header X-Var $host;
    nginx.ingress.kubernetes.io/server-snippet: add_header X-Server 1 always;
    nginx.ingress.kubernetes.io/custom-headers: web/headers
    nginx.ingress.kubernetes.io/enable-cors: "true"
spec:
  rules:
    - host: a.example
      http:
        paths:
          - {path: /app, pathType: Prefix, backend: {}}
          - {path: /exact, pathType: Exact, backend: {}}
"""
HEADERS = """
kind: ConfigMap
metadata: {name: headers, namespace: web}
data: {Referrer-Policy: no-referrer, X-Powered-By: ""}
"""
CONTROLLER = """
kind: ConfigMap
metadata: {name: ingress-nginx-controller}
data:
  hsts-max-age: "60"
  hsts-include-subdomains: "false"
  hsts-preload: "true"
  hide-headers: X-Runtime
  server-tokens: "false"
  add-headers: ingress-nginx/headers
  location-snippet: |
    more_set_headers "X-Everywhere: 1";
"""


def test_ingress() -> None:
    """Snippets and custom headers count at the resource's paths, the server's snippet at its
    host.
    """
    policy = imported("ingress", f"{INGRESS}---{HEADERS}")
    plan = enforced(policy)
    at_path = [("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer"), ("X-Server", "1")]
    data = {
        path: answered(plan, path, ("X-Powered-By", "PHP"), host="a.example")
        for path in ("/app", "/app/x", "/apple", "/exact", "/exact/x")
    }
    # add_header in the location drops what the server adds; here the location has one, though it
    # cannot be carried
    assert sorted(data["/app"]) == sorted(set(at_path) - {("X-Server", "1")})
    assert data["/app/x"] == data["/app"] == data["/exact"]
    assert data["/apple"] == data["/exact/x"] == [("X-Powered-By", "PHP"), ("X-Server", "1")]
    assert answered(plan, "/app", host="b.example") == []
    assert lost(policy) == [
        "9: add_header X-Var: the variable $host cannot be carried",
        "12: enable-cors is not carried",
    ]


def test_controller() -> None:
    """The controller's ConfigMap counts for every host, with HSTS as it is put together there."""
    policy = imported(
        "ingress", f"{INGRESS.replace('add_header X-Var $host;', '')}---{HEADERS}---{CONTROLLER}"
    )
    service = [("X-Runtime", "1"), ("Server", "gunicorn")]
    everywhere = {
        ("Strict-Transport-Security", "max-age=60; preload"),
        ("Referrer-Policy", "no-referrer"),
    }
    assert set(answered(policy, "/", *service, host="b.example")) == everywhere
    at_path = {*everywhere, ("X-Everywhere", "1"), ("X-Frame-Options", "DENY"), ("X-Server", "1")}
    assert set(answered(policy, "/app", *service, host="a.example")) == at_path
    assert lost(policy) == ["12: enable-cors is not carried"]


def test_what_is_missing() -> None:
    """HSTS of a controller whose ConfigMap is not given, and a ConfigMap that is named only, are
    reported.
    """
    policy = imported(
        "ingress",
        f"{INGRESS.replace('add_header X-Var $host;', '')}  tls: [{{hosts: [a.example]}}]\n",
    )
    assert lost(policy) == [
        "11: ConfigMap web/headers is not among the texts; its headers are not carried",
        "12: enable-cors is not carried",
        ("20: the controller's own Strict-Transport-Security is not carried"),
    ]


def test_regular_expressions() -> None:
    """With use-regex a path is an expression from its start, and what globs cannot say is
    reported.
    """
    text = (
        INGRESS.replace("add_header X-Var $host;", "")
        .replace('enable-cors: "true"', 'use-regex: "true"')
        .replace("/app,", "'/v(1|2)/',")
        .replace("/exact, pathType: Exact", "'/u/[0-9]+', pathType: ImplementationSpecific")
    )
    policy = imported("ingress", f"{text}---{HEADERS}")
    assert ("X-Frame-Options", "DENY") in answered(policy, "/v2/x", host="a.example")
    assert lost(policy) == [
        (
            "19: no path glob expresses location ~* ^/u/[0-9]+; may differ there:"
            " X-Frame-Options, Referrer-Policy, X-Powered-By"
        )
    ]


def test_default_backend() -> None:
    """A resource without rules is for every host."""
    text = (
        "kind: Ingress\nmetadata:\n  annotations:\n   "
        " nginx.ingress.kubernetes.io/configuration-snippet: more_set_headers X-A:1;\nspec:"
        " {defaultBackend: {service: {}}}\n"
    )
    assert answered(imported("ingress", text), "/any", host="any") == [("X-A", "1")]
