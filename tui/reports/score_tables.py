"""The tables of judgements: stars, votes, a judge, checks, overlap with references."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import median

from tui.board.judgements import MAX_STARS
from tui.reports import evidence
from tui.reports.certainty import SHARE, STARS, Scale, format_p
from tui.reports.comparable import Glances, best_of
from tui.reports.cost_tables import show_figure
from tui.reports.document import Cell, Table
from tui.reports.evaluate import OverlapResults
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.scoring import rank
from tui.scoring.checks import CheckResult
from tui.scoring.dimensions import Dimension
from tui.scoring.rank import Comparison, Duel, Samples
from tui.text.sanitise import collapse_line
from tui.text.width import shorten

_MAX_NOTES, _MAX_NOTE = 3, 60
"""Notes, and code points of each, that a table shows; all stand with the answers."""
SPEED_WORDS = ((40.0, "r_fast"), (15.0, "r_medium"), (5.0, "r_slow"), (0.0, "r_very_slow"))
"""From how many characters a second on a speed is called what; a reader of Chinese takes 5 to 8."""


def stars_table(
    merged: MergedSessions,
    dimensions: Sequence[Dimension],
    glances: Glances,
    say: ReportMessages,
) -> Table | None:
    """Mean stars per model and dimension, each question counted once, with the text speed and
    how many answers are complete; None without stars. The best is marked where all were rated on
    the same questions, in the same dimensions, by the same people."""
    samples = evidence.star_samples(merged)
    if not samples:
        return None
    wanted: list[str | None] = [*(d.id for d in dimensions), None]
    means = {
        (c.label, d): evidence.mean_stars(samples.get(c.label, {}), d)
        for c in merged.columns
        for d in wanted
    }
    is_even = {d: len(set(map(evidence.rated_parts, _rated(samples, d)))) < 2 for d in wanted}
    best = {
        d: best_of([means[c.label, d] for c in merged.columns], 1, _write_mean)
        if is_even[d]
        else None
        for d in wanted
    }
    rows = []
    for column in merged.columns:
        cells = []
        for d in wanted:
            mean = means[column.label, d]
            text = "–" if mean is None else _write_mean(mean)
            detail = "" if mean is None else _draw_stars(mean, _count_ratings(column, d))
            cells.append(Cell(text, detail, text == best[d]))
        done = sum(answer.state == "answered" for answer in column.answers)
        empty = sum(answer.is_empty for answer in column.answers)
        chars_s = glances[column.key].figures["chars_s"]
        rate = Cell(f"{done}/{len(column.outcomes)}", say("n_empty", n=empty) if empty else "")
        speeds = (Cell(show_figure(chars_s)), rate, Cell(_speed_in_words(chars_s.value, say)))
        rows.append((Cell(collapse_line(column.label)), *cells, *speeds))
    names = (collapse_line(d.name(say.language)) for d in dimensions)
    head = [say("model"), *names, say("mean"), say("speed"), say("answer_rate"), say("r_speed")]
    noted = [_notes_of(column, say) for column in merged.columns]
    if any(noted):
        head.append(say("note"))
        rows = [(*row, Cell(note or "–")) for row, note in zip(rows, noted, strict=True)]
    notes = (*_rater_notes(merged, say), _limits(say))
    if not all(is_even.values()):
        notes = (say("n_uneven"), *notes)
    return Table(say("stars"), tuple(head), tuple(rows), notes=notes)


def _write_mean(mean: float) -> str:
    return f"{mean:.2f}"


def _notes_of(column: ModelColumn, say: ReportMessages) -> str:
    """What a person noted on a model's answers, the first of it."""
    noted = [answer.person_note for answer in column.answers if answer.person_note]
    more = [say("and_more", n=len(noted) - _MAX_NOTES)] if len(noted) > _MAX_NOTES else []
    kept = [shorten(collapse_line(text), _MAX_NOTE) for text in noted[:_MAX_NOTES]]
    return say("sep").join([*kept, *more])


def _rated(samples: Mapping[str, Samples], dimension: str | None) -> Iterator[Samples]:
    """What each model was given in a dimension, or in all, where it was given any."""
    for of_model in samples.values():
        found = of_model if dimension is None else evidence.in_dimension(of_model, dimension)
        if found:
            yield found


def _speed_in_words(chars_s: float | None, say: ReportMessages) -> str:
    """A speed as a person who reads along has it."""
    if chars_s is None:
        return "–"
    return say(next(key for limit, key in SPEED_WORDS if chars_s >= limit))


def _limits(say: ReportMessages) -> str:
    parts = [f"{say(key)} ≥ {limit:g}" for limit, key in SPEED_WORDS if limit]
    return say("r_limits", limits=say("sep").join(parts))


def _count_ratings(column: ModelColumn, dimension: str | None) -> int:
    return sum(
        1 <= stars <= MAX_STARS and dimension in (None, d)
        for answer in column.answers
        for (_, d), stars in answer.ratings.items()
    )


def _draw_stars(mean: float, n: int) -> str:
    """A mean as stars, rounded, and of how many ratings it is."""
    full = round(mean)
    return f"{'★' * full}{'☆' * (MAX_STARS - full)} n {n}"


def _rater_notes(merged: MergedSessions, say: ReportMessages) -> tuple[str, ...]:
    """Who rated how many answers, and how far several raters agree."""
    found = evidence.rater_agreement(merged)
    if len(found.raters) < 2:
        return ()
    notes = [say("raters", names=_persons("rater_of", found.raters, say))]
    if found.stars is not None:
        notes.append(say("alpha_stars", alpha=f"{found.stars:.2f}", n=found.n_stars))
    return tuple(notes)


def _voter_notes(merged: MergedSessions, say: ReportMessages) -> tuple[str, ...]:
    found = evidence.rater_agreement(merged)
    if len(found.voters) < 2:
        return ()
    notes = [say("voters", names=_persons("voter_of", found.voters, say))]
    if found.votes is not None:
        notes.append(say("alpha_votes", alpha=f"{found.votes:.2f}", n=found.n_votes))
    return tuple(notes)


def _persons(key: str, counts: Mapping[str, int], say: ReportMessages) -> str:
    told = (say(key, name=collapse_line(who) or "–", n=n) for who, n in counts.items())
    return say("and").join(told)


def votes_table(votes: Sequence[Duel], merged: MergedSessions, say: ReportMessages) -> Table | None:
    """The `duel_table` of people's votes, with who voted and how far several agree."""
    table = duel_table(say("votes"), votes, merged, say)
    return table and replace(table, notes=_voter_notes(merged, say))


def star_pairs_table(merged: MergedSessions, say: ReportMessages) -> Table | None:
    """The difference in stars of every two models over the questions rated for both."""
    found = rank.compare_pairs(rank.pair_models(evidence.star_samples(merged)))
    rows = [
        (
            *_names(c),
            Cell(str(c.n)),
            Cell(f"{c.gap:+.2f}", "" if c.interval is None else _range(c.interval, STARS)),
            Cell(_p(c)),
            Cell(say(c.verdict)),
        )
        for c in _in_order(found, merged)
    ]
    head = tuple(say(key) for key in ("model", "against", "questions", "gap", "p", "result"))
    return Table(say("star_pairs"), head, tuple(rows), left=2) if rows else None


def duel_table(
    title: str, duels: Sequence[Duel], merged: MergedSessions, say: ReportMessages
) -> Table | None:
    """Questions won, tied and lost by each model against each other, with intervals."""
    found = rank.compare_pairs(rank.pair_duels(duels), by_wins=True)
    rows = []
    for c in _in_order(found, merged):
        score = c.score
        share = "–" if score.share is None else SHARE.write(score.share)
        detail = "" if score.share is None else _range(score.interval, SHARE)
        counts = (Cell(str(n)) for n in (score.wins, score.ties, score.losses))
        rows.append((*_names(c), *counts, Cell(share, detail), Cell(_p(c)), Cell(say(c.verdict))))
    head = ("model", "against", "wins", "ties", "losses", "share", "p", "result")
    return Table(title, tuple(say(key) for key in head), tuple(rows), left=2) if rows else None


def _in_order(found: Sequence[Comparison], merged: MergedSessions) -> Iterator[Comparison]:
    """Every two models that met, the better one first."""
    order = rank.rank_models(found, [column.label for column in merged.columns])
    for a, b in combinations(order, 2):
        if one := rank.find_comparison(found, a, b):
            yield one


def _names(found: Comparison) -> tuple[Cell, Cell]:
    return Cell(collapse_line(found.left)), Cell(collapse_line(found.right))


def _p(found: Comparison) -> str:
    return format_p(found.p).removeprefix("= ")


def _range(interval: tuple[float, float], scale: Scale) -> str:
    between = "–" if scale is SHARE else " … "
    return between.join(scale.write(x) for x in interval)


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
