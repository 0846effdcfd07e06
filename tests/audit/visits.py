"""Visits made by hand: all is well but the one thing that a test breaks."""

from sidecar.audit.visit import Visit
from sidecar.observed import ObservedResponse

GOOD = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store, max-age=0"),
    (
        "Content-Security-Policy",
        (
            "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none';"
            " frame-ancestors 'none'; upgrade-insecure-requests"
        ),
    ),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=()"),
    ("Referrer-Policy", "no-referrer"),
    ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-DNS-Prefetch-Control", "off"),
    ("X-Frame-Options", "DENY"),
    ("X-Permitted-Cross-Domain-Policies", "none"),
)
URL = "https://shop.example/"


def fields(pairs):
    """Header lines as on the wire."""
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)


def response(*changes, status=200, url=URL, body=b"<!doctype html><title>x</title>"):
    """A good response with these lines changed: a value replaces all lines of the name, None
    takes them away, a list sets several.
    """
    pairs = [pair for pair in GOOD if pair[0].lower() not in {name.lower() for name, _ in changes}]
    for name, value in changes:
        pairs += [
            (name, one)
            for one in ([] if value is None else value if isinstance(value, list) else [value])
        ]
    return ObservedResponse(url, status, fields(pairs), body)


def visit(*changes, probe=None, origin="", **how):
    """A visit to a good page over https that plain HTTP redirects to, with these changes."""
    page = response(*changes, **how)
    return Visit(
        page.url,
        (page,),
        (ObservedResponse("http://shop.example/", 301, fields([("Location", URL)])),),
        probe=probe,
        origin=origin,
    )
