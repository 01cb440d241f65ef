"""promptfoo's configuration files: prompts, filled with the variables of each test."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tui.host.errors import UserError
from tui.questions.conversations import is_conversation, read_conversation
from tui.questions.question_set import check_room
from tui.questions.variables import combinations, fill

_VARIABLE = re.compile(r"\{\{\s*(\w{1,100})\s*\}\}")
_OTHER_FILE = re.compile(r"(file://|https?://).*|\S+\.(txt|json|jsonl|csv|ya?ml|md|py|js|ts)", re.I)
_CHECKS = {
    "contains": "contains",
    "icontains": "contains",
    "contains-any": "contains",
    "icontains-any": "contains",
    "contains-all": "contains",
    "icontains-all": "contains",
    "not-contains": "not-contains",
    "not-icontains": "not-contains",
    "regex": "regex",
    "is-json": "json",
}
"""Assertion -> the key of the check that tries the same."""


def promptfoo_rows(
    data: Mapping[str, Any], where: str, meanings: dict[str, str]
) -> list[dict[str, Any]]:
    """The questions of a configuration: every test with every prompt, a list among the variables
    of a test once with each value. ``meanings`` gets what was read and what was not.

    Raises:
        UserError: prompts, tests or values are in other files, a template does more than name
            variables, or there are too many questions.
    """
    meanings |= {"prompts": "question", "vars": "variables"}
    prompts = [_prompt(one, where) for one in _list(data["prompts"])]
    default = data.get("defaultTest")
    rows: list[dict[str, Any]] = []
    size = 0
    for number, test in enumerate(_list(data.get("tests")) or [{}], 1):
        place = f"{where}: test {number}"
        for values in _values(default, test, place):
            for prompt in prompts:
                row = _row(prompt, values, place)
                row |= _answers([*_asserts(default), *_asserts(test)], values, place, meanings)
                size += sum(map(len, row["turns"]))
                check_room(len(rows), place, size)
                rows.append(row)
    for name in data.keys() - {"prompts", "tests", "defaultTest", "description"}:
        meanings.setdefault(str(name), "not read")
    return rows


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def _prompt(value: Any, where: str) -> Any:
    """A template, or a conversation of templates that was written as JSON."""
    if isinstance(value, Mapping):
        value = value.get("raw", value.get("content", value.get("id")))
    if not isinstance(value, str):
        raise UserError(f"{where}: a prompt is no text", "write it there")
    _refuse_other_file(value, where)
    try:
        parsed = json.loads(value) if value.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        parsed = None
    return parsed if is_conversation(parsed) else value


def _refuse_other_file(value: object, where: str) -> None:
    if isinstance(value, str) and _OTHER_FILE.fullmatch(value.strip()):
        raise UserError(
            f"{where}: {value.strip()[:80]!r} is another file, which is not read",
            "write its text there",
        )


def _values(default: Any, test: Any, place: str) -> Iterator[dict[str, str]]:
    lists: dict[str, list[str]] = {}
    _refuse_other_file(test, place)
    for one in (default, test):
        given = one.get("vars") if isinstance(one, Mapping) else None
        _refuse_other_file(given, place)
        for name, value in given.items() if isinstance(given, Mapping) else ():
            texts = value if isinstance(value, list) else [value]
            texts = [str(text) if type(text) in (bool, int, float) else text for text in texts]
            if not all(isinstance(text, str) for text in texts):
                raise UserError(f"{place}: variable {str(name)[:40]!r} is no text", "give a text")
            for text in texts:
                _refuse_other_file(text if text.startswith("file:") else None, place)
            lists[str(name)] = texts
    return combinations(lists)


def _row(prompt: Any, values: Mapping[str, str], place: str) -> dict[str, Any]:
    if isinstance(prompt, str):
        return {"turns": [_render(prompt, values, place)]}
    found = read_conversation(prompt, place)
    made: dict[str, Any] = {"turns": [_render(turn, values, place) for turn in found.turns]}
    return made | ({"system": _render(found.system, values, place)} if found.system else {})


def _render(template: str, values: Mapping[str, str], place: str) -> str:
    known = _VARIABLE.sub("", template)
    missing = next((n for n in _VARIABLE.findall(template) if n not in values), None)
    if "{{" in known or "{%" in known:
        raise UserError(
            f"{place}: the template does more than name variables",
            "only names in double braces are filled in",
        )
    if missing is not None:
        raise UserError(f"{place}: variable {missing!r} has no value", "give it one under vars")
    return fill(template, values, place, _VARIABLE)


def _asserts(test: Any) -> list[Any]:
    return _list(test.get("assert")) if isinstance(test, Mapping) else []


def _answers(
    asserts: list[Any], values: Mapping[str, str], place: str, meanings: dict[str, str]
) -> dict[str, Any]:
    """Checks and the reference answer of a test."""
    checks: list[dict[str, Any]] = []
    made: dict[str, Any] = {}
    for one in asserts:
        kind = one.get("type") if isinstance(one, Mapping) else None
        texts = [fill(t, values, place, _VARIABLE) for t in _texts(one)]
        if kind == "equals" and texts:
            made["reference"] = texts[:1]
            meanings["equals"] = "reference answer"
        elif kind in _CHECKS and (texts or kind == "is-json"):
            checks += _checks_of(kind, texts)
            meanings[kind] = "checks"
        else:
            meanings.setdefault(str(kind)[:40], "not read")
    return made | ({"checks": checks} if checks else {})


def _texts(assertion: Any) -> list[str]:
    value = assertion.get("value") if isinstance(assertion, Mapping) else None
    return [text for text in _list(value) if isinstance(text, str) and text]


def _checks_of(kind: str, texts: list[str]) -> list[dict[str, Any]]:
    key = _CHECKS[kind]
    if key == "json":
        return [{"json": True}]
    if kind.endswith("-any"):
        return [{key: texts}]
    return [{key: text} for text in texts]
