"""Question sets from files: TOML, JSON lines (our own and MT-Bench's), plain text."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

from tui.host import foreign_files, toml_file
from tui.host.errors import UserError
from tui.host.toml_file import TomlFile
from tui.questions.question_set import MAX_QUESTIONS, QUESTION_KEYS, QuestionSet, build_question_set

MAX_BYTES = 16 << 20
MAX_TOML_BYTES = 4 << 20
"""The parser of TOML takes a hundred times the size of what is written to fill the memory."""
_HEAD_KEYS = ("name", "title", "language", "dimensions", "question")
_TOO_FAR = "nested too deep, or a number of too many digits"
_NAME_ONE = "name a .toml, .jsonl or .txt file; `duibi questions show tongji` shows one"


def read(path: Path) -> QuestionSet:
    """The question set of a file; the suffix tells the format (``.toml``, ``.jsonl`` or
    ``.ndjson``, anything else is one question a line).

    Raises:
        UserError: it cannot be read or breaks a rule; file and line are named.
    """
    match path.suffix.lower():
        case ".toml":
            return _toml(path)
        case ".jsonl" | ".ndjson":
            return _jsonl(_text(path), path)
        case ".json":
            raise UserError(
                f"{path}: a question set is TOML, JSON lines or text",
                "write one JSON object a line and name it .jsonl",
            )
    return _plain(_text(path), path)


def _text(path: Path) -> str:
    return foreign_files.read_text(path, MAX_BYTES, _NAME_ONE).replace("\r\n", "\n")


def _toml(path: Path) -> QuestionSet:
    file = toml_file.read_toml(path, MAX_TOML_BYTES, _NAME_ONE)
    data = file.table
    rows = data.get("question", [])
    _check_keys(file, data, _HEAD_KEYS)
    listed = rows if isinstance(rows, list) else []
    for i, row in enumerate(listed):
        if isinstance(row, Mapping):
            _check_keys(file, row, QUESTION_KEYS, "question", i)
    places = [_place(file, i) for i in range(len(listed))]
    return build_question_set(data, rows, str(path), places, path.stem)


def _place(file: TomlFile, number: int) -> str:
    place = file.place("question", number)
    return f"{place}: question {number + 1}" if place == file.place("question") else place


def _check_keys(
    file: TomlFile, table: Mapping[str, Any], keys: tuple[str, ...], *way: str | int
) -> None:
    for key in table:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            step = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(keys)}"
            raise UserError(f"{file.place(*way, key)}: unknown key {key!r}", step)


def _jsonl(text: str, path: Path) -> QuestionSet:
    head: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    for number, line in _filled_lines(text):
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = (
                f"column {error.colno}" if isinstance(error, json.JSONDecodeError) else _TOO_FAR
            )
            raise UserError(f"{place}: not JSON: {reason}", "write one object a line") from None
        if not isinstance(row, dict):
            raise UserError(f"{place}: not a JSON object", "write one object a line")
        if not rows and not head and "name" in row and not row.keys() & {"text", "turns"}:
            head = row
            continue
        _check_room(rows, place)
        rows.append(_mt_bench(row) if "question_id" in row else row)
        places.append(place)
    return build_question_set(head, rows, str(path), places, path.stem)


def _mt_bench(row: dict[str, Any]) -> dict[str, Any]:
    """A line of MT-Bench's ``question.jsonl`` (``question_id``, ``category``, ``turns``,
    ``reference``: lmsys/FastChat, fastchat/llm_judge/data/mt_bench)."""
    kept = {key: row[key] for key in ("category", "turns", "reference") if row.get(key) is not None}
    return {"id": row["question_id"], **kept}


def _plain(text: str, path: Path) -> QuestionSet:
    rows: list[dict[str, str]] = []
    places: list[str] = []
    for number, line in _filled_lines(text):
        place = f"{path}:{number}"
        _check_room(rows, place)
        rows.append({"text": line.strip()})
        places.append(place)
    return build_question_set({}, rows, str(path), places, path.stem)


def _filled_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers from 1, one by one: a file may have
    millions."""
    # Not splitlines: U+2028 and others may stand inside a JSON string.
    start = number = 0
    while start <= len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        if line := text[start:end].strip():
            yield number, line
        start = end + 1


def _check_room(rows: Sized, place: str) -> None:
    if len(rows) >= MAX_QUESTIONS:
        raise UserError(f"{place}: more than {MAX_QUESTIONS} questions", "split it")
