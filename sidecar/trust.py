"""What the certificates of other servers are checked by: alike on every Python, as browsers do."""

from __future__ import annotations

import os
import ssl
from typing import Final

UNASKED: Final = ssl.VerifyFlags.VERIFY_X509_STRICT
"""What Python 3.13 asks of certificates besides, and no browser does."""


def authorities(file: str | os.PathLike[str] | None = None) -> ssl.SSLContext:
    """A client's context that trusts the authorities in a PEM file; None = the system's.

    From Python 3.13 on the standard library also refuses an authority's certificate that does not
    name the use of its key (RFC 5280, section 4.2.1.3), and takes one that another authority has
    signed. No browser does the former, and all do the latter.

    Raises:
        OSError: the file cannot be read, or holds no certificate (ssl.SSLError is one).
    """
    made = ssl.create_default_context(cafile=file)
    made.verify_flags &= ~UNASKED
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return made
