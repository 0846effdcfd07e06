"""A rehearsal against services whose responses are never twice the same."""

from __future__ import annotations

import asyncio
import itertools
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from sidecar import rehearsal
from sidecar.observed import NoResponse, ObservedResponse
from sidecar.rehearsal import RehearsalStep, differences, rehearse
from sidecar.settings import Settings
from tests.listening import listening

POLICY = """\
version: 1
owner: web@example.com
expected: nosniff everywhere
rollback: sidecar rollback
rules:
  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff}
"""


async def rehearsed(folder: Path, path: str) -> dict[str, RehearsalStep]:
    """The steps by name, before a service that names the host, and one page that always differs."""
    numbers = itertools.count(1_000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        host = next(line for line in head.splitlines() if line.lower().startswith("host:"))
        number = next(numbers)
        body = f"<a href=http://{host[5:].strip()}/>here</a>" + str(number) * ("/new" in head)
        more = f"Set-Cookie: csrf={number}\r\n" if "/new" in head else ""
        date = f"Expires: {formatdate(number * 1_000, usegmt=True)}\r\n"
        lines = f"Content-Length: {len(body)}\r\n{date}{more}Connection: close\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{lines}\r\n{body}".encode())
        await writer.drain()

    (folder / "policy.yaml").write_text(POLICY)
    async with listening(serve) as port:
        upstream, policy = f"http://127.0.0.1:{port}", str(folder / "policy.yaml")
        settings = Settings(upstream=upstream, policy=policy, state=str(folder / "state"))
        return {step.name: step async for step in rehearse(settings, [path])}


@pytest.mark.parametrize(
    ("path", "aside"), [("/", ""), ("/new", "varies it: /new (body, set-cookie)")]
)
async def test_what_the_service_varies_is_no_difference(tmp_path: Path, path: str, aside: str):
    """It is named; the service sees the same host with and without the sidecar."""
    steps = await rehearsed(tmp_path, path)

    assert [step.text for step in steps.values() if not step.passed] == []
    assert steps["report-only"].text.endswith(aside or "byte for byte")
    assert steps["effects"].text == "1 of 1 responses changed as the policy says"


@pytest.mark.parametrize(
    ("status", "fields", "body", "varying", "found"),
    [
        (200, ((b"A", b"1"), (b"B", b"2")), b"x", (), []),
        (404, ((b"A", b"1"), (b"B", b"2")), b"y", (), ["status", "body"]),
        (200, ((b"A", b"1"), (b"B", b"3"), (b"C", b"")), b"x", ("c",), ["b"]),
        (200, ((b"B", b"2"), (b"A", b"1")), b"x", (), ["order of headers"]),
        (200, ((b"a", b"1"), (b"B", b"2")), b"x", (), ["a"]),
    ],
)
def test_differences_are_named(status, fields, body, varying, found):
    """Status, body and each header, its case too; not what is known to vary."""
    one = ObservedResponse("http://a/", 200, ((b"A", b"1"), (b"B", b"2")), b"x")

    assert differences(one, ObservedResponse("http://a/", status, fields, body), varying) == found


async def test_a_page_that_does_not_come_through_the_sidecar_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nothing that was compared is no proof that all is equal."""
    ask, asked = rehearsal.ask, itertools.count()

    def fails(address: str, *rest: Any, **more: Any) -> ObservedResponse:
        if not address.endswith("/-/rollback") and next(asked) > 1:  # twice directly
            raise NoResponse(f"{address} is silent")
        return ask(address, *rest, **more)

    monkeypatch.setattr(rehearsal, "ask", fails)
    steps = await rehearsed(tmp_path, "/")

    failed = {name: step.text for name, step in steps.items() if not step.passed}
    assert failed == {
        "report-only": "differs from the service's own: / (no response)",
        "effects": "not as expected: / (no response)",
        "rollback": "/ was not restored byte for byte: no response",
    }
