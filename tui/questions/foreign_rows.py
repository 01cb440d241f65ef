"""Questions as others write them: records whose fields have many names.

The forms are those of published files: MT-Bench and Vicuna (lm-sys/FastChat), EvalScope's
``general_qa`` and ``general_mcq``, AlignBench, C-Eval, CMMLU and MMLU, GSM8K, Alpaca and
LLaMA-Factory, ShareGPT, and the messages of OpenAI's interface.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from tui.host.errors import UserError
from tui.questions.conversations import is_conversation, read_conversation
from tui.questions.options import letters_of, options_of, with_options
from tui.questions.question_set import QUESTION_KEYS

NOT_READ = "not read"
_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": (
        "id",
        "question_id",
        "qid",
        "prompt_id",
        "task_id",
        "custom_id",
        "uid",
        "idx",
        "index",
        "",
        "编号",
        "序号",
        "题号",
    ),
    "category": (
        "category",
        "subject",
        "topic",
        "domain",
        "类别",
        "分类",
        "领域",
        "学科",
        "科目",
        "维度",
        "题型",
        "类型",
    ),
    "system prompt": ("system", "system_prompt", "系统提示", "系统提示词"),
    "conversation": ("messages", "conversations", "conversation"),
    "question": (
        "turns",
        "instruction",
        "question",
        "query",
        "prompt",
        "text",
        "题目",
        "问题",
        "提问",
        "题干",
        "提示词",
        "input",
    ),
    "text below the question": ("input", "context", "材料", "背景"),
    "earlier turns": ("history",),
    "reference answer": (
        "reference",
        "reference_answer",
        "answer",
        "answers",
        "response",
        "output",
        "target",
        "expected",
        "ideal",
        "completion",
        "best_answer",
        "answerkey",
        "参考答案",
        "标准答案",
        "正确答案",
        "答案",
        "回答",
    ),
    "options": ("choices", "options", "选项"),
    "checks": ("checks",),
}
"""Meaning -> names for it; the first that a record has counts."""
_LAST_NUMBER = re.compile(r"####\s*(-?[\d,]{1,30}(?:\.\d{1,30})?)\s*$")


def is_question_name(name: str) -> bool:
    """Whether a column of this name holds questions."""
    return _plain(name) in _NAMES["question"]


def to_question(row: Mapping[str, Any], place: str, meanings: dict[str, str]) -> dict[str, Any]:
    """A record as `build_question_set` takes it; ``meanings`` gets what its fields were taken for.

    Raises:
        UserError: no field is a question, or it holds more than text.
    """
    if row.keys() <= set(QUESTION_KEYS) and row.keys() & {"text", "turns"}:
        meanings |= {key: _OWN.get(key, key) for key in row}
        return dict(row)
    fields = _Fields(row, meanings)
    asked = fields.take("conversation") or fields.take("question")
    if not asked:
        raise UserError(
            f"{place}: no field holds the question: {_listed(row)}",
            "name one question (or query, prompt, text, messages, 题目, 问题)",
        )
    made: dict[str, Any] = {"system": fields.take("system prompt"), "turns": asked}
    made |= {key: _line(fields.take(key)) for key in ("id", "category")}
    answer = fields.take("reference answer")
    options = options_of(fields.take_letters() or fields.take("options"))
    if is_conversation(asked):
        found = read_conversation(asked, place)
        made |= {"turns": found.turns, "system": made["system"] or found.system}
        answer = answer or found.answers
    elif isinstance(asked, str):
        below = fields.take("text below the question")
        text = f"{asked}\n\n{below}" if isinstance(below, str) else asked
        letters = letters_of(options, answer)
        made["turns"] = [
            *_earlier(fields.take("earlier turns")),
            with_options(text, options, len(letters)),
        ]
        if letters:
            answer = ", ".join(letters)
        made["checks"] = _checks(letters, answer)
    made["checks"] = fields.take("checks") or made.get("checks")
    made["reference"] = _references(answer, made["turns"], asked)
    fields.note_the_rest()
    return {key: value for key, value in made.items() if value is not None}


_OWN = {
    "text": "question",
    "turns": "question",
    "system": "system prompt",
    "reference": "reference answer",
}


class _Fields:
    """The fields of a record; what one was taken for is noted."""

    def __init__(self, row: Mapping[str, Any], meanings: dict[str, str]) -> None:
        filled = [
            name for name, value in row.items() if value is not None and value not in ("", [])
        ]
        self._row = row
        self._meanings = meanings
        self._left = {_plain(name): name for name in reversed(filled)}

    def take(self, meaning: str) -> Any:
        """The value of the first name for it; None without one."""
        known = next((name for name in _NAMES[meaning] if name in self._left), None)
        return None if known is None else self._take(known, meaning)

    def take_letters(self) -> list[Any]:
        """The columns A, B, C ... of a question with options."""
        names = []
        for letter in "abcdefgh":
            forms = (letter, f"option_{letter}", f"choice_{letter}", f"选项{letter}")
            names += [next((form for form in forms if form in self._left), "")]
        there = names[: names.index("")] if "" in names else names
        return [self._take(name, "options") for name in there] if len(there) > 1 else []

    def note_the_rest(self) -> None:
        """Say of what is left that it was not read."""
        for name in self._left.values():
            self._meanings.setdefault(name, NOT_READ)

    def _take(self, known: str, meaning: str) -> Any:
        name = self._left.pop(known)
        self._meanings[name] = meaning
        return self._row[name]


def _plain(name: str) -> str:
    """The name of a field without what spellings differ in."""
    return re.sub(r"[\s-]+", "_", unicodedata.normalize("NFKC", name).strip().casefold())


def _listed(row: Mapping[str, Any]) -> str:
    return ", ".join(repr(name[:40]) for name in list(row)[:8]) or "it has none"


def _line(value: Any) -> Any:
    """An id or a category on one line."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = ", ".join(value)
    if type(value) in (int, float):
        value = str(value)
    return " ".join(value.split()) or None if isinstance(value, str) else value


def _earlier(history: Any) -> list[Any]:
    """The questions of LLaMA-Factory's ``history``: pairs of a question and an answer."""
    pairs = history if isinstance(history, list) else []
    return [pair[0] for pair in pairs if isinstance(pair, list) and pair]


def _checks(letters: Sequence[str], answer: Any) -> list[dict[str, Any]] | None:
    if len(letters) == 1:
        return [{"choice": letters[0]}]
    # GSM8K ends its solutions so.
    number = _LAST_NUMBER.search(answer) if isinstance(answer, str) else None
    digits = number[1].replace(",", "") if number else ""
    return [{"number": float(digits)}] if digits.strip("-.") else None


def _references(answer: Any, turns: Any, asked: Any) -> Any:
    """One answer per turn. Several for one turn are several right ones: the first is kept."""
    if isinstance(answer, Mapping):  # SQuAD: {"text": [...], "answer_start": [...]}
        answer = answer.get("text")
    given = answer if isinstance(answer, list) else [] if answer is None else [answer]
    given = [str(one) if type(one) in (bool, int, float) else one for one in given]
    if isinstance(asked, str):
        given = [""] * (len(turns) - 1) + given[:1]
    return given if any(given) else None
