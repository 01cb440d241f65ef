"""Sentences that sum up the figures, each with its statistical certainty."""

from collections.abc import Mapping, Sequence
from statistics import median

from tui.reports.cost_tables import headline_value
from tui.reports.document import format_figure
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.scoring import rank
from tui.scoring.costs import Spread
from tui.scoring.dimensions import Dimension
from tui.scoring.rank import Duel, MeanDifference
from tui.scoring.stars import average_stars, mean_stars_by_question
from tui.text.sanitise import collapse_line


def build_conclusion(
    merged: MergedSessions,
    costs: Mapping[str, Mapping[str, Spread]],
    votes: Sequence[Duel],
    judged: Mapping[str, Sequence[Duel]],
    dimensions: Sequence[Dimension],
    say: ReportMessages,
) -> tuple[str, ...]:
    """The sentences: completed answers, speed, memory, stars, votes, judges."""
    found = _completions(merged, say)
    if not any(a.state == "answered" for column in merged.columns for a in column.answers):
        return (*found, say("c_nothing"))
    found += _speed(merged, say)
    found += _extreme("c_chars", "chars_s", merged, costs, say)
    found += _extreme("c_memory", "private", merged, costs, say)
    found += _stars(merged, dimensions, say)
    found += _duels("c_votes", votes, merged, say)
    for judge, duels in judged.items():
        found += _duels("c_judge", duels, merged, say, judge=collapse_line(judge))
    return tuple(found)


def _completions(merged: MergedSessions, say: ReportMessages) -> list[str]:
    """One sentence if every answer is complete and uncut, else one per model."""
    asked = [column for column in merged.columns if column.answers]
    answers = [a for column in asked for a in column.answers]
    if len(asked) > 1 and all(a.figures and not a.figures.is_cut for a in answers):
        return [say("c_all", models=len(asked), asked=len(answers))]
    return [_completion(column, say) for column in asked]


def _completion(column: ModelColumn, say: ReportMessages) -> str:
    answers = column.answers
    done = [a for a in answers if a.state == "answered"]
    failed = sum(a.state == "failed" for a in answers)
    return say(
        "c_done",
        model=collapse_line(column.label),
        done=len(done),
        asked=len(answers),
        cut=sum(a.figures is not None and a.figures.is_cut for a in done),
        failed=failed,
        stopped=len(answers) - len(done) - failed,
    )


def _speed(merged: MergedSessions, say: ReportMessages) -> list[str]:
    times = {column.label: e2e_by_question(column, merged) for column in merged.columns}
    medians = {label: median(t.values()) for label, t in times.items() if t}
    if len(medians) < 2:
        spoilt = [collapse_line(c.label) for c in merged.columns if not times[c.label] and _done(c)]
        return [say("c_contended", models=", ".join(spoilt))] if spoilt else []
    first, second = sorted(medians, key=lambda label: medians[label])[:2]
    return [
        say(
            "c_fast",
            model=collapse_line(first),
            value=format_figure(medians[first]),
            other=collapse_line(second),
            other_value=format_figure(medians[second]),
            clear=_certainty(rank.paired_bootstrap(times[first], times[second]), say),
        )
    ]


def _done(column: ModelColumn) -> bool:
    return any(a.figures is not None and a.figures.e2e_ms is not None for a in column.answers)


def e2e_by_question(column: ModelColumn, merged: MergedSessions) -> dict[str, float]:
    """The median E2E in seconds of each question and turn, contended answers left out."""
    found: dict[str, list[float]] = {}
    for number, row in enumerate(merged.rows):
        for answer in row.answers(column):
            f = answer.figures
            if answer.state == "answered" and f and f.e2e_ms is not None and not f.contended:
                found.setdefault(f"{number}.{answer.turn}", []).append(f.e2e_ms / 1000)
    return {key: median(values) for key, values in found.items()}


def stars_by_question(column: ModelColumn, merged: MergedSessions) -> dict[str, float]:
    """The mean stars of each question that was rated."""
    return mean_stars_by_question(
        {str(i): row.answers(column) for i, row in enumerate(merged.rows)}
    )


def _extreme(
    key: str,
    metric: str,
    merged: MergedSessions,
    costs: Mapping[str, Mapping[str, Spread]],
    say: ReportMessages,
) -> list[str]:
    """The best model of a figure against the next."""
    found = {
        column.label: value
        for column in merged.columns
        if (value := headline_value(metric, costs[column.key][metric])) is not None
    }
    more_is_better = metric == "chars_s"
    order = sorted(found, key=lambda label: -found[label] if more_is_better else found[label])
    if len(order) < 2 or found[order[0]] == found[order[1]]:
        return []
    best, other = order[0], order[1]
    return [
        say(
            key,
            model=collapse_line(best),
            value=format_figure(found[best]),
            other=collapse_line(other),
            other_value=format_figure(found[other]),
            ratio=format_figure(found[best] / found[other]) if found[other] else "–",
        )
    ]


def _stars(
    merged: MergedSessions, dimensions: Sequence[Dimension], say: ReportMessages
) -> list[str]:
    means = {
        column.label: stars.mean
        for column in merged.columns
        if (stars := average_stars(column.answers)).mean is not None
    }
    if len(means) < 2:
        return []
    order = sorted(means, key=lambda label: -means[label])
    by_label = {column.label: column for column in merged.columns}
    best = _best_by_dimension(merged, dimensions, say)
    pair = [stars_by_question(by_label[label], merged) for label in order[:2]]
    return [
        say(
            "c_stars",
            model=collapse_line(order[0]),
            value=f"{means[order[0]]:.2f}",
            other=collapse_line(order[1]),
            other_value=f"{means[order[1]]:.2f}",
            clear=_certainty(rank.paired_bootstrap(pair[0], pair[1]), say),
        ),
        *([say("c_dimensions", best=best)] if best else []),
    ]


def _best_by_dimension(
    merged: MergedSessions, dimensions: Sequence[Dimension], say: ReportMessages
) -> str:
    """The model with most stars in each dimension in which more than one model was rated."""
    found = []
    for dimension in dimensions:
        means = {
            column.label: mean
            for column in merged.columns
            if (mean := average_stars(column.answers, dimension.id).mean) is not None
        }
        if len(means) > 1:
            most = max(means.values())
            who = ", ".join(collapse_line(label) for label, mean in means.items() if mean == most)
            found.append(f"{collapse_line(dimension.name(say.language))} {who} ({most:.2f})")
    return "; ".join(found)


def _duels(
    key: str, duels: Sequence[Duel], merged: MergedSessions, say: ReportMessages, **more: str
) -> list[str]:
    scores = rank.pairwise_scores(duels)
    order = rank.rank_models(
        rank.overall_scores(duels), [column.label for column in merged.columns]
    )
    return [
        say(
            key,
            model=collapse_line(a),
            other=collapse_line(b),
            wins=score.wins,
            losses=score.losses,
            n=score.n,
            clear=say(score.verdict),
            **more,
        )
        for i, a in enumerate(order)
        for b in order[i + 1 :]
        if (score := scores.get((a, b)))
    ]


def _certainty(difference: MeanDifference | None, say: ReportMessages) -> str:
    if difference is None or difference.interval is None:
        return say("c_too_few", n=difference.n if difference else 0)
    low, high = difference.interval
    key = "c_clear" if difference.is_clear else "c_unclear"
    return say(key, n=difference.n, low=f"{low:+.2f}", high=f"{high:+.2f}")
