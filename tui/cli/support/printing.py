"""Data on stdout: JSON and tables that no foreign text can turn against the terminal."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tui.events import TORCH, Body, Load, Loaded
from tui.host.terminal import write_utf8
from tui.text.sanitise import one_line
from tui.text.translation import tr
from tui.text.width import text_width

_RISKY = re.compile("[\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_MARKS = ("duibi: ", "  -> ")


def json_text(value: object) -> str:
    """JSON on one line. Text stays readable; what a terminal would act on is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _RISKY.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_json(value: object) -> None:
    """JSON on stdout, a line of UTF-8 whatever the locale: programs read it."""
    write_utf8()
    print(json_text(value))


def load_line(loaded: Loaded) -> str:
    """What computes a model: its format and whose kernels, with what is amiss with them; empty
    where that is not known, or no CPU computes."""
    if not loaded.kernels:
        return ""
    whose = kernels_words(loaded.kernels)
    note = f" ({loaded.kernels_note})" if loaded.kernels_note else ""
    return f"{loaded.dtype}, {whose}{note}"


COMPILING = "compiling the kernels for this CPU, once"


def told_stage(body: Body) -> str:
    """What is said of a stage of loading that may take minutes without a figure; else nothing."""
    return COMPILING if isinstance(body, Load) and body.stage == "kernels" else ""


def kernels_words(kernels: str) -> str:
    """Whose kernels compute, in words; ``kernels`` as in `tui.events.Loaded`."""
    return "torch's kernels" if kernels == TORCH else f"own kernels, {kernels}"


def tell(text: str) -> None:
    """A line for a person, on stderr and in their language; ``duibi: `` and ``  -> `` before it
    stay."""
    print(one_line(in_words(text)), file=sys.stderr, flush=True)


def in_words(text: str) -> str:
    """A line in the language of its reader, what marks it as a line of this program as it is."""
    mark = next((mark for mark in _MARKS if text.startswith(mark)), "")
    return mark + tr(text.removeprefix(mark))


def about(name: str, text: str) -> str:
    """A text of the program, in the language of its reader, behind the name that it is about:
    translated apart, as a name may hold anything."""
    return f"{name}{tr(': ')}{tr(text)}" if name else tr(text)


def heads(*names: str) -> tuple[str, ...]:
    """The first row of a table, in the language of its reader."""
    return tuple(map(tr, names))


def path_text(path: Path) -> str:
    """A path for stdout: exact for a program that reads it, harmless on a terminal."""
    return one_line(str(path)) if sys.stdout.isatty() else str(path)


def tables(found: Sequence[Sequence[Sequence[str]]]) -> str:
    """Several tables with their heads, an empty line between."""
    return "\n\n".join(table([heads(*head), *rows]) for head, *rows in found)


def table(rows: Sequence[Sequence[str]], gap: str = "  ", first: int = 0) -> str:
    """Rows as aligned columns, one line each, cells cleaned; wide characters count two. ``first``:
    how wide the first column is at least."""
    lines = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(text_width, column)) for column in zip(*lines, strict=True)]
    widths[:1] = [max(first, *widths[:1])]
    return "\n".join(
        gap.join(
            cell + " " * (cells - text_width(cell)) for cell, cells in zip(row, widths, strict=True)
        ).rstrip()
        for row in lines
    )
