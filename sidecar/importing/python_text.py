"""Python text read for the literals in it, never run: assignments, calls and their arguments.

Must not know any framework.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from sidecar.importing.draft import SourceLine
from sidecar.importing.syntax import refuse

MAX_DEPTH = 40
MAX_NUMBER = 1 << 40
MAX_LENGTH = 20_000


class Unreadable(ValueError):  # noqa: N818 - not an error of the source, only no literal
    """A value that cannot be known without running the text."""


class Module:
    """A parsed text. `known` holds the values of names that the importer gives, as constants of a library."""

    def __init__(self, name: str, tree: ast.Module, known: Mapping[str, object]) -> None:
        self.name = name
        self.tree = tree
        self.assigned = dict(_assigned(tree))
        self._values = dict(known)

    def source_line(self, node: ast.AST) -> SourceLine:
        """The line of a node."""
        return SourceLine(self.name, getattr(node, "lineno", 0))

    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Every call with the dotted name of what is called, in the order of the lines."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        found.sort(key=lambda node: (node.lineno, node.col_offset))
        yield from ((dotted(node.func), node) for node in found)

    def value(self, node: ast.expr, depth: int = 0) -> object:
        """What an expression of literals and names assigned once means.

        Raises:
            Unreadable: it cannot be known.
        """
        if depth > MAX_DEPTH:
            raise Unreadable
        if isinstance(node, ast.Constant):
            return node.value
        name = dotted(node)
        if name in self.assigned and name not in self._values:
            self._values[name] = self.value(self.assigned[name], depth + 1)
        if name in self._values:
            return self._values[name]
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return [self.value(item, depth + 1) for item in node.elts]
        if isinstance(node, ast.Dict) and all(node.keys):
            return {
                self.value(key, depth + 1): self.value(item, depth + 1)
                for key, item in zip(node.keys, node.values, strict=True)
                if key is not None
            }
        return self._computed(node, depth)

    def _computed(self, node: ast.expr, depth: int) -> object:
        """Negations, sums and products, as far as settings use them."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
            inner = self.value(node.operand, depth + 1)
            if isinstance(inner, int):
                return not inner if isinstance(node.op, ast.Not) else -inner
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mult):
            left, right = self.value(node.left, depth + 1), self.value(node.right, depth + 1)
            if (
                isinstance(left, int)
                and isinstance(right, int)
                and max(abs(left), abs(right)) < MAX_NUMBER
            ):
                return left + right if isinstance(node.op, ast.Add) else left * right
            if (
                isinstance(node.op, ast.Add)
                and isinstance(left, str)
                and isinstance(right, str)
                and len(left) + len(right) < MAX_LENGTH
            ):
                return left + right
            if (
                isinstance(node.op, ast.Add)
                and isinstance(left, list)
                and isinstance(right, list)
                and len(left) + len(right) < MAX_LENGTH
            ):
                return [*left, *right]
        raise Unreadable


def texts(value: object) -> list[str]:
    """A text or a list of texts, as a list.

    Raises:
        Unreadable: it is something else.
    """
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise Unreadable
    return found


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
        ):
            yield node.targets[0].id, node.value
        elif (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.value is not None
        ):
            yield node.target.id, node.value


def dotted(node: ast.AST) -> str:
    """A name with its dots; "" when it is none."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def read_module(name: str, text: str, known: Mapping[str, object] | None = None) -> Module:
    """Parse a text.

    Raises:
        PolicyError: it is not Python.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise refuse(
            SourceLine(name, error.lineno or 0),
            f"not Python: {error.msg}",
            "give the module as it is imported",
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise refuse(
            SourceLine(name), "not Python that can be read", "give the module as it is imported"
        ) from error
    return Module(name, tree, known or {})
