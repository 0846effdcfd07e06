"""Settings: flag before environment before file before default, and every problem named."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from sidecar.policy.data import field_texts
from sidecar.policy.terms import PolicyError
from sidecar.runtime.settings_file import layered
from sidecar.settings import Settings


def refused(
    file: dict[str, Any] | None = None, env: dict[str, str] | None = None, **flags: Any
) -> list[str]:
    """Each problem of a layering, with its path or variable."""
    with pytest.raises(PolicyError) as caught:
        layered(file or {}, env or {}, flags)
    return [
        f"{problem.file or '.'.join(map(str, problem.path))}: {problem.message}"
        for problem in caught.value.problems
    ]


def test_flag_before_environment_before_file_before_default():
    """The nearest to the person who starts it wins; a flag that is not given leaves the rest."""
    file = {"listen": "127.0.0.1:1", "admin": "127.0.0.1:1", "health": "127.0.0.1:1"}
    env = {"SIDECAR_LISTEN": "127.0.0.1:2", "SIDECAR_ADMIN": "127.0.0.1:2"}

    made = layered(file, env, {"listen": "127.0.0.1:3", "admin": None})

    assert (made.listen, made.admin, made.health, made.upstream) == (
        "127.0.0.1:3",
        "127.0.0.1:2",
        "127.0.0.1:1",
        "http://127.0.0.1:8000",
    )


def test_the_environment_reaches_into_the_parts():
    """Two underscores are a step down; values are read as in the file."""
    env = {
        "SIDECAR_TIMEOUTS__HEADER": "500ms",
        "SIDECAR_LIMITS__BODY": "1GiB",
        "SIDECAR_LIMITS__HEADERS": "7",
        "SIDECAR_FORWARDING__TRUSTED": "10.0.0.0/8, fd00::/8",
        "SIDECAR_FORWARDING__VIA": "false",
        "SIDECAR_MODE": "report-only",
        "OTHER_LISTEN": "x",
    }
    file = {"timeouts": {"header": "1s", "idle": "5s"}}

    made = layered(file, env, {})

    assert (made.timeouts.header, made.timeouts.idle, made.limits.body, made.limits.headers) == (
        0.5,
        5.0,
        1 << 30,
        7,
    )
    assert (made.forwarding.trusted, made.forwarding.via, made.mode) == (
        ("10.0.0.0/8", "fd00::/8"),
        False,
        "report-only",
    )
    assert file == {"timeouts": {"header": "1s", "idle": "5s"}}


@pytest.mark.parametrize(
    "variable",
    [
        "SIDECAR_CONFIG",
        "SIDECAR_SERVICE_HOST",
        "SIDECAR_SERVICE_PORT",
        "SIDECAR_SERVICE_PORT_HTTP",
        "SIDECAR_PORT",
        "SIDECAR_PORT_80_TCP",
        "SIDECAR_PORT_80_TCP_ADDR",
    ],
)
def test_what_kubernetes_and_docker_set_beside_a_service_named_sidecar_is_no_setting(variable: str):
    """Nobody wrote these as settings, so they do not stop the start."""
    assert layered({}, {variable: "tcp://10.0.0.1:80"}, {}) == Settings()


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"file": {"listn": "x"}}, ["listn: unknown key 'listn'"]),
        ({"file": {"timeouts": {"headers": "1s"}}}, ["timeouts.headers: unknown key 'headers'"]),
        ({"file": {"timeouts": "1s"}}, ["timeouts: timeouts must be a mapping, got text"]),
        ({"file": {"timeouts": {"header": 5}}}, ["timeouts.header: unknown duration 5"]),
        (
            {"file": {"limits": {"body": "16MB", "headers": 0}}},
            [
                "limits.body: unknown size '16MB'",
                "limits.headers: headers must be at least 1, got 0",
            ],
        ),
        (
            {"file": {"listen": "18000", "admin": "127.0.0.1:70000", "health": ":1"}},
            [
                "listen: unknown address '18000'",
                "admin: unknown address '127.0.0.1:70000'",
                "health: unknown address ':1'",
            ],
        ),
        (
            {"env": {"SIDECAR_ADMIN": "http://127.0.0.1:19000"}},
            ["SIDECAR_ADMIN: unknown address 'http://127.0.0.1:19000'"],
        ),
        (
            {"env": {"SIDECAR_TIMEOUTS__HEADER": "soon", "SIDECAR_NO_SUCH": "1"}},
            [
                "SIDECAR_TIMEOUTS__HEADER: unknown duration 'soon'",
                "SIDECAR_NO_SUCH: unknown key 'no_such'",
            ],
        ),
        (
            {"env": {"SIDECAR_TIMEOUTS": "5s", "SIDECAR_TIMEOUTS__HEADER": "5s"}},
            ["SIDECAR_TIMEOUTS: timeouts must be a mapping, got text"],
        ),
        ({"mode": "enfroce"}, ["--mode: unknown mode 'enfroce'"]),
        (
            {"file": {"forwarding": {"trusted": ["10.0.0.1/8"]}}},
            ["forwarding.trusted: unknown network '10.0.0.1/8'"],
        ),
        *(
            ({"file": {part: {key: value}}}, [f"{part}.{key}: {problem}"])
            for part, key, value, problem in (
                ("forwarding", "request_id", "bad name", "illegal header name 'bad name'"),
                ("forwarding", "request_id", "Host", "Host has another meaning"),
                (
                    "forwarding",
                    "request_id",
                    "X-Forwarded-For",
                    "X-Forwarded-For has another meaning",
                ),
                ("forwarding", "request_id", "X_ID", "services read 'X_ID' as another name"),
                ("forwarding", "host", "a b", "unknown host 'a b'"),
                ("forwarding", "host", "caf\xe9", "unknown host 'caf\xe9'"),
                ("forwarding", "host", "Rewrite", "unknown host 'Rewrite'"),
                ("timeouts", "connect", "0s", "a timeout of 0s would end everything"),
                ("timeouts", "header", -1.0, "unknown duration -1.0"),
                ("trial", "canary", 5.0, "unknown percentage 5.0"),
                ("fleet", "quorum", 2.5, "unknown quorum 2.5"),
            )
        ),
        ({"file": {"tls": {"key": "k.pem"}}}, ["tls: key without certificate does nothing"]),
        (
            {"file": {"tls": {"upstream_key": "k.pem"}}},
            ["tls: upstream_key without upstream_certificate does nothing"],
        ),
        ({"file": {"workers": 65}}, ["workers: workers must be at most 64, got 65"]),
        (
            {"file": {"forwarding": {"trusted": 5}}},
            ["forwarding.trusted: write a list of networks, as [10.0.0.0/8]"],
        ),
    ],
)
def test_every_problem_is_named(given: dict[str, Any], problems: list[str]):
    """By the variable of the environment, the flag, or the path in the file; all at once."""
    assert sorted(refused(**given)) == sorted(problems)


@pytest.mark.parametrize(
    "upstream",
    ["http://127.0.0.1:8000", "https://app.internal", "http://[::1]:8000/", "unix:/run/app.sock"],
)
def test_upstreams(upstream: str):
    """Scheme, host and port, or a socket's path."""
    assert layered({"upstream": upstream}, {}, {}).upstream == upstream


@pytest.mark.parametrize(
    "upstream",
    [
        "127.0.0.1:8000",
        "ftp://a",
        "http://",
        "http://a:0",
        "http://a:x",
        "http://a:70000",
        "unix:",
        "unix:app.sock",
        "http://a/path",
        "http://u:p@a",
        "http://a?b",
        "http://a#b",
        "http://[::1",
        5,
    ],
)
def test_no_upstreams(upstream: object):
    """A path would be silently dropped, a user would be silently ignored: both are refused."""
    assert len(refused({"upstream": upstream})) == 1


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "[::1]:18000", "localhost:65535", "unix:/run/sidecar.sock"]
)
def test_addresses(address: str):
    """HOST:PORT, port 0 for any, or a socket's path."""
    assert layered({"listen": address}, {}, {}).listen == address


def test_settings_are_frozen():
    """A process runs as it was started."""
    with pytest.raises(ValidationError):
        Settings().listen = "127.0.0.1:1"  # type: ignore[misc]


def nouns(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and those inside it."""
    inner = [
        field.annotation
        for field in model.model_fields.values()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    ]
    return [model, *(found for part in inner for found in nouns(part))]


def test_every_setting_is_documented_and_has_a_default():
    """The text below it is its reference; a part's is its docstring."""
    texts = field_texts("sidecar", "settings.py")
    undone = [
        (noun.__name__, name)
        for noun in nouns(Settings)
        for name, field in noun.model_fields.items()
        if field.is_required()
        or not (
            texts[noun.__name__].get(name)
            or (isinstance(field.annotation, type) and field.annotation.__doc__)
        )
    ]

    assert undone == []


def test_the_settings_schema_takes_the_defaults_as_written():
    """Editors complete settings from it, as they do policies."""
    schema = Settings.model_json_schema()
    Draft202012Validator.check_schema(schema)

    assert Draft202012Validator(schema).is_valid(
        {
            "listen": "127.0.0.1:1",
            "timeouts": {"header": "5s"},
            "limits": {"body": "1MiB"},
            "forwarding": {"trusted": ["10.0.0.0/8"]},
        }
    )
    assert not Draft202012Validator(schema).is_valid({"listn": "127.0.0.1:1"})


def test_a_worker_gets_the_same_settings_as_its_parent():
    """Dumped as JSON and read again, nothing is lost."""
    made = layered(
        {
            "timeouts": {"header": "1.5s"},
            "limits": {"body": "3KiB"},
            "forwarding": {"trusted": ["10.0.0.0/8"]},
            "mode": "off",
        },
        {},
        {},
    )

    assert (
        Settings.model_validate_json(made.model_dump_json())
        == Settings.model_validate(made.model_dump(mode="json"))
        == made
    )
