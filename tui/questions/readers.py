"""Question sets from files: TOML, JSON and JSON lines, CSV and TSV, Excel, YAML, plain text."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui.host import toml_file
from tui.host.errors import UserError
from tui.host.toml_file import TomlFile
from tui.questions.conversations import is_conversation
from tui.questions.decoding import read_decoded
from tui.questions.foreign_rows import to_question
from tui.questions.promptfoo import promptfoo_rows
from tui.questions.question_set import (
    QUESTION_KEYS,
    QuestionSet,
    Reading,
    build_question_set,
    check_room,
)
from tui.questions.tables import DELIMITERS, has_header, table_rows
from tui.questions.variables import expand
from tui.text.unused_name import unused_name

MAX_BYTES = 16 << 20
MAX_TOML_BYTES = 4 << 20
"""The parser of TOML takes a hundred times the size of what is written to fill the memory."""
SUFFIXES = (".toml", ".jsonl", ".json", ".csv", ".tsv", ".xlsx", ".yaml", ".txt")
_HEAD_KEYS = ("name", "title", "language", "dimensions", "variables", "question")
_ROW_KEYS = ("questions", "question", "data", "examples", "instances", "rows", "samples", "items")
"""Where a JSON document keeps its list."""
_TOO_FAR = "nested too deep, or a number of too many digits"
_MEND = "mend it there: one list of objects, or one object a line"
_NAME_ONE = "name a .toml, .jsonl, .json, .csv, .tsv, .xlsx, .yaml or .txt file"
SHEET_SUFFIXES = (".xlsx", ".xlsm")
_SPREADSHEETS = (".xls", ".xlsb", ".ods", ".numbers", ".et")


def read(path: Path, sheet: str = "") -> QuestionSet:
    """The question set of a file; the suffix tells the format. ``sheet`` is the one of a
    spreadsheet that is meant; all of them without it.

    Raises:
        UserError: it cannot be read, is of no known format or breaks a rule; file and line are
            named.
    """
    suffix = path.suffix.lower()
    match suffix:
        case ".toml":
            return _toml(path)
        case ".jsonl" | ".ndjson":
            text, encoding = _text(path)
            is_list = text.lstrip().startswith("[")
            return (_json if is_list else _json_lines)(text, encoding, path)
        case ".json":
            return _json(*_text(path), path)
        case ".csv":
            return _table(*_text(path), path, "CSV")
        case ".tsv" | ".tab":
            return _table(*_text(path), path, "TSV", "\t")
        case ".yaml" | ".yml":
            return _yaml(path)
        case suffix if suffix in SHEET_SUFFIXES:
            return _spreadsheet(path, sheet)
        case "" | ".txt" | ".text":
            return _plain_or_other(*_text(path), path)
    if suffix in _SPREADSHEETS:
        raise UserError(
            f"{path}: a spreadsheet is not read", "save the sheet as CSV (UTF-8) and name that file"
        )
    raise UserError(f"{path}: {suffix!r} is no format of question sets", _NAME_ONE)


def _text(path: Path) -> tuple[str, str]:
    return read_decoded(path, MAX_BYTES, _NAME_ONE)


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
    if "variables" in data and isinstance(rows, list):
        rows, places = expand(data["variables"], rows, places, str(path))
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


def _plain_or_other(text: str, encoding: str, path: Path) -> QuestionSet:
    """One question a line, unless the first line shows that it is something else."""
    first = next(_filled_lines(text), (1, ""))[1]
    if first.startswith(("{", "[")) and _is_json(text, first):
        return _json(text, encoding, path)
    if has_header(first, "\t"):
        return _table(text, encoding, path, "TSV", "\t")
    return _plain(text, path)


def _is_json(text: str, first: str) -> bool:
    for piece in (first, text):
        try:
            return isinstance(json.loads(piece), dict | list)
        except (ValueError, RecursionError):
            continue
    return False


def _json(text: str, encoding: str, path: Path) -> QuestionSet:
    """A JSON document: a list of questions, one in an object, or one question. JSON lines are
    read too, for many name them so."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return _json_lines(text, encoding, path)
        place = f"{path}:{error.lineno}"
        raise UserError(f"{place}: not JSON: column {error.colno}", _MEND) from None
    except (ValueError, RecursionError):
        raise UserError(f"{path}: not JSON: {_TOO_FAR}", _NAME_ONE) from None
    return _data(data, encoding, path, "JSON")


def _data(data: object, encoding: str, path: Path, format_: str) -> QuestionSet:
    head: Mapping[str, Any] = {}
    if isinstance(data, Mapping) and "prompts" in data:
        return _promptfoo(data, path, Reading("promptfoo", encoding))
    if isinstance(data, Mapping):
        key = next((key for key in _ROW_KEYS if _holds_rows(data.get(key))), "")
        head = {k: data[k] for k in _HEAD_KEYS if key and k != key and data.get(k) is not None}
        data = data[key] if key else [data]
    if is_conversation(data):
        data = [{"messages": data}]
    rows = data if isinstance(data, list) else []
    places = (f"{path}: question {number}" for number in range(1, len(rows) + 1))
    return _foreign(zip(places, rows, strict=True), head, path, Reading(format_, encoding))


def _holds_rows(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping | str) for one in value)


def _yaml(path: Path) -> QuestionSet:
    """promptfoo's configuration, or a list of questions as in JSON. Every value is text."""
    from tui.questions import yaml_file

    text, encoding = read_decoded(path, yaml_file.MAX_BYTES, _NAME_ONE)
    data = yaml_file.parse(text, path)
    return _data(data, encoding, path, "YAML")


def _promptfoo(data: Mapping[str, Any], path: Path, reading: Reading) -> QuestionSet:
    rows = promptfoo_rows(data, str(path), reading.fields)
    title = {"title": data["description"]} if "description" in data else {}
    return replace(build_question_set(title, rows, str(path), (), path.stem), reading=reading)


def _json_lines(text: str, encoding: str, path: Path) -> QuestionSet:
    """One object a line; the first may be the head of our own form (``name``, no question)."""
    head: dict[str, Any] = {}

    def rows() -> Iterator[tuple[str, object]]:
        for number, line in _filled_lines(text):
            place = f"{path}:{number}"
            row = _loaded(line, place)
            if not head and isinstance(row, dict) and _is_head(row):
                head.update(row)
                continue
            yield place, row

    return _foreign(rows(), head, path, Reading("JSON lines", encoding))


def _is_head(row: Mapping[str, Any]) -> bool:
    return "name" in row and row.keys() <= set(_HEAD_KEYS)


def _loaded(line: str, place: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = f"column {error.colno}" if isinstance(error, json.JSONDecodeError) else _TOO_FAR
        raise UserError(f"{place}: not JSON: {reason}", "write one object a line") from None


def _table(
    text: str, encoding: str, path: Path, format_: str, delimiters: str = DELIMITERS
) -> QuestionSet:
    rows = table_rows(text, str(path), delimiters)
    return _foreign(rows, {}, path, Reading(format_, encoding))


def _spreadsheet(path: Path, sheet: str) -> QuestionSet:
    """The questions of all sheets, or of one. Sheets count their questions each from 1: an id that
    another sheet has too gets the name of its sheet before it."""
    from tui.questions.spreadsheet import SheetsRead, spreadsheet_rows

    told, sheets = SheetsRead(), list[str]()

    def placed() -> Iterator[tuple[str, object]]:
        for place, name, row in spreadsheet_rows(path, sheet, told):
            sheets.append(name)
            yield place, row

    reading = Reading("Excel", "UTF-8")
    rows, places = _records(placed(), reading)
    owners: dict[str, str] = {}
    for row, name in zip(rows, sheets, strict=True):
        id_ = str(row.get("id", ""))
        if id_ and owners.setdefault(id_, name) != name:
            row["id"] = unused_name(f"{name}-{id_}", owners)
            owners[row["id"]] = name
    made = build_question_set({}, rows, str(path), places, path.stem)
    parts = [f"sheet {name}: {count} rows" for name, count in told.rows.items()]
    parts += [f"sheet {name}: not read" for name in told.left_out]
    return replace(made, reading=replace(reading, parts=tuple(parts)))


def _foreign(
    placed: Iterable[tuple[str, object]], head: Mapping[str, Any], path: Path, reading: Reading
) -> QuestionSet:
    """The set of records with their places, whatever their fields are called."""
    rows, places = _records(placed, reading)
    if head.get("variables") is not None:
        rows, places = expand(head["variables"], rows, places, str(path))
    found = build_question_set(head, rows, str(path), places, path.stem)
    return replace(found, reading=reading)


def _records(
    placed: Iterable[tuple[str, object]], reading: Reading
) -> tuple[list[dict[str, Any]], list[str]]:
    """Records as questions, and their places; what their fields were taken for goes into
    ``reading``."""
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    for place, row in placed:
        check_room(len(rows), place)
        if isinstance(row, str):
            row = {"text": row}
        elif is_conversation(row):
            row = {"messages": row}
        if not isinstance(row, Mapping):
            raise UserError(f"{place}: not a JSON object", "write one object a line")
        rows.append(to_question(row, place, reading.fields))
        places.append(place)
    return rows, places


def _plain(text: str, path: Path) -> QuestionSet:
    rows: list[dict[str, str]] = []
    places: list[str] = []
    for number, line in _filled_lines(text):
        place = f"{path}:{number}"
        check_room(len(rows), place)
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
