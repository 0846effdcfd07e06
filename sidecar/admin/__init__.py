"""The control plane: status, orders, health."""

from sidecar.lean import aiohttp_server

aiohttp_server()  # before any file here imports aiohttp.web
