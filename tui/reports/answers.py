"""Each question's answers side by side, and the list of failed, cut and disturbed answers."""

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

from tui import board as bd
from tui.board.judgements import MAX_STARS
from tui.reports.contention import describe_contention
from tui.reports.document import AnswerCard, Figure, QuestionSection, QuestionTurn, format_figure
from tui.reports.merge import MergedSessions, ModelColumn, QuestionRow
from tui.reports.messages import ReportMessages
from tui.reports.place_ids import place_id
from tui.reports.run_tables import describe_verdict
from tui.reports.verdicts import verdict_lines
from tui.scoring.dimensions import Dimension
from tui.text.sanitise import clean, collapse_line
from tui.text.translation import translate

_MAX_RUNS = 20
"""Questions, or ranges of them, that are listed for a cause."""
_REPETITION = "repetition"

CheckLine = Callable[[QuestionRow, bd.Answer], str]
"""Says in words how an answer did in its question's checks; empty without checks."""


def build_sections(
    merged: MergedSessions,
    dimensions: Sequence[Dimension],
    check_line: CheckLine,
    difference_of: Callable[[QuestionRow], str],
    pictures: Mapping[str, str],
    say: ReportMessages,
) -> tuple[QuestionSection, ...]:
    """One section per question that was asked; ``difference_of`` says how the models part on it,
    ``pictures`` are SVG by question id."""
    found, under_way = [], merged.under_way
    for number, row in enumerate(merged.rows, 1):
        if not row.answer_ids:
            continue
        category = row.category or (say("typed") if row.is_typed else "")
        found.append(
            QuestionSection(
                number,
                f"{number}. {collapse_line(category or row.id)}",
                _turns(row, merged.columns, dimensions, check_line, under_way, say),
                _picture(number, pictures.get(row.id, ""), say),
                verdict_lines(merged, row, say),
                place_id("question", row.id),
                difference_of(row),
            )
        )
    return tuple(found)


def _picture(number: int, svg: str, say: ReportMessages) -> Figure | None:
    return Figure(f"panes-{number}", say("picture"), svg=svg, role="panes") if svg else None


def _turns(
    row: QuestionRow,
    columns: Sequence[ModelColumn],
    dimensions: Sequence[Dimension],
    check_line: CheckLine,
    under_way: Container[int],
    say: ReportMessages,
) -> tuple[QuestionTurn, ...]:
    by_column = [{a.turn: a for a in row.shown_answers(column)} for column in columns]
    turns = []
    for turn in sorted({turn for shown in by_column for turn in shown}):
        cards = []
        prompts = [shown[turn].prompt for shown in by_column if turn in shown]
        for column, shown in zip(columns, by_column, strict=True):
            if answer := shown.get(turn):
                more = sum(a.turn == turn for a in row.answers(column)) - 1
                checks = check_line(row, answer)
                card = _card(column, answer, dimensions, more, checks, under_way, say)
            else:
                card = AnswerCard(collapse_line(column.label), "", remarks=(say("no_answer"),))
            cards.append(card)
        turns.append(QuestionTurn(clean(prompts[0]), tuple(cards)))
    return tuple(turns)


def _card(
    column: ModelColumn,
    answer: bd.Answer,
    dimensions: Sequence[Dimension],
    more: int,
    checks: str,
    under_way: Container[int],
    say: ReportMessages,
) -> AnswerCard:
    lines = [
        line for line in (_figures(answer, say), _stars(answer, dimensions, say), checks) if line
    ]
    # What happened several times, as a worker without progress, is one line.
    told = Counter(note.text for note in answer.notes if note.source != "person")
    notes = [
        translate(text, say.language) + (f" (×{count})" if count > 1 else "")
        for text, count in told.items()
    ]
    notes += [answer.person_note] if answer.person_note else []
    lines += [f"{say('note')}: {collapse_line(text)}" for text in notes]
    if more:
        lines.append(say("more", n=more))
    text = clean(answer.text).strip("\n")
    if not text.strip() and answer.state == "answered":
        text = say("all_thought" if answer.is_all_thought else "empty")
    return AnswerCard(
        collapse_line(column.label),
        text,
        clean("".join(answer.reasoning)).strip("\n"),
        tuple(lines),
        tuple(answer_remarks(answer, say, under_way)),
    )


def _figures(answer: bd.Answer, say: ReportMessages) -> str:
    f = answer.figures
    if f is None:
        return ""
    about = "~" if answer.is_estimated else ""
    parts = [f"{about}{f.output_tokens} tok", say("n_chars", n=len(answer.text))]
    if f.ttft_ms is not None:
        parts.append(f"TTFT {format_figure(f.ttft_ms)} ms")
    if f.thought_tokens:
        parts.append(say("n_thought", n=f"{about}{f.thought_tokens}"))
        if f.answer_ttft_ms is not None:
            parts.append(f"{say('answer_ttft')} {format_figure(f.answer_ttft_ms)} ms")
    if f.tpot_ms is not None:
        parts.append(f"TPOT {about}{format_figure(f.tpot_ms)} ms")
    if f.decode_tok_s is not None:
        parts.append(f"{about}{format_figure(f.decode_tok_s)} tok/s")
    if f.e2e_ms is not None:
        parts.append(f"E2E {format_figure(f.e2e_ms / 1000)} s")
    return " · ".join(parts)


def _stars(answer: bd.Answer, dimensions: Sequence[Dimension], say: ReportMessages) -> str:
    return " · ".join(
        f"{collapse_line(d.name(say.language))} {'★' * stars}{'☆' * (MAX_STARS - stars)}"
        + (f" ({collapse_line(rater)})" if rater else "")
        for d in dimensions
        for (rater, id_), stars in answer.ratings.items()
        if id_ == d.id and 1 <= stars <= MAX_STARS
    )


def _told(text: str, say: ReportMessages) -> str:
    """What the program said in English, on one line in the report's language."""
    return collapse_line(translate(text, say.language))


def answer_remarks(
    answer: bd.Answer, say: ReportMessages, under_way: Container[int] = ()
) -> list[str]:
    """Remarks that limit how far an answer or its figures can be trusted; ``under_way`` as of
    `MergedSessions`."""
    found = [trouble.text for trouble in _troubles(answer, say, under_way)]
    if answer.figures is not None and answer.figures.batch > 1:
        found.append(say("batched", n=answer.figures.batch))
    return found


class _Trouble(NamedTuple):
    """What did not go as it should: its ``cause``, the same for all of a kind, in words, and how
    bad it was among those of its kind."""

    cause: str
    text: str
    weight: float = 0.0


def _troubles(answer: bd.Answer, say: ReportMessages, under_way: Container[int]) -> list[_Trouble]:
    found: list[_Trouble] = []
    figures = answer.figures
    if answer.state == "failed" and answer.failure:
        message = _told(answer.failure.message, say)
        found.append(_Trouble(f"failed {message}", say("failed", message=message)))
    elif answer.state != "answered":
        key = "prefill_state" if answer.state == "prefill" else answer.state
        key = "under_way" if id(answer) in under_way else key
        found.append(_Trouble(key, say(key)))
    if answer.is_empty and not answer.is_all_thought:
        found.append(_Trouble("is_empty", say("is_empty")))
    if figures is not None:
        if figures.finish == "length":
            found.append(_Trouble("truncated", say("truncated")))
        if answer.is_all_thought:
            found.append(_Trouble("r_all_thought", say("r_all_thought")))
        if figures.thought_cut:
            found.append(_Trouble("r_thought_cut", say("r_thought_cut")))
        if figures.finish == "repetition":
            token = figures.repeats_from
            found.append(_Trouble(_REPETITION, say(_REPETITION, token=token), -token))
        if figures.contended:
            told = describe_contention(figures.contended_by, figures.lost, say)
            found.append(_Trouble(f"contended {figures.contended_by}", told, figures.lost))
        if figures.token_source == "estimate":
            found.append(_Trouble("estimate", say("estimate")))
    if answer.started is not None and (dropped := answer.started.dropped_turns):
        found.append(_Trouble("dropped_turns", say("dropped_turns", n=dropped), dropped))
    return found


def list_problems(merged: MergedSessions, say: ReportMessages) -> tuple[str, ...]:
    """Everything that did not go as it should, file by file, model by model, the answers of a
    model together by their cause; with what the program noted while running."""
    found = []
    for source in merged.sources:
        if source.recorded.verdict != "complete":
            found.append(f"{collapse_line(source.name)}: {describe_verdict(source, say)}")
        found += [
            f"{collapse_line(source.name)}: {_told(note.text, say)}"
            for note in source.board.notes
            if note.source != "setup"
        ]
    found += _between_sessions(merged, say)
    for column in merged.columns:
        label = collapse_line(column.label)
        for part in column.parts:
            found += [
                f"{label}: {say('model_failed', message=_told(message, say))}"
                for message in part.track.failures
            ]
        found += _by_cause(merged, column, say)
        found += _unequal_repeats(merged, column, say)
    if not any(a.ratings for column in merged.columns for a in column.answers):
        found.append(say("not_rated"))
    return tuple(found)


def _by_cause(merged: MergedSessions, column: ModelColumn, say: ReportMessages) -> list[str]:
    """A line for each cause, with the questions of the answers that it befell."""
    under_way = merged.under_way
    seen: dict[str, list[_Trouble]] = {}
    numbers: dict[str, list[int]] = {}
    for number, row in enumerate(merged.rows, 1):
        for answer in row.answers(column):
            for trouble in _troubles(answer, say, under_way):
                seen.setdefault(trouble.cause, []).append(trouble)
                numbers.setdefault(trouble.cause, []).append(number)
    label = collapse_line(column.label)
    return [
        say(
            "t_cause",
            model=label,
            what=_worst(troubles, say),
            n=len(numbers[cause]),
            questions=_runs(numbers[cause], say),
        )
        for cause, troubles in seen.items()
    ]


def _unequal_repeats(merged: MergedSessions, column: ModelColumn, say: ReportMessages) -> list[str]:
    """That greedy answers to one question are not all the same text, which a reader may wonder
    about."""
    if column.sampling.get("greedy") is not True:
        return []
    numbers = []
    for number, row in enumerate(merged.rows, 1):
        first = [a for a in row.answers(column) if a.turn == 0 and a.state == "answered"]
        if len({(a.prompt, a.text) for a in first}) > len({a.prompt for a in first}):
            numbers.append(number)
    if not numbers:
        return []
    label = collapse_line(column.label)
    return [say("unequal_repeats", model=label, n=len(numbers), questions=_runs(numbers, say))]


def _worst(troubles: Sequence[_Trouble], say: ReportMessages) -> str:
    """Those of one cause in words, by the worst of them."""
    worst = max(troubles, key=lambda one: one.weight)
    if len({one.text for one in troubles}) == 1:
        return worst.text
    if worst.cause == _REPETITION:
        return say("repetition_first", token=f"{-worst.weight:.0f}")
    return say("at_worst", what=worst.text)


def _runs(numbers: Sequence[int], say: ReportMessages) -> str:
    """Numbers of questions, those that follow each other as a range."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    texts = [str(p[0]) if len(p) == 1 else f"{p[0]}–{p[-1]}" for p in parts]
    return say("and").join(texts[:_MAX_RUNS]) + (" …" if len(texts) > _MAX_RUNS else "")


def _between_sessions(merged: MergedSessions, say: ReportMessages) -> list[str]:
    headers = [source.recorded.header for source in merged.sources]
    found = [
        say(
            "copies",
            file=collapse_line(source.name),
            copies=", ".join(map(collapse_line, source.copies)),
        )
        for source in merged.sources
        if source.copies
    ]
    if any(h.settings != headers[0].settings for h in headers):
        found.append(say("settings_differ"))
    if any(h.host.get("cpu") != headers[0].host.get("cpu") for h in headers):
        found.append(say("machines_differ"))
    return found
