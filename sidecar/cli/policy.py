"""The verbs about a policy as written: check, explain, schema, presets. Must not know a running process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sidecar.cli.printing import as_json, complain, err, mode_text, out, problem_data, table
from sidecar.cli.run import read_settings
from sidecar.policy.conditions import Facts, RawFields
from sidecar.policy.explain import Explanation, Step, explain
from sidecar.policy.model import MODES, Mode, PolicyError, schema
from sidecar.policy.plan import compile_policy
from sidecar.policy.resolve import Resolved
from sidecar.source import load_policy, preset_texts


def read_policy(file: Path) -> Resolved:
    """The complete policy of a file.

    Raises:
        PolicyError: with every problem.
        click.UsageError: the file cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from error
    return load_policy(data, str(file))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="Check this settings file too.")
@click.option("--json", "machine", is_flag=True, help="JSON on stdout.")
def check(files: tuple[Path, ...], config: Path | None, machine: bool) -> None:
    """Check policy files as `run` would read them; every problem at once, with its place and cure."""
    results: list[dict[str, Any]] = []
    if config is not None:
        read_settings(config, {})
    for file in files:
        try:
            resolved = read_policy(file)
        except PolicyError as error:
            results.append({"file": str(file), "ok": False, "problems": [problem_data(problem) for problem in error.problems]})
            if not machine:
                complain(error.problems, _excerpts(file, error))
            continue
        rules = sorted({named.name for route in resolved.routes for named in route.rules})
        result = {"file": str(file), "ok": True, "revision": resolved.revision(), "mode": resolved.mode, "rules": rules, "routes": len(resolved.routes), "problems": []}
        results.append(result)
        if not machine:
            err().print(f"{file}: ok: revision {result['revision']}, mode {resolved.mode}, {len(rules)} rules, {len(resolved.routes)} routes")
    if machine:
        as_json({"files": results})
    sys.exit(0 if all(result["ok"] for result in results) else 1)


def _excerpts(file: Path, error: PolicyError) -> list[str]:
    if str(file) == "-":
        return []
    lines = file.read_text("utf-8", "replace").splitlines()
    return [
        f"{lines[problem.line - 1]}\n{' ' * (problem.column - 1)}^" if 0 < problem.line <= len(lines) else "" for problem in error.problems
    ]


@click.command("explain")
@click.option("--policy", "file", type=click.Path(path_type=Path), default=Path("policy.yaml"), show_default=True, envvar="SIDECAR_POLICY")
@click.option("--method", default="GET", show_default=True, help="Of the request.")
@click.option("--host", default="localhost", show_default=True, help="Of the request.")
@click.option("--path", default="/", show_default=True, help="Of the request, without query.")
@click.option("--scheme", type=click.Choice(("http", "https")), default="https", show_default=True, help="How the client speaks.")
@click.option("--request-header", multiple=True, metavar="NAME:VALUE", help="A header of the request; may be repeated.")
@click.option("--status", type=click.IntRange(100, 599), default=200, show_default=True, help="Of the service's answer.")
@click.option("-H", "--header", multiple=True, metavar="NAME:VALUE", help="A header of the service's answer; may be repeated.")
@click.option("--answer", type=click.File("rb"), help="The answer's head as `curl -si` prints it; - reads stdin.")
@click.option("--override", type=click.Choice(MODES), help="Suppose this runtime ceiling.")
@click.option("--json", "machine", is_flag=True, help="JSON on stdout.")
def explain_verb(
    file: Path, method: str, host: str, path: str, scheme: str, request_header: tuple[str, ...], status: int, header: tuple[str, ...], answer: Any, override: Mode | None, machine: bool
) -> None:
    """Say what would become of one answer, rule by rule, and why a rule does not apply."""
    fields = [_field(line) for line in header]
    if answer is not None:
        status, fields = _head(answer.read(1 << 20), fields)
    plan = compile_policy(read_policy(file), override=override)
    route = plan.route(host, method, path.partition("?")[0])
    facts = Facts(method, host, path.partition("?")[0], scheme, [_field(line) for line in request_header], status, fields)
    told = explain(route, facts)
    if machine:
        as_json(_explained(told, plan.mode))
    else:
        _print(told, plan.mode)


def _field(line: str) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise click.UsageError(f"unknown header {line!r}; write NAME:VALUE")
    return name.strip().encode("utf-8", "surrogateescape"), value.strip().encode("utf-8", "surrogateescape")


def _head(raw: bytes, more: RawFields) -> tuple[int, RawFields]:
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].split(b"\n")
    words = head[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise click.UsageError("the answer does not start with a status line; use `curl -si`")
    return int(words[1]), [*(_field(line.decode("utf-8", "surrogateescape")) for line in head[1:] if line), *more]


def _shown(values: tuple[bytes, ...] | None) -> list[str]:
    return [value.decode("latin-1") for value in values or ()]


def _explained(told: Explanation, mode: Mode) -> dict[str, Any]:
    def lines(fields: RawFields) -> list[list[str]]:
        return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]

    def step(step: Step) -> dict[str, Any]:
        found = step.finding
        finding = None
        if found is not None:
            finding = {"kind": found.kind, "action": found.action, "made": found.made, "before": _shown(found.before), "after": None if found.after is None else _shown(found.after)}
        return {"rule": step.rule, "header": step.header, "mode": step.mode, "ceiling": step.ceiling, "origin": step.origin, "applies": step.applies, "reason": step.reason, "finding": finding}

    return {"route": told.route, "mode": mode, "classes": list(told.classes), "before": lines(told.before), "steps": [step(item) for item in told.steps], "after": lines(told.after)}


def _print(told: Explanation, mode: Mode) -> None:
    console = out()
    console.print(Text.assemble(("route ", "bold"), told.route, ("   mode ", "bold"), mode_text(mode), ("   class ", "bold"), ", ".join(told.classes) or "none"))
    console.print()
    rows = []
    for step in told.steps:
        found = step.finding
        now = ", ".join(_shown(found.before)) if found else ""
        then = "" if found is None or found.after is None else (", ".join(_shown(found.after)) or "(removed)")
        style = "green" if found and found.made else "yellow" if found else "dim"
        rows.append((step.rule, mode_text(step.mode), step.ceiling, step.header, Text(step.reason, style=style), now, then, step.origin))
    table("Rules in order", ("rule", "mode", "set by", "header", "why", "service sends", "policy wants", "from"), rows)
    console.print()
    before, after = list(told.before), list(told.after)
    console.print(Text("Answer that leaves", style="bold"))
    for field in after:
        text = f"{field[0].decode('latin-1')}: {field[1].decode('latin-1')}"
        console.print(Text(f"  {text}") if field in before else Text(f"+ {text}", style="green"))
    for field in before:
        if field not in after:
            console.print(Text(f"- {field[0].decode('latin-1')}: {field[1].decode('latin-1')}", style="red"))


@click.command("schema")
def schema_verb() -> None:
    """Print the JSON Schema of the policy file, for editors."""
    as_json(schema())


@click.command()
@click.argument("name", required=False)
@click.option("--json", "machine", is_flag=True, help="JSON on stdout.")
def presets(name: str | None, machine: bool) -> None:
    """List the shipped presets, or print one as it is written."""
    texts = preset_texts()
    if name is not None and name not in texts:
        raise click.UsageError(f"unknown preset {name!r}; known: {', '.join(texts)}")
    if name is not None:
        click.echo(texts[name], nl=False)
        return
    loaded = {known: load_policy(text.encode(), f"{known}.yaml") for known, text in texts.items()}
    rows = [(known, len(resolved.routes[-1].rules), resolved.policy.reason) for known, resolved in loaded.items()]
    if machine:
        as_json([{"name": known, "rules": rules, "about": about} for known, rules, about in rows])
    else:
        table("", ("preset", "rules", "about"), rows)


VERBS = (check, explain_verb, schema_verb, presets)
