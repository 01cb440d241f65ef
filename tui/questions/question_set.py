"""Question sets and their rules.

Sets come from files and from session headers that others wrote: sizes, ids and characters of
both are checked here.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui.host.errors import UserError

MAX_QUESTIONS = 10_000
MAX_TURNS = 64
MAX_CHARACTERS = 100_000
MAX_MADE = 16 << 20
"""Characters of all questions that variables make."""
MAX_NAME = 200
MAX_DIMENSIONS = 9
"""Dimensions to judge answers in: each has a key of its own."""
QUESTION_KEYS = ("id", "category", "text", "turns", "system", "reference", "checks")


@dataclass(frozen=True, slots=True)
class Question:
    """One question; ``turns`` are what is asked one after another in one conversation.

    ``reference`` (one answer per turn, as far as given) and ``checks`` are kept as the
    data they were written as; scoring reads them.
    """

    id: str
    category: str
    turns: tuple[str, ...]
    system: str | None = None
    reference: tuple[str, ...] = ()
    checks: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file was read: its format and encoding, what each field was taken for, and what was
    read of its ``parts``, a line each."""

    format: str
    encoding: str
    fields: dict[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A named list of questions with unique ids; ``language`` is a code such as ``zh``."""

    name: str
    title: str
    language: str
    questions: tuple[Question, ...]
    dimensions: tuple[str | dict[str, str], ...] = ()
    """What answers are judged in (`tui.scoring.dimensions`); empty: the usual ones."""
    reading: Reading | None = field(default=None, compare=False)
    """How a file of others was read; no session keeps it."""

    def to_json(self) -> dict[str, Any]:
        """The form that stands in a session's header."""
        made: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "language": self.language,
            "questions": [_to_json(question) for question in self.questions],
        }
        return made | ({"dimensions": list(self.dimensions)} if self.dimensions else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "question set") -> "QuestionSet":
        """The set of a session's header.

        Raises:
            UserError: it breaks a rule; the message begins with ``where``.
        """
        return build_question_set(data, data.get("questions", ()), where)

    def find(self, question_id: str) -> Question | None:
        """The question of an id."""
        return next((q for q in self.questions if q.id == question_id), None)


def build_question_set(
    head: Mapping[str, Any],
    rows: object,
    where: str,
    places: Sequence[str] = (),
    fallback: str = "questions",
) -> QuestionSet:
    """A checked set from its ``name``, ``title`` and ``language`` and its raw questions.

    ``places`` says where each row stood (``file:line``) for messages; ``fallback`` is
    the name where the head gives none.

    Raises:
        UserError: a rule is broken.
    """
    if not isinstance(rows, list | tuple) or not rows:
        raise UserError(f"{where}: no questions", "add a [[question]] with id and text, or a line")
    if len(rows) > MAX_QUESTIONS:
        raise UserError(f"{where}: {len(rows)} questions, at most {MAX_QUESTIONS}", "split it")
    name = checked_line(head.get("name", fallback), f"{where}: name")
    questions: list[Question] = []
    first: dict[str, str] = {}
    for i, row in enumerate(rows):
        place = places[i] if i < len(places) else f"{where}: question {i + 1}"
        question = _question(row, i, place)
        if question.id in first:
            raise UserError(
                f"{place}: id {question.id!r} is taken by {first[question.id]}", "make ids unique"
            )
        first[question.id] = place
        questions.append(question)
    title = checked_line(head.get("title", name), f"{where}: title")
    language = checked_line(head.get("language", ""), f"{where}: language")
    named = _dimensions(head.get("dimensions", ()), f"{where}: dimensions")
    return QuestionSet(name, title, language, tuple(questions), named)


def _dimensions(value: object, where: str) -> tuple[str | dict[str, str], ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_DIMENSIONS:
        raise UserError(
            f"{where}: must be a list of at most {MAX_DIMENSIONS}", 'e.g. ["logic", "humour"]'
        )
    made: list[str | dict[str, str]] = []
    for item in value:
        if isinstance(item, Mapping):
            made.append({key: checked_line(item.get(key, ""), where) for key in ("id", "en")})
        else:
            made.append(checked_line(item, where))
        if not (item["id"] if isinstance(item := made[-1], dict) else item).strip():
            raise UserError(f"{where}: one has no name", "give a word, or a table with id and en")
    return tuple(made)


def check_room(count: int, place: str, characters: int = 0) -> None:
    """Check that one more question is allowed after ``count``, ``characters`` of text in all.

    Raises:
        UserError: there are too many of either.
    """
    if count >= MAX_QUESTIONS:
        raise UserError(f"{place}: more than {MAX_QUESTIONS} questions", "split it")
    if characters > MAX_MADE:
        raise UserError(f"{place}: more than {MAX_MADE} characters in all questions", "split it")


def checked_line(value: object, where: str) -> str:
    """A short text on one line, checked.

    Raises:
        UserError: it is not one.
    """
    if not isinstance(value, str):
        raise UserError(f"{where}: must be text, not {_type_name(value)}", 'put it in "quotes"')
    if len(value) > MAX_NAME or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise UserError(
            f"{where}: must be one line of at most {MAX_NAME} printable characters", "shorten it"
        )
    return value


def _question(row: object, index: int, place: str) -> Question:
    if not isinstance(row, Mapping):
        raise UserError(f"{place}: must be a table with text or turns, not {_type_name(row)}")
    id_ = row.get("id", str(index + 1))
    id_ = checked_line(str(id_) if type(id_) is int else id_, f"{place}: id")
    if not id_ or id_ != id_.strip():
        raise UserError(f"{place}: id is empty or padded with spaces", "give it a short word")
    system = row.get("system")
    return Question(
        id_,
        checked_line(row.get("category", ""), f"{place}: category"),
        _turns(row, place),
        None if system is None else _text(system, f"{place}: system", empty=True),
        _reference(row.get("reference"), place),
        _checks(row.get("checks"), place),
    )


def _turns(row: Mapping[str, Any], place: str) -> tuple[str, ...]:
    if ("text" in row) == ("turns" in row):
        raise UserError(f"{place}: give either text or turns", 'e.g. text = "..."')
    given = [row["text"]] if "text" in row else row["turns"]
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MAX_TURNS:
        raise UserError(
            f"{place}: turns must be a list of 1 to {MAX_TURNS} texts", 'e.g. ["...", "..."]'
        )
    return tuple(_text(turn, f"{place}: turn {i + 1}") for i, turn in enumerate(given))


def _text(value: object, where: str, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where}: must be text, not {_type_name(value)}", 'put it in "quotes"')
    text = value.replace("\r\n", "\n")
    if not (empty or text.strip()):
        raise UserError(f"{where}: is empty", "write the question, or take it out")
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"{where}: {len(text)} characters, at most {MAX_CHARACTERS}", "shorten it")
    bad = next((c for c in text if _forbidden(c)), None)
    if bad is not None:
        raise UserError(
            f"{where}: control character U+{ord(bad):04X}",
            "only tab and line break may stand there",
        )
    return text


def _forbidden(character: str) -> bool:
    code = ord(character)
    return (code < 32 and character not in "\n\t") or 127 <= code < 160 or 0xD800 <= code < 0xE000


def _reference(value: object, place: str) -> tuple[str, ...]:
    if value is None:
        return ()
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or len(given) > MAX_TURNS:
        raise UserError(f"{place}: reference must be a text or a list of texts")
    return tuple(_text(text, f"{place}: reference", empty=True) for text in given)


def _checks(value: object, place: str) -> tuple[dict[str, Any], ...]:
    if value is None:
        return ()
    given = [value] if isinstance(value, Mapping) else value
    if not isinstance(given, list | tuple) or not all(isinstance(c, Mapping) for c in given):
        raise UserError(f"{place}: checks must be a table or a list of tables")
    try:
        size = len(json.dumps(given, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError):
        raise UserError(f"{place}: checks may hold text, numbers, true and false only") from None
    if size > MAX_CHARACTERS:
        raise UserError(f"{place}: checks are too long", "shorten them")
    return tuple(dict(check) for check in given)


def _to_json(question: Question) -> dict[str, Any]:
    pairs: Iterable[tuple[str, Any]] = (
        ("id", question.id),
        ("category", question.category),
        ("turns", list(question.turns)),
        ("system", question.system),
        ("reference", list(question.reference) or None),
        ("checks", list(question.checks) or None),
    )
    return {key: value for key, value in pairs if value is not None}


def _type_name(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "a table" if isinstance(value, Mapping) else "something else")
