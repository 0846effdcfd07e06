"""What is said of certificates that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.proxy.certificates import server_context, unusable
from sidecar.settings import Tls


@pytest.mark.parametrize(
    ("data", "why"), [(None, "No such file or directory"), ("no certificate", "PEM lib")]
)
def test_the_reason_is_in_words(tmp_path: Path, data: str | None, why: str):
    """OpenSSL's own, without its codes and the line of Python's source."""
    file = tmp_path / "chain.pem"
    if data is not None:
        file.write_text(data)
    with pytest.raises(OSError, match=why) as failed:
        server_context(Tls(certificate=str(file)))

    said = str(unusable(failed.value, str(file), None))
    fix = "name a PEM chain and the key that belongs to it"
    assert said == f"error: {file} cannot be used: {why}; {fix}"
