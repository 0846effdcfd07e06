"""Checks of a deployment before it is needed: permissions, secrets, exposure, limits, time to
drain.

Lives here: each check as one function over settings and policy text. Must not know how results are
shown.
"""

from __future__ import annotations

import re
import resource
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sidecar.policy.model import PolicyError
from sidecar.settings import Settings
from sidecar.source import load_policy

GRACE = 30.0
"""Seconds that Kubernetes gives a pod to end by default."""

_SECRETS = re.compile(
    r"(?i)(bearer\s+[a-z0-9._~+/-]{16,}|basic\s+[a-z0-9+/=]{16,}|eyJ[a-z0-9_-]{10,}\.[a-z0-9_-]{10,}"
    r"|(password|passwd|secret|api[_-]?key|token)\s*[=:]\s*[^\s'\"]{8,}|-----BEGIN [A-Z ]*PRIVATE"
    r" KEY)"
)


@dataclass(frozen=True, slots=True)
class DeploymentFinding:
    """What one check says; `text` has the fix where something is wrong."""

    name: str
    outcome: Literal["pass", "warn", "fail"]
    text: str


def check(settings: Settings) -> Iterator[DeploymentFinding]:
    """All checks, in the order in which they would hurt."""
    checks: tuple[Callable[[Settings], Iterator[DeploymentFinding]], ...] = (
        _policy,
        _secrets,
        _files,
        _state,
        _admin,
        _limits,
        _drain,
        _log,
    )
    for one in checks:
        yield from one(settings)


def _policy(settings: Settings) -> Iterator[DeploymentFinding]:
    path = Path(settings.policy)
    try:
        resolved = load_policy(path.read_bytes(), str(path))
    except OSError as error:
        yield DeploymentFinding("policy", "fail", f"{path} cannot be read: {error.strerror}")
        return
    except PolicyError as error:
        yield DeploymentFinding(
            "policy", "fail", "; ".join(str(problem) for problem in error.problems[:5])
        )
        return
    about = resolved.policy
    unknown = settings.timeouts.routes.keys() - {route.name for route in resolved.routes}
    if unknown:
        yield DeploymentFinding(
            "timeouts",
            "fail",
            f"timeouts.routes names {', '.join(sorted(unknown))}, which no route of the policy is"
            " called; correct the name",
        )
    missing = [
        name for name in ("owner", "reason", "expected", "rollback") if not getattr(about, name)
    ]
    yield DeploymentFinding(
        "policy", "pass", f"{path}: revision {resolved.revision()}, mode {resolved.mode}"
    )
    if missing:
        yield DeploymentFinding(
            "policy words",
            "warn",
            f"{', '.join(missing)} not written; promotions need owner, expected and rollback",
        )


def _secrets(settings: Settings) -> Iterator[DeploymentFinding]:
    try:
        lines = Path(settings.policy).read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    found = [number for number, line in enumerate(lines, 1) if _SECRETS.search(line)]
    if found:
        yield DeploymentFinding(
            "secrets",
            "fail",
            f"line {', '.join(map(str, found[:5]))} of the policy looks like a secret; policies are"
            " shown and logged",
        )
    else:
        yield DeploymentFinding("secrets", "pass", "nothing in the policy looks like a secret")


def _files(settings: Settings) -> Iterator[DeploymentFinding]:
    for path, private in (
        (settings.policy, False),
        (settings.admin_token_file, True),
        (settings.tls.key, True),
        (settings.tls.upstream_key, True),
    ):
        if path is None or not Path(path).exists():
            continue
        mode = Path(path).stat().st_mode
        if mode & stat.S_IWOTH:
            yield DeploymentFinding("permissions", "fail", f"everybody may write {path}; chmod o-w")
        elif private and mode & (stat.S_IROTH | stat.S_IWOTH):
            yield DeploymentFinding("permissions", "fail", f"everybody may read {path}; chmod o-r")
        else:
            yield DeploymentFinding("permissions", "pass", f"{path} ({stat.filemode(mode)})")


def _state(settings: Settings) -> Iterator[DeploymentFinding]:
    folder = Path(settings.state)
    nearest = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    writable = nearest.is_dir() and bool(nearest.stat().st_mode & stat.S_IWUSR)
    if not writable:
        yield DeploymentFinding(
            "state", "fail", f"{folder} cannot be written; a rollback would not survive a restart"
        )
    elif folder.exists() and folder.stat().st_mode & stat.S_IWOTH:
        yield DeploymentFinding("state", "fail", f"everybody may write {folder}; chmod o-w")
    else:
        yield DeploymentFinding("state", "pass", f"{folder}")


def _admin(settings: Settings) -> Iterator[DeploymentFinding]:
    host = settings.admin.rpartition(":")[0]
    loopback = (
        settings.admin.startswith("unix:")
        or host in ("localhost", "[::1]")
        or host.startswith("127.")
    )
    if loopback:
        yield DeploymentFinding("admin", "pass", f"{settings.admin} is loopback")
    elif settings.admin_token_file:
        yield DeploymentFinding(
            "admin",
            "warn",
            f"{settings.admin} is reachable from outside, with a token; prefer loopback",
        )
    else:
        yield DeploymentFinding(
            "admin",
            "fail",
            f"{settings.admin} is reachable from outside without a token; bind 127.0.0.1",
        )


def _limits(settings: Settings) -> Iterator[DeploymentFinding]:
    needed = (
        settings.limits.connections
        + settings.limits.upstream_connections
        + settings.limits.tunnels
        + 64
    )
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        yield DeploymentFinding(
            "limits",
            "warn",
            f"{allowed} open files are allowed and the limits add up to {needed}; raise ulimit -n"
            " or lower limits.connections",
        )
    else:
        yield DeploymentFinding("limits", "pass", f"{needed} open files at most")


def _drain(settings: Settings) -> Iterator[DeploymentFinding]:
    needed = settings.timeouts.drain_delay + settings.timeouts.drain
    outcome: Literal["pass", "warn"] = "pass" if needed < GRACE else "warn"
    yield DeploymentFinding(
        "drain",
        outcome,
        f"a stop takes up to {needed:g} s; Kubernetes gives {GRACE:g} s by default",
    )


def _log(settings: Settings) -> Iterator[DeploymentFinding]:
    if settings.log.level in ("warning", "error"):
        yield DeploymentFinding(
            "log",
            "warn",
            f"level {settings.log.level} hides header.would_change and header.changed; use info",
        )
    else:
        yield DeploymentFinding(
            "log",
            "pass",
            f"level {settings.log.level}, at most {settings.log.events_per_second} events a second,"
            " on stdout",
        )
