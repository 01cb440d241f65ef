"""The tables of what each model costs."""

from collections.abc import Mapping, Sequence

from tui.reports.document import Cell, Table, format_figure
from tui.reports.merge import ModelColumn
from tui.reports.messages import ReportMessages
from tui.scoring.costs import METRICS, Metric, Spread
from tui.text.sanitise import collapse_line

_GLANCE_METRICS = (
    *("checkpoint", "weights", "load", "private", "mapped"),
    *("ttft", "tpot", "decode", "chars_s", "e2e"),
)
_BY_ID = {metric.id: metric for metric in METRICS}
_PEAKS = ("private", "mapped")
Costs = Mapping[str, Spread]


def build_cost_tables(
    columns: Sequence[ModelColumn], costs: Mapping[str, Costs], say: ReportMessages
) -> list[Table]:
    """The table at a glance (one line per model) and the one with every figure."""
    return [_glance_table(columns, costs, say), _details_table(columns, costs, say)]


def headline_value(metric: str, spread: Spread) -> float | None:
    """The one value that stands for a spread: the highest of memory, else the median."""
    return spread.high if metric in _PEAKS else spread.median


def _named(metric: Metric, say: ReportMessages) -> str:
    unit = say(f"unit_{metric.unit}") if metric.unit.startswith("chars") else metric.unit
    return f"{say(metric.id)}, {unit}"


def _glance_table(
    columns: Sequence[ModelColumn], costs: Mapping[str, Costs], say: ReportMessages
) -> Table:
    values = {
        (c.key, m): headline_value(m, costs[c.key][m]) for c in columns for m in _GLANCE_METRICS
    }
    # Leave out columns that are empty for every model.
    known = [m for m in _GLANCE_METRICS if any(values[c.key, m] is not None for c in columns)]
    best = {m: best_of([values[c.key, m] for c in columns], _BY_ID[m].direction) for m in known}
    guessed = {key for key in values if costs[key[0]][key[1]].estimated}
    rows = []
    for column in columns:
        cells = [
            Cell(
                _marked(format_figure(v), (column.key, m) in guessed),
                best=v is not None and v == best[m],
            )
            for m in known
            for v in [values[column.key, m]]
        ]
        rows.append((Cell(collapse_line(column.label)), Cell(_dtype(column, say)), *cells))
    head = (say("model"), say("dtype"), *(_named(_BY_ID[m], say) for m in known))
    notes = (f"~: {say('estimate')}",) if guessed else ()
    return Table(say("costs"), head, tuple(rows), left=2, notes=notes)


def _marked(text: str, is_estimate: bool) -> str:
    return f"~{text}" if is_estimate else text


def _details_table(
    columns: Sequence[ModelColumn], costs: Mapping[str, Costs], say: ReportMessages
) -> Table:
    rows = []
    for metric in METRICS:
        spreads = [costs[column.key][metric.id] for column in columns]
        if any(spread.n or spread.contended for spread in spreads):
            rows.append((Cell(_named(metric, say)), *(_spread(metric, s, say) for s in spreads)))
    head = (say("figure"), *(collapse_line(column.label) for column in columns))
    return Table(say("details"), head, tuple(rows))


def _spread(metric: Metric, spread: Spread, say: ReportMessages) -> Cell:
    details = []
    if spread.n:
        details.append(f"{_value(metric, spread.low)}–{_value(metric, spread.high)}, n {spread.n}")
    if spread.batched:
        details.append(say("of_batches", n=spread.batched))
    if spread.contended:
        details.append(say("left_out", n=spread.contended))
    if spread.estimated:
        details.append(say("estimated", n=spread.estimated))
    return Cell(_marked(_value(metric, spread.median), bool(spread.estimated)), "; ".join(details))


def _value(metric: Metric, value: float | None) -> str:
    """Counts are shown whole, everything else to three digits."""
    if value is None or metric.unit not in ("tok", "chars"):
        return format_figure(value)
    return f"{value:.1f}".removesuffix(".0")


def best_of(values: Sequence[float | None], better: int) -> float | None:
    """The best of the values; None if they are all equal or unknown."""
    found = {v for v in values if v is not None}
    if not better or len(found) < 2:
        return None
    return max(found) if better > 0 else min(found)


def _dtype(column: ModelColumn, say: ReportMessages) -> str:
    loads = column.loads
    return collapse_line(
        (loads[-1].dtype if loads else "") or column.parts[0].head.get("dtype", "")
    )
