"""The site on Django, as `gunicorn tests.browser.presets.sites.django_site:app` serves it: its own
login, CSRF check and admin.

Behind a TLS terminator, as `SECURE_PROXY_SSL_HEADER` says, so that the checks for HTTPS are on. The
data base lives in memory, as long as the process does.
"""

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from tests.browser.presets.sites import content

settings.configure(
    SECRET_KEY="only-for-tests-" + "x" * 40,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    STATIC_URL="/static/",
    LOGIN_REDIRECT_URL="/account",
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    INSTALLED_APPS=[
        f"django.contrib.{name}"
        for name in ("admin", "auth", "contenttypes", "messages", "sessions", "staticfiles")
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
            "NAME": "file:site?mode=memory&cache=shared",
        }
    },
    MIGRATION_MODULES=dict.fromkeys(("admin", "auth", "contenttypes", "sessions")),
    LOGGING={"version": 1, "disable_existing_loggers": True, "root": {"level": "CRITICAL"}},
)
django.setup()

from django.contrib import admin  # noqa: E402 - Django's modules need its settings
from django.contrib.auth.decorators import login_required  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import ensure_csrf_cookie  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402


class Login(LoginView):
    """Django's own login view with the site's page."""

    def render_to_response(self, *_: object, **__: object) -> HttpResponse:
        return HttpResponse(
            content.login(
                f'<input type=hidden name=csrfmiddlewaretoken value="{get_token(self.request)}">'
            )
        )


@ensure_csrf_cookie
def home(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(content.home())


@login_required
def account(request: HttpRequest) -> HttpResponse:
    return HttpResponse(content.account(request.user.get_username()))


def inline(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(content.inline())


def items(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"items": content.ITEMS})


@require_POST
def note(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "noted"})


def asset(_request: HttpRequest, name: str) -> HttpResponse:
    media, body = content.ASSETS[name]
    return HttpResponse(body, content_type=media)


def file(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        content.FILE,
        content_type="application/octet-stream",
        headers={"Content-Disposition": 'attachment; filename="stock.bin"'},
    )


urlpatterns = [
    path("", home),
    path("login", Login.as_view()),
    path("account", account),
    path("inline", inline),
    path("api/items", items),
    path("api/note", note),
    path("assets/<name>", asset),
    path("file", file),
    path("favicon.ico", asset, {"name": "mark.png"}),
    path("admin/", admin.site.urls),
]

call_command("migrate", run_syncdb=True, verbosity=0)
User.objects.create_superuser(content.USER, password=content.PASSWORD)
app = StaticFilesHandler(WSGIHandler())
