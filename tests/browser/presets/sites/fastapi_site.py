"""The site on FastAPI, as `uvicorn tests.browser.presets.sites.fastapi_site:app` serves it; its
docs pages as they come.
"""

import secrets
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

from tests.browser.presets.sites import content

app = FastAPI(title="Sample shop")
app.add_middleware(SessionMiddleware, secret_key="only-for-tests")


def token_of(request: Request) -> str:
    """The session's CSRF token, made at first sight."""
    return str(request.session.setdefault("csrf", secrets.token_urlsafe(16)))


@app.get("/", response_class=HTMLResponse)
def home(request: Request) -> str:
    return content.home(token_of(request))


@app.get("/login", response_class=HTMLResponse)
def form(request: Request) -> str:
    return content.login(f'<input type=hidden name=csrf value="{token_of(request)}">')


@app.post("/login")
async def login(request: Request) -> Response:
    sent = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    if sent.get("csrf") != request.session.get("csrf") or sent.get("password") != content.PASSWORD:
        raise HTTPException(403)
    request.session["user"] = sent["username"]
    return RedirectResponse("/account", 303)


@app.get("/account", response_class=HTMLResponse)
def account(request: Request) -> str:
    return content.account(request.session["user"])


@app.get("/inline", response_class=HTMLResponse)
def inline() -> str:
    return content.inline()


@app.get("/api/items")
def items() -> dict[str, list[str]]:
    return {"items": content.ITEMS}


@app.post("/api/note")
def note(request: Request, x_csrftoken: Annotated[str, Header()]) -> dict[str, str]:
    if x_csrftoken != request.session.get("csrf"):
        raise HTTPException(403)
    return {"status": "noted"}


@app.get("/assets/{name}")
def asset(name: str) -> Response:
    media, body = content.ASSETS[name]
    return Response(body, media_type=media)


@app.get("/file")
def file() -> Response:
    return Response(
        content.FILE,
        media_type="application/octet-stream",
        headers={"Content-Disposition": 'attachment; filename="stock.bin"'},
    )
