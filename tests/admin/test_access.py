"""Who may use the admin listener: addresses, tokens, log-ins, and pages of other sites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.admin import access
from sidecar.admin.access import COOKIE, Sessions, read_token
from sidecar.policy.terms import PolicyError
from sidecar.setting_kinds import is_loopback
from tests.admin import TOKEN, Control, control

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Control]:
    """A listener on loopback, without a token."""
    async with control(tmp_path) as made:
        yield made


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Control]:
    """A listener with a token."""
    async with control(tmp_path, TOKEN) as made:
        yield made


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:19000", True),
        ("127.9.9.9:1", True),
        ("[::1]:19000", True),
        ("localhost:19000", True),
        ("unix:/run/admin.sock", True),
        ("0.0.0.0:19000", False),
        ("[::]:19000", False),
        ("10.0.0.1:19000", False),
        ("sidecar.internal:19000", False),
    ],
)
def test_what_is_loopback(address: str, expected: bool):
    """Names are not: what they mean is decided elsewhere."""
    assert is_loopback(address) is expected


def test_an_open_bind_needs_a_token(tmp_path: Path):
    """Refused at the start, with the fix; a token file makes it possible."""
    file = tmp_path / "token"
    file.write_text(f" {TOKEN}\n")

    assert read_token("127.0.0.1:19000", None) is None
    with pytest.raises(
        PolicyError, match="not loopback and has no token; set admin_token_file, or bind 127.0.0.1"
    ):
        read_token("0.0.0.0:19000", None)
    assert read_token("0.0.0.0:19000", str(file)) == TOKEN


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"short", "shorter than 16 characters"),
        (b"two lines of it,\nand more than 16", "not one line of printable ASCII"),
        (b"\xff" * 20, "token cannot be read: it is not UTF-8; name another"),
        (None, "token cannot be read: No such file or directory; name another with admin_token_"),
    ],
)
def test_a_token_file_that_cannot_be_used_refuses_the_start(
    tmp_path: Path, content: bytes | None, why: str
):
    """A guessable or broken token is no token."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(PolicyError, match=why):
        read_token("127.0.0.1:19000", str(file))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:19000", 200),
        ("localhost", 200),
        ("LocalHost:1", 200),
        ("[::1]:19000", 200),
        ("10.0.0.1", 200),
        ("attacker.example", 421),
        ("attacker.example:19000", 421),
        ("127.0.0.1.attacker.example", 421),
        ("localhost.attacker.example", 421),
    ],
)
async def test_a_page_that_rebinds_its_name_is_refused(admin: Control, host: str, status: int):
    """It still sends its own name: without a token only addresses and localhost are taken, for
    reading too.
    """
    assert (await admin.get("/api/status", headers={"Host": host}))[0] == status
    assert (await admin.ask("POST", "/-/mode", {"mode": "off"}, headers={"Host": host}))[
        0
    ] == status


async def test_a_request_without_a_host_is_no_crash(admin: Control):
    """HTTP/1.0 may leave it out."""
    address, port = admin.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
    head = await reader.readline()
    writer.close()

    assert head.split()[1] in (b"200", b"421")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "self"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "self"}, 200),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "nonsense"}, 403),
    ],
)
async def test_orders_from_other_sites_pages_are_refused(
    admin: Control, headers: dict[str, str], status: int
):
    """A browser says where a request comes from; another port is another site; scripts say
    nothing and are taken.
    """
    own = {key: admin.url if value == "self" else value for key, value in headers.items()}
    before = admin.made.mode
    found, data = await admin.post("/-/mode", {"mode": "off"}, headers=own)

    assert found == status
    assert admin.made.mode == ("off" if status == 200 else before)
    assert status == 200 or data == {"error": "orders from another site are refused"}


async def test_reading_from_another_page_is_not_an_order(admin: Control):
    """It is answered; the browser keeps it from the page, since no response allows it."""
    status, _, headers = await admin.get(
        "/api/status",
        headers={"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site"},
    )

    assert status == 200
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/api/status",
        "/api/events",
        "/metrics",
        "/livez",
        "/",
        "/-/mode",
        "/nowhere",
        "/assets/page.js",
        "/orders/mode",
    ],
)
@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        "Bearer \udcff\udcfe",
    ],
)
async def test_without_the_token_nothing_is_shown(guarded: Control, path: str, given: str | None):
    """Not even which paths there are; bytes that are no text are a wrong token like any other."""
    headers = {} if given is None else {"Authorization": given}
    status, data, answered = await guarded.get(path, headers=headers)

    assert (status, answered["WWW-Authenticate"], data) == (
        401,
        "Bearer",
        {"error": "a bearer token is needed"},
    )
    assert (await guarded.post(path, headers=headers))[0] == 401


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
async def test_with_the_token_any_name_is_taken(guarded: Control, given: str):
    """A rebinding page cannot know it, and behind a service name there is no address."""
    headers = {"Authorization": given, "Host": "sidecar.internal"}

    assert (await guarded.get("/api/status", headers=headers))[0] == 200
    assert (await guarded.post("/-/mode", {"mode": "off"}, headers=headers))[0] == 200
    assert (
        await guarded.post(
            "/-/mode", {"mode": "off"}, headers=headers | {"Origin": "https://attacker.example"}
        )
    )[0] == 403


async def test_a_browser_is_led_to_the_log_in(guarded: Control):
    """It asks for a page and has no way to send a header; the log-in page and its style are
    open.
    """
    status, _, headers = await guarded.get("/", headers={"Accept": "text/html"})

    assert (status, headers["Location"]) == (303, "/login")
    assert (await guarded.get("/login"))[0] == 200
    assert (await guarded.get("/assets/page.css"))[0] == 200


async def logged_in(admin: Control, token: str = TOKEN) -> tuple[int, str]:
    """Post the log-in form; status and the cookie line."""
    async with admin.http.post(
        admin.url + "/login", data={"token": token}, allow_redirects=False
    ) as response:
        return response.status, response.headers.get("Set-Cookie", "")


async def test_a_log_in_gives_a_cookie_that_opens_the_page(guarded: Control):
    """HttpOnly and SameSite=Strict, for some hours; the token itself is not in it."""
    status, line = await logged_in(guarded)
    cookie = line.partition(";")[0]

    assert status == 303
    assert {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={access.LASTING}"} <= {
        part.strip() for part in line.split(";")
    }
    assert TOKEN not in line
    assert (await guarded.get("/api/status", headers={"Cookie": cookie}))[0] == 200


async def test_a_wrong_token_is_slow_and_gives_nothing(
    guarded: Control, monkeypatch: pytest.MonkeyPatch
):
    """A guess costs time."""
    waited: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    status, line = await logged_in(guarded, "a-guess")

    assert (status, line, waited) == (401, "", [0.5])


async def test_a_forged_or_old_cookie_is_no_log_in(
    guarded: Control, monkeypatch: pytest.MonkeyPatch
):
    """Whatever is written into it, the word of the forms included; and time ends it."""
    _, line = await logged_in(guarded)
    good = line.partition(";")[0].partition("=")[2]
    until, _, signature = good.partition(".")
    with_bearer = await guarded.get("/", headers=BEARER | {"Accept": "text/html"})
    form = str(with_bearer[1]).partition('name="form" value="')[2].partition('"')[0]
    assert len(form) == 64

    for forged in (
        "",
        ".",
        f"{int(until) + 1}.{signature}",
        f"{until}.{signature[:-1]}0x",
        f"form.{form}",
        "\u00b2.x",
        "9" * 5000 + ".x",
        "\udcff.\udcff",
    ):
        status = (await guarded.get("/api/status", headers={"Cookie": f"{COOKIE}={forged}"}))[0]
        assert status == 401, forged
    monkeypatch.setattr(access.time, "time", lambda: float(until) + 1)
    assert (await guarded.get("/api/status", headers={"Cookie": f"{COOKIE}={good}"}))[0] == 401


def test_a_restart_ends_all_log_ins():
    """The key is made anew."""
    assert Sessions(TOKEN).form != Sessions(TOKEN).form


def test_without_a_token_no_token_is_known():
    """An empty one least of all."""
    assert not Sessions(None).knows("")
    assert Sessions(TOKEN).knows(TOKEN)
    assert not Sessions(TOKEN).form_is_ours("")
