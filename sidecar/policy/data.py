"""Files beside modules: how all are read, and the tables of the policy core, which are JSON."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from itertools import pairwise
from pkgutil import get_data
from typing import Any


def read_text(package: str, name: str) -> str:
    """The file `name` of a package; raises OSError where there is none."""
    return (get_data(package, name) or b"").decode()


def read_table(package: str, name: str) -> Any:
    """What that holds as JSON."""
    return json.loads(read_text(package, name))


MEDIA_TYPES = read_table("sidecar.policy", "media_types.json")
"""What is known of media types, all in lower case without parameters.

`classes`: of which class of responses they are; `contents`: the names that baselines have for them
(* stands for any end); `javascript`: the JavaScript MIME types (MIME Sniffing section 4.6);
`shown`: types beside images, media and texts that browsers show; `saved`: texts that they save
instead; `opaque`: types that Opaque Response Blocking refuses to other origins once sniffing is off
(Fetch, ORB).
"""


def media_types(group: str) -> frozenset[bytes]:
    """The types of a group, as they are compared with what is sent."""
    return frozenset(text.encode() for text in MEDIA_TYPES[group])


def field_texts(package: str, module: str) -> Mapping[str, Mapping[str, str]]:
    """By class and field of a module's models: the docstring below the field, as one line.

    Read from the source when somebody asks for a schema or reference: a process that runs needs
    none of it.
    """
    classes = ast.parse(read_text(package, module)).body
    return {one.name: _texts(one) for one in classes if isinstance(one, ast.ClassDef)}


def _texts(model: ast.ClassDef) -> dict[str, str]:
    found = {}
    for field, below in pairwise(model.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found
