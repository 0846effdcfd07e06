"""The generated parts of the documents: `python -m tests.documents --write` brings them up to date,
a test compares.

Reference tables from the models, the metric table and the command line; drawn pictures.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from bench import chart
from docs import diagrams
from sidecar.cli import commands
from sidecar.codes import table
from sidecar.policy.data import field_texts
from sidecar.policy.model import Attributes, Guard, Match, Policy, Route, Rule, When, schema
from sidecar.settings import Settings
from sidecar.telemetry.metric_table import METRICS
from tests import manual
from tests.cli import VERBS
from tests.exporting import abilities
from tests.zoo import figures
from tests.zoo.table import read, truth

ROOT = Path(__file__).parent.parent
MANUAL = ROOT / "deploy" / "man" / "sidecar.1"
_PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _type(data: Mapping[str, Any]) -> str:
    """A JSON Schema's type in words."""
    if "$ref" in data:
        return data["$ref"].rpartition("/")[2].lower()
    if "enum" in data:
        return " \\| ".join(f"`{value}`" for value in data["enum"])
    if "const" in data:
        return f"`{data['const']}`"
    if "anyOf" in data or "oneOf" in data:
        known = [
            _type(item) for item in data.get("anyOf") or data["oneOf"] if item.get("type") != "null"
        ]
        return " or ".join(dict.fromkeys(known))
    kind = data.get("type", "")
    words = {
        "string": "text",
        "array": "list",
        "object": "mapping",
        "integer": "whole number",
        "boolean": "true or false",
    }
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(words.get(one, one) for one in kinds)


def _model(model: type[BaseModel], data: Mapping[str, Any]) -> Iterator[str]:
    described = data if model is Policy else data["$defs"][model.__name__]
    yield f"### {model.__name__}"
    yield ""
    yield " ".join((model.__doc__ or "").split())
    yield ""
    yield "| key | takes | meaning |"
    yield "|---|---|---|"
    for name, field in described["properties"].items():
        needed = " **(needed)**" if name in described.get("required", ()) else ""
        yield f"| `{name}` | {_type(field)} | {field.get('description', '')}{needed} |"
    yield ""


def policy_reference() -> str:
    """Every key of the policy file."""
    data = schema()
    return "\n".join(
        line
        for model in (Policy, Rule, When, Attributes, Route, Match, Guard)
        for line in _model(model, data)
    )


def settings_reference() -> str:
    """Every setting, with its environment variable and default."""
    lines = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    texts = field_texts("sidecar", "settings.py")

    def walk(model: type[BaseModel], held: Any, path: tuple[str, ...]) -> None:
        for name, field in model.model_fields.items():
            value, here = getattr(held, name), (*path, name)
            if isinstance(value, BaseModel):
                walk(type(value), value, here)
                continue
            shown = "" if value in (None, ()) else _shown(name, field.annotation, value, path)
            lines.append(
                f"| `{'.'.join(here)}` | `SIDECAR_{'__'.join(here).upper()}` | {shown} |"
                f" {texts[model.__name__][name]} |"
            )

    walk(Settings, Settings(), ())
    return "\n".join(lines)


def _shown(name: str, annotation: Any, value: Any, path: tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        if path == ("trial",) or name == "share":
            return f"`{value:.0%}`"
        return f"`{value / 86_400:g}d`" if value >= 86_400 else f"`{value:g}s`"
    if isinstance(value, int) and (name in ("header_bytes", "target_bytes", "body") and path):
        units = next(
            (
                (size, unit)
                for size, unit in ((1 << 20, "MiB"), (1 << 10, "KiB"))
                if value % size == 0
            ),
            (1, "B"),
        )
        return f"`{value // units[0]}{units[1]}`"
    return f"`{value}`"


def metrics_reference() -> str:
    """Every metric with its labels."""
    rows = [
        f"| `{name}` | {row.kind} | {', '.join(f'`{label}`' for label in row.labels)} |"
        f" {row.help} |"
        for name, row in METRICS.items()
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows])


def cli_reference() -> str:
    """The help of every verb, as `--help` prints it."""
    lines = []
    front = click.Context(commands, info_name="sidecar", **commands.context_settings)
    for name, verb in VERBS.items():
        context = click.Context(
            verb, info_name=name, parent=front, terminal_width=100, max_content_width=100
        )
        lines += [f"## {name}", "", "```text", verb.get_help(context), "```", ""]
    return "\n".join(lines).rstrip()


def codes_reference() -> str:
    """Every code that `check` can say, worst first in each group of names."""
    lines = []
    for row in table().values():
        found = row.finding()
        lines += [
            f"## {row.name}",
            "",
            f"{found.severity.capitalize()}. {row.why}" if found else row.why,
            "",
        ]
        shown = [
            f"{title}  {line}"
            for title, example in (("wrong", row.wrong), ("right", row.right))
            for line in (example.lines if example else ())
        ]
        lines += ["```text", *shown, "```", ""] if shown else []
        if found:
            lines += [f"It says: *{row.says()}.*", ""]
        link = row.url if row.url.startswith("https:") else f"../{row.url}"
        lines += [f"Source: [{row.source}]({link}).", ""]
    return "\n".join(lines).rstrip()


def zoo_in_words() -> str:
    """What the table of the sites says, in numbers."""
    rows = read((ROOT / "docs" / "zoo.md").read_text("utf-8"))
    ends = Counter((truth(row), row.after_trial) for row in rows)
    breaking = sum(row.breaks for row in rows)
    unseen = sum(row.site.witness == "nobody" and row.breaks for row in rows)
    text = (
        f"`python -m tests.zoo` opens {len(rows)} small sites in a real Chromium, each with one"
        " rule, and finds the truth by enforcing the rule. Of the rules"
        f" {breaking} break their site: after a trial {ends['breaks', 'pass'] or 'none'} of them"
        f" passed, {ends['breaks', 'fail']} failed, and {ends['breaks', 'inconclusive']} stayed"
        f" inconclusive ({unseen} of the {breaking} nobody can judge). Of the"
        f" {len(rows) - breaking} harmless rules {ends['harmless', 'pass']} passed,"
        f" {ends['harmless', 'inconclusive']} stayed inconclusive, and"
        f" {ends['harmless', 'fail'] or 'none'} failed."
    )
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def pictures() -> dict[str, str]:
    """Path of each drawn picture: what the documents as they stand make of it."""
    measured = (ROOT / "docs" / "performance.md").read_text("utf-8")
    sites = read((ROOT / "docs" / "zoo.md").read_text("utf-8"))
    return {
        f"docs/{chart.PICTURE}": chart.drawn(chart.figures(measured)),
        **figures.drawn(sites),
        **diagrams.drawn(),
    }


PARTS: Mapping[str, Callable[[], str]] = {
    "zoo": zoo_in_words,
    "policy": policy_reference,
    "settings": settings_reference,
    "metrics": metrics_reference,
    "commands": cli_reference,
    "codes": codes_reference,
    "exports": abilities.table,
}


def refreshed(text: str) -> str:
    """A document with its generated parts made anew."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found['name']]()}\n\n{found[3]}", text)


def documents() -> list[Path]:
    """The documents that have generated parts."""
    found = (
        path
        for path in (
            ROOT / "README.md",
            *ROOT.glob("config/**/*.md"),
            *ROOT.glob("deploy/**/*.md"),
            *ROOT.glob("docs/**/*.md"),
        )
        if path.exists()
    )
    return sorted(path for path in found if _PART.search(path.read_text("utf-8")))


def main() -> int:
    """Write, or say what is out of date."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    stale = [
        path
        for path in documents()
        if refreshed(path.read_text("utf-8")) != path.read_text("utf-8")
    ]
    for path in stale:
        if write:
            path.write_text(refreshed(path.read_text("utf-8")), "utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}: {'written' if write else 'out of date'}\n")
    for name, text in pictures().items():
        if not (ROOT / name).exists() or (ROOT / name).read_text("utf-8") != text:
            stale.append(ROOT / name)
            if write:
                (ROOT / name).write_text(text, "utf-8")
            sys.stdout.write(f"{name}: {'written' if write else 'out of date'}\n")
    if write:
        MANUAL.write_text(manual.text(), "ascii")
    return 0 if write or not stale else 1


if __name__ == "__main__":
    sys.exit(main())
