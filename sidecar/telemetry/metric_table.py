"""The metrics, one row each in `metrics.json`, and the closed lists that labels come from.

Dashboards and alerts rely on them. Labels come from the policy or from closed lists, never from the
wire. What is `of` the parent, workers do not count.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from sidecar.policy.data import read_table
from sidecar.policy.rules.fetch import OUTCOMES, Engine

Labels: TypeAlias = tuple[str, ...]


class Metric(NamedTuple):
    """One row of the table."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()
    values: Labels = ()
    """Of its only label, where they are a closed list: each has a series from the start."""


STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
ORIGINS = ("upstream", "sidecar")
ENGINES: tuple[Engine, ...] = ("chromium", "firefox", "safari")
OF_ENGINES = {
    "sent": "sidecar_canaries_sent_total",
    "returned": "sidecar_canaries_returned_total",
    "browser": "sidecar_trial_browsers_total",
}
"""What trials count of each engine."""
SEEN = (
    *(*OUTCOMES, "waiting", "upgraded", "granted", "partial", "worker", "script"),
    *("carried", "set"),
)
"""What a page load shows about a rule; in trial also: the service's own report-only line is in
place of ours (waiting), the rule would remove the service's own `upgrade-insecure-requests`
(upgraded) or what its own Permissions-Policy or Trusted Types alone give (granted), its browser
reports only a part of what the rule would block (partial), a service worker's script carried the
header (worker), or another worker's did (script). Of a cookie: it was
carried while no response had set it yet, and a response set it, which is counted once.
"""


_ROWS = read_table("sidecar.telemetry", "metrics.json")
METRICS: dict[str, Metric] = {
    name: Metric(
        row["kind"], row["help"], tuple(row.get("labels", ())), tuple(row.get("values", ()))
    )
    for name, row in _ROWS.items()
}
PER_WORKER = {name: METRICS[name].kind for name, row in _ROWS.items() if row.get("of") != "parent"}
"""What each worker counts for itself and the parent sums."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FASTEST: Final = 0.001
