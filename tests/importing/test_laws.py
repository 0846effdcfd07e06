"""What holds for every format and every text: a policy that loads, or a refusal with a place;
never anything else.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar.importing.draft import Imported
from sidecar.importing.formats import FORMATS, MAX_CHARS, convert, guess
from sidecar.policy.terms import PolicyError
from sidecar.scalars import scalar
from sidecar.source import load, load_policy
from tests.portion import examples

NAMES = st.sampled_from(
    [
        "X-A",
        "X-B",
        "x-a",
        "Set-Cookie",
        "Content-Security-Policy",
        "X-Frame-Options",
        "Strict-Transport-Security",
        "Vary",
        "Connection",
        "X_*",
        "!#$",
        "a b",
        "\u00e9",
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            "1",
            "off",
            "yes",
            "null",
            "",
            " ",
            "~",
            "a: b",
            "a #b",
            "- a",
            "'",
            "''",
            "max-age=60; includeSubDomains",
            "default-src 'self'",
            "script-src 'nonce-YWJjZGVmZ2g='",
            "camera=('self')",
            "$x",
            "%t",
            "{x}",
            "${X}",
            "\\",
            "0x1f",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\"\\'`"), max_size=12),
)
PLACES = st.sampled_from(
    [
        "/",
        "/a",
        "/a/",
        "/a b",
        "/\u00e9",
        "/a?b#c",
        "/a*",
        "/%41",
        "/.well-known",
        "/x'y\"z",
        "/{id}",
    ]
)
HOSTS = st.sampled_from(
    [
        "a.example",
        "*.a.example",
        ".b.example",
        "c.*",
        "_",
        "",
        "~^x",
        "a_b",
        "[::1]",
        "A.EXAMPLE",
        "ex ample",
        "{$H}",
        "*",
    ]
)


def quote(text: str) -> str:
    return '"' + text.replace("\n", " ").replace('"', "").replace("\\", "") + '"'


@st.composite
def nginx_texts(draw: st.DrawFn) -> str:
    """Servers, locations and header statements, rightly nested."""
    statement = st.one_of(
        st.builds(
            lambda name, value, always: (
                f"add_header {quote(name)} {quote(value)}{' always' if always else ''};"
            ),
            NAMES,
            VALUES,
            st.booleans(),
        ),
        st.builds(
            lambda name, value: f"more_set_headers {quote(f'{name}: {value}')};", NAMES, VALUES
        ),
        st.builds(
            lambda name: f"more_clear_headers -s '404 500' -t text/html {quote(name)};", NAMES
        ),
        st.builds(lambda name: f"proxy_hide_header {quote(name)};", NAMES),
        st.sampled_from(
            [
                "server_tokens off;",
                "return 301 /;",
                "add_header_inherit merge;",
                "try_files $uri /a;",
                "try_files $uri @x;",
                "include x;",
                "expires 1h;",
            ]
        ),
    )
    block = st.lists(statement, max_size=4).map(" ".join)
    location = st.builds(
        lambda kind, path, body, inner: (
            f"location {kind} {quote(path)} {{ {body} location {quote(path + 'x')} {{ {inner} }} }}"
        ),
        st.sampled_from(["", "=", "^~", "~", "~*"]),
        PLACES,
        block,
        block,
    )
    server = st.builds(
        lambda host, listen, body, locations: (
            f"server {{ listen {listen}; server_name {quote(host)}; {body} {' '.join(locations)} }}"
        ),
        HOSTS,
        st.sampled_from(["80", "443 ssl", "80 default_server"]),
        block,
        st.lists(location, max_size=3),
    )
    return "\n".join([draw(block), *draw(st.lists(server, max_size=4))])


@st.composite
def apache_texts(draw: st.DrawFn) -> str:
    """Hosts, sections and Header statements, rightly nested."""
    action = st.sampled_from(
        [
            "set",
            "append",
            "merge",
            "add",
            "unset",
            "setifempty",
            "edit",
            "always set",
            "always append",
            "onsuccess unset",
        ]
    )
    rest = st.sampled_from(
        [
            "",
            "env=HTTPS",
            "env=x",
            '"expr=%{REQUEST_STATUS} == 404"',
            '"expr=%{CONTENT_TYPE} =~ m#html|/|a b#"',
        ]
    )
    statement = st.builds(
        lambda action, name, value, rest: f"Header {action} {quote(name)} {quote(value)} {rest}",
        action,
        NAMES,
        VALUES,
        rest,
    )
    block = st.lists(statement, max_size=4).map("\n".join)
    section = st.builds(
        lambda kind, path, body: f"<{kind} {quote(path)}>\n{body}\n</{kind}>",
        st.sampled_from(
            [
                "Location",
                "LocationMatch",
                "Directory",
                "Files",
                "FilesMatch",
                "If",
                "IfModule",
                "Proxy",
            ]
        ),
        st.one_of(PLACES, VALUES),
        block,
    )
    host = st.builds(
        lambda name, body, sections: "\n".join(
            ["<VirtualHost *:80>", f"ServerName {quote(name)}", body, *sections, "</VirtualHost>"]
        ),
        HOSTS,
        block,
        st.lists(section, max_size=2),
    )
    return "\n".join(
        [draw(block), *draw(st.lists(section, max_size=3)), *draw(st.lists(host, max_size=3))]
    )


@st.composite
def caddy_texts(draw: st.DrawFn) -> str:
    """Sites, handles, matchers and header directives, rightly nested."""
    matcher = st.sampled_from(["", "*", "/a", "/a*", "/a/*/b", "@x", "@gone"])
    statement = st.builds(
        lambda matcher, mark, name, value: (
            f"header {matcher} {mark}{name.replace(' ', '-')} {quote(value)}"
        ),
        matcher,
        st.sampled_from(["", "+", "-", "?", ">"]),
        NAMES,
        VALUES,
    )
    block = st.lists(statement, max_size=4).map("\n".join)
    handle = st.builds(
        lambda kind, path, body: (
            f"{kind} {path} {{\n{body}\nreverse_proxy app {{\nheader_down -X-A\n}}\n}}"
        ),
        st.sampled_from(["handle", "handle_path", "route"]),
        st.sampled_from(["", "/a*", "/a", "@x"]),
        block,
    )
    site = st.builds(
        lambda host, body, handles: "\n".join(
            [f"{quote(host)} {{", "@x {\npath *.js /b/*\nheader Origin *\n}", body, *handles, "}"]
        ),
        HOSTS,
        block,
        st.lists(handle, max_size=3),
    )
    return "\n".join(draw(st.lists(site, max_size=3)))


@st.composite
def traefik_texts(draw: st.DrawFn) -> str:
    """Routers and middlewares of a file provider."""
    headers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4, unique_by=lambda pair: pair[0]))
    custom = ", ".join(f"{scalar(name)}: {scalar(value)}" for name, value in headers)
    rule = draw(
        st.sampled_from(
            [
                "Host(`a.example`)",
                "Host(`A b`) || PathPrefix(`/a`)",
                "PathPrefix(`/a b`) && Path(`/a b`)",
                "Method(`GET`)",
                "Host(``)",
                "Host(`*`)",
                "",
            ]
        )
    )
    return (
        f"http:\n  routers: {{r: {{rule: {scalar(rule)}, middlewares: [m, gone]}}}}\n "
        f" middlewares:\n    m: {{headers: {{stsSeconds: {draw(st.integers(-1, 99))}, frameDeny:"
        f" true, customResponseHeaders: {{{custom}}}}}}}\n"
    )


@st.composite
def ingress_texts(draw: st.DrawFn) -> str:
    """An Ingress with a snippet, and a ConfigMap."""
    snippet = scalar(
        draw(nginx_texts()).replace("server {", "").replace("}", "").replace("{", ";")[:400]
    )
    path = draw(PLACES)
    host = draw(HOSTS)
    return (
        "kind: Ingress\nmetadata:\n  annotations:\n   "
        f" nginx.ingress.kubernetes.io/configuration-snippet: {snippet}\nspec:\n  rules:\n    -"
        f" host: {scalar(host)}\n      http: {{paths: [{{path: {scalar(path)}, pathType:"
        f" {draw(st.sampled_from(['Prefix', 'Exact', 'x']))}}}]}}\n"
    )


PYTHON = {}
TEXTS = {
    "nginx": nginx_texts(),
    "apache": apache_texts(),
    "caddy": caddy_texts(),
    "traefik": traefik_texts(),
    "ingress": ingress_texts(),
    **PYTHON,
}
FILES = {"traefik": "traefik.yaml", "ingress": "ingress.yaml"}


def loads(form: str, text: str) -> Imported | None:
    """The law: what is imported loads as a policy, and each note has a place in the text; or the
    text is refused.
    """
    name = FILES.get(form, "site.conf")
    try:
        imported = convert({name: text}, form)
    except PolicyError as refusal:
        assert refusal.problems
        return None
    resolved = load_policy(imported.policy_yaml.encode(), "policy.yaml")
    assert resolved.mode == "report-only"
    lines = len(text.split("\n"))
    assert all(
        note.file == name and 0 <= note.line <= lines and note.message.isprintable()
        for note in imported.notes
    )
    return imported


@pytest.mark.parametrize("form", TEXTS)
@settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_configuration_loads(form: str, data: st.DataObject) -> None:
    """Whatever a rightly built configuration says, the policy that comes out loads."""
    assert loads(form, data.draw(TEXTS[form])) is not None or form in FILES


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=examples(60))
@given(
    text=st.text(max_size=200) | st.text("{}<>();:\"'`\\#\n \t/@$%*=header-aXset[],.", max_size=200)
)
@example(text="{" * 5000)
@example(text="a {\n" * 5000)
@example(text="<a>\n" * 5000)
@example(text="[" * 5000)
@example(text="- " * 5000)
def test_any_text(form: str, text: str) -> None:
    """Any text at all is imported or refused, never worse."""
    loads(form, text)


def test_tables_match() -> None:
    """Every format is tried by the law above."""
    assert TEXTS.keys() == FORMATS.keys()


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30)
    | VALUES.filter(str.isprintable)
)
def test_quoting(text: str) -> None:
    """A quoted text reads back as itself, in a block and in a flow."""
    data = load(
        f"a: {scalar(text)}\nb: [{scalar(text)}, {{c: {scalar(text)}}}]\n".encode(), "t"
    ).data
    assert data == {"a": text, "b": [text, {"c": text}]}


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"add_header X-{number} 1;" for number in range(1_010)),
        "add_header X-A 0; add_header X-B 0; add_header X-C 0;\n"
        + "".join(f"location /{number}/ {{ add_header X-A {number}; }}\n" for number in range(390)),
        "".join(
            f"location /{number}/ {{ add_header X-A {str(number) * 4000}; }}\n"
            for number in range(100, 185)
        ),
    ],
    ids=["rules", "routes", "characters"],
)
def test_too_large(text: str) -> None:
    """What would be larger than a policy may be is refused with its size, and never carried in
    part.
    """
    with pytest.raises(PolicyError, match=r"the policy would have \d+ rules over \d+ routes"):
        convert({"site.conf": text}, "nginx")


def test_many_overlaps() -> None:
    """Sections that overlap in more ways than a policy could say are reported, not multiplied."""
    sections = [
        f"<Location /{number}>\nHeader set X-L{number} 1\n</Location>\n<Files *.{number}>\nHeader"
        f" set X-F{number} 1\n</Files>"
        for number in range(30)
    ]
    imported = loads("apache", "\n".join(["Header set X-A 1", *sections]))
    assert imported is not None
    assert "its sections overlap in too many ways; only what is outside them is carried" in [
        note.message for note in imported.notes
    ]
    assert re.findall(r"header: (\S+)", imported.policy_yaml) == ["X-A"]


def test_too_long() -> None:
    """A text that is longer than any configuration is refused before it is read."""
    with pytest.raises(PolicyError, match="longer"):
        convert({"a": "#" * (MAX_CHARS + 1)}, "nginx")


def test_nothing_found() -> None:
    """A text without any header setting gives an empty policy, and says so."""
    imported = loads("nginx", "server { listen 80; }")
    assert imported is not None
    assert [note.message for note in imported.notes] == ["no header setting of nginx was found"]
    assert imported.policy_yaml.endswith("rules: {}\n")


def test_policy_text() -> None:
    """The whole text of a small import: order of the source, a comment on each rule, routes that
    say what is other.
    """
    text = (
        "add_header X-Frame-Options DENY always;\nadd_header X-A 'a: b' always;\nlocation /api/ {\n"
        " add_header X-A c always;\n}"
    )
    assert (
        convert({"site.conf": text}, "nginx").policy_yaml == "version: 1\n"
        "name: imported-nginx\n"
        "reason: imported from site.conf (nginx)\n"
        "mode: report-only  # nothing is changed yet; promote rule by rule on evidence\n"
        "rules:\n"
        "  # site.conf:1\n"
        "  x-frame-options:\n"
        "    header: X-Frame-Options\n"
        "    action: set\n"
        "    value: DENY\n"
        "  # site.conf:2\n"
        "  x-a:\n"
        "    header: X-A\n"
        "    action: append\n"
        '    value: "a: b"\n'
        "routes:\n"
        "  # site.conf:3\n"
        "  - name: api\n"
        "    match:\n"
        "      path: /api/**\n"
        "    rules:\n"
        "      x-frame-options: {mode: off}\n"
        "      # site.conf:4\n"
        "      x-a:\n"
        "        value: c\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server {\n}", "nginx"),
        ("add_header X-A 1;", "nginx"),
        ("Header set X-A 1", "apache"),
        ("<VirtualHost *:80>", "apache"),
        ("a.example {\n\theader X-A 1\n}", "caddy"),
        ("http:\n  middlewares:\n", "traefik"),
        ("kind: Middleware\n", "traefik"),
        ("labels:\n - traefik.http.routers.a.rule=x", "traefik"),
        ("kind: Ingress\n", "ingress"),
        ("kind: Ingress\n  traefik.ingress.kubernetes.io/router.middlewares: a", "traefik"),
        ("data:\n  hsts-max-age: '1'", "ingress"),
        ("nothing of the kind", ""),
    ],
)
def test_guess(text: str, expected: str) -> None:
    """The format is known by words that only it has."""
    assert guess({"file": text}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("frontend site\n    bind :80\n    http-response set-header X-A 1\n", "HAProxy"),
        ("<configuration><system.webServer>", "IIS"),
        ("static_resources:\n  listeners: []\n", "Envoy"),
        ('{"headers": [{"source": "/(.*)"}]}', "Vercel"),
        ("[[headers]]\n  for = '/*'\n", "Netlify"),
        ("/*\n  X-Frame-Options: DENY\n", "_headers"),
        ("module.exports = { async headers() { return []; } };", "Next.js"),
        ("app.use(helmet());", "Helmet"),
        ("Talisman(app)", "Flask-Talisman"),
        ("SECURE_HSTS_SECONDS = 1", "Django"),
        ("from secure import Secure", "secure.py"),
        ("nothing of the kind", ""),
    ],
)
def test_formats_that_are_not_read_are_known(text: str, expected: str) -> None:
    """What is not read is called by its name, and taken for no format that is."""
    assert (guess({"file": text}), guess({"file": text}, "unread")) == ("", expected)
