"""Two runs of the same questions, model by model: what is another one, and by how much."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from tui.board import Answer
from tui.board.judgements import MAX_STARS
from tui.host.errors import UserError
from tui.reports import evidence
from tui.reports.caveats import Side, describe_sides
from tui.reports.certainty import ratio_of
from tui.reports.cost_tables import glances_of
from tui.reports.evaluate import evaluate_checks
from tui.reports.evidence import Checked
from tui.reports.headlines import text_speed
from tui.reports.merge import (
    MergedSessions,
    ModelColumn,
    QuestionRow,
    merge_sessions,
    require_same_questions,
)
from tui.reports.messages import ReportMessages
from tui.scoring.costs import mean
from tui.scoring.differences import similarity
from tui.sessions.reader import RecordedSession


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both runs. ``change`` is what rules look at: the ratio of the second run to
    the first (``is_ratio``), or the difference; None where one of them has none."""

    before: float | None
    after: float | None
    change: float | None
    is_ratio: bool = False


@dataclass(frozen=True, slots=True)
class QuestionChange:
    """A question whose answer is another one: the share of characters in common, 0 to 1."""

    number: int
    title: str
    similarity: float


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """One model in both runs: ``figures`` by the names that rules use, over the ``n`` questions
    that both completed (of all that were ``asked``), and the changed questions, the most changed
    first. ``beware`` says what was not the same in both runs, with a separator in front."""

    before: str
    after: str
    n: int
    asked: int
    figures: Mapping[str, Figure]
    changed: tuple[QuestionChange, ...]
    beware: str = ""


def _timed(name: str) -> Callable[[Answer], float | None]:
    def value(answer: Answer) -> float | None:
        figures = evidence.clean_figures(answer)
        found: float | None = getattr(figures, name) if figures else None
        return found

    return value


def _seconds(answer: Answer) -> float | None:
    """Of a clean answer with a text; None as well where no time passed."""
    is_usable = evidence.clean_figures(answer) and answer.has_text
    return evidence.seconds_of(answer) or None if is_usable else None


_RATIOS = {
    "e2e": lambda answer: None if (seconds := _seconds(answer)) is None else 1000 * seconds,
    "ttft": _timed("ttft_ms"),
    "tpot": _timed("tpot_ms"),
}
"""Figures that are compared as a ratio, question by question."""
TIMES = (*_RATIOS, "chars_s")
"""Figures of answers that are clean, and of questions with as many threads in both runs."""
COUNTS = ("changed", "incomplete", "cut", "empty")
SHARES = ("similarity", "checks")
FIGURES = (*COUNTS, *SHARES, "stars", *TIMES, "length", "memory")
"""The names of all figures."""


def diff_sessions(
    first: RecordedSession, second: RecordedSession, say: ReportMessages
) -> list[ModelDiff]:
    """The models of both runs, matched by label, or the only one of each.

    Raises:
        UserError: the runs asked different questions, or have no model in common.
    """
    require_same_questions([first, second])
    one, two = merge_sessions([first]), merge_sessions([second])
    pairs = _matched(one, two)
    if not pairs:
        labels = [", ".join(c.label for c in merged.columns) for merged in (one, two)]
        raise UserError(
            f"no model is in both runs ({labels[0]}; {labels[1]})",
            "give two runs with a model in common, or with one model each",
        )
    checked = evaluate_checks(one)[0], evaluate_checks(two)[0]
    rows = _matched_rows(one, two)
    before, after = glances_of(one), glances_of(two)
    return [
        _diff(a, b, rows, checked, (before[a.key].peak.total, after[b.key].peak.total), say)
        for a, b in pairs
    ]


def _matched(one: MergedSessions, two: MergedSessions) -> list[tuple[ModelColumn, ModelColumn]]:
    if len(one.columns) == len(two.columns) == 1:
        return [(one.columns[0], two.columns[0])]
    by_label = {column.label: column for column in two.columns}
    return [(c, by_label[c.label]) for c in one.columns if c.label in by_label]


def _diff(
    a: ModelColumn,
    b: ModelColumn,
    rows: Sequence[tuple[QuestionRow, QuestionRow]],
    checked: tuple[Checked, Checked],
    peaks: tuple[float, float],
    say: ReportMessages,
) -> ModelDiff:
    both = [(r.shown_answers(a), s.shown_answers(b)) for r, s in rows]
    done = [(x, y) for x, y in both if _is_complete(x) and _is_complete(y)]
    repeats = [(r.scored_answers(a), s.scored_answers(b)) for r, s in rows]
    alike = [(x, y) for x, y in repeats if _threads(x) == _threads(y)]
    changed = [
        QuestionChange(number, row.category or row.id, similarity(_text(x), _text(y)))
        for number, ((row, _), (x, y)) in enumerate(zip(rows, both, strict=True), 1)
        if _is_complete(x) and _is_complete(y) and _text(x) != _text(y)
    ]
    changed.sort(key=lambda one: one.similarity)
    same = [1.0] * (len(done) - len(changed)) + [one.similarity for one in changed]
    figures = {
        "changed": Figure(None, None, len(changed)),
        "similarity": Figure(None, None, fmean(same) if same else None),
        "incomplete": _difference(*(_count(side, _is_incomplete) for side in _sides(both))),
        "cut": _difference(*(_count(side, _is_cut) for side in _sides(both))),
        "empty": _difference(*(_count(side, _is_empty) for side in _sides(both))),
        "checks": _difference(*map(_share_passed, _sides(done), checked)),
        "stars": _stars_difference(done),
        **{name: _ratio(alike, value) for name, value in _RATIOS.items()},
        "chars_s": _text_speeds(alike),
        "length": _ratio(repeats, lambda answer: float(len(answer.text))),
        "memory": _memory(a, b, peaks),
    }
    sides = (
        Side(a, say("before"), [answer for row, _ in rows for answer in row.outcomes(a)]),
        Side(b, say("after"), [answer for _, row in rows for answer in row.outcomes(b)]),
    )
    beware = describe_sides(sides, True, say, has_memory=True)
    return ModelDiff(a.label, b.label, len(done), len(rows), figures, tuple(changed), beware)


def _matched_rows(
    one: MergedSessions, two: MergedSessions
) -> list[tuple[QuestionRow, QuestionRow]]:
    """The questions that both runs asked; those that a person typed by their text."""

    def key(row: QuestionRow) -> tuple[str, ...]:
        return ("free", *row.turns) if row.is_typed else ("set", row.id)

    later = {key(row): row for row in two.rows if row.answer_ids}
    return [(row, later[key(row)]) for row in one.rows if row.answer_ids and key(row) in later]


Conversation = Sequence[Answer]
Pairs = Sequence[tuple[Conversation, Conversation]]


def _sides(pairs: Pairs) -> tuple[list[Conversation], list[Conversation]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _is_complete(conversation: Conversation) -> bool:
    return bool(conversation) and all(a.state == "answered" for a in conversation)


def _is_incomplete(answer: Answer) -> bool:
    return answer.state != "answered"


def _is_empty(answer: Answer) -> bool:
    return answer.is_empty


def _is_cut(answer: Answer) -> bool:
    return answer.is_cut


def _text(conversation: Conversation) -> str:
    return "\n\n".join(answer.text for answer in conversation)


def _count(side: Sequence[Conversation], is_counted: Callable[[Answer], bool]) -> float:
    return float(sum(is_counted(a) for conversation in side for a in conversation))


def _share_passed(side: Sequence[Conversation], checked: Checked) -> float | None:
    found = [r.passed for c in side for a in c for r in checked.get((0, a.id), ())]
    return fmean(found) if found else None


def _threads(answers: Sequence[Answer]) -> set[int]:
    return {answer.figures.threads for answer in answers if answer.figures}


def _difference(before: float | None, after: float | None) -> Figure:
    if before is None or after is None:
        return Figure(before, after, None)
    return Figure(before, after, after - before)


def _stars_difference(pairs: Pairs) -> Figure:
    """Over the turns and dimensions that the same people rated in both."""
    before, after = [], []
    for x, y in pairs:
        one, two = _stars(x), _stars(y)
        if common := one.keys() & two.keys():
            before.append(fmean(one[key] for key in common))
            after.append(fmean(two[key] for key in common))
    return _difference(fmean(before), fmean(after)) if before else Figure(None, None, None)


def _stars(conversation: Conversation) -> dict[tuple[int, str, str], int]:
    return {
        (a.turn, rater, dimension): stars
        for a in conversation
        for (rater, dimension), stars in a.ratings.items()
        if 1 <= stars <= MAX_STARS
    }


def _ratio(pairs: Pairs, value: Callable[[Answer], float | None]) -> Figure:
    """The medians over questions of both, and the geometric mean of the ratios per question. Of a
    question the turns count that have a value in both."""
    before, after = [], []
    for x, y in pairs:
        one, two = (_values(side, value) for side in (x, y))
        turns = one.keys() & two.keys()
        if turns:
            before.append(mean([one[turn] for turn in turns]))
            after.append(mean([two[turn] for turn in turns]))
    if not before:
        return Figure(None, None, None, is_ratio=True)
    logs = fmean(math.log(b) - math.log(a) for a, b in zip(before, after, strict=True))
    return Figure(median(before), median(after), ratio_of(logs), is_ratio=True)


def _text_speeds(pairs: Pairs) -> Figure:
    """The sums of characters over the sums of seconds, of the turns that are timed in both."""
    before, after = [], []
    for x, y in pairs:
        one, two = ([a for a in side if _seconds(a) is not None] for side in (x, y))
        turns = {a.turn for a in one} & {a.turn for a in two}
        before += [a for a in one if a.turn in turns]
        after += [a for a in two if a.turn in turns]
    return _ratio_of(*(text_speed(side) or 0.0 for side in (before, after)))


def _values(answers: Sequence[Answer], value: Callable[[Answer], float | None]) -> dict[int, float]:
    """By turn the mean over its complete answers."""
    found: dict[int, list[float]] = {}
    for answer in answers:
        one = value(answer) if answer.state == "answered" else None
        if one is not None and one > 0:
            found.setdefault(answer.turn, []).append(one)
    return {turn: mean(known) for turn, known in found.items()}


def _memory(a: ModelColumn, b: ModelColumn, peaks: tuple[float, float]) -> Figure:
    """Without a change where only one of them was converted: that is done once, and takes more."""
    found = _ratio_of(*peaks)
    return found if a.was_converted == b.was_converted else replace(found, change=None)


def _ratio_of(before: float, after: float) -> Figure:
    known = before > 0 and after > 0
    return Figure(before or None, after or None, after / before if known else None, is_ratio=True)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a diff fails: a figure's change compared with a number."""

    text: str
    figure: str
    compare: Callable[[float, float], bool]
    bound: float


_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def parse_rule(text: str) -> Rule:
    """A rule such as ``e2e>1.2`` or ``changed > 0``.

    Raises:
        UserError: it is none.
    """
    found = re.fullmatch(r"\s*(\w+)\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)(%?)\s*", text)
    if not found or found[1] not in FIGURES:
        raise UserError(
            f"no rule: {text!r}", f"e.g. `e2e>1.2`; one of {', '.join(FIGURES)}, with < <= > >="
        )
    bound = float(found[3]) / (100 if found[4] else 1)
    if found[1] in SHARES and abs(bound) > 1:
        raise UserError(f"no rule: {text!r}: a share is at most 100%", f"e.g. `{found[1]}<90%`")
    return Rule(text.strip(), found[1], _OPERATORS[found[2]], bound)


def is_broken(rule: Rule, found: ModelDiff) -> bool:
    """Whether a diff fails by a rule.

    Raises:
        UserError: the figure was not measured in both runs.
    """
    change = found.figures[rule.figure].change
    if change is None:
        what = f"{rule.figure} of {found.after}"
        raise UserError(
            f"{rule.text} cannot be checked: no question has {what} in both runs, undisturbed and "
            "on as many threads"
            if rule.figure in TIMES
            else f"{rule.text} cannot be checked: {what} holds the conversion of one run"
            if found.figures[rule.figure].before and found.figures[rule.figure].after
            else f"{rule.text} cannot be checked: {what} is not known in both runs",
            "leave the rule out, or run again",
        )
    return rule.compare(change, rule.bound)
