"""The tables of judgements: stars, votes, a judge, checks, overlap with references."""

from collections.abc import Mapping, Sequence
from statistics import median

from tui import events as ev
from tui.reports.cost_tables import best_of
from tui.reports.document import Cell, Table, figure
from tui.reports.evaluate import Overlaps
from tui.reports.merge import Merged
from tui.reports.words import Voice
from tui.scoring import rank
from tui.scoring.agreement import agreement
from tui.scoring.checks import Result
from tui.scoring.costs import Spread
from tui.scoring.dimensions import MAX_STARS, Dimension
from tui.scoring.rank import Duel, Score
from tui.scoring.stars import Stars, average, newest


def stars_table(
    merged: Merged,
    dimensions: Sequence[Dimension],
    costs: Mapping[str, Mapping[str, Spread]],
    voice: Voice,
) -> Table | None:
    """Mean stars per model and dimension, with the measured speed; None without stars."""
    wanted: list[str | None] = [*(d.id for d in dimensions), None]
    means = {(c.key, d): average(c.answers, d) for c in merged.columns for d in wanted}
    if not any(stars.n for stars in means.values()):
        return None
    best = {d: best_of([means[c.key, d].mean for c in merged.columns], 1) for d in wanted}
    rows = []
    for column in merged.columns:
        cells = []
        for d in wanted:
            stars = means[column.key, d]
            won = stars.mean is not None and stars.mean == best[d]
            text = "–" if stars.mean is None else f"{stars.mean:.2f}"
            cells.append(Cell(text, _drawn(stars) if stars.mean is not None else "", won))
        speed = costs[column.key]["chars_s"].median
        rows.append((Cell(voice.line(column.label)), *cells, Cell(figure(speed))))
    names = (voice.line(d.name(voice.lang)) for d in dimensions)
    head = (voice("model"), *names, voice("mean"), voice("speed"))
    return Table(voice("stars"), head, tuple(rows))


def _drawn(stars: Stars) -> str:
    """A mean as stars, rounded, and of how many ratings it is."""
    full = round(stars.mean or 0)
    return f"{'★' * full}{'☆' * (MAX_STARS - full)} n {stars.n}"


def vote_duels(merged: Merged) -> list[Duel]:
    """The votes of a person as comparisons of columns."""
    found = []
    for source in merged.sources:
        for (question, left, right), choice in source.board.votes.items():
            found += _duel(merged, source.index, question, left, right, choice)
    return found


def verdicts(merged: Merged) -> dict[str, list[tuple[int, ev.Judged]]]:
    """By judge: the newest verdicts with the index of their session."""
    found: dict[str, list[tuple[int, ev.Judged]]] = {}
    for source in merged.sources:
        judged = (e.body for e in source.reading.events if isinstance(e.body, ev.Judged))
        for event in newest(judged):
            found.setdefault(event.judge, []).append((source.index, event))
    return found


def judge_duels(merged: Merged, found: Sequence[tuple[int, ev.Judged]]) -> list[Duel]:
    """A judge's verdicts as comparisons of columns."""
    return [
        duel
        for source, j in found
        for duel in _duel(merged, source, j.question, j.left, j.right, j.choice)
    ]


def _duel(
    merged: Merged, source: int, question: str, left: int, right: int, choice: str
) -> list[Duel]:
    answers = merged.sources[source].board.answers
    a, b = answers.get(left), answers.get(right)
    if a is None or b is None or choice not in ("left", "right", "tie", "bad"):
        return []
    columns = [merged.column_of(source, answer.model) for answer in (a, b)]
    if columns[0] is None or columns[1] is None or columns[0] is columns[1]:
        return []
    return [Duel(question, columns[0].label, columns[1].label, choice)]


def duel_table(title: str, duels: Sequence[Duel], merged: Merged, voice: Voice) -> Table | None:
    """Wins, ties and losses of each model against each other, with intervals."""
    scores = rank.pairs(duels)
    if not scores:
        return None
    labels = [column.label for column in merged.columns]
    order = rank.ordered(rank.overall(duels), labels)
    rows = [
        (Cell(voice.line(a)), Cell(voice.line(b)), *_score_cells(scores[a, b], voice))
        for i, a in enumerate(order)
        for b in order[i + 1 :]
        if (a, b) in scores
    ]
    head = ("model", "against", "wins", "ties", "losses", "share", "result")
    return Table(title, tuple(voice(key) for key in head), tuple(rows), left=2)


def _score_cells(score: Score, voice: Voice) -> tuple[Cell, ...]:
    share = "–" if score.share is None else f"{score.share:.0%}"
    low, high = score.interval
    detail = "" if score.share is None else f"{low:.0%}–{high:.0%}"
    counts = (Cell(str(n)) for n in (score.wins, score.ties, score.losses))
    return (*counts, Cell(share, detail), Cell(voice(score.verdict)))


def judge_tables(merged: Merged, voice: Voice) -> list[Table]:
    """One table per judge, with how often the order of the answers decided."""
    tables = []
    for judge, found in verdicts(merged).items():
        title = voice("judged", judge=voice.line(judge))
        table = duel_table(title, judge_duels(merged, found), merged, voice)
        notes = _judge_notes(judge, found, merged, voice)
        if table is None:
            table = Table(title, (), ())
        tables.append(Table(table.title, table.head, table.rows, table.left, notes))
    return tables


def _judge_notes(
    judge: str, found: Sequence[tuple[int, ev.Judged]], merged: Merged, voice: Voice
) -> tuple[str, ...]:
    events = [event for _, event in found]
    readable = [j for j in events if j.choice != "none"]
    flips = sum(flipped(j) for j in readable)
    gaps = []
    for source, j in found:
        answers = merged.sources[source].board.answers
        if j.choice in ("left", "right") and j.left in answers and j.right in answers:
            gap = len(answers[j.left].text) - len(answers[j.right].text)
            gaps.append(gap if j.choice == "left" else -gap)
    notes = [
        voice(
            "flips",
            flips=flips,
            n=len(readable),
            rate=f"{flips / len(readable):.0%}" if readable else "–",
            unread=len(events) - len(readable),
            length=f"{median(gaps):+.0f}" if gaps else "–",
        )
    ]
    agreed = [
        agreement((e for s, e in found if s == source.index), source.board.answers)
        for source in merged.sources
    ]
    if n := sum(a.n for a in agreed):
        same, opposite = (sum(getattr(a, name) for a in agreed) for name in ("same", "opposite"))
        notes.append(voice("agreement", n=n, same=same, opposite=opposite))
    kin = {
        column.label
        for source, j in found
        if j.same_family
        for id_ in (j.left, j.right)
        if (answer := merged.sources[source].board.answers.get(id_))
        and (column := merged.column_of(source, answer.model))
    }
    if kin:
        listed = ", ".join(sorted(voice.line(label) for label in kin))
        notes.append(voice("same_family", judge=voice.line(judge), models=listed))
    return tuple(notes)


def flipped(judged: ev.Judged) -> bool:
    """Whether the order of the answers decided: both verdicts readable and not the same."""
    return "none" not in judged.verdicts and len(set(judged.verdicts)) > 1


def checks_table(
    merged: Merged, results: Mapping[tuple[int, int], Sequence[Result]], voice: Voice
) -> Table | None:
    """Checks passed of all, per question and model, over the answers shown."""
    rows = []
    totals = [[0, 0] for _ in merged.columns]
    for number, row in enumerate(merged.rows, 1):
        cells = []
        for i, column in enumerate(merged.columns):
            entries = row.entries(column)
            done = [r for source, a in entries for r in results.get((source, a.id), ())]
            passed = sum(result.passed for result in done)
            totals[i][0] += passed
            totals[i][1] += len(done)
            cells.append(Cell(f"{passed}/{len(done)}" if done else "–"))
        if any(cell.text != "–" for cell in cells):
            rows.append((Cell(f"{number}. {voice.line(row.category or row.id)}"), *cells))
    if not rows:
        return None
    rows.append((Cell(voice("all")), *(Cell(f"{p}/{n}" if n else "–") for p, n in totals)))
    head = (voice("question"), *(voice.line(c.label) for c in merged.columns))
    return Table(voice("checks"), head, tuple(rows))


def overlap_table(merged: Merged, overlaps: Overlaps, voice: Voice) -> Table | None:
    """Median BLEU, chrF and BERTScore of each model over its answers that have a reference."""
    rows = []
    for column in merged.columns:
        found = [
            overlaps.of[source, answer.id]
            for row in merged.rows
            for source, answer in row.entries(column)
            if (source, answer.id) in overlaps.of
        ]
        if found:
            label = Cell(voice.line(column.label))
            scores = [median(o.bleu for o in found), median(o.chrf for o in found)]
            berts = [o.bert for o in found if o.bert is not None]
            scores += [median(berts)] if berts else []
            rows.append((label, *(Cell(f"{s:.1f}", f"n {len(found)}") for s in scores)))
    if not rows:
        return None
    head, notes = [voice("model"), "BLEU", "chrF"], [voice("overlap_note")]
    if overlaps.encoder:
        head.append("BERTScore F1")
        encoder = voice.line(overlaps.encoder)
        notes.append(voice("bert_note", encoder=encoder, layer=overlaps.layer))
    return Table(voice("overlap"), tuple(head), tuple(rows), notes=tuple(notes))
