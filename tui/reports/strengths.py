"""What the figures say for and against each model, in short clauses.

These are descriptions: which value is the best or the last of a table. Whether a difference is
clear is said in the conclusion (`tui.reports.conclusion`), and only there.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median

from tui.reports import evidence
from tui.reports.caveats import describe_caveats
from tui.reports.comparable import Glances, comparable_figures
from tui.reports.cost_tables import unit_of
from tui.reports.document import ModelSketch, format_count, format_figure
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.reports.place_ids import place_id
from tui.scoring.costs import METRICS_BY_ID
from tui.scoring.dimensions import Dimension
from tui.text.sanitise import collapse_line
from tui.text.translation import translate

_FIGURES = ("e2e", "tpot", "load", "ram", "checkpoint")
_OF_WHOLE_ANSWERS = ("e2e",)
"""Those that depend on how long an answer was let become, and on how its tokens were chosen."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """A figure of all models: what it is called, its values by the key of the model, as printed,
    and whether less of it is better. ``is_of_answers``: it says something only where all were asked
    in the same way."""

    name: str
    unit: str
    values: Mapping[str, float]
    is_less_better: bool = False
    is_share: bool = False
    is_of_answers: bool = False

    def write(self, key: str) -> str:
        value = self.values[key]
        text = f"{value:.0%}" if self.is_share else format_figure(value)
        return f"{self.name} {text}{f' {self.unit}' if self.unit else ''}"

    def place(self, key: str) -> int:
        """1 for the best, -1 for the last, 0 for one between; 0 also where another one prints the
        same."""
        if key not in self.values:
            return 0
        order = sorted(self.values, key=lambda one: self.values[one])
        order = order if self.is_less_better else order[::-1]
        if [self.write(one) for one in order].count(self.write(key)) > 1:
            return 0
        return 1 if key == order[0] else -1 if key == order[-1] else 0


def sketch_models(
    merged: MergedSessions,
    glances: Glances,
    checked: evidence.Checked,
    dimensions: Sequence[Dimension],
    say: ReportMessages,
) -> tuple[tuple[ModelSketch, ...], str]:
    """One sketch per model, from the figures of all; and what the comparisons in them rest on.

    Figures of answers are compared only where the conclusion would not have to beware of anything:
    in a short clause that cannot be said.
    """
    found = list(_scales(merged, glances, checked, say))
    is_alike = _are_asked_alike(merged, say)
    scales = [scale for scale in found if is_alike or not scale.is_of_answers]
    left_out = say("and").join(scale.name for scale in found if scale not in scales)
    basis = say("st_note_unlike", figures=left_out) if left_out else say("st_note")
    sketches = tuple(
        ModelSketch(
            collapse_line(column.label),
            place_id("model", column.label),
            tuple(_placed(scales, column, 1, say)),
            tuple(_placed(scales, column, -1, say) + _mishaps(column, merged.under_way, say)),
            (
                *_traits(merged, column, is_alike, say),
                *_best_dimension(merged, column, dimensions, say),
            ),
        )
        for column in merged.columns
    )
    return sketches, basis


def _are_asked_alike(merged: MergedSessions, say: ReportMessages) -> bool:
    """Whether there is nothing to beware of where answers of any two models are compared."""
    answering = [column for column in merged.columns if column.answers]
    return not any(
        describe_caveats(a, b, merged, False, say) for a, b in combinations(answering, 2)
    )


def _scales(
    merged: MergedSessions, glances: Glances, checked: evidence.Checked, say: ReportMessages
) -> Iterable[_Scale]:
    for name in _FIGURES:
        metric = METRICS_BY_ID[name]
        found = comparable_figures(merged.columns, glances, metric, say)
        known = {key: f.value for key, f in found.items() if f.value is not None}
        if len(known) > 1:
            yield _Scale(
                *(say(name), unit_of(metric, say), known, metric.direction < 0),
                is_of_answers=name in _OF_WHOLE_ANSWERS,
            )
    for key, samples in (
        ("st_stars", evidence.star_samples(merged)),
        ("st_checks", evidence.check_samples(merged, checked)),
    ):
        means = {label: evidence.mean_stars(one) for label, one in samples.items()}
        known = {
            column.key: mean
            for column in merged.columns
            if (mean := means.get(column.label)) is not None
        }
        # Means over other questions do not say who is better.
        is_even = len(set(map(evidence.rated_parts, samples.values()))) == 1
        if len(known) > 1 and is_even:
            yield _Scale(*(say(key), "", known), is_share=key == "st_checks", is_of_answers=True)


def _placed(
    scales: Sequence[_Scale], column: ModelColumn, place: int, say: ReportMessages
) -> list[str]:
    key = "st_best" if place > 0 else "st_last"
    return [
        say(key, figure=scale.write(column.key), n=len(scale.values))
        for scale in scales
        if scale.place(column.key) == place
    ]


def _best_dimension(
    merged: MergedSessions,
    column: ModelColumn,
    dimensions: Sequence[Dimension],
    say: ReportMessages,
) -> list[str]:
    samples = evidence.star_samples(merged).get(column.label, {})
    means = [(evidence.mean_stars(samples, d.id), d) for d in dimensions]
    known = [(f"{mean:.2f}", d) for mean, d in means if mean is not None]
    most = max((mean for mean, _ in known), default="")
    best = [d for mean, d in known if mean == most]
    if len(known) < 2 or len(best) > 1:
        return []
    return [say("st_dimension", dimension=best[0].name(say.language), mean=most)]


def _mishaps(column: ModelColumn, under_way: Container[int], say: ReportMessages) -> list[str]:
    if not column.answers:
        failures = [message for part in column.parts for message in part.track.failures]
        said = [translate(message, say.language) for message in failures[-1:]]
        return [say("model_failed", message=collapse_line(message)) for message in said]
    answers = column.outcomes
    stopped = [a for a in answers if a.state in ("cancelled", "decoding", "prefill")]
    counts = {
        "st_failed": sum(a.state == "failed" for a in answers),
        "st_empty": sum(a.is_empty for a in answers),
        "st_cut": sum(a.is_cut for a in answers),
        "st_stopped": sum(id(answer) not in under_way for answer in stopped),
    }
    return [say(key, n=n, of=len(answers)) for key, n in counts.items() if n]


def _traits(
    merged: MergedSessions, column: ModelColumn, is_alike: bool, say: ReportMessages
) -> Iterable[str]:
    """What is neither good nor bad: how long its answers are (``is_alike``: compared with those of
    others), how many it completed."""
    lengths = {one.key: evidence.text_lengths(one, merged) for one in merged.columns}
    mine = lengths[column.key]
    if mine:
        middle = median(mine)
        others = [median(found) for key, found in lengths.items() if found and key != column.key]
        key = "st_length"
        if is_alike and others and middle < min(others):
            key = "st_shortest"
        elif is_alike and others and middle > max(others):
            key = "st_longest"
        yield say(key, n=format_count(middle), mean=f"{fmean(mine):.0f}")
    if not column.answers:
        yield say("st_not_asked")
        return
    done = sum(answer.state == "answered" for answer in column.answers)
    yield say("st_done", done=done, of=len(column.outcomes))
