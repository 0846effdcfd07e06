"""Who may use the admin listener: token, host names, a browser's log-in (a signed cookie, and a
secret word in each form), and no orders from other sites' pages.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Middleware

from sidecar.policy.terms import PolicyError, Problem
from sidecar.revisions.history import OrderRefused
from sidecar.setting_kinds import is_loopback

COOKIE = "sidecar_admin"
LASTING = 8 * 3600


class Sessions:
    """Log-ins of one process; a restart ends them all. `token` None = the listener needs none."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._key = secrets.token_bytes(32)

    @property
    def form(self) -> str:
        """The word that every form of ours carries, and no other site can know."""
        return self._sign("form")

    def form_is_ours(self, word: str) -> bool:
        """Whether a posted form came from a page of ours."""
        return _same(word, self.form)

    def knows(self, token: str) -> bool:
        """Whether this is the admin token; takes the same time for every wrong one."""
        return self._token is not None and _same(token, self._token)

    def log_in(self, response: web.StreamResponse, *, secure: bool) -> None:
        """Give a browser its cookie."""
        until = str(int(time.time()) + LASTING)
        response.set_cookie(
            COOKIE,
            f"{until}.{self._sign(f'until {until}')}",
            max_age=LASTING,
            httponly=True,
            samesite="Strict",
            secure=secure,
            path="/",
        )

    def logged_in(self, request: web.Request) -> bool:
        """Whether the request carries a cookie of ours that is still good."""
        until, _, signature = request.cookies.get(COOKIE, "").partition(".")
        return _same(signature, self._sign(f"until {until}")) and int(until) > time.time()

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, _bytes(text), hashlib.sha256).hexdigest()


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(_bytes(given), _bytes(right))


def _bytes(text: str) -> bytes:
    """The bytes as received: aiohttp decodes those that are not UTF-8 to surrogates."""
    return text.encode("utf-8", "surrogateescape")


Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

# For every response of the control plane: it judges others' headers, so its own must be right.
OWN_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def read_token(address: str, token_file: str | None) -> str | None:
    """The admin token; refuses an open bind without one.

    Raises:
        PolicyError: no token where one is needed, or a file that cannot be used.
    """
    if token_file is None:
        if not is_loopback(address):
            text = f"admin listener {address} is not loopback and has no token"
            fix = "set admin_token_file, or bind 127.0.0.1"
            raise PolicyError((Problem(text, fix, ("admin",)),))
        return None
    place = ("admin_token_file",)
    try:
        token = Path(token_file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        text = f"the token file {token_file} cannot be read: {why}"
        problem = Problem(text, "name another with admin_token_file", place)
        raise PolicyError((problem,)) from error
    if not (token.isascii() and token.isprintable()):
        text = "the admin token is not one line of printable ASCII"
        raise PolicyError((Problem(text, "write one without other characters", place),))
    if len(token) < 16:
        text = "the admin token is shorter than 16 characters"
        raise PolicyError((Problem(text, "make a longer one", place),))
    return token


async def with_own_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """A signal of aiohttp: every response gets our headers, also its own ones (404, 405), which do
    not name it then.
    """
    for name, value in OWN_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "sidecar"


_OPEN = ("/login", "/assets/page.css")
"""What a browser may see before it has logged in."""


def guard(token: str | None, sessions: Sessions) -> Middleware:
    """The middleware that every admin request passes."""

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _refusal(request, token, sessions)
        if refusal is not None:
            return refusal
        try:
            response = await handler(request)
        except web.HTTPException as wrong:
            kept = {"Allow": wrong.headers["Allow"]} if "Allow" in wrong.headers else None
            response = web.json_response({"error": wrong.reason}, status=wrong.status, headers=kept)
        except OrderRefused as refused:
            response = error(409, str(refused))
        return response

    return checked


def _refusal(request: web.Request, token: str | None, sessions: Sessions) -> web.Response | None:
    if not _known_host(request, token):
        return error(421, "this name does not belong to the admin listener; use its address")
    origin = request.headers.get("Origin")
    if request.method not in ("GET", "HEAD"):
        if origin is not None and origin.partition("://")[2] != request.host:
            return error(403, "orders from another site are refused")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return error(403, "orders from another site are refused")
    if token is None or request.path in _OPEN or sessions.logged_in(request):
        return None
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and sessions.knows(given.strip()):
        return None
    if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
        return web.Response(status=303, headers={"Location": "/login"})
    refused = error(401, "a bearer token is needed")
    refused.headers["WWW-Authenticate"] = "Bearer"
    return refused


def _known_host(request: web.Request, token: str | None) -> bool:
    """Whether the Host is an address: a page that rebinds its name to ours still sends its name.

    With a token any name is accepted, because such a page cannot know the token.
    """
    if token is not None:
        return True
    name, _, port = request.host.rpartition(":")
    host = name if port.isdigit() else request.host
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower() in ("localhost", "")
    return True


def error(status: int, text: str, **more: list[str]) -> web.Response:
    """A refusal as JSON."""
    return web.json_response({"error": text, **more}, status=status)
