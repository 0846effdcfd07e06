"""Helmet, Talisman, secure and Django: the same settings given as text here, and run in the libraries where they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
from typing import Any

import pytest

from sidecar.importing.secure import PRESETS
from sidecar.importing.talisman import DEFAULTS
from sidecar.policy.model import PolicyError
from tests.importing.making import Fields, answered, imported, lost

HELMET = [
    "helmet()",
    "helmet({ contentSecurityPolicy: false, crossOriginEmbedderPolicy: true, xPoweredBy: false })",
    "helmet({ hsts: { maxAge: 60 * 60 * 24, includeSubDomains: false, preload: true }, frameguard: { action: 'deny' } })",
    "helmet({ contentSecurityPolicy: { directives: { defaultSrc: [\"'none'\"], 'img-src': ['https://a.example', \"data:\"], scriptSrcAttr: null } } })",
    "helmet({ contentSecurityPolicy: { useDefaults: false, reportOnly: true, directives: { 'default-src': \"'self'\", upgradeInsecureRequests: [] } } })",
    "helmet({ referrerPolicy: { policy: ['origin', 'unsafe-url'] }, dnsPrefetchControl: { allow: true }, permittedCrossDomainPolicies: { permittedPolicies: 'all' } })",
    "helmet({ crossOriginOpenerPolicy: { policy: 'unsafe-none' }, crossOriginResourcePolicy: { policy: 'cross-origin' }, originAgentCluster: false })",
    "helmet({ contentSecurityPolicy: { directives: { ...helmet.contentSecurityPolicy.getDefaultDirectives(), 'font-src': [`'self'`] } } })",
    "helmet.frameguard({ action: 'SAMEORIGIN' })",
    "helmet.hsts()",
]
# What Helmet 8.3.0 sends for each of them.
DEFAULT_CSP = (
    "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';"
    "script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests"
)
HELMET_DEFAULTS = {
    "Content-Security-Policy": DEFAULT_CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
    "X-Download-Options": "noopen",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-XSS-Protection": "0",
}
SCRIPT = """
const helmet = require("helmet");
const headers = { "X-Powered-By": "Express" };
const response = { setHeader: (name, value) => { headers[name] = value; }, removeHeader: (name) => { delete headers[name]; } };
(%s)({}, response, () => console.log(JSON.stringify(headers)));
"""


def test_helmet_defaults() -> None:
    """helmet() alone is every default of release 8, and X-Powered-By is gone."""
    assert (
        dict(answered(imported("helmet", "app.use(helmet());"), "/", ("X-Powered-By", "Express")))
        == HELMET_DEFAULTS
    )


@pytest.mark.parametrize("call", HELMET)
def test_helmet_beside_the_library(call: str) -> None:
    """For each way to call Helmet the policy writes what the library itself writes."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    ran = subprocess.run([node, "-e", SCRIPT % call], capture_output=True, text=True, timeout=30)
    if ran.returncode and "Cannot find module" in ran.stderr:
        pytest.skip("helmet is not where node looks for it (NODE_PATH)")
    assert ran.returncode == 0, ran.stderr
    assert dict(
        answered(imported("helmet", f"app.use({call});"), "/", ("X-Powered-By", "Express"))
    ) == json.loads(ran.stdout)


@pytest.mark.parametrize(
    ("text", "header", "expected"),
    [
        ('{"frameguard": {"action": "deny"}}', "X-Frame-Options", "DENY"),
        (
            "const YEAR = 365 * 24 * 60 * 60;\nconst hsts = { maxAge: YEAR };\napp.use(helmet({ hsts }));",
            "Strict-Transport-Security",
            None,
        ),
        (
            "const YEAR = 365 * 24 * 60 * 60;\nconst hsts = { maxAge: YEAR };\napp.use(helmet({ hsts: hsts }));",
            "Strict-Transport-Security",
            "max-age=31536000; includeSubDomains",
        ),
        ("fastify.register(helmet, { frameguard: false })", "X-Frame-Options", None),
        (
            "app.use(helmet({ frameguard: false }));\napp.use(helmet.frameguard());",
            "X-Frame-Options",
            "SAMEORIGIN",
        ),
        (
            "app.use(helmet({ /* none */ xFrameOptions: false, // none\n }));",
            "X-Frame-Options",
            None,
        ),
        (
            "app.use(helmet({ contentSecurityPolicy: { directives: { scriptSrc: [(req, res) => `'nonce-${res.locals.n}'`] } } }));",
            "Content-Security-Policy",
            None,
        ),
        (
            "app.use(helmet({ referrerPolicy: isDev ? false : true, noSniff: true }));",
            "Referrer-Policy",
            None,
        ),
        (
            "app.use(helmet({ referrerPolicy: isDev ? false : true, noSniff: true }));",
            "X-Content-Type-Options",
            "nosniff",
        ),
        (
            "app.use(helmet({ hsts: { maxAge: 1_000 } }));",
            "Strict-Transport-Security",
            "max-age=1000; includeSubDomains",
        ),
    ],
)
def test_helmet_texts(text: str, header: str, expected: str | None) -> None:
    """Options are found in JSON, in declared constants, in several calls; what must be computed is left out."""
    assert dict(answered(imported("helmet", text))).get(header) == expected


def test_helmet_what_is_lost() -> None:
    """What cannot be known without running the program is reported with its line."""
    policy = imported(
        "helmet",
        "app.use(helmet({\n  hsts: { maxAge: age() },\n  nonsense: 1,\n  ...more,\n}));\napp.use(helmet(options));",
    )
    assert lost(policy) == [
        "2: strictTransportSecurity: the value of Strict-Transport-Security cannot be known without running the program",
        "3: 'nonsense' is no option of Helmet that can be read",
        "4: '...more' is no option of Helmet that can be read",
        "6: helmet(...): the options cannot be known without running the program",
    ]


TALISMAN: list[dict[str, Any]] = [
    {},
    {
        "frame_options": "DENY",
        "content_security_policy": {"default-src": ["'self'", "a.example"], "img-src": "*"},
    },
    {"content_security_policy": "default-src 'self'; img-src *", "referrer_policy": "same-origin"},
    {
        "content_security_policy": None,
        "x_xss_protection": True,
        "force_file_save": True,
        "x_content_type_options": False,
    },
    {
        "strict_transport_security_max_age": 60,
        "strict_transport_security_preload": True,
        "strict_transport_security_include_subdomains": False,
    },
    {
        "strict_transport_security": False,
        "permissions_policy": {"camera": "()", "usb": "(self)"},
        "document_policy": {"oversized-images": "?0"},
    },
    {
        "permissions_policy": "camera=()",
        "feature_policy": {"camera": "'none'"},
        "frame_options": "ALLOW-FROM",
        "frame_options_allow_from": "a.example",
    },
    {"content_security_policy_report_only": True, "content_security_policy_report_uri": "/csp"},
    {
        "session_cookie_samesite": "Strict",
        "session_cookie_http_only": False,
        "permissions_policy": {},
    },
]


@pytest.mark.parametrize("options", TALISMAN, ids=range(len(TALISMAN)))
def test_talisman_beside_the_library(options: dict[str, Any]) -> None:
    """For each way to call Talisman the policy makes of the view's response what the library makes of it."""
    flask = pytest.importorskip("flask")
    talisman = pytest.importorskip("flask_talisman")

    def lines(*, wrapped: bool) -> Fields:
        app = flask.Flask("app")
        app.secret_key = "k"

        @app.get("/")
        def view() -> Any:
            flask.session["user"] = 1
            return flask.Response(
                "ok",
                headers={
                    "X-Frame-Options": "of-the-view",
                    "Content-Security-Policy": "of-the-view",
                },
            )

        if wrapped:
            talisman.Talisman(app, **options)
        found = app.test_client().get("/", base_url="https://localhost").headers
        return [(name, value) for name, value in found if name != "Date"]

    call = f"Talisman(app, {', '.join(f'{name}={value!r}' for name, value in options.items())})"
    ours = answered(
        imported("talisman", f"from flask_talisman import Talisman\n{call}"),
        "/",
        *lines(wrapped=False),
    )
    assert sorted(map(shape, ours)) == sorted(map(shape, lines(wrapped=True)))


def shape(field: tuple[str, str]) -> tuple[str, object]:
    """A line so that the order of a cookie's attributes, and its signature's time, do not count."""
    name, value = field
    return (
        (name, sorted(part.strip() for part in value.split(";")[1:]))
        if name == "Set-Cookie"
        else (name, [value.strip()])
    )


def test_talisman_defaults_are_the_library_s() -> None:
    """The defaults written down here are those of the library's signature."""
    inspect = __import__("inspect")
    talisman = pytest.importorskip("flask_talisman")
    known = {
        name: one.default
        for name, one in inspect.signature(talisman.Talisman.init_app).parameters.items()
        if name not in ("self", "app")
    }
    assert {
        name: value for name, value in known.items() if not name.startswith("force_https")
    } == dict(DEFAULTS)


def test_talisman_what_is_lost() -> None:
    """Nonces, views of their own and values that must be computed are reported with their line."""
    text = """
        from flask_talisman import Talisman
        csp = {"script-src": ["'self'"]}
        talisman = Talisman(
            app,
            content_security_policy=csp,
            content_security_policy_nonce_in=["script-src"],
            referrer_policy=os.environ["R"],
            colour="red",
        )
        @app.route("/embed")
        @talisman(frame_options="ALLOW-FROM")
        def embed(): ...
        """
    assert lost(imported("talisman", text)) == [
        "6: content_security_policy with nonces: a nonce is other in every response, so Content-Security-Policy is not carried",
        "8: referrer_policy: the value cannot be known without running the program",
        "9: colour is not an argument that Talisman's headers depend on",
        "12: @talisman(...) on one view is not carried",
    ]


def test_talisman_in_a_factory() -> None:
    """Talisman() without arguments is nothing yet; init_app says the rest."""
    assert (
        dict(
            answered(
                imported(
                    "talisman",
                    "talisman = Talisman()\ntalisman.init_app(app, frame_options='DENY')",
                )
            )
        )["X-Frame-Options"]
        == "DENY"
    )


SECURE = [
    "Secure.with_default_headers()",
    "Secure.from_preset(Preset.BASIC)",
    "Secure.from_preset(Preset.STRICT)",
    "Secure(hsts=StrictTransportSecurity().max_age(63072000).include_subdomains().preload())",
    "Secure(hsts=StrictTransportSecurity(), xfo=XFrameOptions().deny(), server=Server().set('web'), coop=CrossOriginOpenerPolicy().same_origin_allow_popups())",
    "Secure(csp=ContentSecurityPolicy().default_src(\"'self'\").script_src(\"'self'\", 'a.example').script_src('b.example').upgrade_insecure_requests())",
    "Secure(csp=ContentSecurityPolicy().custom_directive('img-src', '*').report_only())",
    "Secure(csp=ContentSecurityPolicy().value(\"default-src 'none'\"), referrer=ReferrerPolicy().no_referrer().strict_origin())",
    "Secure(permissions=PermissionsPolicy().geolocation().camera('self', 'https://a.example').fullscreen('*').add_directive('hid'))",
    "Secure(custom=[CustomHeader('X-A', '1'), CustomHeader(header='X-B', value='2')], corp=CrossOriginResourcePolicy().same_site())",
    "Secure(coep=CrossOriginEmbedderPolicy().credentialless(), xdfc=XDnsPrefetchControl().allow(), xpcdp=XPermittedCrossDomainPolicies().master_only())",
    "Secure(cache=CacheControl().no_store(), xcto=XContentTypeOptions().nosniff(), xfo=XFrameOptions().allow_from('https://a.example'))",
    "Secure(cache=CacheControl().max_age(60), referrer=ReferrerPolicy().set('origin'))",
]


@pytest.mark.parametrize("call", SECURE)
def test_secure_beside_the_library(call: str) -> None:
    """For each way to call secure the policy writes what the library writes, over what the view wrote."""
    secure = pytest.importorskip("secure")
    headers = __import__("secure.headers", fromlist=["headers"])
    names = {**vars(headers), "Secure": secure.Secure, "Preset": secure.Preset}
    expected = {one.header_name: one.header_value for one in eval(call, names).headers_list}
    found = answered(
        imported("secure", f"from secure import *\nsecure_headers = {call}"),
        "/",
        ("X-Frame-Options", "of-the-view"),
    )
    # An empty Server, as the presets have it, is sent by nobody: the policy removes it.
    assert dict(found) == {
        name: value
        for name, value in {"X-Frame-Options": "of-the-view", **expected}.items()
        if value
    }


def test_secure_presets_are_the_library_s() -> None:
    """The presets written down here are those of the library."""
    secure = pytest.importorskip("secure")
    assert {one.name for one in secure.Preset} == set(PRESETS)


def test_secure_what_is_lost() -> None:
    """Values that must be computed and presets that are not known are reported."""
    policy = imported(
        "secure",
        "import secure\nsecure.Secure(csp=make_csp(),\n  hsts=secure.StrictTransportSecurity().max_age(age))\nsecure.Secure.from_preset(mine)",
    )
    assert lost(policy) == [
        "2: make_csp: it cannot be known without running the program",
        "3: StrictTransportSecurity: it cannot be known without running the program",
        "4: preset mine is not known",
    ]


DJANGO = [
    {},
    {
        "SECURE_HSTS_SECONDS": 60,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
        "SECURE_HSTS_PRELOAD": True,
    },
    {
        "SECURE_CONTENT_TYPE_NOSNIFF": False,
        "X_FRAME_OPTIONS": "sameorigin",
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": None,
    },
    {
        "SECURE_REFERRER_POLICY": ["no-referrer", "origin"],
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": "unsafe-none",
    },
    {"SECURE_REFERRER_POLICY": "no-referrer, origin"},
]


@pytest.mark.parametrize("settings", DJANGO, ids=range(len(DJANGO)))
def test_django_beside_the_framework(settings: dict[str, object]) -> None:
    """For each of these settings the policy writes what Django's middlewares write, and leaves what the view wrote."""
    django = pytest.importorskip("django")
    pytest.importorskip("django.test")
    from django.conf import settings as configured
    from django.http import HttpResponse
    from django.middleware.clickjacking import XFrameOptionsMiddleware
    from django.middleware.security import SecurityMiddleware
    from django.test import RequestFactory, override_settings

    assert django.VERSION
    if not configured.configured:
        configured.configure()
    text = "\n".join(f"{name} = {value!r}" for name, value in settings.items())
    for view in ([], [("Referrer-Policy", "of-the-view"), ("X-Frame-Options", "of-the-view")]):

        def respond(request: Any, view: Fields = view) -> HttpResponse:
            return HttpResponse(headers=dict(view), content_type="text/html")

        with override_settings(**settings):
            theirs = SecurityMiddleware(XFrameOptionsMiddleware(respond))(
                RequestFactory().get("/", secure=True)
            )
        ours = answered(
            imported("django", text or "DEBUG = False"), "/", ("Content-Type", "text/html"), *view
        )
        assert dict(ours) == dict(theirs.items())


def test_django_content_security_policy() -> None:
    """Django's SECURE_CSP and django-csp's settings with their constants; the latter has a default-src by itself."""
    text = """
        from django.utils.csp import CSP
        SECURE_CSP = {"default-src": [CSP.SELF], "img-src": [CSP.SELF, "data:"], "upgrade-insecure-requests": True}
        CONTENT_SECURITY_POLICY_REPORT_ONLY = {"DIRECTIVES": {"object-src": [NONE], "script-src": None}}
        """
    found = dict(answered(imported("django", text)))
    assert (
        found["Content-Security-Policy"]
        == "default-src 'self'; img-src 'self' data:; upgrade-insecure-requests"
    )
    assert found["Content-Security-Policy-Report-Only"] == "default-src 'self'; object-src 'none'"


def test_django_middleware_and_cookies() -> None:
    """A middleware that is not in MIDDLEWARE writes nothing; cookie settings become cookie rules."""
    text = """
        MIDDLEWARE = ["django.middleware.clickjacking.XFrameOptionsMiddleware"]
        SESSION_COOKIE_NAME = "sid"
        SESSION_COOKIE_SECURE = True
        CSRF_COOKIE_SAMESITE = "Strict"
        """
    cookies = [("Set-Cookie", "sid=1"), ("Set-Cookie", "csrftoken=2"), ("Set-Cookie", "other=3")]
    assert answered(imported("django", text), "/", *cookies) == [
        ("Set-Cookie", "sid=1; Secure"),
        ("Set-Cookie", "csrftoken=2; SameSite=Strict"),
        ("Set-Cookie", "other=3"),
        ("X-Frame-Options", "DENY"),
    ]


def test_django_what_is_lost() -> None:
    """Values that must be computed, nonces and excluded prefixes are reported with their line."""
    text = """
        SECURE_HSTS_SECONDS = int(os.environ["HSTS"])
        SECURE_CSP = {"script-src": [CSP.NONCE]}
        CONTENT_SECURITY_POLICY = {"EXCLUDE_URL_PREFIXES": ["/admin"], "DIRECTIVES": {}}
        """
    assert lost(imported("django", text)) == [
        "2: SECURE_HSTS_SECONDS: the value cannot be known without running the program",
        "3: SECURE_CSP: Content-Security-Policy with a nonce, or a value that is no text, cannot be carried",
        "4: CONTENT_SECURITY_POLICY: EXCLUDE_URL_PREFIXES is not carried, Content-Security-Policy is written there too",
    ]


@pytest.mark.parametrize("form", ["talisman", "secure", "django"])
@pytest.mark.parametrize("text", ["def (", "a = (" * 300, "x\0y"])
def test_no_python(form: str, text: str) -> None:
    """A text that is not Python is refused."""
    with pytest.raises(PolicyError, match="not Python"):
        imported(form, text)


def test_numbers_and_sums() -> None:
    """Products, sums and names assigned once are worked out, and no more than settings need."""
    text = textwrap.dedent("""
        DAY = 24 * 60 * 60
        BASE = ["no-referrer"]
        SECURE_HSTS_SECONDS = 2 * DAY + -1
        SECURE_REFERRER_POLICY = BASE + ["origin"]
        X_FRAME_OPTIONS = "SAME" + "ORIGIN"
        SECURE_CONTENT_TYPE_NOSNIFF = not True
        """)
    found = dict(answered(imported("django", text)))
    assert found["Strict-Transport-Security"] == "max-age=172799"
    assert found["Referrer-Policy"] == "no-referrer,origin"
    assert found["X-Frame-Options"] == "SAMEORIGIN"
    assert "X-Content-Type-Options" not in found
