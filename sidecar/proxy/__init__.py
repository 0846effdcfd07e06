"""The data plane: requests in from clients, out to the service, and the responses back through the policy.

One request goes through these rooms: `downstream` (the client's connection, on aiohttp) hands it to
`exchange` (the straight line), which asks `rules` and `forwarding` what may pass, takes a connection
from `pool` (`upstream`), and answers with what came back, or with `responses` of our own; `tunnel` carries
WebSockets, `reporting` browser reports, and `deadlines` ends what takes too long. `server` is the door:
`DataPlane` is all that the service calls. Strangers here: the admin API and the rollout tools.
"""

from sidecar.proxy.server import DataPlane, require_c_parser

__all__ = ["DataPlane", "require_c_parser"]
