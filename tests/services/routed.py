"""The same few routes on FastAPI, Flask and Django: each view says in `X-View` that it was reached.

`on_fastapi`, `on_flask`, `on_django` (WSGI) and `on_django_asgi`, with each framework's own way to
serve files. Run as `python -m uvicorn` or `gunicorn tests.services.routed:...`; `python -m
tests.services.routed` is Flask on Werkzeug's server.
"""

import sys
import tempfile
from pathlib import Path

import django
import fastapi
import flask
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.static import serve
from starlette.staticfiles import StaticFiles
from werkzeug.serving import make_server

FILES = Path(tempfile.mkdtemp(prefix="routed-"))
for name in ("private/key.txt", "open.txt"):
    (FILES / name).parent.mkdir(exist_ok=True)
    (FILES / name).write_text(name, "utf-8")

on_fastapi = fastapi.FastAPI()
on_flask = flask.Flask(__name__, static_folder=None)


def _saying(view: str) -> fastapi.Response:
    return fastapi.Response("", headers={"X-View": view})


@on_fastapi.get("/admin")
def fastapi_home() -> fastapi.Response:
    return _saying("admin")


@on_fastapi.get("/admin/{rest:path}")
def fastapi_admin(rest: str) -> fastapi.Response:
    return _saying("admin")


@on_fastapi.get("/account/{name}")
def fastapi_account(name: str) -> fastapi.Response:
    return _saying("account")


@on_fastapi.get("/café/{name}")
def fastapi_cafe(name: str) -> fastapi.Response:
    return _saying("cafe")


on_fastapi.mount("/files", StaticFiles(directory=FILES))


def _told(view: str) -> flask.Response:
    return flask.Response("", headers={"X-View": view})


@on_flask.get("/admin", strict_slashes=False)
def flask_home() -> flask.Response:
    return _told("admin")


@on_flask.get("/admin/<path:rest>")
def flask_admin(rest: str) -> flask.Response:
    return _told("admin")


@on_flask.get("/account/<name>")
def flask_account(name: str) -> flask.Response:
    return _told("account")


@on_flask.get("/café/<name>")
def flask_cafe(name: str) -> flask.Response:
    return _told("cafe")


@on_flask.get("/files/<path:name>")
def flask_files(name: str) -> flask.Response:
    return flask.send_from_directory(FILES, name)


settings.configure(
    SECRET_KEY="only-for-tests-" + "x" * 40, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__
)
django.setup()


def admin(_request: HttpRequest, rest: str = "") -> HttpResponse:
    return HttpResponse(headers={"X-View": "admin"})


def account(_request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(headers={"X-View": "account"})


def cafe(_request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(headers={"X-View": "cafe"})


urlpatterns = [
    path("admin", admin),
    path("admin/<path:rest>", admin),
    path("account/<name>", account),
    path("café/<name>", cafe),
    path("files/<path:path>", serve, {"document_root": FILES}),
]
on_django, on_django_asgi = WSGIHandler(), ASGIHandler()

if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, on_flask)
    print(f"http://127.0.0.1:{server.port}", file=sys.stderr, flush=True)
    server.serve_forever()
