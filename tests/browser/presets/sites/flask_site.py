"""The site on Flask, as `gunicorn tests.browser.presets.sites.flask_site:app` serves it; its
session cookie as it comes.
"""

import secrets

import flask

from tests.browser.presets.sites import content

app = flask.Flask(__name__, static_folder=None)
app.secret_key = "only-for-tests"


def token() -> str:
    """The session's CSRF token, made at first sight."""
    return str(flask.session.setdefault("csrf", secrets.token_urlsafe(16)))


@app.get("/")
def home() -> str:
    return content.home(token())


@app.get("/login")
def form() -> str:
    return content.login(f'<input type=hidden name=csrf value="{token()}">')


@app.post("/login")
def login() -> flask.typing.ResponseReturnValue:
    sent = flask.request.form
    if sent.get("csrf") != flask.session.get("csrf") or sent.get("password") != content.PASSWORD:
        flask.abort(403)
    flask.session["user"] = sent["username"]
    return flask.redirect("/account")


@app.get("/account")
def account() -> str:
    return content.account(flask.session["user"])


@app.get("/inline")
def inline() -> str:
    return content.inline()


@app.get("/api/items")
def items() -> dict[str, list[str]]:
    return {"items": content.ITEMS}


@app.post("/api/note")
def note() -> dict[str, str]:
    if flask.request.headers.get("X-CSRFToken") != flask.session.get("csrf"):
        flask.abort(403)
    return {"status": "noted"}


@app.get("/assets/<name>")
def asset(name: str) -> flask.Response:
    media, body = content.ASSETS[name]
    return flask.Response(body, mimetype=media)


@app.get("/file")
def file() -> flask.Response:
    return flask.Response(
        content.FILE,
        mimetype="application/octet-stream",
        headers={"Content-Disposition": 'attachment; filename="stock.bin"'},
    )
