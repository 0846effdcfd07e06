"""How this process runs: listen, upstream, limits, timeouts, logging.

Durations are in seconds, sizes in bytes.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sidecar import setting_kinds as kinds
from sidecar.policy.terms import Mode
from sidecar.policy.values import Duration, Size


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class RouteTimeouts(_Part):
    """Of one route, in place of the general ones; None = the general one. The others pass before
    the route is known.
    """

    response: kinds.Lasting | None = None
    """As timeouts.response."""
    idle: kinds.Lasting | None = None
    """As timeouts.idle, between two pieces of a response."""
    total: Duration | None = None
    """As timeouts.total."""


class Timeouts(_Part):
    """Each ends with its own status and reason."""

    header: kinds.Lasting = 10.0
    """From the first byte of a request to the end of its header: 408."""
    body_idle: kinds.Lasting = 30.0
    """Between two pieces of a request body: 408."""
    connect: kinds.Lasting = 2.0
    """To connect to the upstream, including the wait for a free connection: 504 or 503."""
    response: kinds.Lasting = 60.0
    """From the end of the request to the head of the response: 504."""
    idle: kinds.Lasting = 60.0
    """Between two pieces of a response's body, and between two requests of a client."""
    upstream_idle: Duration = 1.5
    """An idle upstream connection is not used again after this; keep it below the service's own."""
    tunnel_idle: kinds.Lasting = 600.0
    """A tunnel (WebSocket) with no bytes in either direction."""
    total: Duration = 0.0
    """A whole exchange; 0s = no limit."""
    drain_delay: Duration = 0.0
    """After TERM, how long requests are still accepted while readiness already says no."""
    drain: Duration = 20.0
    """After that, how long requests in flight may take to finish."""
    routes: dict[str, RouteTimeouts] = Field(default_factory=dict)
    """response, idle and total of single routes, by the route's name in the policy."""


class Limits(_Part):
    """Each ends with its own status and counter."""

    header_bytes: Size = 65536
    """All header bytes of one message: 431, or 502 from the upstream."""
    headers: kinds.Count = 100
    """Header lines of one message: 431, or 502 from the upstream."""
    target_bytes: Size = 16384
    """The request target: 414."""
    body: Size = 67108864
    """A request body: 413."""
    requests: kinds.Count = 1024
    """Requests in flight: 503."""
    connections: kinds.Count = 10240
    """Client connections, or fewer where `ulimit -Hn` is too low: closed at once."""
    upstream_connections: kinds.Count = 256
    """Connections to the upstream; more requests wait within timeouts.connect."""
    tunnels: kinds.Count = 1024
    """Upgraded connections: 503."""


class Forwarding(_Part):
    """What the upstream learns about the client."""

    trusted: kinds.Networks = ()
    """Networks of the proxies in front whose forwarding headers and request id are believed and
    passed on; those of others are dropped (docs/http.md).
    """
    host: kinds.HostSent = "pass"
    """pass = the client's Host; rewrite = the upstream's; or a name."""
    request_id: kinds.RequestIdName = "X-Request-ID"
    """The header that carries the request id."""
    nonce: kinds.NonceName = "X-CSP-Nonce"
    """The header that brings the service the nonce of `'nonce-{request}'`, where a rule of the
    route asks for one; off = not sent. A client's own is dropped.
    """
    proxy_protocol: kinds.Introduced = "off"
    """required = every connection comes from one of the trusted networks and begins with a header
    of the PROXY protocol, version 1 or 2; the address in it is the client's.
    """
    via: bool = True
    """Add Via (RFC 9110 section 7.6.3); it also ends loops."""

    @model_validator(mode="after")
    def _names_differ(self) -> Forwarding:
        if self.nonce.lower() == self.request_id.lower():
            raise ValueError(
                f"request_id and nonce are both {self.nonce}; give each its own header"
            )
        return self

    @model_validator(mode="after")
    def _proxies_are_trusted(self) -> Forwarding:
        if self.proxy_protocol == "required" and not self.trusted:
            raise ValueError(
                "proxy_protocol is required and nobody is trusted; name the proxy's network in"
                " forwarding.trusted"
            )
        return self


class Tls(_Part):
    """Certificates: of the data listener, and for an https upstream."""

    certificate: str | None = None
    """PEM file of the data listener's certificate chain; read again when it changes."""
    key: str | None = None
    """PEM file of its key."""
    upstream_ca: str | None = None
    """PEM file of the authorities that may sign the upstream's certificate."""
    upstream_certificate: str | None = None
    """PEM file of the client certificate shown to the upstream."""
    upstream_key: str | None = None
    """PEM file of its key."""
    upstream_name: str | None = None
    """The name the upstream's certificate must carry; missing = its host."""

    @model_validator(mode="after")
    def _keys_have_certificates(self) -> Tls:
        for key, certificate in (
            ("key", "certificate"),
            ("upstream_key", "upstream_certificate"),
        ):
            if getattr(self, key) is not None and getattr(self, certificate) is None:
                raise ValueError(f"{key} without {certificate} does nothing; name both")
        return self


class Log(_Part):
    """Events on stdout, JSON lines."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is written."""
    events_per_second: kinds.Count = 100
    """More events than this are counted, not written."""
    value_bytes: kinds.Count = 256
    """Header values are cut to this in events."""


class Reports(_Part):
    """Collection of browser reports on the data listener."""

    enabled: bool = False
    """Accept browser reports at /.well-known/sidecar/reports."""
    body: Size = 65536
    """A report's body: 413."""
    per_second: kinds.Count = 20
    """More reports than this are counted, not logged."""


class Trial(_Part):
    """What a trial adds beside the rules' report-only headers."""

    canary: kinds.LoadShare = 0.01
    """Share of page loads in trial that must report, to prove that reports come through, as 1%; 0%
    = none.
    """
    pages: kinds.LoadShare = 0.05
    """Share of page loads in trial whose HTML is read, to know what the service itself sent, as 5%;
    the first ten of a route and the first at each path always, and each script once; 0% = none of
    them.
    """


class Fleet(_Part):
    """The replicas of one service that decide together (extra `fleet`)."""

    url: kinds.FleetUrl | None = None
    """Redis or Valkey that holds the fleet's decisions: redis://, rediss:// (TLS), unix://, or
    redis+sentinel:// and rediss+sentinel:// with the sentinels' hosts and the master's name; with
    user, password and database; missing = this replica decides alone. It may hold a password: set
    it by SIDECAR_FLEET__URL.
    """
    name: kinds.FleetName | None = None
    """The fleet's name, as that of the service: its replicas share it, and no other service may
    have it. Letters, digits, `.`, `_` and `-`; needed with fleet.url.
    """
    quorum: kinds.Quorum = 1
    """Replicas whose guard must fire within the guard's window before all go back: a number, or a
    share of those that are there, as 50%.
    """

    @model_validator(mode="after")
    def _has_a_name(self) -> Fleet:
        if self.url is not None and self.name is None:
            raise ValueError(
                "fleet.url needs fleet.name: the name of the service, the same for all its replicas"
                " and for no other's"
            )
        return self


class History(_Part):
    """How much of the past stays in the state folder. What is in force, the revision before it,
    what was pinned away and all that the note holds since the last promotion always stay.
    """

    keep: kinds.Count = 1000
    """Entries of the journal, cut at start and then hourly; texts of revisions stay with them."""
    age: Duration = 34560000.0
    """Entries older than this are deleted, and texts of revisions that no entry names."""


class Traces(_Part):
    """Spans of requests for OpenTelemetry (extra `otel`)."""

    endpoint: kinds.TracesUrl | None = None
    """Collector that takes OTLP over HTTP, as http://collector:4318/v1/traces; missing = no spans.
    """
    share: kinds.LoadShare = 0.01
    """Share of requests that get a span, by the trace's id where the request has one; a trusted
    proxy's own sampling is followed.
    """


class Debug(_Part):
    """For looking into a sidecar, by people who may."""

    server_timing: kinds.Networks = ()
    """Clients in these networks get a Server-Timing line with the time of the upstream and of the
    sidecar; [] = nobody.
    """


class Exposed(_Part):
    """What a scrape gets besides the plain metrics."""

    native_histograms: bool = False
    """Keep durations in native histograms too, for a Prometheus that asks for them
    (--enable-feature=native-histograms, 2.40 and newer).
    """


class Ready(_Part):
    """What /readyz demands besides a policy in force."""

    upstream: bool = False
    """Ready only while the upstream accepts connections."""


class Settings(_Part):
    """One process's settings; units as in the parts."""

    upstream: kinds.Upstream = "http://127.0.0.1:8000"
    """The service: http://, https:// or unix:."""
    upstream_dns_age: Duration = 30.0
    """The upstream's name is resolved again after this, and at once when connecting fails; 0s = for
    each new connection.
    """
    listen: kinds.Address = "127.0.0.1:18000"
    """The data listener."""
    admin: kinds.Address = "127.0.0.1:19000"
    """The admin listener."""
    admin_token_file: str | None = None
    """File with the bearer token; needed for an admin bind that is not loopback."""
    health: kinds.Address = "127.0.0.1:19001"
    """The health listener: /livez /readyz /metrics."""
    policy: str = "policy.yaml"
    """The policy file."""
    state: str = "state"
    """The folder for revisions, history and journal; each sidecar has its own."""
    baseline: str | None = None
    """File of `sidecar capture` that the service's headers are compared with, once a minute."""
    workers: kinds.Workers = 1
    """Worker processes."""
    mode: Mode | None = None
    """A ceiling over the policy's mode for this process."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    limits: Limits = Field(default_factory=Limits)
    forwarding: Forwarding = Field(default_factory=Forwarding)
    tls: Tls = Field(default_factory=Tls)
    log: Log = Field(default_factory=Log)
    reports: Reports = Field(default_factory=Reports)
    trial: Trial = Field(default_factory=Trial)
    fleet: Fleet = Field(default_factory=Fleet)
    history: History = Field(default_factory=History)
    ready: Ready = Field(default_factory=Ready)
    metrics: Exposed = Field(default_factory=Exposed)
    traces: Traces = Field(default_factory=Traces)
    debug: Debug = Field(default_factory=Debug)

    @model_validator(mode="after")
    def _peers_have_addresses(self) -> Settings:
        if self.forwarding.proxy_protocol == "required" and self.listen.startswith("unix:"):
            raise ValueError(
                "proxy_protocol is required, and who connects to a Unix socket has no address that"
                " could be trusted; listen at HOST:PORT"
            )
        return self
