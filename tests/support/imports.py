"""Reads the imports of tui/ from its source: by function, and as a graph of modules."""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def modules() -> dict[str, Path]:
    """Every module of tui, by its dotted name; a package is its `__init__`."""
    found = {}
    for path in sorted((ROOT / "tui").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(
    tree: ast.AST, scope: tuple[str, ...] = (), within: bool = False
) -> Iterator[tuple[tuple[str, ...], bool, ast.Import | ast.ImportFrom]]:
    """(names of the classes and functions around, whether within a function, the import)."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                yield scope, within, node
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield from _imports(node, (*scope, name), True)
            case ast.ClassDef(name=name):
                yield from _imports(node, (*scope, name), within)
            case _:
                yield from _imports(node, scope, within)


def _imported(node: ast.Import | ast.ImportFrom, known: Mapping[str, Path]) -> set[str]:
    """The modules that a statement names, `from package import module` too."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert node.level == 0, "imports are absolute"
    base = node.module or ""
    full = {f"{base}.{alias.name}" for alias in node.names}
    return {name if name in known else base for name in full}


@cache
def _statements() -> list[tuple[str, tuple[str, ...], bool, set[str]]]:
    """(module, scope, whether within a function, imported modules) of every import in tui."""
    known = modules()
    return [
        (name, scope, within, _imported(node, known))
        for name, path in known.items()
        for scope, within, node in _imports(ast.parse(path.read_text("utf-8")))
    ]


def function_level_imports() -> set[str]:
    """Each as ``tui.module.function -> imported.module``."""
    return {
        f"{'.'.join((name, *scope))} -> {target}"
        for name, scope, within, targets in _statements()
        if within
        for target in targets
    }


def foreign_packages() -> set[str]:
    """The packages of others that tui imports anywhere, by the first part of their name."""
    found = {target.partition(".")[0] for _, _, _, targets in _statements() for target in targets}
    return found - {"tui"} - sys.stdlib_module_names


def import_graph() -> dict[str, set[str]]:
    """Module of tui -> the modules of tui that it imports anywhere: at the top, within
    functions, and for type checkers only."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for name, _, _, targets in _statements():
        graph[name] |= targets & graph.keys() - {name}
    return graph


def by_room(graph: Mapping[str, set[str]], within: str) -> dict[str, set[str]]:
    """The same between the packages and modules that stand directly in the package ``within``."""
    made: dict[str, set[str]] = {}
    for name, targets in graph.items():
        if (room := _room(name, within)) is not None:
            others = {_room(target, within) for target in targets} - {room, None}
            made.setdefault(room, set()).update(other for other in others if other)
    return made


def packages(graph: Mapping[str, set[str]]) -> list[str]:
    """The packages that hold a module of the graph."""
    return sorted({name.rpartition(".")[0] for name in graph if "." in name})


def _room(name: str, within: str) -> str | None:
    depth = within.count(".") + 2
    return ".".join(name.split(".")[:depth]) if name.startswith(f"{within}.") else None


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups whose members all reach each other (Tarjan's strongly connected components
    of more than one member)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for target in sorted(graph[name]):
            if target not in order:
                visit(target)
            if target in stack:
                low[name] = min(low[name], low[target])
        if low[name] == order[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in graph:
        if name not in order:
            visit(name)
    return found
