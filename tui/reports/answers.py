"""The questions with their answers side by side, and the honest list of what went wrong."""

from collections.abc import Callable, Mapping, Sequence

from tui import board as bd
from tui import events as ev
from tui.reports.document import Card, Section, Turn, figure
from tui.reports.merge import Column, Merged, Row
from tui.reports.run_tables import verdict
from tui.reports.verdicts import judged_by_source, verdict_lines
from tui.reports.words import Voice
from tui.scoring.dimensions import MAX_STARS, Dimension

CheckLine = Callable[[Row, bd.Answer], str]
"""Says in words how an answer did in its question's checks; empty without checks."""


def sections(
    merged: Merged,
    dimensions: Sequence[Dimension],
    check_line: CheckLine,
    pictures: Mapping[str, str],
    images: Mapping[str, str],
    voice: Voice,
) -> tuple[Section, ...]:
    """One section per question that was asked; ``pictures`` are SVG and ``images``
    addresses of PNG, by question id."""
    found, judged = [], judged_by_source(merged)
    for number, row in enumerate(merged.rows, 1):
        if not row.cells:
            continue
        category = row.category or (voice("typed") if row.free else "")
        found.append(
            Section(
                f"{number}. {voice.line(category or row.id)}",
                _turns(row, merged.columns, dimensions, check_line, voice),
                pictures.get(row.id, ""),
                images.get(row.id, ""),
                verdict_lines(merged, row, judged, voice),
            )
        )
    return tuple(found)


def _turns(
    row: Row,
    columns: Sequence[Column],
    dimensions: Sequence[Dimension],
    check_line: CheckLine,
    voice: Voice,
) -> tuple[Turn, ...]:
    by_column = [{a.turn: a for a in row.shown(column)} for column in columns]
    turns = []
    for turn in sorted({turn for shown in by_column for turn in shown}):
        cards = []
        prompts = [shown[turn].prompt for shown in by_column if turn in shown]
        for column, shown in zip(columns, by_column, strict=True):
            if answer := shown.get(turn):
                more = sum(a.turn == turn for a in row.answers(column)) - 1
                card = _card(column, answer, dimensions, more, check_line(row, answer), voice)
            else:
                card = Card(voice.line(column.label), "", remarks=(voice("no_answer"),))
            cards.append(card)
        turns.append(Turn(voice.clean(prompts[0]), tuple(cards)))
    return tuple(turns)


def _card(
    column: Column,
    answer: bd.Answer,
    dimensions: Sequence[Dimension],
    more: int,
    checks: str,
    voice: Voice,
) -> Card:
    lines = [
        line
        for line in (_figures(answer, voice), _stars(answer, dimensions, voice), checks)
        if line
    ]
    notes = [note.text for note in answer.notes if note.source != "person"]
    notes += [answer.remark] if answer.remark else []
    lines += [f"{voice('note')}: {voice.line(text)}" for text in notes]
    if more:
        lines.append(voice("more", n=more))
    text = voice.clean(answer.text).strip("\n")
    if not text.strip() and answer.state == "answered":
        text = voice("empty")
    return Card(
        voice.line(column.label),
        text,
        voice.clean("".join(answer.reasoning)).strip("\n"),
        tuple(lines),
        tuple(remarks(answer, voice)),
    )


def _figures(answer: bd.Answer, voice: Voice) -> str:
    f = answer.figures
    if f is None:
        return ""
    about = "~" if answer.is_estimated else ""
    parts = [f"{about}{f.output_tokens} tok", voice("n_chars", n=len(answer.text))]
    if f.ttft_ms is not None:
        parts.append(f"TTFT {figure(f.ttft_ms)} ms")
    if f.tpot_ms is not None:
        parts.append(f"TPOT {about}{figure(f.tpot_ms)} ms")
    if f.decode_tok_s is not None:
        parts.append(f"{about}{figure(f.decode_tok_s)} tok/s")
    if f.e2e_ms is not None:
        parts.append(f"E2E {figure(f.e2e_ms / 1000)} s")
    return " · ".join(parts)


def _stars(answer: bd.Answer, dimensions: Sequence[Dimension], voice: Voice) -> str:
    return " · ".join(
        f"{voice.line(d.name(voice.lang))} {'★' * stars}{'☆' * (MAX_STARS - stars)}"
        for d in dimensions
        if 1 <= (stars := answer.stars.get(d.id, 0)) <= MAX_STARS
    )


def remarks(answer: bd.Answer, voice: Voice) -> list[str]:
    """What a reader must know before trusting an answer or its figures."""
    found = []
    if answer.state == "failed" and answer.failure:
        found.append(voice("failed", message=voice.line(answer.failure.message)))
    elif answer.state != "answered":
        found.append(voice("prefill_state" if answer.state == "prefill" else answer.state))
    figures = answer.figures
    if figures is not None:
        if figures.finish == "length":
            found.append(voice("truncated"))
        if figures.contended:
            found.append(voice("contended"))
        if figures.token_source == "estimate":
            found.append(voice("estimate"))
        if figures.batch > 1:
            found.append(voice("batched", n=figures.batch))
    if answer.started is not None and answer.started.dropped_turns:
        found.append(voice("dropped_turns", n=answer.started.dropped_turns))
    return found


def troubles(merged: Merged, voice: Voice) -> tuple[str, ...]:
    """Everything that did not go as it should, file by file, model by model, answer by
    answer; with what the program noted while running."""
    found = []
    for source in merged.sources:
        if source.reading.verdict != "complete":
            found.append(f"{voice.line(source.name)}: {verdict(source, voice)}")
        found += [
            f"{voice.line(source.name)}: {voice.line(note.text)}" for note in source.board.notes
        ]
    found += _between_sessions(merged, voice)
    for column in merged.columns:
        label = voice.line(column.label)
        for part in column.parts:
            found += [
                f"{label}: {voice('model_failed', message=voice.line(event.body.message))}"
                for event in part.source.reading.events
                if event.model == part.model.index
                and isinstance(event.body, ev.Failed)
                and event.body.answer == -1
            ]
        for number, row in enumerate(merged.rows, 1):
            for answer in row.answers(column):
                if listed := remarks(answer, voice):
                    found.append(f"{label}, {voice('question')} {number}: {'; '.join(listed)}")
    if not any(a.stars for column in merged.columns for a in column.answers):
        found.append(voice("not_rated"))
    return tuple(found)


def _between_sessions(merged: Merged, voice: Voice) -> list[str]:
    headers = [source.reading.header for source in merged.sources]
    found = []
    if any(h.settings != headers[0].settings for h in headers):
        found.append(voice("settings_differ"))
    if any(h.host.get("cpu") != headers[0].host.get("cpu") for h in headers):
        found.append(voice("machines_differ"))
    return found
