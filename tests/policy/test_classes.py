"""The classes of responses: by what they carry, by their path, and by what a logout is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.rules.classes import classes, is_class, of_media_type
from sidecar.policy.rules.conditions import by_name
from sidecar.policy.values import CLASSES


def of(
    media: str | None, path: str = "/", status: int = 200, disposition: str | None = None
) -> tuple[str, ...]:
    """The classes of one response."""
    given = {b"Content-Type": media, b"Content-Disposition": disposition}
    return classes(
        path,
        status,
        by_name([(name, value.encode()) for name, value in given.items() if value is not None]),
    )


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        ("text/html", "html"),
        (" Text/HTML\t; charset=utf-8", "html"),
        ("application/xhtml+xml", "html"),
        ("application/json", "api"),
        ("application/problem+json", "api"),
        ("application/atom+xml; charset=utf-8", "api"),
        ("text/event-stream", "api"),
        ("application/vnd.api+json", "api"),
        ("text/css", "static"),
        ("text/javascript", "static"),
        ("application/wasm", "static"),
        ("image/svg+xml", "static"),
        ("font/woff2", "static"),
        ("video/mp4", "static"),
        ("application/manifest+json", "static"),
        ("application/octet-stream", "download"),
        ("application/zip", "download"),
        ("text/plain", None),
        ("application/pdf", None),
        ("text/htmlx", None),
        ("", None),
    ],
)
def test_a_media_type_tells_the_class(media: str, expected: str | None):
    """By the essence of the type, whatever its case and parameters; what is not known has no
    class.
    """
    assert of_media_type(media.encode()) == expected
    assert of(media) == (() if expected is None else (expected,))


@pytest.mark.parametrize(
    ("disposition", "expected"),
    [
        ("attachment", "download"),
        ("Attachment ; filename=a.html", "download"),
        ("inline; filename=attachment", "html"),
        ("attachmentx", "html"),
        ("", "html"),
    ],
)
def test_an_attachment_is_a_download_whatever_its_type(disposition: str, expected: str):
    """A page that is saved and not shown is no page."""
    assert of("text/html", disposition=disposition) == (expected,)


DOCS = (
    "/docs",
    "/docs/",
    "/docs/oauth2-redirect",
    "/redoc",
    "/Redoc",
    "/api/docs",
    "/api/v1/docs",
    "/v2/redoc",
    "/swagger",
    "/swagger/index.html",
    "/swagger-ui",
    "/swagger-ui.html",
    "/swagger-ui/index.html",
    "/api/schema/swagger-ui/",
    "/apidocs/",
    "/api-docs",
    "/openapi.json",
    "/api/swagger.yaml",
    "/%64ocs",
    "/docs%2F",
)
NO_DOCS = (
    "/",
    "/docs/guide",
    "/documents",
    "/user/docs",
    "/search/redoc",
    "/docs.html",
    "/docsx",
    "/a/b/openapi.json",
    "/docs%252F",
    "/docs\n",
    "//docs",
    "",
)


@pytest.mark.parametrize("path", DOCS)
def test_api_documentation_is_told_by_its_usual_paths(path: str):
    """A page or description there is docs and nothing else; its scripts stay static."""
    assert (
        of("text/html", path)
        == of("application/json", path)
        == of("application/yaml", path)
        == ("docs",)
    )
    assert of("text/javascript", path) == ("static",)


@pytest.mark.parametrize("path", NO_DOCS)
def test_other_pages_are_not_docs(path: str):
    """The list is narrow, since docs may get a looser policy than pages."""
    assert of("text/html", path) == ("html",)


@pytest.mark.parametrize(
    "path",
    [
        "/logout",
        "/logout/",
        "/account/log-out",
        "/SignOut",
        "/sign_out",
        "/logoff",
        "/logout.php",
        "/%6cogout",
    ],
)
@pytest.mark.parametrize("status", [200, 204, 302, 304])
def test_a_logout_is_told_by_path_and_success(path: str, status: int):
    """Whatever it carries: a page, a redirect without a type, nothing."""
    assert of("text/html", path, status) == ("html", "logout")
    assert of(None, path, status) == ("logout",)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/logout", 400),
        ("/logout", 405),
        ("/logout", 500),
        ("/logouts", 200),
        ("/blogout", 200),
        ("/logout/x", 200),
        ("/catalog-off", 200),
    ],
)
def test_what_logs_nobody_out_is_no_logout(path: str, status: int):
    """A refused logout, and paths that only look like one."""
    assert of("text/html", path, status) == ("html",)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_an_response_without_a_type_is_of_no_class(path: str):
    """A 304 or 204 has no Content-Type: no class by content holds, on any path."""
    assert of(None, path, 304) == ()
    assert not is_class(
        frozenset({"html", "api", "static", "download", "docs", "logout"}), path, 304, {}
    )


@given(
    st.text(st.sampled_from("/apidocslgutv1.%6-\n"), max_size=20),
    st.integers(100, 599),
    st.binary(max_size=20),
    st.sets(st.sampled_from(CLASSES), min_size=1),
)
def test_the_question_and_the_list_agree(path: str, status: int, media: bytes, wanted: set[str]):
    """Law: `is_class` says what `classes` lists; at most one class comes from the content;
    nothing raises.
    """
    seen = {b"content-type": (media,)}
    listed = classes(path, status, seen)

    assert is_class(frozenset(wanted), path, status, seen) is bool(wanted & set(listed))
    assert len(set(listed) - {"logout"}) <= 1
    assert set(listed) <= set(CLASSES)
