"""The sample service on FastAPI, as `uvicorn tests.services.fastapi_app:app` serves it."""

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from tests.services import samples
from tests.services.echo import asgi

gates = samples.Gates()
shop = FastAPI(title="Sample shop")
both = ["GET", "HEAD"]


@shop.api_route("/", methods=both)
def home() -> HTMLResponse:
    return HTMLResponse(samples.PAGE)


@shop.api_route("/api/items", methods=both)
def items() -> dict[str, list[str]]:
    return samples.ITEMS


@shop.api_route("/old", methods=both)
def old() -> RedirectResponse:
    return RedirectResponse("/", 302)


@shop.api_route("/broken", methods=both)
def broken() -> Response:
    raise RuntimeError("the shop is broken")


@shop.api_route("/file", methods=both)
def file() -> Response:
    return Response(
        samples.FILE,
        media_type="application/octet-stream",
        headers={"Content-Disposition": 'attachment; filename="stock.bin"'},
    )


@shop.api_route("/cookies", methods=both)
def cookies() -> Response:
    response = HTMLResponse(samples.PAGE)
    for line in samples.COOKIES:
        response.headers.append("Set-Cookie", line)
    return response


@shop.api_route("/repeated", methods=both)
def repeated() -> Response:
    response = Response("many\n")
    response.raw_headers.extend((name.encode(), value.encode()) for name, value in samples.REPEATED)
    return response


@shop.api_route("/cached", methods=both)
def cached(request: Request) -> Response:
    if request.headers.get("if-none-match") == samples.ETAG:
        return Response(status_code=304, headers={"ETag": samples.ETAG})
    return HTMLResponse(samples.PAGE, headers={"ETag": samples.ETAG})


@shop.api_route("/gzip", methods=both)
def zipped() -> Response:
    return Response(
        samples.GZIP,
        media_type="text/html",
        headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"},
    )


@shop.api_route("/empty", methods=both)
def empty() -> Response:
    return Response(status_code=204)


@shop.api_route("/chunks", methods=both)
def chunks() -> Response:
    return StreamingResponse(iter(samples.CHUNKS), media_type="text/plain")


@shop.get("/events/{gate}")
def events(gate: str) -> Response:
    return StreamingResponse(
        samples.events(gates, gate),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )


@shop.get("/held/{gate}")
def held(gate: str) -> Response:
    gates.wait(gate)
    return HTMLResponse(samples.PAGE)


@shop.post("/open/{gate}")
def opened(gate: str) -> Response:
    gates.open(gate)
    return Response(status_code=204)


@shop.post("/upload")
async def upload(request: Request) -> dict[str, object]:
    return samples.reported("", [], b"".join([piece async for piece in request.stream()]))


@shop.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept(
        subprotocol="echo" if "echo" in websocket.scope["subprotocols"] else None
    )
    try:
        while True:
            message = await websocket.receive()
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            elif message.get("bytes") is not None:
                await websocket.send_bytes(message["bytes"])
            else:
                return
    except WebSocketDisconnect:
        return


app = asgi(shop)
