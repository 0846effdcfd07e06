"""The sample services with the sidecar inside, as real servers serve them; settings come by the
environment.

Each is a factory, so that a server makes the one that is asked for.
"""

from __future__ import annotations

from typing import Any

from sidecar import asgi, wsgi


def fastapi() -> asgi.Middleware:
    """FastAPI."""
    from tests.services.fastapi_app import app

    return asgi.Middleware(app)


def starlette() -> asgi.Middleware:
    """Starlette, with the middleware in its own list: then its error responses are outside of
    it.
    """
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    from tests.services import echo, samples

    async def home(_request: Any) -> HTMLResponse:
        return HTMLResponse(samples.PAGE)

    async def broken(_request: Any) -> HTMLResponse:
        raise RuntimeError("the shop is broken")

    routes = [Route("/", home), Route("/broken", broken)]
    return asgi.Middleware(echo.asgi(Starlette(routes=routes)))


def flask() -> wsgi.Middleware:
    """Flask."""
    from tests.services.flask_app import app

    return wsgi.Middleware(app)


def django() -> wsgi.Middleware:
    """Django by WSGI."""
    from tests.services.django_app import app

    return wsgi.Middleware(app)


def django_asgi() -> asgi.Middleware:
    """Django by ASGI."""
    from django.core.handlers.asgi import ASGIHandler

    from tests.services import django_app, echo

    assert django_app.app
    return asgi.Middleware(echo.asgi(ASGIHandler()))


def bare_asgi() -> asgi.Middleware:
    """An application without a framework, which fails."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError("nobody catches it")

    return asgi.Middleware(app)


def bare_wsgi() -> wsgi.Middleware:
    """The same by WSGI."""

    def app(_environ: Any, _start_response: Any) -> Any:
        raise RuntimeError("nobody catches it")

    return wsgi.Middleware(app)
