"""Fixtures of the end-to-end tests, for bounds that need a whole sidecar."""

from tests.e2e.conftest import begin, services, shop

__all__ = ["begin", "services", "shop"]
