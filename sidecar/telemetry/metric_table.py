"""The table of metrics, and the closed lists that labels come from.

Dashboards and alerts rely on it. Labels come from the policy or from closed lists, never from the
wire.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from sidecar.policy.rules.engines import Engine
from sidecar.policy.rules.fetch import OUTCOMES

Labels: TypeAlias = tuple[str, ...]


class Metric(NamedTuple):
    """One row of the table."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()


STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
ORIGINS = ("upstream", "sidecar")
ENGINES: tuple[Engine, ...] = ("chromium", "firefox", "safari")
SEEN = (*OUTCOMES, "waiting", "upgraded", "partial", "worker", "script", "data")
"""What a page load shows about a rule; in trial also: the service's own report-only line is in
place of ours (waiting), the rule would remove the service's own `upgrade-insecure-requests`
(upgraded), its browser reports only a part of what the rule would block (partial), a service
worker's script carried the twin (worker), or another worker's did (script), or a page fetched the
response and no policy that comes with it counts (data).
"""
RELOADS = ("activated", "unchanged", "rejected", "pinned")
CAUSES = ("operator", "guard", "fleet")
SIGNALS = ("server_errors", "client_errors", "upstream_errors")
UPSTREAM_REASONS = (
    *("refused", "unreachable", "dns", "tls", "connect_timeout", "pool_full"),
    *("response_timeout", "idle_timeout", "total_timeout", "closed", "truncated"),
    *("invalid_framing", "invalid_header", "header_too_large", "upgrade", "extra_bytes"),
)
REJECT_REASONS = (
    *("malformed", "framing", "host", "target", "target_too_long", "header_too_large"),
    *("version", "method", "upgrade", "expectation", "body_too_large", "header_timeout"),
    *("body_timeout", "overload", "connections", "tunnels", "loop", "report", "proxy_header"),
    "proxy_untrusted",
)


def _counter(text: str, *labels: str) -> Metric:
    return Metric("counter", text, labels)


def _gauge(text: str, *labels: str) -> Metric:
    return Metric("gauge", text, labels)


def _histogram(text: str) -> Metric:
    return Metric("histogram", text)


METRICS: dict[str, Metric] = {
    "sidecar_responses_total": _counter(
        "Responses that left, by route, status class and who made them.",
        "route",
        "status_class",
        "origin",
    ),
    "sidecar_rule_evaluations_total": _counter(
        "Responses that a rule judged.", "route", "rule", "mode"
    ),
    "sidecar_rule_affected_total": _counter(
        "Responses in which a rule found a violation.", "route", "rule", "mode"
    ),
    "sidecar_would_break_total": _counter(
        "Requests by what they say a rule would have done to them.", "route", "rule", "outcome"
    ),
    "sidecar_trial_page_loads_total": _counter(
        "Page loads that carried a rule's report-only twin, in browsers that report it.",
        "route",
        "rule",
    ),
    "sidecar_trial_reports_total": _counter(
        "Reports of browsers on a rule in trial, by kind of cause.", "route", "rule", "cause_kind"
    ),
    "sidecar_canaries_sent_total": _counter(
        "Page loads that must report, to prove that reports come through.", "engine"
    ),
    "sidecar_canaries_returned_total": _counter("Page loads that must report and did.", "engine"),
    "sidecar_trial_browsers_total": _counter(
        "Page loads that carried the twin of a rule in trial, by engine.", "engine"
    ),
    "sidecar_violations_total": _counter(
        "Violations that rules found.", "route", "rule", "kind", "mode"
    ),
    "sidecar_header_changes_total": _counter("Changes made.", "route", "rule", "action"),
    "sidecar_request_duration_seconds": _histogram(
        "From a request's head to the end of its response."
    ),
    "sidecar_upstream_duration_seconds": _histogram(
        "From the request sent to the head of the upstream's response."
    ),
    "sidecar_requests_in_flight": _gauge("Requests being served."),
    "sidecar_tunnels_open": _gauge("Upgraded connections."),
    "sidecar_connections_open": _gauge("Client connections."),
    "sidecar_upstream_errors_total": _counter("Exchanges with the upstream that failed.", "reason"),
    "sidecar_upstream_retries_total": _counter(
        "Requests sent again because a kept connection had died."
    ),
    "sidecar_rejected_requests_total": _counter(
        "Requests refused without asking the upstream.", "reason"
    ),
    "sidecar_would_reject_requests_total": _counter(
        "Requests that a policy in enforce would have refused.", "reason"
    ),
    "sidecar_client_aborts_total": _counter(
        "Clients that went away before the end of their response."
    ),
    "sidecar_policy_info": _gauge("The policy in force.", "name", "revision"),
    "sidecar_rule_info": _gauge(
        "What each rule asks of responses, as a hash: another one means that its value was edited.",
        "route",
        "rule",
        "demand",
    ),
    "sidecar_mode": _gauge("1 for the effective mode of the whole policy.", "mode"),
    "sidecar_config_last_reload_successful": _gauge("0 after a reload that was refused."),
    "sidecar_config_last_reload_success_timestamp_seconds": _gauge(
        "When a policy was last put in force or found unchanged."
    ),
    "sidecar_config_reloads_total": _counter("Reloads by their result.", "result"),
    "sidecar_rollbacks_total": _counter("Rollbacks.", "cause"),
    "sidecar_fleet_connected": _gauge(
        "0 while the fleet's store cannot be used: what is in force stays; absent without a fleet.",
        "fleet",
    ),
    "sidecar_guard_watching": _gauge("1 while an activation is being watched."),
    "sidecar_guard_fired_total": _counter("Activations that the guard took back.", "signal"),
    "sidecar_drift_total": _counter(
        "Differences from the baseline, each counted once a minute while it is seen.",
        "route",
        "kind",
    ),
    "sidecar_events_suppressed_total": _counter(
        "Events not written, by the cap or because stdout was blocked."
    ),
    "sidecar_browser_reports_total": _counter(
        "Browser reports taken.", "type", "directive", "disposition"
    ),
    "sidecar_build_info": _gauge("Versions of what runs.", "version", "python", "aiohttp"),
}

_OF_THE_PARENT = (
    "sidecar_policy_info",
    "sidecar_rule_info",
    "sidecar_guard_",
    "sidecar_fleet_",
    "sidecar_drift_",
    "sidecar_mode",
    "sidecar_build_info",
    "sidecar_config_",
    "sidecar_rollbacks_total",
)
PER_WORKER = {
    name: row.kind for name, row in METRICS.items() if not name.startswith(_OF_THE_PARENT)
}
"""What each worker counts for itself and the parent sums."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FASTEST: Final = 0.001
