"""Which figures of several models may be compared: those that were taken in the same way."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

from tui.reports.caveats import asked_settings, where_measured
from tui.reports.document import format_figure
from tui.reports.merge import ModelColumn
from tui.reports.messages import ReportMessages
from tui.scoring.costs import METRICS_BY_ID, TEXT_SPEED, Metric, Place
from tui.scoring.glance import Figure, Glance, cache_state, is_apart, is_reuse_apart

Glances = Mapping[str, Glance]
"""The figures that stand for each model, by the key of its column."""
_OF_WORKER = ("load", "ram", "load_ram", "checkpoint", "weights")
"""Figures that columns have in common where one worker answers for them."""
OF_PROMPTS = ("ttft", "answer_ttft", "prefill", "e2e", "chars_s")
"""Figures that a prompt shortens which was computed before."""
_OF_SETTINGS = ("e2e", "answer_ttft", "chars_s")
"""Figures that follow from what a model was asked with: how much it says, whether it thinks."""


def comparable_figures(
    columns: Sequence[ModelColumn], glances: Glances, metric: Metric, say: ReportMessages
) -> dict[str, Figure]:
    """The known figures of some columns by their keys, if all were taken in the same way and none
    was spoilt; else nothing. Of columns with one worker only the first has its figures."""
    kept = [
        (column, figure)
        for column in columns
        if (figure := glances[column.key].figures[metric.id]).value is not None
        if not (metric.id in _OF_WORKER and column.shares_weights)
    ]
    if any(figure.is_contended or figure.is_estimated for _, figure in kept):
        return {}
    is_of_answers = metric.is_timed and not all(figure.is_standard for _, figure in kept)
    if is_of_answers and metric.id != "load" and is_apart(glances[c.key] for c, _ in kept):
        return {}
    how = {_how(column, figure, glances[column.key], metric, say) for column, figure in kept}
    figures = [figure for _, figure in kept]
    if len(how) > 1 or is_uneven(figures, metric) or reuse_differs(figures, metric):
        return {}
    return {column.key: figure for column, figure in kept}


def markable_figures(
    columns: Sequence[ModelColumn], glances: Glances, metric: Metric, say: ReportMessages
) -> dict[str, Figure]:
    """The `comparable_figures` whose best can be marked, where no sentence beside it says how
    answers were asked for, and where they were cut short."""
    told = [glances[column.key] for column in columns]
    if metric.id in _OF_SETTINGS and settings_differ(columns, told):
        return {}
    if metric.id == "e2e" and cuts_differ(columns, told):
        return {}
    return comparable_figures(columns, glances, metric, say)


def say_uneven(
    metric: str, columns: Sequence[ModelColumn], glances: Glances, say: ReportMessages
) -> str:
    """That a chart shows figures side by side that were not taken in the same way; empty where they
    were."""
    known = [c for c in columns if glances[c.key].figures[metric].value is not None]
    found = markable_figures(known, glances, METRICS_BY_ID[metric], say)
    return say("chart_uneven") if len(known) > 1 and not found else ""


def _how(
    column: ModelColumn, figure: Figure, glance: Glance, metric: Metric, say: ReportMessages
) -> Hashable:
    """What has to be the same where a figure of two models is compared."""
    told: list[Hashable] = []
    if metric.is_timed:
        told += [figure.threads, figure.batch, figure.is_standard, figure.work]
        told.append(where_measured(column, say))
    if metric.id in ("load", "ram", "load_ram"):
        # A file is converted once: that says nothing of later loads.
        told.append(column.was_converted)
    if metric.id == "load":
        told.append(frozenset(map(cache_state, glance.file_caches)))
    return tuple(told)


def _asked_with(column: ModelColumn) -> str:
    return str(sorted((asked_settings(column) | column.sampling).items()))


def _cut_places(column: ModelColumn, glance: Glance) -> frozenset[tuple[Place, int]]:
    """Where answers were cut short, and how many there: they would have taken longer."""
    timed = (answer for answer in column.answers if id(answer) in glance.common)
    return frozenset(Counter(glance.places[id(a)] for a in timed if a.is_cut).items())


def settings_differ(columns: Sequence[ModelColumn], glances: Sequence[Glance]) -> bool:
    """Whether answers were timed that were not asked for with the same settings."""
    return len({_asked_with(column) for column, _ in _timed(columns, glances)}) > 1


def cuts_differ(columns: Sequence[ModelColumn], glances: Sequence[Glance]) -> bool:
    """Whether answers were timed of which other ones were cut short in each column."""
    return len({_cut_places(*one) for one in _timed(columns, glances)}) > 1


def _timed(
    columns: Sequence[ModelColumn], glances: Sequence[Glance]
) -> list[tuple[ModelColumn, Glance]]:
    both = zip(columns, glances, strict=True)
    return [(column, one) for column, one in both if one.figures["e2e"].value is not None]


def is_uneven(figures: Sequence[Figure], metric: Metric) -> bool:
    """Whether it is a median over answers of which one model has more than another: those to
    other questions. Text speed is one over common questions anyway."""
    if not metric.is_timed or metric.id in ("load", TEXT_SPEED.id):
        return False
    return len({f.n for f in figures if f.value is not None and not f.is_standard}) > 1


def reuse_differs(figures: Sequence[Figure], metric: Metric) -> bool:
    """Whether it is of answers of which one model found clearly more of the prompts computed."""
    known = [f.reused for f in figures if f.value is not None and not f.is_standard]
    return metric.id in OF_PROMPTS and is_reuse_apart(known)


def best_of(
    values: Sequence[float | None], better: int, write: Callable[[float], str] = format_figure
) -> str | None:
    """The best of the values as it is printed; None if all print the same, or are unknown."""
    found = [value for value in values if value is not None]
    if not better or len(set(map(write, found))) < 2:
        return None
    return write(max(found) if better > 0 else min(found))
