"""A conclusion's skeleton in words: only what the figures carry, and how surely."""

from collections.abc import Mapping, Sequence
from statistics import median

from tui.reports.cost_tables import headline
from tui.reports.document import figure
from tui.reports.merge import Column, Merged
from tui.reports.words import Voice
from tui.scoring import rank
from tui.scoring.costs import Spread
from tui.scoring.dimensions import Dimension
from tui.scoring.rank import Difference, Duel
from tui.scoring.stars import average, per_question


def conclusion(
    merged: Merged,
    costs: Mapping[str, Mapping[str, Spread]],
    votes: Sequence[Duel],
    judged: Mapping[str, Sequence[Duel]],
    dimensions: Sequence[Dimension],
    voice: Voice,
) -> tuple[str, ...]:
    """Sentences in the order in which a reader wants them."""
    found = _completions(merged, voice)
    if not any(a.state == "answered" for column in merged.columns for a in column.answers):
        return (*found, voice("c_nothing"))
    found += _speed(merged, voice)
    found += _extreme("c_chars", "chars_s", merged, costs, voice)
    found += _extreme("c_memory", "private", merged, costs, voice)
    found += _stars(merged, dimensions, voice)
    found += _duels("c_votes", votes, merged, voice)
    for judge, duels in judged.items():
        found += _duels("c_judge", duels, merged, voice, judge=voice.line(judge))
    return tuple(found)


def _completions(merged: Merged, voice: Voice) -> list[str]:
    """One sentence where everything went well, else one per model."""
    asked = [column for column in merged.columns if column.answers]
    answers = [a for column in asked for a in column.answers]
    if len(asked) > 1 and all(a.figures and a.figures.finish != "length" for a in answers):
        return [voice("c_all", models=len(asked), asked=len(answers))]
    return [_completion(column, voice) for column in asked]


def _completion(column: Column, voice: Voice) -> str:
    answers = column.answers
    done = [a for a in answers if a.state == "answered"]
    failed = sum(a.state == "failed" for a in answers)
    return voice(
        "c_done",
        model=voice.line(column.label),
        done=len(done),
        asked=len(answers),
        cut=sum(a.figures is not None and a.figures.finish == "length" for a in done),
        failed=failed,
        stopped=len(answers) - len(done) - failed,
    )


def _speed(merged: Merged, voice: Voice) -> list[str]:
    times = {column.label: e2e_by_question(column, merged) for column in merged.columns}
    medians = {label: median(t.values()) for label, t in times.items() if t}
    if len(medians) < 2:
        spoilt = [voice.line(c.label) for c in merged.columns if not times[c.label] and _done(c)]
        return [voice("c_contended", models=", ".join(spoilt))] if spoilt else []
    first, second = sorted(medians, key=lambda label: medians[label])[:2]
    return [
        voice(
            "c_fast",
            model=voice.line(first),
            value=figure(medians[first]),
            other=voice.line(second),
            other_value=figure(medians[second]),
            clear=_clear(rank.bootstrap(times[first], times[second]), voice),
        )
    ]


def _done(column: Column) -> bool:
    return any(a.figures is not None and a.figures.e2e_ms is not None for a in column.answers)


def e2e_by_question(column: Column, merged: Merged) -> dict[str, float]:
    """The median E2E in seconds of each question and turn, contended answers left out."""
    found: dict[str, list[float]] = {}
    for number, row in enumerate(merged.rows):
        for answer in row.answers(column):
            f = answer.figures
            if answer.state == "answered" and f and f.e2e_ms is not None and not f.contended:
                found.setdefault(f"{number}.{answer.turn}", []).append(f.e2e_ms / 1000)
    return {key: median(values) for key, values in found.items()}


def stars_by_question(column: Column, merged: Merged) -> dict[str, float]:
    """The mean stars of each question that was rated."""
    return per_question({str(i): row.answers(column) for i, row in enumerate(merged.rows)})


def _extreme(
    key: str,
    metric: str,
    merged: Merged,
    costs: Mapping[str, Mapping[str, Spread]],
    voice: Voice,
) -> list[str]:
    """The best model of a figure against the next."""
    found = {
        column.label: value
        for column in merged.columns
        if (value := headline(metric, costs[column.key][metric])) is not None
    }
    more_is_better = metric == "chars_s"
    order = sorted(found, key=lambda label: -found[label] if more_is_better else found[label])
    if len(order) < 2 or found[order[0]] == found[order[1]]:
        return []
    best, other = order[0], order[1]
    return [
        voice(
            key,
            model=voice.line(best),
            value=figure(found[best]),
            other=voice.line(other),
            other_value=figure(found[other]),
            ratio=figure(found[best] / found[other]) if found[other] else "–",
        )
    ]


def _stars(merged: Merged, dimensions: Sequence[Dimension], voice: Voice) -> list[str]:
    means = {
        column.label: stars.mean
        for column in merged.columns
        if (stars := average(column.answers)).mean is not None
    }
    if len(means) < 2:
        return []
    order = sorted(means, key=lambda label: -means[label])
    by_label = {column.label: column for column in merged.columns}
    best = _best_by_dimension(merged, dimensions, voice)
    pair = [stars_by_question(by_label[label], merged) for label in order[:2]]
    return [
        voice(
            "c_stars",
            model=voice.line(order[0]),
            value=f"{means[order[0]]:.2f}",
            other=voice.line(order[1]),
            other_value=f"{means[order[1]]:.2f}",
            clear=_clear(rank.bootstrap(pair[0], pair[1]), voice),
        ),
        *([voice("c_dimensions", best=best)] if best else []),
    ]


def _best_by_dimension(merged: Merged, dimensions: Sequence[Dimension], voice: Voice) -> str:
    """Who has most stars in each dimension that more than one model was rated in."""
    found = []
    for dimension in dimensions:
        means = {
            column.label: mean
            for column in merged.columns
            if (mean := average(column.answers, dimension.id).mean) is not None
        }
        if len(means) > 1:
            most = max(means.values())
            who = ", ".join(voice.line(label) for label, mean in means.items() if mean == most)
            found.append(f"{voice.line(dimension.name(voice.lang))} {who} ({most:.2f})")
    return "; ".join(found)


def _duels(key: str, duels: Sequence[Duel], merged: Merged, voice: Voice, **more: str) -> list[str]:
    scores = rank.pairs(duels)
    order = rank.ordered(rank.overall(duels), [column.label for column in merged.columns])
    return [
        voice(
            key,
            model=voice.line(a),
            other=voice.line(b),
            wins=score.wins,
            losses=score.losses,
            n=score.n,
            clear=voice(score.verdict),
            **more,
        )
        for i, a in enumerate(order)
        for b in order[i + 1 :]
        if (score := scores.get((a, b)))
    ]


def _clear(difference: Difference | None, voice: Voice) -> str:
    if difference is None or difference.interval is None:
        return voice("c_too_few", n=difference.n if difference else 0)
    low, high = difference.interval
    key = "c_clear" if difference.clear else "c_unclear"
    return voice(key, n=difference.n, low=f"{low:+.2f}", high=f"{high:+.2f}")
