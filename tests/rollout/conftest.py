"""Fixtures of the end-to-end tests, for the days that are played here."""

from tests.e2e.conftest import services, shop, start

__all__ = ["services", "shop", "start"]
