"""The verbs that speak to a running sidecar, against a real one's admin listener."""

from __future__ import annotations

import asyncio
import errno
import getpass
import os
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import Result

from sidecar.cli.operate import Admin, who
from sidecar.revisions.store import Store
from sidecar.rollout.model import Cause, Evidence, Verdict
from tests.admin import TOKEN, Control, control
from tests.cli import data, sidecar
from tests.harness import text


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Control]:
    """A process whose policy was edited once."""
    async with control(tmp_path) as made:
        made.file.write_text(text("SAMEORIGIN"))
        await made.made.reload("start")
        yield made


async def ran(admin: Control, *words: object) -> Result:
    """Run a verb against it, in a thread of its own."""
    return await asyncio.to_thread(sidecar, *words, "--admin", admin.url)


async def reported(admin: Control, *words: object) -> tuple[int, list[str], list[str]]:
    """Exit code, lines of stdout, lines of stderr but for the next command (see test_next_step)."""
    result = await ran(admin, *words)
    return (
        result.exit_code,
        [line.rstrip() for line in result.stdout.splitlines()],
        [line.rstrip() for line in result.stderr.splitlines() if not line.startswith("next: ")],
    )


async def test_status_says_what_is_in_force_and_what_set_it(admin: Control):
    """Policy, revision, mode, override, pin, the last reload's problems, and each rule's mode."""
    code, out, err = await reported(admin, "status")
    assert (code, err) == (0, [])
    assert out[0] == "policy    policy (owner: nobody)"
    assert out[1].startswith(f"revision  {admin.made.current.id}, since ")
    assert out[2] == "mode      enforce  (policy says enforce)"
    assert out[-1].split() == ["default", "frames", "enforce", "policy"]

    await admin.made.rollback()
    await admin.made.set_mode("report-only", who="anna", ttl=60)
    admin.file.write_text("version: 2\n")
    await admin.made.reload()
    code, out, _ = await reported(admin, "status")
    assert out[2] == "mode      report-only  (policy says enforce)"
    assert out[3].startswith("override  report-only by anna until ")
    assert out[3].endswith(": no reason given")
    assert (
        out[4]
        == f"pinned    the file's revision {admin.made.pinned} was rolled back and is held back"
    )
    assert out[5].endswith("error: unknown version 2; known: 1")
    assert out[-1].split() == ["default", "frames", "report-only", "override"]


@pytest.mark.parametrize(
    ("words", "stream"),
    [(("mode", "off"), 2), (("rollback",), 2), (("reload", "--unpin"), 2), (("status",), 1)],
)
async def test_orders_say_that_a_restart_would_forget_them(
    admin: Control, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], stream: int
):
    """The disk refused the state: the order holds, and whoever gave it knows how long."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Store, "save_state", refuse)
    await admin.made.set_mode("report-only")
    found = await reported(admin, *words)
    said = "a restart would forget this: No space left on device"
    assert (found[0], said in "\n".join(found[stream])) == (0, True), found


async def test_status_for_machines_is_what_the_api_tells(admin: Control):
    """The same document."""
    result = await ran(admin, "status", "--json")

    assert data(result) == (await admin.get("/api/status"))[1]
    assert result.stderr == ""


async def test_history_is_newest_first(admin: Control):
    """Who, what and why; as many as are asked for."""
    await admin.made.rollback(who="anna", reason="pages broke")
    await admin.made.set_mode("off", who="bert")
    admin.file.write_text("version: 2\n")
    await admin.made.reload()
    code, out, _ = await reported(admin, "history")

    assert code == 0
    assert [line.split()[1] for line in out[1:]] == [
        "policy.rejected",
        "mode.overridden",
        "policy.rolled_back",
        "policy.activated",
        "policy.activated",
    ]
    assert {len(line.split()[0]) for line in out[1:]} == {len("2026-11-02T09:14:07+00:00")}
    assert out[2].split()[2:] == ["off", "bert"]
    assert out[3].split()[2:] == [admin.made.current.id, "anna", "pages", "broke"]
    assert "unknown version 2" in out[1]
    short = data(await ran(admin, "history", "--json", "--last", "2"))
    assert [entry["event"] for entry in short["entries"]] == ["policy.rejected", "mode.overridden"]
    assert short["active"] == admin.made.current.id


async def test_a_promotion_whose_command_died_is_in_force_nowhere(admin: Control):
    """It was granted and journalled, and the file not written; once it is, nothing is said."""
    about = "owner: a@b.c\nexpected: none\nrollback: sidecar rollback\n"
    order = {"rules": ["frames"], "policy": about + text(mode="report-only"), "override": "why"}
    _, granted = await admin.post("/-/promotion", {**order, "file": "policy.yaml"})

    assert (await ran(admin, "history")).stdout.count("never in force") == 1
    admin.file.write_text(granted["edited"])
    await admin.made.reload("file")
    assert "never in force" not in (await ran(admin, "history")).stdout


async def test_an_edit_of_the_journal_shows(admin: Control, tmp_path: Path):
    """`history --verify` and `note --check` accept what was written, and name the entry that was
    edited since.
    """
    note = tmp_path / "note.md"
    assert (await ran(admin, "history", "--verify")).exit_code == 0
    assert (await ran(admin, "note", "--output", note)).exit_code == 0
    assert (await ran(admin, "note", "--check", note)).exit_code == 0

    (journal,) = tmp_path.rglob("journal.jsonl")
    journal.write_text(journal.read_text().replace('"policy.activated"', '"policy.suggested"', 1))
    code, _, err = await reported(admin, "history", "--verify")
    assert (code, err[-1].startswith("the journal is changed after it was written: ")) == (1, True)
    assert err[-1].endswith("(policy.suggested) was edited")
    assert (await ran(admin, "note", "--check", note)).exit_code == 1


async def test_an_edit_of_a_note_shows(admin: Control, tmp_path: Path):
    """One character more, and no entry of the journal names the text."""
    note = tmp_path / "note.md"
    await ran(admin, "note", "--output", note)
    note.write_text(note.read_text() + " ")

    code, _, err = await reported(admin, "note", "--check", note)
    assert (code, "it was edited, or written elsewhere" in err[0]) == (1, True)


async def test_reload_says_what_came_of_it(admin: Control):
    """On stderr for people; what is refused ends with exit code 1 and the problems."""
    assert await reported(admin, "reload") == (
        0,
        [],
        [f"unchanged: revision {admin.made.current.id} is in force"],
    )
    admin.file.write_text("version: 2\n")
    assert await reported(admin, "reload") == (
        1,
        [],
        [f"{admin.file}:1:10: error: unknown version 2; known: 1"],
    )
    admin.file.write_text(text("NEW"))
    assert data(await ran(admin, "reload", "--json"))["result"] == "activated"


async def test_rollback_and_unpin(admin: Control):
    """The order that must work in an emergency, and the way back."""
    left, parent = admin.made.current.id, admin.made.current.parent
    assert await reported(admin, "rollback", "--reason", "pages broke") == (
        0,
        [],
        [
            f"revision {parent} is in force again (mode enforce); left {left}",
            (
                f"pinned: the file still holds {left} and will not come back until it is edited, or"
                " `sidecar reload --unpin`"
            ),
        ],
    )
    entry = admin.made.history()[-1]
    assert (entry["who"], entry["reason"]) == (getpass.getuser(), "pages broke")
    assert await reported(admin, "reload") == (
        1,
        [],
        ["the file holds the revision that was rolled back; edit it, or: sidecar reload --unpin"],
    )
    assert await reported(admin, "rollback") == (
        1,
        [],
        ["there is no earlier revision to go back to"],
    )
    assert (await reported(admin, "rollback", "--to", "zzz"))[0] == 1
    assert await reported(admin, "reload", "--unpin") == (
        0,
        [],
        [f"activated: revision {left} is in force"],
    )
    assert data(await ran(admin, "rollback", "--to", parent, "--json"))["revision"] == parent
    assert len((await reported(admin, "rollback", "--to", left))[2]) == 1


async def test_mode_lowers_lifts_and_says(admin: Control):
    """Without a word it only says; enforce lifts, and tells when the file itself says less."""
    assert await reported(admin, "mode") == (0, ["mode enforce (policy says enforce)"], [])
    assert await reported(admin, "mode", "report-only", "--reason", "look", "--for", "30m") == (
        0,
        [],
        ["mode report-only (policy says enforce)"],
    )
    assert admin.made.override
    assert (admin.made.override.reason, admin.made.override.until, admin.made.override.who) == (
        "look",
        admin.now + 1800,
        getpass.getuser(),
    )
    assert data(await ran(admin, "mode", "--json"))["override"]["mode"] == "report-only"
    assert await reported(admin, "mode", "enforce") == (
        0,
        [],
        ["mode enforce (policy says enforce)"],
    )
    admin.file.write_text(text(mode="report-only"))
    await admin.made.reload()
    assert (await reported(admin, "mode", "enforce"))[2][
        1
    ] == "the override is lifted; to enforce, write `mode: enforce` in the policy file"
    assert await reported(admin, "mode", "off", "--for", "soon") == (
        1,
        [],
        ["unknown duration 'soon'; write a number with ms, s, m, h or d, as 500ms"],
    )


@pytest.mark.parametrize("verb", ["status", "history", "reload", "rollback", "mode"])
async def test_every_verb_takes_its_address_from_the_environment(admin: Control, verb: str):
    """SIDECAR_ADMIN, with or without a scheme; the flag comes first."""
    bare = admin.url.removeprefix("http://")
    for url in (admin.url, bare, f"{admin.url}/"):
        assert (await asyncio.to_thread(sidecar, verb, env={"SIDECAR_ADMIN": url})).exit_code in (
            0,
            1,
        )
        assert (
            "no response"
            not in (await asyncio.to_thread(sidecar, verb, env={"SIDECAR_ADMIN": url})).stderr
        )
    assert (
        "no response"
        not in (
            await asyncio.to_thread(
                sidecar, verb, "--admin", bare, env={"SIDECAR_ADMIN": "127.0.0.1:1"}
            )
        ).stderr
    )


async def test_a_token_is_read_from_a_file(tmp_path: Path):
    """By flag or environment; without it the refusal is passed on."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    async with control(tmp_path, TOKEN) as admin:
        assert await reported(admin, "status") == (1, [], ["a bearer token is needed"])
        assert (await reported(admin, "status", "--token-file", file))[0] == 0
        result = await asyncio.to_thread(
            sidecar,
            "mode",
            "off",
            "--admin",
            admin.url,
            env={"SIDECAR_ADMIN_TOKEN_FILE": str(file)},
        )
        assert result.exit_code == 0
        assert (await reported(admin, "status", "--token-file", tmp_path / "none"))[0] == 2


@pytest.mark.parametrize("text", ["one\ntwo", "t\u00f6ken", "tab\tbed"])
@pytest.mark.parametrize("verb", [("status",), ("verify", "http://127.0.0.1:1/")])
def test_what_is_no_token_is_refused_and_not_printed(
    tmp_path: Path, verb: tuple[str, ...], text: str
):
    """A wrong file for the token may hold another secret."""
    file, policy = tmp_path / "token", tmp_path / "p.yaml"
    file.write_text(text)
    policy.write_text("version: 1\n")
    more = ("--policy", policy) if verb[0] == "verify" else ("--admin", "127.0.0.1:1")
    result = sidecar(*verb, *more, "--token-file", file)
    assert result.exit_code == 2
    assert f"{file} holds no token: it must be one line" in result.stderr
    assert text not in result.stderr


@pytest.mark.parametrize("error", [KeyError("no such user"), OSError("no such user")])
def test_a_user_without_a_name_is_the_operator(monkeypatch: pytest.MonkeyPatch, error: Exception):
    """A container's numeric user stands in no password file."""

    def nobody() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert who() == "operator"


def test_a_users_name_in_another_encoding_holds_up_no_rollback(monkeypatch: pytest.MonkeyPatch):
    """The admin API would refuse what is no character."""
    monkeypatch.setattr(getpass, "getuser", lambda: b"ren\xe9".decode("utf-8", "surrogateescape"))
    assert who() == "ren?"


def test_nobody_there_is_reported_with_the_fix():
    """Exit 1, and a hint at what may be wrong; brackets of an address are not lost."""
    for url in ("http://127.0.0.1:1", "http://[::1]:1"):
        result = sidecar("status", "--admin", url)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"{url}/api/status: no response: connection refused")
        assert "is this its admin address (--admin)?" in result.stderr


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 abc\r\n\r\n",
        b'HTTP/1.1 404 N\r\nContent-Length: 15\r\n\r\n{"detail": "x"}',
        b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"ok": 12}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    ],
)
def test_another_server_there_is_reported_too(reply: bytes):
    """Whatever listens at the address, there is no traceback, and the address is doubted."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def response() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

        thread = threading.Thread(target=response)
        thread.start()
        result = sidecar("status", "--admin", f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()

    assert (result.exit_code, result.stdout) == (1, "")
    assert "--admin" in result.stderr


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("history", b'{"entries": [5], "active": null}'),
        ("reports", b'{"causes": [], "routes": 7}'),
    ],
)
def test_what_has_another_shape_is_no_traceback(verb: str, said: bytes):
    """A sidecar of another version, or something else that speaks JSON: the fix is named."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(said)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def respond() -> None:
            for _ in range(2 if verb == "reports" else 1):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(head + said)

        thread = threading.Thread(target=respond)
        thread.start()
        result = sidecar(verb, "--admin", f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()

    assert result.exit_code == 1
    assert "it says what this version of the command cannot read (" in result.stderr


@pytest.mark.parametrize("key", ["evidence", "causes", "verdicts"])
def test_rows_of_another_version_are_no_traceback(key: str):
    """What the command cannot read is told, with the fix."""
    kind = {"evidence": Evidence, "causes": Cause, "verdicts": Verdict}[key]
    for rows in ([{}], [{"rule": "csp"}], 5, [5]):
        with pytest.raises(SystemExit, match="1"):
            Admin("127.0.0.1:1", None).rows(kind, rows)


@pytest.mark.parametrize(
    "words",
    [
        ("mode", "loud"),
        ("mode", "Enforce"),
        ("history", "--last", "0"),
        ("status", "--admin", "ftp://127.0.0.1"),
        ("status", "--admin", "127.0.0.1:99999"),
        ("rollback", "now"),
        ("reload", "--force"),
    ],
)
def test_a_wrong_word_is_exit_code_2(words: tuple[str, ...]):
    """Nothing is asked of anybody."""
    result = sidecar(*words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: sidecar")


async def test_health_asks_a_probe(admin: Control):
    """Exit 0 or 1 by the response, with its words; for images that have no curl."""
    result = await asyncio.to_thread(sidecar, "health", f"{admin.health}/readyz")
    assert (result.exit_code, result.stdout) == (0, "[+] policy\n[+] drain\n")
    admin.against["drain"] = "draining"
    result = await asyncio.to_thread(sidecar, "health", f"{admin.health}/readyz")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "[+] policy\n[-] drain: draining\n",
    )
    assert (await asyncio.to_thread(sidecar, "health", f"{admin.health}/livez")).exit_code == 0


def test_health_of_nobody_is_1_and_of_nonsense_2():
    """A probe that cannot be asked is not healthy."""
    assert sidecar("health", "http://127.0.0.1:1/readyz", "--timeout", "0.5").exit_code == 1
    assert sidecar("health", "file:///etc/passwd").exit_code == 2


@pytest.mark.parametrize(
    ("mode", "words", "said"),
    [
        (
            "report-only",
            (),
            "no reports: no rule is in trial\nnext: sidecar promote RULE --to trial",
        ),
        (
            "report-only",
            ("frames",),
            "no reports: frames is not in trial\nnext: sidecar promote fra",
        ),
        ("trial", (), "no reports: browsers report nothing that would break by frames\n"),
        ("trial", ("frame",), "no rule 'frame' is in force; did you mean 'frames'?"),
    ],
)
async def test_no_reports_are_explained(
    admin: Control, mode: str, words: tuple[str, ...], said: str
):
    """Whether nothing would break, or nobody was asked."""
    admin.file.write_text(text(mode=mode))
    await admin.made.reload()

    assert said in (await ran(admin, "reports", *words)).stderr
