"""Votes and judge verdicts of each question as text."""

from tui import events as ev
from tui.board import Answer
from tui.board.judgements import read_verdicts
from tui.reports.evidence import JudgeKey
from tui.reports.judge_tables import judge_name
from tui.reports.merge import MergedSessions, QuestionRow, SourceSession
from tui.reports.messages import ReportMessages
from tui.scoring.judge import is_flipped, read_reasons
from tui.text.sanitise import collapse_line
from tui.text.width import shorten

_MAX_REASON = 400
"""Code points of a reason that are shown; the session holds all of it."""


def verdict_lines(merged: MergedSessions, row: QuestionRow, say: ReportMessages) -> tuple[str, ...]:
    """One line per vote and per verdict, each with the lengths of the answers and its reasons."""
    found: list[str] = []
    for source in merged.sources:
        here = row.ids_in(source.index)
        for (rater, _, left, right), choice in source.board.ballots.items():
            if {left, right} <= here:
                pair = _pair(merged, source, left, right, say)
                who = collapse_line(rater)
                verdict = _verdict(choice, pair, say)
                found.append(
                    say("v_vote_of", who=who, verdict=verdict)
                    if who
                    else say("v_vote", verdict=verdict)
                )
        for event in source.board.judged.values():
            if {event.left, event.right} <= here:
                found += _judged(merged, source, event, say)
    return tuple(found)


def _judged(
    merged: MergedSessions, source: SourceSession, event: ev.Judged, say: ReportMessages
) -> list[str]:
    pair = _pair(merged, source, event.left, event.right, say)
    answers = source.board.answers
    line = say(
        "v_judge",
        judge=judge_name(JudgeKey(event.judge, event.plain_text), say),
        verdict=_verdict(event.choice, pair, say),
        left=pair[0],
        left_n=len(answers[event.left].text),
        right=pair[1],
        right_n=len(answers[event.right].text),
        orders=say(_orders(event)),
    )
    first = (pair[0], pair[1])
    reasons = [
        say("v_reason", first=name, text=shorten(collapse_line(reason), _MAX_REASON))
        for name, reason in zip(first, read_reasons(event), strict=False)
        if reason.strip()
    ]
    return [line, *reasons]


def _orders(event: ev.Judged) -> str:
    if event.choice == "none":
        return "v_unreadable"
    return "v_flipped" if is_flipped(read_verdicts(event.verdicts)) else "v_steady"


def _pair(
    merged: MergedSessions, source: SourceSession, left: int, right: int, say: ReportMessages
) -> tuple[str, str]:
    def name(answer: Answer) -> str:
        column = merged.column_of(source.index, answer.model)
        return collapse_line(column.label if column else "?")

    return name(source.board.answers[left]), name(source.board.answers[right])


def _verdict(choice: str, pair: tuple[str, str], say: ReportMessages) -> str:
    if choice in ("left", "right"):
        better, worse = pair if choice == "left" else pair[::-1]
        return say("v_better", better=better, worse=worse)
    key = {"tie": "v_tie", "bad": "v_bad"}.get(choice, "v_none")
    return say(key, left=pair[0], right=pair[1])
