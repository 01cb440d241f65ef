"""A model as a judge of two answers, in both orders.

Judges favour a position, long answers and their own family (L. Zheng et al., "Judging
LLM-as-a-Judge with MT-Bench and Chatbot Arena", 2023): so each pair is judged twice with
the answers exchanged, a verdict that changes with the order counts as a tie, and reports
show the lengths and the same family beside it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tui.events import Judged

Ask = Callable[[str], str]
"""Puts a prompt to a model and returns its whole answer."""

MAX_ANSWER = 6_000
"""Code points of each answer that the judge is shown."""
MAX_REASON = 2_000

RUBRIC = {
    "en": "Consider whether each answer is correct, follows the question, reasons soundly and is "
    "clear. Length is no merit.",
    "zh": "请考虑每个回答是否正确、切题、推理合理、表达清楚。篇幅长短不是优点。",
}

_PROMPT = {
    "en": (
        "You compare two answers to the same question.\n{rubric}\n\n[Question]\n{question}\n\n"
        "[Answer A]\n{first}\n[End of answer A]\n\n[Answer B]\n{second}\n[End of answer B]\n\n"
        "Give your reasons in a few sentences. Then end with exactly one of [[A]] (A is better), "
        "[[B]] (B is better) or [[C]] (tie)."
    ),
    "zh": (
        "请比较同一问题的两个回答。\n{rubric}\n\n[问题]\n{question}\n\n"
        "[回答 A]\n{first}\n[回答 A 结束]\n\n[回答 B]\n{second}\n[回答 B 结束]\n\n"
        "请用几句话说明理由，最后单独写出结论，"
        "三者选一：[[A]]（A 更好）、[[B]]（B 更好）或 [[C]]（平局）。"
    ),
}

LEFT, RIGHT, TIE, NONE = "left", "right", "tie", "none"


@dataclass(frozen=True, slots=True)
class JudgeVerdict:
    """What both orders gave. ``verdicts`` holds first the one with the left answer shown
    first; ``choice`` what they agree on, ``tie`` where they do not, ``none`` where one of
    them cannot be read."""

    choice: str
    verdicts: tuple[str, str]
    reasons: tuple[str, str]

    @property
    def is_flipped(self) -> bool:
        """Whether the order of the answers decided."""
        return is_flipped(self.verdicts)

    def event(self, question: str, left: int, right: int, judge: str, same_family: bool) -> Judged:
        """The event that records it for the answers ``left`` and ``right``."""
        return Judged(
            question,
            left,
            right,
            self.choice,
            judge,
            [*self.verdicts],
            [*self.reasons],
            same_family,
        )


def is_flipped(verdicts: Sequence[str]) -> bool:
    """Whether the order of the answers decided: both verdicts readable and not the same."""
    return NONE not in verdicts and len(set(verdicts)) > 1


def judge_pair(
    ask: Ask, question: str, left: str, right: str, rubric: str = "", lang: str = "en"
) -> JudgeVerdict:
    """Have two answers judged, in both orders. What ``ask`` raises goes through."""
    replies = (
        ask(judge_prompt(question, left, right, rubric, lang)),
        ask(judge_prompt(question, right, left, rubric, lang)),
    )
    exchanged = {LEFT: RIGHT, RIGHT: LEFT}
    second = parse_verdict(replies[1])
    verdicts = (parse_verdict(replies[0]), exchanged.get(second, second))
    if NONE in verdicts:
        choice = NONE
    else:
        choice = verdicts[0] if verdicts[0] == verdicts[1] else TIE
    return JudgeVerdict(choice, verdicts, (replies[0][:MAX_REASON], replies[1][:MAX_REASON]))


def judge_prompt(question: str, first: str, second: str, rubric: str = "", lang: str = "en") -> str:
    """What the judge is asked. Verdict marks in the answers are broken up, so that an answer
    cannot set the verdict."""
    return _PROMPT[lang].format(
        rubric=rubric or RUBRIC[lang],
        question=_without_marks(question),
        first=_without_marks(first[:MAX_ANSWER]),
        second=_without_marks(second[:MAX_ANSWER]),
    )


def _without_marks(text: str) -> str:
    return text.replace("[[", "[ [").replace("]]", "] ]")


def parse_verdict(reply: str) -> str:
    """``left`` for A, ``right`` for B, ``tie`` for C, by the last mark in a reply; or by a
    reply that is nothing but the letter; else ``none``."""
    marks = re.findall(r"\[\[\s*([ABC])\s*\]\]", reply, flags=re.IGNORECASE)
    if not marks:
        marks = re.findall(r"^\W*([ABC])\W*$", reply.strip(), flags=re.IGNORECASE)
    return {"A": LEFT, "B": RIGHT, "C": TIE}[marks[-1].upper()] if marks else NONE


def is_same_family(judge_family: str, families: Iterable[str]) -> bool:
    """Whether the judge is of the family of one of the compared models (unknown: no)."""
    return bool(judge_family) and judge_family.lower() in {f.lower() for f in families}
