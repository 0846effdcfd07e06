"""The control plane: status, orders, health. Must not know the data plane, and no order is
obeyed by GET.
"""

from sidecar.lean import aiohttp_server

aiohttp_server()  # before any file here imports aiohttp.web
