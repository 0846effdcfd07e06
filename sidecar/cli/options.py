"""Kinds of options that several verbs take."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
"""A file that is there."""
JSON = click.option("--json", "machine", is_flag=True, help="JSON on stdout.")
CACERT = click.option(
    "--cacert", type=FILE, help="Trust these certificate authorities (PEM) and no others."
)
