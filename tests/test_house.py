"""How the tests themselves are laid out."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def imported(path: Path) -> set[str]:
    """The modules that a file imports, `from a import b` as both ``a`` and ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def test_no_test_imports_a_test() -> None:
    """What several of them need stands in `tests/support`."""
    importing = {
        str(path.relative_to(TESTS)): name
        for path in TESTS.rglob("*.py")
        for name in imported(path)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    }
    assert importing == {}


def test_a_test_stands_in_the_room_of_what_it_tests() -> None:
    """Each folder of tests is one of the program or has a module's name, but for the real
    terminals."""
    program = TESTS.parent / "tui"
    rooms = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    known = [(program / room).is_dir() or (program / f"{room}.py").is_file() for room in rooms]
    assert [room for room, is_one in zip(rooms, known, strict=True) if not is_one] == [
        Path("terminal")
    ]
