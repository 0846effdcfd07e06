"""The verbs for a running sidecar: status, history, reload, rollback, mode."""

from __future__ import annotations

import getpass
import json
import re
import sys
import time
import urllib.parse
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from sidecar.cli import fleet as replicas
from sidecar.cli.options import FILE, JSON, read_token
from sidecar.cli.printing import (
    as_json,
    give_up,
    local_time,
    mode_text,
    next_step,
    plain,
    run_again,
    say,
    show,
    table,
)
from sidecar.observed import SCHEMES, NoResponse, ObservedResponse, split
from sidecar.observed.client import ask
from sidecar.policy.terms import MODES

_MAX_BODY = 256 << 20
_AFTER = {
    401: "the same command with --token-file FILE",
    403: "the same command with --token-file FILE",
    404: "sidecar history lists what there is",
    409: "sidecar status (what is in force), or sidecar check policy.yaml (what is wrong with it)",
}
"""Status of a refusal -> what to do."""
_REFUSALS = {"error", "problems", "result"}
"""Keys of which a refusal has one."""
_WRONG = 400
"""Status of an order that is wrong itself."""


T = TypeVar("T")


class _Reply(dict[str, Any]):
    """What the admin API says; a key that it always has and that is missing ends the command."""

    def __init__(self, data: dict[str, Any], url: str) -> None:
        super().__init__(data)
        self._url = url

    def __missing__(self, key: str) -> NoReturn:
        _not_a_sidecar(self._url)


class Admin:
    """The admin API of one sidecar; what it refuses ends the command with exit code 1."""

    def __init__(self, url: str, token_file: Path | None) -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        parts = split(self.url)
        if parts.scheme not in SCHEMES or not parts.hostname or parts.port == 0:
            raise click.UsageError(f"unknown admin URL {url!r}; write http://HOST:PORT")
        self._token = read_token(token_file) if token_file else None
        self.replied = False
        """Whether anything was said that may have another shape than this version knows."""

    def get(self, path: str) -> Any:
        """What GET gives, as data."""
        return self._ask(path, "GET", None)

    def post(self, path: str, **body: Any) -> Any:
        """What POST gives, as data; keys that are None are left out, and who asks is added."""
        sent = {key: value for key, value in body.items() if value is not None} | {"who": who()}
        return self._ask(path, "POST", json.dumps(sent).encode())

    def rows(self, kind: type[T], data: object) -> list[T]:
        """Rows of what it says, as a dataclass; those of another version end the command."""
        from sidecar.rollout.model import read  # loads pydantic, for which orders do not wait

        try:
            return [read(kind, row) for row in (data if isinstance(data, list) else [data])]
        except ValueError:
            _unreadable(self.url)

    def _ask(self, path: str, method: str, body: bytes | None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            found = ask(self.url + path, method, headers=headers, body=body, most=_MAX_BODY)
        except NoResponse as error:
            _absent(f"{error}; is the sidecar running, and is this its admin address (--admin)?")
        try:
            data = json.loads(found.body)
        except ValueError:
            _not_a_sidecar(self.url)
        if not isinstance(data, dict) or (found.status >= 300 and not data.keys() & _REFUSALS):
            _not_a_sidecar(self.url)
        if found.status >= 300:
            _refused(found, data)
        self.replied = True
        return _Reply(data, self.url)


def _unreadable(url: str, detail: str = "") -> NoReturn:
    why = f"{url}: it says what this version of the command cannot read{detail}"
    give_up(why, "sidecar --version; give the command of the version that runs there")


def _absent(text: str) -> NoReturn:
    give_up(text, "sidecar run --policy policy.yaml, or the same command with --admin URL")


def _not_a_sidecar(url: str) -> NoReturn:
    _absent(f"{url}: what responds there is not the admin API of a sidecar")


def _refused(found: ObservedResponse, said: dict[str, Any]) -> NoReturn:
    for line in said.get("problems") or [said.get("error", f"HTTP {found.status}")]:
        say(str(line), "red")
    if "sidecar " in str(said):
        pass  # the command to go on with is named already
    elif found.status == _WRONG:
        run_again()
    else:
        next_step(_AFTER.get(found.status, "sidecar status; sidecar history lists the revisions"))
    sys.exit(1)


def who() -> str:
    """The name of whoever runs this command; ? stands for what is no character in it."""
    try:
        return getpass.getuser().encode("utf-8", "replace").decode()
    except (KeyError, OSError):  # a container's numeric user has no name
        return "operator"


def _promises(client: Admin) -> list[str]:
    """What browsers go on keeping of ladders on which a rule stands lower now."""
    climbing = [item for item in client.get("/api/evidence")["evidence"] if item.get("climb")]
    if not climbing:
        return []
    from sidecar.rollout.model import Climb  # a rollback does not wait for it

    found: dict[str, None] = {}
    for item in climbing:
        climb = Climb(**item["climb"])
        if item["mode"] != "enforce" or climb.kept > climb.ages[climb.step - 1]:
            found[climb.promise(time.time())] = None
    return [promise for promise in found if promise]


def admin_options(verb: Callable[..., object]) -> Any:
    """The options of every verb for a running sidecar; it gets `client` and `machine` (JSON)."""

    @click.option(
        "--admin",
        metavar="URL",
        default="http://127.0.0.1:19000",
        envvar="SIDECAR_ADMIN",
        help="The sidecar's admin address.",
    )
    @click.option(
        "--token-file",
        type=FILE,
        envvar="SIDECAR_ADMIN_TOKEN_FILE",
        help="File with the admin token.",
    )
    @JSON
    @wraps(verb)
    def run(*args: Any, admin: str, token_file: Path | None, **options: Any) -> object:
        client = Admin(admin, token_file)
        try:
            return verb(*args, client=client, **options)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            if not client.replied:
                raise
            _unreadable(client.url, f" ({type(error).__name__}: {error})")

    return run


@click.command()
@admin_options
@click.option("--fleet", is_flag=True, help="Show the replicas: revision, mode, last seen, lag.")
def status(client: Admin, machine: bool, fleet: bool) -> None:
    """Show what is in force: policy, revision, modes, last reload."""
    if fleet:
        replicas.show_fleet(client.get("/api/fleet")["fleet"], machine=machine)
        return
    from rich.text import Text

    data = client.get("/api/status")
    if machine:
        as_json(data)
        return

    def line(label: str, *parts: str | Text, style: str = "") -> None:
        show((f"{label:<10}", "bold"), *parts, style=style)

    line("policy", f"{data['name']} (owner: {data['owner'] or 'nobody'})")
    line("revision", f"{data['revision']}, since {local_time(data['activated'])} by {data['who']}")
    line("mode", mode_text(data["mode"]), f"  (policy says {data['policy_mode']})")
    if override := data["override"]:
        until = f" until {local_time(override['until'])}" if override["until"] else ""
        reason = override["reason"] or "no reason given"
        line("override", mode_text(override["mode"]), f" by {override['who']}{until}: {reason}")
    if pinned := data["pinned"]:
        text = f"the file's revision {pinned} was rolled back and is held back"
        line("pinned", text, style="yellow")
    in_file = data["in_file"]
    if data.get("fleet") and in_file not in (None, data["revision"], data["pinned"]):
        see = f"see `sidecar history --diff {in_file}`"
        line("file", f"holds {in_file}, and the fleet decided otherwise: {see}", style="yellow")
    if data.get("unsaved"):
        line("unsaved", _unsaved(data), style="red")
    for problem in data["problems"]:
        show(plain(problem), style="red")
    show()
    rows = [
        (route["name"], rule["name"], mode_text(rule["mode"]), rule["ceiling"])
        for route in data["routes"]
        for rule in route["rules"]
    ]
    table("", ("route", "rule", "mode", "set by"), rows)


@click.command()
@admin_options
@click.option("--last", type=click.IntRange(1, 1000), default=20, help="How many entries.")
@click.option(
    "--diff",
    "revision",
    metavar="REVISION",
    help="Show what differs from this revision to the one in force.",
)
@click.option("--fleet", is_flag=True, help="Show what was decided on all replicas.")
@click.option(
    "--verify", is_flag=True, help="Exit 1 when an entry was changed after it was written."
)
def history(
    client: Admin, machine: bool, last: int, revision: str | None, fleet: bool, verify: bool
) -> None:
    """Show who put what in force, when and why; newest first."""
    if fleet:
        replicas.show_journal(client.get("/api/fleet")["fleet"], last, machine=machine)
        return
    data = client.get("/api/revisions")
    if revision is not None:
        from sidecar.rollout.edits import difference  # a rollback does not wait for it

        active = data["active"]
        paths = (f"/api/revisions/{urllib.parse.quote(one, safe='')}" for one in (revision, active))
        before, after = (client.get(path)["text"] for path in paths)
        click.echo(difference(before, after, revision, f"{active} (in force)"), nl=False)
        return
    # A rollback does not wait for these.
    from sidecar.revisions.entries import check, fulfilled, in_words

    entries = data["entries"][:last]
    chain = check(data["entries"][::-1])
    if machine:
        as_json({"active": data["active"], "entries": entries, "journal": chain._asdict()})
        sys.exit(1 if verify and chain.breaks else 0)
    done, rows = fulfilled(data["entries"]), []
    for entry in entries:
        what, why = in_words(entry, done, data["active"], 120)
        second = re.sub(r"\.\d+", "", entry["time"])
        rows.append((second, entry["event"], what, entry.get("who", ""), why))
    table("", ("time", "event", "what", "who", "why"), rows)
    if verify or chain.breaks:
        say(f"the journal is {chain}", "red" if chain.breaks else None)
    if verify and chain.breaks:
        sys.exit(1)


@click.command()
@admin_options
@click.option(
    "--unpin", is_flag=True, help="Put the file in force even if its revision was rolled back."
)
def reload(client: Admin, machine: bool, unpin: bool) -> None:
    """Read the policy file now."""
    data = client.post("/-/reload", unpin=unpin or None)
    if machine:
        as_json(data)
    else:
        say(f"{data['result']}: revision {data['revision']} is in force")
        _warn_unsaved(data)


@click.command()
@admin_options
@click.option("--to", metavar="REVISION", help="Which revision; without it, the one before.")
@click.option("--reason", help="Why; it is written to the history.")
@replicas.fleet_options
def rollback(
    client: Admin,
    machine: bool,
    to: str | None,
    reason: str | None,
    fleet: bool,
    version: int | None,
) -> None:
    """Put an earlier revision in force at once.

    It stays until the file is edited, or `sidecar reload --unpin`.
    """
    data = client.post("/-/rollback", to=to, reason=reason, fleet=fleet or None, version=version)
    if machine:
        as_json(data)
        return
    say(f"revision {data['revision']} is in force again (mode {data['mode']}); left {data['left']}")
    if data["pinned"]:
        until = "until it is edited, or `sidecar reload --unpin`"
        say(f"pinned: the file still holds {data['pinned']} and will not come back {until}")
    _warn_unsaved(data)
    replicas.print_progress(client.get, data["fleet"])
    for promise in _promises(client):
        say(promise, "yellow")


@click.command()
@admin_options
@click.argument("mode", required=False, type=click.Choice(MODES))
@click.option("--reason", help="Why; it is written to the history.")
@click.option("--for", "lasting", metavar="TIME", help="End the override after this, as 30m.")
@replicas.fleet_options
def mode(
    client: Admin,
    machine: bool,
    mode: str | None,
    reason: str | None,
    lasting: str | None,
    fleet: bool,
    version: int | None,
) -> None:
    """Lower the mode of all rules at once, or lift that again.

    `off` and `report-only` lower it; `enforce` gives each rule the mode of its policy again.
    Without a mode, the one in force is shown.
    """
    if mode is None:
        found = client.get("/api/status")
        data = {key: found[key] for key in ("mode", "policy_mode", "override")}
    else:
        order = {"mode": mode, "reason": reason, "ttl": lasting}
        data = client.post("/-/mode", **order, fleet=fleet or None, version=version)
    if machine:
        as_json(data)
        return
    click.echo(f"mode {data['mode']} (policy says {data['policy_mode']})", err=mode is not None)
    if mode == "enforce" and data["mode"] != "enforce":
        say("the override is lifted; to enforce, write `mode: enforce` in the policy file")
    if mode is not None:
        _warn_unsaved(data)
        replicas.print_progress(client.get, data["fleet"])


def _unsaved(data: dict[str, Any]) -> str:
    return f"the state folder cannot be written, and a restart would forget this: {data['unsaved']}"


def _warn_unsaved(data: dict[str, Any]) -> None:
    if data.get("unsaved"):
        say(_unsaved(data), "red")
