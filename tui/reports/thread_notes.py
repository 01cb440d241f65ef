"""With how many threads the figures of a table were taken."""

from collections.abc import Sequence

from tui.reports.merge import ModelColumn
from tui.reports.messages import ReportMessages
from tui.scoring.costs import METRICS_BY_ID
from tui.scoring.glance import Glance
from tui.text.sanitise import collapse_line


def describe_threads(
    columns: Sequence[ModelColumn], glances: Sequence[Glance], say: ReportMessages
) -> list[str]:
    """One sentence where all figures had as many; else one for each model. Nothing of services,
    which tell none."""
    known = [_figures_by_threads(glance) for glance in glances]
    numbers = {threads for found in known for threads in found}
    if len(numbers) == 1 and len(alone := numbers.pop()) == 1:
        return [say("n_threads_one", n=next(iter(alone)))]
    return [
        say(
            "n_threads_of",
            model=collapse_line(column.label),
            told=say("sep").join(
                say(
                    "on_threads",
                    figures=say("and").join(map(say, names)),
                    threads=", ".join(map(str, sorted(threads))),
                )
                for threads, names in found.items()
            ),
        )
        for column, found in zip(columns, known, strict=True)
        if found
    ]


def _figures_by_threads(glance: Glance) -> dict[frozenset[int], list[str]]:
    found: dict[frozenset[int], list[str]] = {}
    for name, figure in glance.figures.items():
        if METRICS_BY_ID[name].is_timed and figure.value is not None and figure.threads:
            found.setdefault(figure.threads, []).append(name)
    return found
