"""nginx, Apache httpd and Caddy as the distribution ships them, each started for one
configuration and ended by its pid.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.e2e.processes import accepting
from tests.patience import PATIENCE

MORE = Path("/usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so")
MODULES = Path("/usr/lib/apache2/modules")
_APACHE_MODULES = (
    "mpm_event",
    "authz_core",
    "headers",
    "setenvif",
    "rewrite",
    "proxy",
    "proxy_http",
    "alias",
    "dir",
    "mime",
    "expires",
)

BINARIES = {"nginx": "nginx", "apache": "apache2", "caddy": "caddy"}


def installed(form: str) -> bool:
    """True when the server of a format is there, with the modules that the configurations need."""
    binary = shutil.which(BINARIES[form], path=f"{os.environ['PATH']}:/usr/sbin")
    return (
        binary is not None
        and {"nginx": MORE, "apache": MODULES / "mod_headers.so", "caddy": Path(binary)}[
            form
        ].exists()
    )


def _nginx(folder: Path, text: str) -> Sequence[str]:
    main = folder / "nginx.conf"
    main.write_text(
        f"load_module {MORE};\ndaemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log"
        f" {folder}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path"
        f" {folder};\nproxy_temp_path {folder};\nfastcgi_temp_path {folder};\nuwsgi_temp_path"
        f" {folder};\nscgi_temp_path {folder};\n{text}\n}}\n"
    )
    return ("nginx", "-c", str(main), "-p", str(folder))


def _apache(folder: Path, text: str) -> Sequence[str]:
    main = folder / "httpd.conf"
    modules = "\n".join(
        f"LoadModule {name}_module {MODULES}/mod_{name}.so"
        for name in _APACHE_MODULES
        if (MODULES / f"mod_{name}.so").exists()
    )
    main.write_text(
        f"ServerRoot {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error.log\nMutex"
        f" posixsem\nServerName localhost\n{modules}\n<IfModule"
        f" !authz_core_module>\n</IfModule>\nTypesConfig /etc/mime.types\n{text}\n"
    )
    return ("apache2", "-f", str(main), "-DFOREGROUND")


def _caddy(folder: Path, text: str) -> Sequence[str]:
    main = folder / "Caddyfile"
    main.write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{text}\n")
    return ("caddy", "run", "--config", str(main), "--adapter", "caddyfile")


@contextlib.contextmanager
def server(form: str, folder: Path, text: str, port: int) -> Iterator[None]:
    """The server with this configuration, from when it accepts on `port` to its end."""
    command = {"nginx": _nginx, "apache": _apache, "caddy": _caddy}[form](folder, text)
    environ = {
        **os.environ,
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "HOME": str(folder),
    }
    output = folder / "output"
    with output.open("wb") as log:
        process = subprocess.Popen(
            command, env=environ, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        accepting(process, port, output)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
