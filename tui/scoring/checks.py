"""Checks of an answer by program, as a question set writes them.

Each check is a table with one of these keys, and optionally ``turn`` (counted from 1; the
last turn by default):

    contains = "text"            the answer has it (any case; or a list: any of them)
    not-contains = "text"        it has none of them
    regex = "pattern"            the pattern is found (Python's syntax)
    choice = "B"                 the letter it chooses
    number = 42                  the last number in it, within ``tolerance`` (0 by default)
    json = true                  all of it, or its code block, is JSON
    python = true                all of it, or its code block, is Python that parses
    length = [10, 200]           its length in code points

Question sets and answers are foreign: patterns and programs run in `tui.scoring.sandbox`.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tui.scoring import sandbox

_K = TypeVar("_K")
MAX_TEXT = 200_000
"""Code points of an answer that checks look at."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: ``kind`` is its key in the table, ``turn`` the turn it looks at (from 0;
    None: the last)."""

    kind: str
    value: Any
    turn: int | None = None
    tolerance: float = 0.0

    def __str__(self) -> str:
        if self.value is True:
            return self.kind
        as_is = isinstance(self.value, str)
        return f"{self.kind} {self.value if as_is else json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check; ``reason`` says why it could not be tried, else empty."""

    check: Check
    passed: bool
    reason: str = ""


class CheckError(ValueError):
    """A check that is not valid; the text says what is wrong."""


def check_tables(value: Any) -> Sequence[Mapping[str, Any]]:
    """What a header holds under ``checks``, which may come from anywhere."""
    given = [value] if isinstance(value, Mapping) else value
    return [t for t in given if isinstance(t, Mapping)] if isinstance(given, list | tuple) else []


def parse_checks(tables: Sequence[Mapping[str, Any]]) -> list[Check]:
    """The checks of a question.

    Raises:
        CheckError: an unknown kind or a value of the wrong type.
    """
    return [_check(table) for table in tables]


def _check(table: Mapping[str, Any]) -> Check:
    kinds = [key for key in table if key not in ("turn", "tolerance")]
    if len(kinds) != 1 or kinds[0] not in _VALUE_CHECKS:
        raise CheckError(f"a check has one of {', '.join(_VALUE_CHECKS)}, not {kinds}")
    kind = kinds[0]
    value, turn, tolerance = table[kind], table.get("turn"), table.get("tolerance", 0)
    if not _VALUE_CHECKS[kind](value):
        raise CheckError(f"{kind} does not take {value!r}")
    if turn is not None and not (type(turn) is int and turn >= 1):
        raise CheckError(f"turn counts from 1, not {turn!r}")
    if type(tolerance) not in (int, float) or tolerance < 0:
        raise CheckError(f"tolerance must be a number of at least 0, not {tolerance!r}")
    return Check(kind, value, None if turn is None else turn - 1, float(tolerance))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_texts(value: Any) -> bool:
    return _is_text(value) or (
        isinstance(value, list) and bool(value) and all(_is_text(v) for v in value)
    )


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(v) is int for v in value)
        and 0 <= value[0] <= value[1]
    )


_VALUE_CHECKS: dict[str, Callable[[Any], bool]] = {
    "contains": _is_texts,
    "not-contains": _is_texts,
    "regex": lambda v: _is_text(v) and len(v) <= sandbox.MAX_PATTERN,
    "choice": lambda v: _is_text(v) and len(v) == 1 and v.upper() in "ABCDEFGH",
    "number": lambda v: type(v) in (int, float),
    "json": lambda v: v is True,
    "python": lambda v: v is True,
    "length": _is_range,
}


def run_checks(tasks: Sequence[tuple[Check, str]]) -> list[CheckResult]:
    """The results of many checks, each with the answer it looks at; one child for all that
    needs bounds."""
    tasks = [(check, text[:MAX_TEXT]) for check, text in tasks]
    places = [i for i, (check, _) in enumerate(tasks) if check.kind in ("regex", "python")]
    outcomes = dict(zip(places, sandbox.run_jobs([_job(*tasks[i]) for i in places]), strict=True))
    return [
        CheckResult(
            check,
            outcomes[i] == sandbox.PASSED,
            outcomes[i] if outcomes[i] in (sandbox.TIMED_OUT, sandbox.BROKEN) else "",
        )
        if i in outcomes
        else CheckResult(check, _IN_PROCESS[check.kind](check, text))
        for i, (check, text) in enumerate(tasks)
    ]


def run_keyed_checks(tasks: Sequence[tuple[_K, Check, str]]) -> dict[_K, list[CheckResult]]:
    """As `run_checks`, the results by the key of each task."""
    found: dict[_K, list[CheckResult]] = {}
    results = run_checks([(check, text) for _, check, text in tasks])
    for (key, _, _), result in zip(tasks, results, strict=True):
        found.setdefault(key, []).append(result)
    return found


def _job(check: Check, text: str) -> sandbox.Job:
    if check.kind == "regex":
        return "regex", check.value, text
    return "python", "", extract_code(text)


def extract_code(text: str) -> str:
    """The first fenced code block of an answer, or all of it without one."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if fence := re.match(r" {0,3}(`{3,}|~{3,})", line):
            block = []
            for inner in lines[start + 1 :]:
                if inner.strip().startswith(fence[1]) and not inner.strip().strip(fence[1][0]):
                    break
                block.append(inner)
            return "\n".join(block)
    return text


def _contains(check: Check, text: str) -> bool:
    wanted = [check.value] if isinstance(check.value, str) else check.value
    folded = _fold(text)
    return any(_fold(w) in folded for w in wanted)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def extract_choice(text: str) -> str:
    """The letter an answer chooses, upper case; empty where it cannot be told.

    A letter said to be the answer counts, the last of these; else a letter that begins the
    answer; else the only one that stands by itself.
    """
    text = unicodedata.normalize("NFKC", text)
    said = re.findall(
        r"(?:answer|option|choice|答案|选择|选项|应?选)\s*(?:is|为|是|应为|应该是|[:：])?\s*"
        r"[(\[*\s\"“]*([A-Ha-h])(?![A-Za-z])",
        text,
        flags=re.IGNORECASE,
    )
    if said:
        return str(said[-1]).upper()
    if first := re.match(r"[\s(\[*\"“]*([A-H])\s*(?:[).\]*:、,。]|\n|$)", text):
        return first[1]
    alone = set(re.findall(r"(?<![A-Za-z])([A-H])(?![A-Za-z']| [a-z])", text))
    return alone.pop() if len(alone) == 1 else ""


def extract_number(text: str) -> float | None:
    """The last number in an answer (thousands may be parted by commas, ``%`` is dropped)."""
    text = unicodedata.normalize("NFKC", text)
    found = re.findall(
        r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?", text
    )
    # An answer can hold a number of a million digits.
    return float(found[-1].replace(",", "")) if found and len(found[-1]) < 400 else None


def _number(check: Check, text: str) -> bool:
    found = extract_number(text)
    return found is not None and abs(found - check.value) <= check.tolerance


def _json(check: Check, text: str) -> bool:
    for candidate in (text, extract_code(text)):
        try:
            json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        return True
    return False


_IN_PROCESS: dict[str, Callable[[Check, str], bool]] = {
    "contains": _contains,
    "not-contains": lambda check, text: not _contains(check, text),
    "choice": lambda check, text: extract_choice(text) == check.value.upper(),
    "number": _number,
    "json": _json,
    "length": lambda check, text: check.value[0] <= len(text) <= check.value[1],
}
