"""A browser's log-in at the admin listener: a signed cookie, and a secret word in each form."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from aiohttp import web

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
