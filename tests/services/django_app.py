"""The sample service on Django, as `gunicorn tests.services.django_app:app` serves it.

A whole small site in one file: sessions, a login form with CSRF, the admin, and Django's own
security headers (SecurityMiddleware, XFrameOptionsMiddleware). The data base lives in memory, as
long as the process does.
"""

import django
from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)

from tests.services import samples
from tests.services.echo import wsgi

settings.configure(
    SECRET_KEY="only-for-tests-" + "x" * 40,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    WSGI_APPLICATION=f"{__name__}.app",
    USE_TZ=True,
    STATIC_URL="static/",
    LOGIN_REDIRECT_URL="/account",
    LOGIN_URL="/login",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "file:sample?mode=memory&cache=shared",
        }
    },
    MIGRATION_MODULES=dict.fromkeys(("admin", "auth", "contenttypes", "sessions")),
    LOGGING={"version": 1, "disable_existing_loggers": True, "root": {"level": "CRITICAL"}},
)
django.setup()

from django.contrib import admin  # noqa: E402 - Django's modules need its settings
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

gates = samples.Gates()
FORM = "<form method=post>{% csrf_token %}{{ form }}<button>Log in</button></form>\n"


class Login(LoginView):
    """Django's own login view with a template of three words."""

    def render_to_response(self, context: dict[str, object], **_: object) -> HttpResponse:
        return HttpResponse(engines["django"].from_string(FORM).render(context, self.request))


def account(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return HttpResponseRedirect("/login")
    return HttpResponse(f"<h1>{request.user.get_username()}</h1>\n")


def home(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(samples.PAGE)


def items(_request: HttpRequest) -> HttpResponse:
    return JsonResponse(samples.ITEMS)


def old(_request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/")


def broken(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the shop is broken")


def file(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        samples.FILE,
        content_type="application/octet-stream",
        headers={"Content-Disposition": 'attachment; filename="stock.bin"'},
    )


def cookies(_request: HttpRequest) -> HttpResponse:
    response = HttpResponse(samples.PAGE)
    response.set_cookie("sessionid", "8c1f2e", expires="Wed, 09 Jun 2055 10:18:14 GMT")
    response.set_cookie(
        "theme", "dark", max_age=3600, expires="Wed, 09 Jun 2055 10:18:14 GMT", httponly=True
    )
    response.delete_cookie("cart", samesite="Lax")
    return response


def cached(request: HttpRequest) -> HttpResponse:
    if request.headers.get("If-None-Match") == samples.ETAG:
        return HttpResponse(status=304, headers={"ETag": samples.ETAG})
    return HttpResponse(samples.PAGE, headers={"ETag": samples.ETAG})


def zipped(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        samples.GZIP, headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    )


def empty(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def chunks(_request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse(iter(samples.CHUNKS), content_type="text/plain")


def events(_request: HttpRequest, gate: str) -> HttpResponse:
    return StreamingHttpResponse(
        samples.events(gates, gate),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )


def held(_request: HttpRequest, gate: str) -> HttpResponse:
    gates.wait(gate)
    return HttpResponse(samples.PAGE)


@csrf_exempt
def opened(_request: HttpRequest, gate: str) -> HttpResponse:
    gates.open(gate)
    return HttpResponse(status=204)


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    document = request.FILES["document"]
    return JsonResponse(samples.reported(document.name, [], document.read()))


urlpatterns = [
    path("", home),
    path("api/items", items),
    path("old", old),
    path("broken", broken),
    path("file", file),
    path("cookies", cookies),
    path("cached", cached),
    path("gzip", zipped),
    path("empty", empty),
    path("chunks", chunks),
    path("events/<gate>", events),
    path("held/<gate>", held),
    path("open/<gate>", opened),
    path("upload", upload),
    path("login", Login.as_view()),
    path("account", account),
    path("admin/", admin.site.urls),
]

call_command("migrate", run_syncdb=True, verbosity=0)
User.objects.create_superuser(samples.USER, password=samples.PASSWORD)
app = wsgi(WSGIHandler())
