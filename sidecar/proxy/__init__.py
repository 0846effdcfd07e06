"""The data plane: requests in from clients, out to the service, and the responses back through the
policy.

One request goes through these modules: `downstream` (the client's connection) reads it with
`http1`, the codec of both edges, and hands it to `exchange` (the straight line; `responder` judges
its responses), which asks `forwarding` what the service may know of the client, takes a connection
from `pool` (`upstream`), and responds with what came back, or by itself; `splice` carries large
bodies, `tunnel` WebSockets, `reporting` browser reports, and `deadlines` ends what takes too
long. `server` has `DataPlane`, which is all that the service calls.
"""

from sidecar.proxy.server import DataPlane

__all__ = ["DataPlane"]
