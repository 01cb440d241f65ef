"""Benchmarks stand by themselves: tests may use what they use, never the other way."""

import ast
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def imported(program: str) -> set[str]:
    """The modules that a program imports, also within functions and in programs that it holds
    as strings."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(program)):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module)):
                found.add(module)
            case ast.Constant(value=str(text)) if "import " in text:
                try:
                    found |= imported(text)
                except SyntaxError:
                    continue
    return found


def test_no_benchmark_imports_tests() -> None:
    programs = sorted(BENCHMARKS.rglob("*.py"))
    assert len(programs) > 20
    for path in programs:
        modules = imported(path.read_text())
        assert not {name for name in modules if name.partition(".")[0] == "tests"}, path
