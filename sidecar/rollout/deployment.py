"""Checks of a deployment: permissions, secrets, exposure, limits, time to drain."""

from __future__ import annotations

import os
import re
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from sidecar.policy.terms import PolicyError
from sidecar.setting_kinds import is_loopback
from sidecar.settings import Settings
from sidecar.source import load_policy

Finding: TypeAlias = tuple[str, Literal["pass", "warn", "fail"], str]
"""What is checked, the outcome, and a text, which has the fix where something is wrong."""
GRACE = 30.0
"""Seconds that Kubernetes gives a pod to end by default."""

_SECRETS = re.compile(
    r"(?i)(bearer\s+[a-z0-9._~+/-]{16,}|basic\s+[a-z0-9+/=]{16,}|eyJ[a-z0-9_-]{10,}\.[a-z0-9_-]{10,}"
    r"|(password|passwd|secret|api[_-]?key|token)\s*[=:]\s*[^\s'\"]{8,}|-----BEGIN [A-Z ]*PRIVATE"
    r" KEY)"
)


def check(settings: Settings) -> Iterator[Finding]:
    """All checks."""
    for one in (_policy, _secrets, _files, _state, _admin, _limits, _drain, _log):
        yield from one(settings)


def _policy(settings: Settings) -> Iterator[Finding]:
    path = Path(settings.policy)
    try:
        resolved = load_policy(path.read_bytes(), str(path))
    except OSError as error:
        yield "policy", "fail", f"{path} cannot be read: {error.strerror}"
        return
    except PolicyError as error:
        yield "policy", "fail", "; ".join(str(problem) for problem in error.problems[:5])
        return
    unknown = settings.timeouts.routes.keys() - {route.name for route in resolved.routes}
    if unknown:
        names = ", ".join(sorted(unknown))
        text = f"timeouts.routes names {names}, and the policy has no such route; correct the name"
        yield "timeouts", "fail", text
    yield "policy", "pass", f"{path}: revision {resolved.revision()}, mode {resolved.mode}"
    words = ("owner", "reason", "expected", "rollback")
    if missing := [name for name in words if not getattr(resolved.policy, name)]:
        text = f"{', '.join(missing)} not written; promotions need owner, expected and rollback"
        yield "policy words", "warn", text


def _secrets(settings: Settings) -> Iterator[Finding]:
    try:
        lines = Path(settings.policy).read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    found = [number for number, line in enumerate(lines, 1) if _SECRETS.search(line)]
    if found:
        lines_ = ", ".join(map(str, found[:5]))
        text = f"line {lines_} of the policy looks like a secret; policies are shown and logged"
        yield "secrets", "fail", text
    else:
        yield "secrets", "pass", "nothing in the policy looks like a secret"


def _files(settings: Settings) -> Iterator[Finding]:
    for path, private in (
        (settings.policy, False),
        (settings.admin_token_file, True),
        (settings.tls.key, True),
        (settings.tls.upstream_key, True),
    ):
        if path is None or not os.path.exists(path):  # noqa: PTH110  (no error in a closed folder)
            continue
        mode = Path(path).stat().st_mode
        if mode & stat.S_IWOTH:
            yield "permissions", "fail", f"everybody may write {path}; chmod o-w"
        elif private and mode & (stat.S_IROTH | stat.S_IWOTH):
            yield "permissions", "fail", f"everybody may read {path}; chmod o-r"
        else:
            yield "permissions", "pass", f"{path} ({stat.filemode(mode)})"


def _state(settings: Settings) -> Iterator[Finding]:
    folder = Path(settings.state)
    places = (folder, *folder.resolve().parents)
    nearest = next(one for one in places if os.path.exists(one))  # noqa: PTH110  (as above)
    writable = nearest.is_dir() and bool(nearest.stat().st_mode & stat.S_IWUSR)
    writable = writable and not os.statvfs(nearest).f_flag & os.ST_RDONLY
    if not writable:
        yield "state", "fail", f"{folder} cannot be written; a rollback would not survive a restart"
    elif nearest == folder and folder.stat().st_mode & stat.S_IWOTH:
        yield "state", "fail", f"everybody may write {folder}; chmod o-w"
    else:
        yield "state", "pass", f"{folder}"


def _admin(settings: Settings) -> Iterator[Finding]:
    address = settings.admin
    if is_loopback(address):
        yield "admin", "pass", f"{address} is loopback"
    elif settings.admin_token_file:
        yield "admin", "warn", f"{address} is reachable from outside, with a token; prefer loopback"
    else:
        text = f"{address} is reachable from outside without a token; bind 127.0.0.1"
        yield "admin", "fail", text


def _limits(settings: Settings) -> Iterator[Finding]:
    limits = settings.limits
    needed = limits.connections + limits.upstream_connections + limits.tunnels + 64
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        text = (
            f"{allowed} open files are allowed and the limits add up to {needed}; raise ulimit -n"
            " or lower limits.connections"
        )
        yield "limits", "warn", text
    else:
        yield "limits", "pass", f"{needed} open files at most"


def _drain(settings: Settings) -> Iterator[Finding]:
    needed = settings.timeouts.drain_delay + settings.timeouts.drain
    text = f"a stop takes up to {needed:g} s; Kubernetes gives {GRACE:g} s by default"
    yield "drain", "pass" if needed < GRACE else "warn", text


def _log(settings: Settings) -> Iterator[Finding]:
    level, most = settings.log.level, settings.log.events_per_second
    if level in ("warning", "error"):
        yield "log", "warn", f"level {level} hides header.would_change and header.changed; use info"
    else:
        yield "log", "pass", f"level {level}, at most {most} events a second, on stdout"
