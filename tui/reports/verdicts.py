"""What was said of each question: a person's votes and a judge's verdicts, in words."""

from collections.abc import Sequence

from tui import events as ev
from tui.board import Answer
from tui.reports.merge import Merged, Row, Source
from tui.reports.score_tables import flipped
from tui.reports.words import Voice
from tui.scoring.stars import newest

_MAX_REASON = 400
"""Code points of a reason that are shown; the session holds all of it."""


def judged_by_source(merged: Merged) -> list[list[ev.Judged]]:
    """The newest verdicts of each session; its events are gone through once, not per question."""
    return [
        newest(e.body for e in source.reading.events if type(e.body) is ev.Judged)
        for source in merged.sources
    ]


def verdict_lines(
    merged: Merged, row: Row, judged: Sequence[Sequence[ev.Judged]], voice: Voice
) -> tuple[str, ...]:
    """One line per vote and per verdict (of `judged_by_source`), each with the lengths of the
    answers and its reasons."""
    found: list[str] = []
    for source in merged.sources:
        here = {
            id_ for (index, _), ids in row.cells.items() if index == source.index for id_ in ids
        }
        for (_, left, right), choice in source.board.votes.items():
            if {left, right} <= here and choice != "none":
                pair = _pair(merged, source, left, right, voice)
                found.append(voice("v_vote", verdict=_verdict(choice, pair, voice)))
        for event in judged[source.index]:
            if {event.left, event.right} <= here:
                found += _judged(merged, source, event, voice)
    return tuple(found)


def _judged(merged: Merged, source: Source, event: ev.Judged, voice: Voice) -> list[str]:
    pair = _pair(merged, source, event.left, event.right, voice)
    answers = source.board.answers
    line = voice(
        "v_judge",
        judge=voice.line(event.judge),
        verdict=_verdict(event.choice, pair, voice),
        left=pair[0],
        left_n=len(answers[event.left].text),
        right=pair[1],
        right_n=len(answers[event.right].text),
        orders=voice(_orders(event)),
    )
    first = (pair[0], pair[1])
    reasons = [
        voice("v_reason", first=name, text=_short(voice.line(reason)))
        for name, reason in zip(first, event.reasons, strict=False)
        if reason.strip()
    ]
    return [line, *reasons]


def _orders(event: ev.Judged) -> str:
    if event.choice == "none":
        return "v_unreadable"
    return "v_flipped" if flipped(event) else "v_steady"


def _pair(merged: Merged, source: Source, left: int, right: int, voice: Voice) -> tuple[str, str]:
    def name(answer: Answer) -> str:
        column = merged.column_of(source.index, answer.model)
        return voice.line(column.label if column else "?")

    return name(source.board.answers[left]), name(source.board.answers[right])


def _verdict(choice: str, pair: tuple[str, str], voice: Voice) -> str:
    if choice in ("left", "right"):
        better, worse = pair if choice == "left" else pair[::-1]
        return voice("v_better", better=better, worse=worse)
    key = {"tie": "v_tie", "bad": "v_bad"}.get(choice, "v_none")
    return voice(key, left=pair[0], right=pair[1])


def _short(text: str) -> str:
    return text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 1] + "…"
