"""What `check --config` says of the certificates and keys that settings name."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sidecar.proxy.certificates import examined
from sidecar.settings import Settings, Tls
from tests.certificates import certificate
from tests.cli import data, sidecar

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates with their keys, one key encrypted in either form, and both in one file."""
    made = tmp_path_factory.mktemp("certificates")
    for name in ("one", "two"):
        certificate(made, name)
    sealed = ["-passout", "pass:x", "-in", made / "one.key", "-out"]
    subprocess.run(["openssl", "pkcs8", "-topk8", *sealed, made / "sealed.key"], check=True)
    done = ["openssl", "ec", "-aes128", *sealed, made / "old-sealed.key"]
    subprocess.run(done, check=True, capture_output=True)
    texts = [(made / name).read_text() for name in ("one.pem", "one.key", "two.pem")]
    (made / "both.pem").write_text(texts[0] + texts[1])
    (made / "chain.pem").write_text(texts[0] + texts[2])
    (made / "empty.pem").write_text("")
    return made


@pytest.mark.parametrize(
    ("chain", "key", "days", "said"),
    [
        ("one.pem", "one.key", 0, ""),
        ("both.pem", None, 0, ""),
        ("none.pem", "one.key", 0, "none.pem cannot be read: No such file or directory"),
        ("one.pem", "none.key", 0, "none.key cannot be read: No such file or directory"),
        ("empty.pem", "one.key", 0, "empty.pem holds no certificate"),
        ("one.pem", None, 0, "one.pem holds no private key"),
        ("one.pem", "empty.pem", 0, "empty.pem holds no private key"),
        ("one.pem", "sealed.key", 0, "the key in sealed.key is encrypted"),
        ("one.pem", "old-sealed.key", 0, "the key in old-sealed.key is encrypted"),
        ("one.pem", "two.key", 0, "two.key is not that of the certificate in one.pem"),
        ("one.pem", "one.key", 9, "one.pem expired on "),
        ("one.pem", "one.key", -9, "one.pem is not valid before "),
        ("chain.pem", "one.key", 9, "certificate 2 of chain.pem expired on "),
    ],
)
def test_each_fault_of_a_pair_is_named(
    folder: Path, chain: str, key: str | None, days: int, said: str
):
    """Which file, what is wrong with it, and what to do; nothing of a pair that works."""
    tls = Tls(certificate=str(folder / chain), key=str(folder / key) if key else None)
    found = examined(Settings(tls=tls), NOW + timedelta(days=days, hours=1))

    assert said in "".join(problem.message.replace(f"{folder}/", "") for problem in found)
    assert bool(found) == bool(said)
    assert all(problem.fix and problem.path[0] == "tls" for problem in found)


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        ("http://127.0.0.1:1", ""),
        ("https://a.example", "cannot be used: no certificate or crl found"),
    ],
)
def test_authorities_are_read_for_an_https_upstream(folder: Path, upstream: str, said: str):
    """Towards an http upstream nobody needs them. The reason is in OpenSSL's words, without its
    codes and the line of Python's source.
    """
    settings = Settings(upstream=upstream, tls=Tls(upstream_ca=str(folder / "empty.pem")))

    assert "".join(problem.message for problem in examined(settings, NOW)).endswith(said)
    assert bool(examined(settings, NOW)) == bool(said)


def test_check_shows_the_place_in_the_settings(folder: Path, tmp_path: Path):
    """Exit 1; text and JSON both name the line."""
    policy, settings = tmp_path / "policy.yaml", tmp_path / "sidecar.yaml"
    policy.write_text("version: 1\nrules: {}\n")
    settings.write_text(f"tls:\n  certificate: {folder}/one.pem\n  key: {folder}/two.key\n")
    result = sidecar("check", "--config", settings, policy)
    as_data = sidecar("check", "--config", settings, "--format", "json", policy)

    assert (result.exit_code, as_data.exit_code) == (1, 1)
    assert f"{settings}:3:8: error: the key in " in result.stderr
    assert [one["line"] for one in data(as_data)["settings"]["problems"]] == [3]
