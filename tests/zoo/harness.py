"""Everything that runs while the zoo is open: certificate, origins, one sidecar for each site, one
browser.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.certificates import certificate
from tests.e2e.running import Sidecar
from tests.zoo.browser import Context, Person, Visitors
from tests.zoo.service import Service
from tests.zoo.site import Site

AT_ONCE = 3
"""Sites that are visited side by side; more of them would starve the tests that run beside
these.
"""
T = TypeVar("T")


@dataclass(frozen=True)
class Visit:
    """What came of one visit: whether the site worked, and what stood on the page at the end."""

    works: bool
    seen: str


class ProxiedSite:
    """One site behind its own sidecar, which starts with its rule off."""

    def __init__(self, site: Site, sidecar: Sidecar, service: Service) -> None:
        self.site, self.sidecar, self._service = site, sidecar, service
        self.rule = site.name
        host = "127.0.0.1" if site.scheme == "loopback" else site.host
        self.url = f"{'https' if site.scheme == 'https' else 'http'}://{host}:{sidecar.listen[1]}"
        service.reached_at(site, self.url)

    def put(self, mode: str) -> None:
        """Bring the rule in force in this mode."""
        self.sidecar.put(policy(self.site, self._service, mode))

    def address(self, named: str) -> str:
        """The URL of what a visit script names."""
        return self._service.filled(self.site, f"%SITE%{named}" if named.startswith("/") else named)

    def person(self, context: Context, patience: float) -> Person:
        """This visitor with a page open, who waits for each sign of life for `patience` seconds."""
        return Person(context, self.address, lambda: self._service.arrivals(self.site), patience)

    def visit(self, person: Person) -> Visit:
        """One visit of the site as it is now."""
        person.begins()
        works = self.site.visit(person)
        return Visit(works, person.seen())


class Harness:
    """The zoo, open. `settings` go to every sidecar beside those that it needs."""

    def __init__(
        self, sites: Sequence[Site], folder: Path, *, settings: Mapping[str, Any] | None = None
    ) -> None:
        self._folder, self._settings = folder, dict(settings or {})
        self.pool = ThreadPoolExecutor(AT_ONCE)
        folder.mkdir(parents=True, exist_ok=True)
        self._certificate, self._key = certificate(folder)
        pin = _pin(self._certificate)
        self._started: list[Sidecar] = []
        self.service = Service(sites, self._certificate, self._key)
        self.browser = Visitors(
            folder / "browser",
            # unlike --ignore-certificate-errors, such a site may set HSTS
            f"--ignore-certificate-errors-spki-list={pin}",
            # half of the time went into processes for pages to come
            "--disable-features=SpareRendererForSitePerProcess",
            "--short-reporting-delay",  # reports leave at once, not up to a minute later
            "--host-resolver-rules=MAP *.test 127.0.0.1, EXCLUDE 127.0.0.1, MAP * ~NOTFOUND",
        )
        try:
            self.proxied_sites = self.each(sites, self._behind_sidecar)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of it."""
        self.pool.shutdown()
        self.browser.close()
        for sidecar in self._started:
            sidecar.child.ask_to_end()
        for sidecar in self._started:
            sidecar.child.end(5.0)
        self.service.close()

    def each(self, items: Iterable[Any], ask: Callable[[Any], T]) -> list[T]:
        """Ask of each, several side by side; the results in order."""
        return list(self.pool.map(ask, items))

    def _behind_sidecar(self, site: Site) -> ProxiedSite:
        tls = (
            {"tls": {"certificate": str(self._certificate), "key": str(self._key)}}
            if site.scheme == "https"
            else {}
        )
        named = {"forwarding": {"host": site.host}} if site.scheme == "loopback" else {}
        settings = {"reports": {"enabled": True}, **tls, **named, **self._settings}
        upstream = f"http://127.0.0.1:{self.service.plain}"
        sidecar = Sidecar(
            self._folder / site.name, policy(site, self.service, "off"), upstream, settings=settings
        )
        self._started.append(sidecar)
        # So many at once cost a core under coverage; other tests measure what they do.
        return ProxiedSite(site, sidecar.start({"COVERAGE_PROCESS_START": ""}), self.service)


def policy(site: Site, service: Service, mode: str) -> str:
    """The policy file of a site, its rule in this mode."""
    return (
        "version: 1\nname: zoo\nowner: zoo@example.com\nreason: to see what the gate"
        " says\nexpected: the site works as before\nrollback: sidecar rollback\nmode:"
        f" enforce\nrules:\n  {site.name}: {{{service.filled(site, site.rule)}, mode: {mode}}}\n"
    )


def _pin(chain: Path) -> str:
    """The hash of a certificate's key, by which browsers take it (SHA-256, base64)."""
    public = subprocess.run(
        ["openssl", "x509", "-in", str(chain), "-pubkey", "-noout"],
        check=True,
        capture_output=True,
    ).stdout
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "der"],
        input=public,
        check=True,
        capture_output=True,
    ).stdout
    return base64.b64encode(hashlib.sha256(der).digest()).decode()
