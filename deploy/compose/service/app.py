"""The sample service: FastAPI as many run it, with the usual faults in its headers. Replace it
by yours.
"""

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, RedirectResponse

app = FastAPI(title="Sample shop")


@app.get("/", response_class=HTMLResponse)
def home(response: Response) -> str:
    """A page with a weak cookie and no policy of its own."""
    response.set_cookie("sessionid", "8c1f2e")
    return "<!doctype html><html lang=en><title>Sample shop</title><h1>Sample shop</h1>\n"


@app.get("/api/items")
def items() -> list[str]:
    """An API response."""
    return ["kettle", "teapot"]


@app.get("/old")
def old() -> RedirectResponse:
    """A redirect: it needs its headers too."""
    return RedirectResponse("/")


@app.get("/broken")
def broken() -> None:
    """A 500: so does this."""
    raise RuntimeError("shop.views line 42")
