"""The tables of judgements: stars, votes, a judge, checks, overlap with references."""

from collections.abc import Mapping, Sequence
from statistics import median

from tui import events as ev
from tui.reports.cost_tables import best_of
from tui.reports.document import Cell, Table, format_figure
from tui.reports.evaluate import OverlapResults
from tui.reports.merge import MergedSessions
from tui.reports.messages import ReportMessages
from tui.scoring import rank
from tui.scoring.agreement import compute_agreement
from tui.scoring.checks import CheckResult
from tui.scoring.costs import Spread
from tui.scoring.dimensions import MAX_STARS, Dimension
from tui.scoring.judge import is_flipped
from tui.scoring.rank import Duel, DuelScore
from tui.scoring.stars import MeanStars, average_stars, newest_verdicts
from tui.text.sanitise import collapse_line


def stars_table(
    merged: MergedSessions,
    dimensions: Sequence[Dimension],
    costs: Mapping[str, Mapping[str, Spread]],
    say: ReportMessages,
) -> Table | None:
    """Mean stars per model and dimension, with the measured speed; None without stars."""
    wanted: list[str | None] = [*(d.id for d in dimensions), None]
    means = {(c.key, d): average_stars(c.answers, d) for c in merged.columns for d in wanted}
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
            cells.append(Cell(text, _draw_stars(stars) if stars.mean is not None else "", won))
        speed = costs[column.key]["chars_s"].median
        rows.append((Cell(collapse_line(column.label)), *cells, Cell(format_figure(speed))))
    names = (collapse_line(d.name(say.language)) for d in dimensions)
    head = (say("model"), *names, say("mean"), say("speed"))
    return Table(say("stars"), head, tuple(rows))


def _draw_stars(stars: MeanStars) -> str:
    """A mean as stars, rounded, and of how many ratings it is."""
    full = round(stars.mean or 0)
    return f"{'★' * full}{'☆' * (MAX_STARS - full)} n {stars.n}"


def vote_duels(merged: MergedSessions) -> list[Duel]:
    """The votes of a person as comparisons of columns."""
    found = []
    for source in merged.sources:
        for (question, left, right), choice in source.board.votes.items():
            found += _duel(merged, source.index, question, left, right, choice)
    return found


def verdicts_by_judge(merged: MergedSessions) -> dict[str, list[tuple[int, ev.Judged]]]:
    """By judge: the newest verdicts with the index of their session."""
    found: dict[str, list[tuple[int, ev.Judged]]] = {}
    for source in merged.sources:
        judged = (e.body for e in source.recorded.events if isinstance(e.body, ev.Judged))
        for event in newest_verdicts(judged):
            found.setdefault(event.judge, []).append((source.index, event))
    return found


def judge_duels(merged: MergedSessions, found: Sequence[tuple[int, ev.Judged]]) -> list[Duel]:
    """A judge's verdicts as comparisons of columns."""
    return [
        duel
        for source, j in found
        for duel in _duel(merged, source, j.question, j.left, j.right, j.choice)
    ]


def _duel(
    merged: MergedSessions, source: int, question: str, left: int, right: int, choice: str
) -> list[Duel]:
    answers = merged.sources[source].board.answers
    a, b = answers.get(left), answers.get(right)
    if a is None or b is None or choice not in ("left", "right", "tie", "bad"):
        return []
    columns = [merged.column_of(source, answer.model) for answer in (a, b)]
    if columns[0] is None or columns[1] is None or columns[0] is columns[1]:
        return []
    return [Duel(question, columns[0].label, columns[1].label, choice)]


def duel_table(
    title: str, duels: Sequence[Duel], merged: MergedSessions, say: ReportMessages
) -> Table | None:
    """Wins, ties and losses of each model against each other, with intervals."""
    scores = rank.pairwise_scores(duels)
    if not scores:
        return None
    labels = [column.label for column in merged.columns]
    order = rank.rank_models(rank.overall_scores(duels), labels)
    rows = [
        (Cell(collapse_line(a)), Cell(collapse_line(b)), *_score_cells(scores[a, b], say))
        for i, a in enumerate(order)
        for b in order[i + 1 :]
        if (a, b) in scores
    ]
    head = ("model", "against", "wins", "ties", "losses", "share", "result")
    return Table(title, tuple(say(key) for key in head), tuple(rows), left=2)


def _score_cells(score: DuelScore, say: ReportMessages) -> tuple[Cell, ...]:
    share = "–" if score.share is None else f"{score.share:.0%}"
    low, high = score.interval
    detail = "" if score.share is None else f"{low:.0%}–{high:.0%}"
    counts = (Cell(str(n)) for n in (score.wins, score.ties, score.losses))
    return (*counts, Cell(share, detail), Cell(say(score.verdict)))


def judge_tables(merged: MergedSessions, say: ReportMessages) -> list[Table]:
    """One table per judge, with how often the order of the answers decided."""
    tables = []
    for judge, found in verdicts_by_judge(merged).items():
        title = say("judged", judge=collapse_line(judge))
        table = duel_table(title, judge_duels(merged, found), merged, say)
        notes = _judge_notes(judge, found, merged, say)
        if table is None:
            table = Table(title, (), ())
        tables.append(Table(table.title, table.head, table.rows, table.left, notes))
    return tables


def _judge_notes(
    judge: str, found: Sequence[tuple[int, ev.Judged]], merged: MergedSessions, say: ReportMessages
) -> tuple[str, ...]:
    events = [event for _, event in found]
    readable = [j for j in events if j.choice != "none"]
    flips = sum(is_flipped(j.verdicts) for j in readable)
    gaps = []
    for source, j in found:
        answers = merged.sources[source].board.answers
        if j.choice in ("left", "right") and j.left in answers and j.right in answers:
            gap = len(answers[j.left].text) - len(answers[j.right].text)
            gaps.append(gap if j.choice == "left" else -gap)
    notes = [
        say(
            "flips",
            flips=flips,
            n=len(readable),
            rate=f"{flips / len(readable):.0%}" if readable else "–",
            unread=len(events) - len(readable),
            length=f"{median(gaps):+.0f}" if gaps else "–",
        )
    ]
    agreed = [
        compute_agreement((e for s, e in found if s == source.index), source.board.answers)
        for source in merged.sources
    ]
    if n := sum(a.n for a in agreed):
        same, opposite = (sum(getattr(a, name) for a in agreed) for name in ("same", "opposite"))
        notes.append(say("agreement", n=n, same=same, opposite=opposite))
    kin = {
        column.label
        for source, j in found
        if j.same_family
        for id_ in (j.left, j.right)
        if (answer := merged.sources[source].board.answers.get(id_))
        and (column := merged.column_of(source, answer.model))
    }
    if kin:
        listed = ", ".join(sorted(collapse_line(label) for label in kin))
        notes.append(say("same_family", judge=collapse_line(judge), models=listed))
    return tuple(notes)


def checks_table(
    merged: MergedSessions,
    results: Mapping[tuple[int, int], Sequence[CheckResult]],
    say: ReportMessages,
) -> Table | None:
    """Checks passed of all, per question and model, over the answers shown."""
    rows = []
    totals = [[0, 0] for _ in merged.columns]
    for number, row in enumerate(merged.rows, 1):
        cells = []
        for i, column in enumerate(merged.columns):
            entries = row.answers_by_session(column)
            done = [r for source, a in entries for r in results.get((source, a.id), ())]
            passed = sum(result.passed for result in done)
            totals[i][0] += passed
            totals[i][1] += len(done)
            cells.append(Cell(f"{passed}/{len(done)}" if done else "–"))
        if any(cell.text != "–" for cell in cells):
            rows.append((Cell(f"{number}. {collapse_line(row.category or row.id)}"), *cells))
    if not rows:
        return None
    rows.append((Cell(say("all")), *(Cell(f"{p}/{n}" if n else "–") for p, n in totals)))
    head = (say("question"), *(collapse_line(c.label) for c in merged.columns))
    return Table(say("checks"), head, tuple(rows))


def overlap_table(
    merged: MergedSessions, overlaps: OverlapResults, say: ReportMessages
) -> Table | None:
    """Median BLEU, chrF and BERTScore of each model over its answers that have a reference."""
    rows = []
    for column in merged.columns:
        found = [
            overlaps.by_answer[source, answer.id]
            for row in merged.rows
            for source, answer in row.answers_by_session(column)
            if (source, answer.id) in overlaps.by_answer
        ]
        if found:
            label = Cell(collapse_line(column.label))
            scores = [median(o.bleu for o in found), median(o.chrf for o in found)]
            berts = [o.bert for o in found if o.bert is not None]
            scores += [median(berts)] if berts else []
            rows.append((label, *(Cell(f"{s:.1f}", f"n {len(found)}") for s in scores)))
    if not rows:
        return None
    head, notes = [say("model"), "BLEU", "chrF"], [say("overlap_note")]
    if overlaps.encoder:
        head.append("BERTScore F1")
        encoder = collapse_line(overlaps.encoder)
        notes.append(say("bert_note", encoder=encoder, layer=overlaps.layer))
    return Table(say("overlap"), tuple(head), tuple(rows), notes=tuple(notes))
