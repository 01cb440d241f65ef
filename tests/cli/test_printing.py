"""What a command prints passes a function that a terminal's commands do not survive."""

import ast
from collections.abc import Iterator
from pathlib import Path

import tui

PROGRAM = Path(tui.__file__).parent
CLEANING = {"one_line", "clean", "table", "tables", "json_text", "path_text"}
"""Of `tui.text.sanitise` and `tui.cli.support.printing`."""
HARMLESS = {"format_size", "len", "_help", "_table"}
REVIEWED = {
    "cli/__init__.py": ["'\\n'.join(completion.candidates(words, COMMANDS))"],
    "cli/commands/compare.py": ["text"],
    "cli/commands/completion.py": ["SCRIPTS[shell]"],
    "cli/commands/doctor.py": ["fault_report.render(findings)"],
    "cli/commands/rank.py": ["say(_ON_RATINGS[found['ratings']], n=bradley_terry.MIN_QUESTIONS)"],
    "cli/commands/rate.py": ["text"],
    "cli/commands/replay.py": ["text"],
    "cli/commands/report.py": ["redact_secrets(text)"],
    "cli/commands/run.py": ["line", "f'\\r{text}\\x1b[K'"],
    "cli/support/download_progress.py": [
        "f'\\r{text}{padding}'",
        "f\"\\r{' ' * self._width}\\r\" if clear else '\\n'",
    ],
    "cli/support/logs.py": ["secrets.redact_secrets(traceback.format_exc())"],
}
"""Numbers and words of this program, lines that are cleaned where they are made (the hostile
sessions and reports of other tests show it), and the log."""


def unclean(source: str) -> Iterator[str]:
    """What is printed and neither a constant nor cleaned."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="print") | ast.Attribute(attr="write"), args=args):
                yield from (ast.unparse(one) for one in args if not is_clean(one))


def is_clean(node: ast.expr) -> bool:
    match node:
        case ast.Constant() | ast.Call(func=ast.Name(id="one_line")):
            return True
        case ast.Call(func=ast.Name(id="tr"), args=[ast.Constant()]):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in CLEANING | HARMLESS
        case ast.IfExp(body=one, orelse=other):
            return is_clean(one) and is_clean(other)
        case ast.Call(func=ast.Attribute(attr="join"), args=[ast.GeneratorExp(elt=each)]):
            return is_clean(each)
        case ast.JoinedStr(values=values):
            return all(map(is_clean, values))
        case ast.FormattedValue(value=value):
            return is_clean(value) or ast.unparse(value) in ("tui.__version__", "default")
    return False


def as_written(text: str) -> str:
    """As this Python writes an expression: another one chooses other quotes."""
    return ast.unparse(ast.parse(text, mode="eval"))


def test_what_is_printed_is_cleaned_or_was_looked_at() -> None:
    new = {
        f"{place}: {text}"
        for path in (PROGRAM / "cli").rglob("*.py")
        for text in unclean(path.read_text("utf-8"))
        if text not in map(as_written, REVIEWED.get(place := str(path.relative_to(PROGRAM)), ()))
    }
    assert new == set(), "wrap it in one_line() or clean()"


def test_text_of_others_is_found() -> None:
    assert list(unclean("print(f'{model.label}: loading', file=sys.stderr)"))
    assert not list(unclean("print(one_line(f'{model.label}: loading'), file=sys.stderr)"))
