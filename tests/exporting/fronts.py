"""Each target as it runs in production: the exported text in the smallest whole configuration,
plain and with TLS.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests import certificates
from tests.e2e.processes import accepting, free_port, until
from tests.patience import PATIENCE

MODULES = Path("/usr/lib/apache2/modules")


@dataclass(frozen=True)
class Site:
    """Where one target runs: its folder, its plain and its TLS port, the service's port."""

    folder: Path
    plain: int
    tls: int
    upstream: int
    certificate: Path
    key: Path


def program(name: str) -> str | None:
    """Its path; wheels put programs beside the interpreter."""
    beside = Path(sys.executable).parent
    return shutil.which(name, path=f"{beside}:{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate and its key, which servers of other users may read."""
    made, key = certificates.certificate(folder)
    key.chmod(0o644)
    return made, key


def _nginx(site: Site, text: str) -> list[str]:
    folder = site.folder
    (folder / "policy.conf").write_text(text)
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log"
        f" {folder}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path"
        f" {folder};\nproxy_temp_path {folder};\nfastcgi_temp_path {folder};\nuwsgi_temp_path"
        f" {folder};\nscgi_temp_path {folder};\ninclude {folder}/policy.conf;\nserver {{\nlisten"
        f" 127.0.0.1:{site.plain};\nlisten 127.0.0.1:{site.tls} ssl;\nssl_certificate"
        f" {site.certificate};\nssl_certificate_key {site.key};\nlocation / {{\nproxy_pass"
        f" http://127.0.0.1:{site.upstream};\nproxy_http_version 1.1;\n}}\n}}\n}}\n"
    )
    return ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]


def _caddy(site: Site, text: str) -> list[str]:
    policy: Any = json.loads(text) if text else {"routes": [], "errors": {"routes": []}}
    proxy = {
        "handle": [
            {
                "handler": "reverse_proxy",
                "upstreams": [{"dial": f"127.0.0.1:{site.upstream}"}],
            }
        ]
    }

    def server(port: int, **more: Any) -> dict[str, Any]:
        return {
            "listen": [f"127.0.0.1:{port}"],
            "automatic_https": {"disable": True},
            "protocols": ["h1"],
            "routes": [*policy["routes"], proxy],
            "errors": policy["errors"],
        } | more

    # An id stands once only, so the second server has the routes without.
    tls = json.loads(
        json.dumps(
            server(site.tls, tls_connection_policies=[{"default_sni": "site.test"}])
        ).replace('"@id": "', '"@id": "tls-')
    )
    config = {
        "admin": {"disabled": True},
        "apps": {
            "http": {"servers": {"plain": server(site.plain), "tls": tls}},
            "tls": {
                "certificates": {
                    "load_files": [{"certificate": str(site.certificate), "key": str(site.key)}]
                }
            },
        },
    }
    (site.folder / "caddy.json").write_text(json.dumps(config))
    return ["caddy", "run", "--config", str(site.folder / "caddy.json")]


def _apache(site: Site, text: str) -> list[str]:
    folder = site.folder
    names = (
        "mpm_event",
        "authz_core",
        "headers",
        "setenvif",
        "proxy",
        "proxy_http",
        "ssl",
        "socache_shmcb",
    )
    modules = "\n".join(
        f"LoadModule {name}_module {MODULES}/mod_{name}.so"
        for name in names
        if (MODULES / f"mod_{name}.so").exists()
    )
    (folder / "policy.conf").write_text(text)
    host = f"Include {folder}/policy.conf\nProxyPass / http://127.0.0.1:{site.upstream}/ nocanon\n"
    (folder / "httpd.conf").write_text(
        f"ServerRoot {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error.log\nMutex"
        f" posixsem\nServerName localhost\n{modules}\nListen 127.0.0.1:{site.plain}\nListen"
        f" 127.0.0.1:{site.tls}\n<VirtualHost"
        f" 127.0.0.1:{site.plain}>\n{host}</VirtualHost>\n<VirtualHost"
        f" 127.0.0.1:{site.tls}>\nSSLEngine on\nSSLCertificateFile"
        f" {site.certificate}\nSSLCertificateKeyFile {site.key}\n{host}</VirtualHost>\n"
    )
    return ["apache2", "-f", str(folder / "httpd.conf"), "-DFOREGROUND"]


def _haproxy(site: Site, text: str) -> list[str]:
    room = re.search(r"tune\.maxrewrite (\d+)", text)
    pem = site.folder / "site.pem"
    pem.write_text(site.certificate.read_text() + site.key.read_text())
    (site.folder / "haproxy.cfg").write_text(
        f"global\n    {room[0] if room else ''}\ndefaults\n    mode http\n    timeout connect 5s\n "
        "   timeout client 30s\n    timeout server 30s\nfrontend site\n    bind"
        f" 127.0.0.1:{site.plain}\n    bind 127.0.0.1:{site.tls} ssl crt {pem}\n{text}\n   "
        " default_backend service\nbackend service\n    retries 0\n    server service"
        f" 127.0.0.1:{site.upstream}\n"
    )
    return ["haproxy", "-db", "-f", str(site.folder / "haproxy.cfg")]


def _envoy(site: Site, text: str) -> list[str]:
    def at(port: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    types = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "site",
        "codec_type": "HTTP1",
        "server_header_transformation": "PASS_THROUGH",
        "http_filters": [
            *(yaml.safe_load(text) or []),
            {
                "name": "router",
                "typed_config": {
                    "@type": f"{types}.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            },
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "service"}}],
                }
            ]
        },
    }
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    tls = {
        "name": "tls",
        "typed_config": {
            "@type": (
                "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
            ),
            "common_tls_context": {
                "tls_certificates": [
                    {
                        "certificate_chain": {"filename": str(site.certificate)},
                        "private_key": {"filename": str(site.key)},
                    }
                ]
            },
        },
    }
    config = {
        "static_resources": {
            "listeners": [
                {"name": "plain", "address": at(site.plain), "filter_chains": [chain]},
                {
                    "name": "tls",
                    "address": at(site.tls),
                    "filter_chains": [{**chain, "transport_socket": tls}],
                },
            ],
            "clusters": [
                {
                    "name": "service",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "service",
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": at(site.upstream)}}]}
                        ],
                    },
                }
            ],
        }
    }
    (site.folder / "envoy.json").write_text(json.dumps(config))
    argv = ["envoy", "-c", str(site.folder / "envoy.json"), "--concurrency", "1"]
    return [*argv, "--disable-hot-restart", "-l", "warning"]


def _traefik(site: Site, text: str) -> list[str]:
    catch_all = {"rule": "PathPrefix(`/`)", "service": "service", "priority": 1}
    dynamic = yaml.safe_load(text) or {"http": {"routers": {"all": catch_all}}}
    routers = dynamic["http"]["routers"]
    dynamic["http"]["routers"] = {
        f"{name}-{entry}": {
            **router,
            "entryPoints": [entry],
            **({"tls": {}} if entry == "tls" else {}),
        }
        for name, router in routers.items()
        for entry in ("plain", "tls")
    }
    servers = [{"url": f"http://127.0.0.1:{site.upstream}"}]
    dynamic["http"]["services"] = {"service": {"loadBalancer": {"servers": servers}}}
    pair = {"certFile": str(site.certificate), "keyFile": str(site.key)}
    dynamic["tls"] = {"certificates": [pair], "stores": {"default": {"defaultCertificate": pair}}}
    (site.folder / "dynamic.yaml").write_text(yaml.safe_dump(dynamic))
    static = {
        "entryPoints": {
            "plain": {"address": f"127.0.0.1:{site.plain}"},
            "tls": {"address": f"127.0.0.1:{site.tls}"},
        },
        "providers": {"file": {"filename": str(site.folder / "dynamic.yaml"), "watch": False}},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }
    (site.folder / "traefik.yaml").write_text(yaml.safe_dump(static))
    return ["traefik", f"--configFile={site.folder / 'traefik.yaml'}"]


@dataclass(frozen=True)
class Front:
    """One target: the program, and how it is started with an exported text ("" = none)."""

    binary: str
    command: Callable[[Site, str], list[str]]

    def missing(self) -> str:
        """Why it cannot run here; "" when it can."""
        return "" if program(self.binary) else f"{self.binary} is not installed"


FRONTS: Mapping[str, Front] = {
    "nginx": Front("nginx", _nginx),
    "apache": Front("apache2", _apache),
    "haproxy": Front("haproxy", _haproxy),
    "envoy": Front("envoy", _envoy),
    "traefik": Front("traefik", _traefik),
    "caddy": Front("caddy", _caddy),
}


@contextlib.contextmanager
def standing(
    target: str, text: str, upstream: int, folder: Path, tls: tuple[Path, Path]
) -> Iterator[Site]:
    """The real proxy with the exported text, from when it accepts to its end."""
    site = Site(folder, free_port(), free_port(), upstream, *tls)
    argv = FRONTS[target].command(site, text)
    argv[0] = program(argv[0]) or argv[0]
    environ = {
        **os.environ,
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "HOME": str(folder),
    }
    output = folder / "output"
    with output.open("wb") as log:
        process = subprocess.Popen(
            argv, env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        for port in (site.plain, site.tls):
            accepting(process, port, output, text)
        _serving(site, output)
        yield site
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serving(site: Site, output: Path) -> None:
    """Some listen before they have read their routes and certificates: until a request comes
    through each way.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def serves() -> bool:
        found = set()
        for connection in (
            http.client.HTTPConnection("127.0.0.1", site.plain, timeout=5),
            http.client.HTTPSConnection("127.0.0.1", site.tls, timeout=5, context=context),
        ):
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/?response=page")
                found.add(connection.getresponse().status)
            connection.close()
        return found == {200}

    until(serves, f"a request comes through, as {output} says")
