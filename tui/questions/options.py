"""Questions with options: their text, and the letter of the right one."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_LETTERS = "ABCDEFGH"
_HAN = re.compile(r"[\u3400-\u9fff]")
_ASKED = {
    ("zh", False): "请给出正确选项的字母。",
    ("zh", True): "请给出所有正确选项的字母。",
    ("en", False): "Give the letter of the right option.",
    ("en", True): "Give the letters of all right options.",
}


def options_of(value: Any) -> list[str]:
    """The texts of options; ARC writes ``{"text": [...], "label": [...]}``, others a list or a
    table by letter."""
    if isinstance(value, Mapping):
        value = value.get("text") or [value[k] for k in _LETTERS if k in value]
    if not isinstance(value, list) or not 2 <= len(value) <= len(_LETTERS):
        return []
    return [str(one).strip() for one in value if isinstance(one, str | int | float)]


def letters_of(options: Sequence[str], answer: Any) -> list[str]:
    """The letters of the right options: an answer names them, counts from 0, or is the text of
    one; empty where it is none of that."""
    known = _LETTERS[: len(options)]
    if isinstance(answer, list):
        found = [letter for one in answer for letter in letters_of(options, one)]
        return found if len(found) == len(answer) else []
    if type(answer) is int:
        return [known[answer]] if 0 <= answer < len(known) else []
    if not isinstance(answer, str):
        return []
    text = answer.strip()
    if text in options:
        return [known[options.index(text)]]
    letters = re.sub(r"[\s,，、;()（）.]", "", text).upper()
    return sorted(set(letters)) if letters and set(letters) <= set(known) else []


def with_options(text: str, options: Sequence[str], right: int) -> str:
    """A question with its options below, and what is asked for; as it is without options."""
    if not options:
        return text
    listed = [f"{letter}. {one}" for letter, one in zip(_LETTERS, options, strict=False)]
    language = "zh" if _HAN.search(text) else "en"
    return "\n".join([text.rstrip(), *listed, _ASKED[language, right > 1]])
