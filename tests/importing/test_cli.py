"""The verb `import` on the command line: where the policy goes, where the notes go, and the exit
codes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli import commands
from sidecar.cli.importing import import_verb
from sidecar.source import load_policy


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of which one line cannot be carried."""
    file = tmp_path / "site.conf"
    file.write_text("add_header X-A 1 always;\nadd_header X-B $host;\n")
    return file


def run(*args: object, text: str | None = None) -> Result:
    return CliRunner().invoke(import_verb, [str(arg) for arg in args], input=text)


def test_policy_and_notes(config: Path) -> None:
    """The policy is all of stdout, the notes stand on stderr with file and line, and the exit
    code is 0.
    """
    result = run(config)
    assert result.exit_code == 0
    assert [named.name for named in load_policy(result.stdout.encode(), "p").routes[-1].rules] == [
        "x-a"
    ]
    assert (
        f"{config}:2: warning: add_header X-B: the variable $host cannot be carried"
        in result.stderr
    )


def test_mistakes_are_not_carried_silently(tmp_path: Path) -> None:
    """What is wrong in the values that were imported is said as `check` says it, after the notes
    and at most three of a rule, and the next command is named.
    """
    file, target = tmp_path / "site.conf", tmp_path / "policy.yaml"
    value = "img-src data, connect-src wss; font-src blob; style-src self"
    file.write_text(f'add_header Content-Security-Policy "{value}" always;\n')
    result = run(file, "--output", target)
    assert result.exit_code == 0
    assert f"{target}:10:12: warning: rule 'content-security-policy'" in result.stderr
    assert "write data: [csp-no-colon]" in result.stderr
    assert f"{target}: 2 more on rule 'content-security-policy'" in result.stderr
    assert result.stderr.endswith(
        f"next: sidecar check {target} && sidecar run --policy {target}\n"
    )
    codes = [one["code"] for one in json.loads(run(file, "--json").stdout)["mistakes"]]
    assert "csp-comma" in codes


def test_strict(config: Path) -> None:
    """--strict turns what could not be carried into exit code 1, and a difference not."""
    assert run(config, "--strict").exit_code == 1
    config.write_text("add_header X-Frame-Options DENY;\n")
    assert run(config, "--strict").exit_code == 0


def test_output(config: Path, tmp_path: Path) -> None:
    """--output writes a new file, and never over one that may be in force."""
    target = tmp_path / "policy.yaml"
    result = run(config, "--output", target)
    assert (result.exit_code, result.stdout) == (0, "")
    written = target.read_text()
    assert written.startswith("version: 1\n")
    again = run(config, "--output", target)
    assert again.exit_code == 2
    assert "exists" in again.stderr
    assert target.read_text() == written


def test_json(config: Path) -> None:
    """--json is one document with the format, the policy and the notes."""
    data = json.loads(run(config, "--json").stdout)
    assert data["from"] == "nginx"
    assert load_policy(data["policy"].encode(), "p").mode == "report-only"
    assert [(note["line"], note["severity"]) for note in data["notes"]] == [
        (1, "info"),
        (2, "warning"),
    ]


def test_stdin() -> None:
    """- reads stdin."""
    assert "header: X-A" in run("-", text="Header set X-A 1").stdout


@pytest.mark.parametrize(
    ("args", "text", "data"),
    [
        (("-",), "nothing of the kind", "unknown format; these are read: apache, caddy"),
        (
            ("-",),
            "app.use(helmet())",
            "settings of Helmet are not read; these are read: apache, caddy",
        ),
        (("-",), "frontend a\n", "settings of HAProxy are not read; these are read: apache, caddy"),
        (("--har", "x.har", "site.conf"), None, "or settings FILES, not both"),
        (("http://127.0.0.1:1/",), None, "http://127.0.0.1:1/: no response"),
        (("nowhere.conf",), None, "nowhere.conf: No such file"),
        (("--from", "iis", "-"), "", "settings of iis are not read; these are read: apache, caddy"),
        ((), None, "give URLs (http://HOST/PATH) and --har FILE, or settings FILES"),
    ],
)
def test_usage(args: tuple[str, ...], text: str | None, data: str) -> None:
    """What is asked wrongly is exit code 2, with the word that is wrong."""
    result = run(*args, text=text)
    assert result.exit_code == 2
    assert data in result.stderr


def test_not_text(tmp_path: Path) -> None:
    """A file that is no text is refused with the line at which it ends to be one."""
    file = tmp_path / "a.conf"
    file.write_bytes(b"server {\n\xff\xfe")
    result = CliRunner().invoke(commands, ["import", str(file)])
    assert result.exit_code == 1
    assert f"{file}:2: error: the file is not UTF-8" in result.stderr


def test_archives(tmp_path: Path) -> None:
    """--har takes what an archive holds: values of a header in two responses to one request show
    that it changes.
    """
    archive = tmp_path / "site.har"

    def entry(number: int) -> dict[str, object]:
        fields = {"content-type": "text/html", "x-frame-options": "DENY", "pragma": str(number)}
        return {
            "request": {"method": "GET", "url": "https://shop.example/", "headers": []},
            "response": {
                "status": 200,
                "headers": [{"name": name, "value": value} for name, value in fields.items()],
            },
        }

    archive.write_text(json.dumps({"log": {"entries": [entry(1), entry(2)]}}))
    result = run("--har", archive)
    assert [named.name for named in load_policy(result.stdout.encode(), "p").routes[-1].rules] == [
        "x-frame-options"
    ]
    assert "Pragma: its value changes with every response on /" in result.stderr
