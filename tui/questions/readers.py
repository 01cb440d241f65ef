"""Question sets from files: TOML, JSON lines (our own and MT-Bench's), plain text."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui.host.errors import UserError
from tui.questions.question_set import QUESTION_KEYS, QuestionSet, build_question_set

MAX_BYTES = 16 << 20
_HEAD_KEYS = ("name", "title", "language", "dimensions", "question")
_TABLE = re.compile(r"^\s*\[\[\s*[\"']?question[\"']?\s*\]\]")


def read(path: Path) -> QuestionSet:
    """The question set of a file; the suffix tells the format (``.toml``, ``.jsonl`` or
    ``.ndjson``, anything else is one question a line).

    Raises:
        UserError: it cannot be read or breaks a rule; file and line are named.
    """
    text = _text(path)
    match path.suffix.lower():
        case ".toml":
            return _toml(text, path)
        case ".jsonl" | ".ndjson":
            return _jsonl(text, path)
        case ".json":
            raise UserError(
                f"{path}: a question set is TOML, JSON lines or text",
                "write one JSON object a line and name it .jsonl",
            )
    return _plain(text, path)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror or error}", "name a readable .toml, .jsonl or .txt file"
        ) from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{path}: larger than {MAX_BYTES >> 20} MiB", "split it")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8", "save the file as UTF-8") from None


def _toml(text: str, path: Path) -> QuestionSet:
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        place = f"{path}:{line[1]}" if line else str(path)
        raise UserError(f"{place}: {error}", "see `duibi questions show tongji`") from None
    rows = data.get("question", [])
    starts = [i + 1 for i, row in enumerate(text.split("\n")) if _TABLE.match(row)]
    # A header-like line inside a text would shift the numbers: better none than wrong ones.
    exact = isinstance(rows, list) and len(starts) == len(rows)
    places = [f"{path}:{start}" for start in starts] if exact else []
    _check_keys(data, _HEAD_KEYS, str(path))
    for i, row in enumerate(rows if isinstance(rows, list) else ()):
        if isinstance(row, Mapping):
            _check_keys(row, QUESTION_KEYS, places[i] if exact else f"{path}: question {i + 1}")
    return build_question_set(data, rows, str(path), places, path.stem)


def _check_keys(table: Mapping[str, Any], keys: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            step = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(keys)}"
            raise UserError(f"{place}: unknown key {key!r}", step)


def _jsonl(text: str, path: Path) -> QuestionSet:
    head: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    # Not splitlines: U+2028 and others may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: not JSON: {error}", "write one object a line") from None
        if not isinstance(row, dict):
            raise UserError(f"{place}: not a JSON object", "write one object a line")
        if not rows and not head and "name" in row and not row.keys() & {"text", "turns"}:
            head = row
            continue
        rows.append(_mt_bench(row) if "question_id" in row else row)
        places.append(place)
    return build_question_set(head, rows, str(path), places, path.stem)


def _mt_bench(row: dict[str, Any]) -> dict[str, Any]:
    """A line of MT-Bench's ``question.jsonl`` (``question_id``, ``category``, ``turns``,
    ``reference``: lmsys/FastChat, fastchat/llm_judge/data/mt_bench)."""
    kept = {key: row[key] for key in ("category", "turns", "reference") if row.get(key) is not None}
    return {"id": row["question_id"], **kept}


def _plain(text: str, path: Path) -> QuestionSet:
    numbered = [(i, line.strip()) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    rows = [{"text": line} for _, line in numbered]
    return build_question_set({}, rows, str(path), [f"{path}:{i}" for i, _ in numbered], path.stem)
