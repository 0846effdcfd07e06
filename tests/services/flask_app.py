"""The sample service on Flask, as `gunicorn tests.services.flask_app:app` serves it."""

import flask

from tests.services import samples
from tests.services.echo import wsgi

gates = samples.Gates()
app = flask.Flask(__name__)


@app.route("/")
def home() -> str:
    return samples.PAGE


@app.route("/api/items")
def items() -> flask.Response:
    return flask.jsonify(samples.ITEMS)


@app.route("/old")
def old() -> flask.typing.ResponseReturnValue:
    return flask.redirect("/", 302)


@app.route("/broken")
def broken() -> str:
    raise RuntimeError("the shop is broken")


@app.route("/file")
def file() -> flask.Response:
    response = flask.Response(samples.FILE, mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = 'attachment; filename="stock.bin"'
    return response


@app.route("/cookies")
def cookies() -> flask.Response:
    response = flask.Response(samples.PAGE)
    for line in samples.COOKIES:
        response.headers.add("Set-Cookie", line)
    return response


@app.route("/repeated")
def repeated() -> flask.Response:
    response = flask.Response("many\n")
    for name, value in samples.REPEATED:
        response.headers.add(name, value)
    return response


@app.route("/cached")
def cached() -> flask.Response:
    response = flask.Response(samples.PAGE, headers={"ETag": samples.ETAG})
    return response.make_conditional(flask.request)


@app.route("/gzip")
def zipped() -> flask.Response:
    return flask.Response(
        samples.GZIP, headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    )


@app.route("/empty")
def empty() -> flask.typing.ResponseReturnValue:
    return "", 204


@app.route("/chunks")
def chunks() -> flask.Response:
    return flask.Response(iter(samples.CHUNKS), mimetype="text/plain")


@app.route("/events/<gate>")
def events(gate: str) -> flask.Response:
    return flask.Response(
        samples.events(gates, gate),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )


@app.route("/held/<gate>")
def held(gate: str) -> str:
    gates.wait(gate)
    return samples.PAGE


@app.post("/open/<gate>")
def opened(gate: str) -> flask.typing.ResponseReturnValue:
    gates.open(gate)
    return "", 204


@app.post("/upload")
def upload() -> dict[str, object]:
    document = flask.request.files["document"]
    return samples.reported(document.filename or "", [], document.read())


app.wsgi_app = wsgi(app.wsgi_app)  # type: ignore[method-assign]
