"""One site for the whole session; each test gets it empty."""

import socket

import pytest

from tests.audit.origin import HOST, Authority, Listener, Site


@pytest.fixture(scope="session")
def _site(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority")).make()
    listeners = (
        Listener().start(),
        Listener(authority.context("good")).start(),
        Listener(authority.context("bad")).start(),
    )
    with socket.socket() as held:  # bound and never listening: connections are refused
        held.bind((HOST, 0))
        yield Site(authority, *listeners, held.getsockname()[1])
    for listener in listeners:
        listener.stop()


@pytest.fixture
def site(_site):
    """The site, with no responses yet."""
    _site.clear()
    return _site
