"""How an exchange ends without the upstream's response: a status and a counted reason."""

from __future__ import annotations

from collections.abc import Iterable


class Refused(Exception):  # noqa: N818  (the words of the metrics)
    """A request that is answered without the upstream's word. `reason` is one of those in
    `metrics.json`.

    `method`, `path` and the header lines in `head` are the request's, as far as they could be read.
    """

    def __init__(
        self, status: int, reason: str, *, fields: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(status, reason)
        self.status, self.reason, self.fields = status, reason, fields
        self.method, self.path = "", "/"
        self.head: Iterable[tuple[bytes, bytes]] | None = None


class UpstreamFailed(Exception):  # noqa: N818
    """The upstream gave no response that may be passed on. `reason` is one
    of those in `metrics.json`.

    `untouched` tells that the connection died before any byte of a response.
    """

    def __init__(
        self, status: int, reason: str, detail: str = "", *, untouched: bool = False
    ) -> None:
        super().__init__(status, reason, detail)
        self.status, self.reason, self.detail, self.untouched = status, reason, detail, untouched


class ClientGone(Exception):  # noqa: N818
    """The client stopped reading, or must not be answered any more."""
