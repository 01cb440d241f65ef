"""Question sets: the built-in ones and the user's own files."""

import difflib
from pathlib import Path

from tui.host.errors import UserError
from tui.host.paths import expand
from tui.questions.question_set import Question, QuestionSet, Reading
from tui.questions.readers import SHEET_SUFFIXES, SUFFIXES, read

__all__ = ["BUILT_IN", "Question", "QuestionSet", "Reading", "load"]

BUILT_IN: tuple[str, ...] = ("tongji", "fifty", "english", "smoke")
_SETS = Path(__file__).with_name("sets")


def load(name_or_path: str) -> QuestionSet:
    """A built-in set by its name, or the set of a file.

    Raises:
        UserError: there is none, or the file is not a question set.
    """
    if name_or_path in BUILT_IN:
        return read(_SETS / f"{name_or_path}.toml")
    path = expand(name_or_path)
    if path.exists():
        return read(path)
    file, _, sheet = name_or_path.rpartition("#")
    if file.lower().endswith(SHEET_SUFFIXES) and expand(file).exists():
        return read(expand(file), sheet)
    if path.suffix or "/" in name_or_path:
        raise UserError(
            f"there is no file {name_or_path}",
            f"name a file that is there, or one of {', '.join(BUILT_IN)}",
        )
    near = difflib.get_close_matches(name_or_path, BUILT_IN, 1)
    raise UserError(
        f"no question set {name_or_path!r}",
        f"did you mean {near[0]}?"
        if near
        else f"use {', '.join(BUILT_IN)}, or a file ({', '.join(SUFFIXES)})",
    )
