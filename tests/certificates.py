"""Self-signed certificates for listeners of tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.patience import PATIENCE

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


def certificate(folder: Path, name: str = "site.test") -> tuple[Path, Path]:
    """A certificate for `name` and 127.0.0.1, which is its own authority, and its key: in this
    folder, under this name.
    """
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1")
    written = ("-keyout", str(key), "-out", str(chain))
    subprocess.run(
        ("openssl", "req", "-x509", *_KEY, *names, *written),
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    return chain, key
