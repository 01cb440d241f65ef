"""Charts of how good and how dear each model is: quality beside speed and memory, stars per
dimension, seconds per question."""

from collections.abc import Mapping, Sequence
from typing import Any

from tui.board.judgements import MAX_STARS
from tui.reports import evidence
from tui.reports.chart_labels import spread_labels
from tui.reports.chart_style import draw_chart, say_left_out, short_label
from tui.reports.comparable import Glances, say_uneven
from tui.reports.document import Figure
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.scoring.costs import mean
from tui.scoring.dimensions import Dimension
from tui.text.sanitise import collapse_line

_BARS = ("#08306b", "#fd8d3c", "#a6dba0", "#6a51a3", "#fee391", "#525252", "#9ecae1")
"""From dark to light and back: told apart in black and white, too."""
_MOST_QUESTIONS = 24
"""So many questions that bars of each can be told apart."""


def draw_score_charts(
    merged: MergedSessions,
    glances: Glances,
    checked: evidence.Checked,
    dimensions: Sequence[Dimension],
    say: ReportMessages,
) -> list[Figure]:
    """The charts that there are data for."""
    found = (
        _stars(merged, dimensions, say),
        _trade_off("chart_speed", "tpot", merged, glances, checked, say),
        _trade_off("chart_ram", "ram", merged, glances, checked, say),
        _seconds(merged, glances, say),
    )
    return [chart for chart in found if chart is not None]


def _stars(
    merged: MergedSessions, dimensions: Sequence[Dimension], say: ReportMessages
) -> Figure | None:
    samples = evidence.star_samples(merged)
    bars = {
        label: [evidence.mean_stars(mine, dimension.id) for dimension in dimensions]
        for label, mine in samples.items()
    }
    if not bars:
        return None
    names = [collapse_line(dimension.name(say.language)) for dimension in dimensions]
    return _bars("chart_stars", names, bars, merged, {"range": (0, MAX_STARS)}, say)


def _seconds(merged: MergedSessions, glances: Glances, say: ReportMessages) -> Figure | None:
    """Seconds to the end of an answer of each question, the mean of the undisturbed ones."""
    rows = [row for row in merged.rows if row.answer_ids]
    if not 1 < len(rows) <= _MOST_QUESTIONS or len(merged.columns) < 2:
        return None

    def seconds(column: ModelColumn) -> list[float | None]:
        samples = evidence.time_samples(column, merged, evidence.seconds_of)
        keys = [evidence.row_key(i) for i, row in enumerate(merged.rows) if row.answer_ids]
        return [mean([*samples[key].values()]) if key in samples else None for key in keys]

    bars = {column.label: seconds(column) for column in merged.columns}
    if not any(value is not None for values in bars.values() for value in values):
        return None
    names = [str(number) for number, row in enumerate(merged.rows, 1) if row.answer_ids]
    more = {"x_title": say("question"), "y_title": "s"}
    known = {label: values for label, values in bars.items() if any(v is not None for v in values)}
    uneven = say_uneven("e2e", merged.columns, glances, say)
    return _bars("chart_seconds", names, known, merged, more, say, uneven)


def _bars(
    name: str,
    names: Sequence[str],
    bars: Mapping[str, Sequence[float | None]],
    merged: MergedSessions,
    more: Mapping[str, Any],
    say: ReportMessages,
    caption: str = "",
) -> Figure:
    def draw(pygal: Any, options: dict[str, Any]) -> Any:
        options["style"].colors = _BARS
        chart = pygal.Bar(**options, **more)
        chart.x_labels = list(names)
        for label, values in bars.items():
            chart.add(short_label(label), list(values))
        return chart

    caption = f"{caption} {say_left_out(bars, merged.columns, say)}".strip()
    return Figure(name, say(name), caption, draw_chart(name, draw))


def _trade_off(
    name: str,
    figure: str,
    merged: MergedSessions,
    glances: Glances,
    checked: evidence.Checked,
    say: ReportMessages,
) -> Figure | None:
    """Quality against a cost: a point for each model, by stars, else by checks passed."""
    samples = evidence.star_samples(merged)
    scale = say("st_stars")
    if len(samples) < 2:
        samples, scale = evidence.check_samples(merged, checked), say("st_checks")
    points = {
        column.label: (cost, quality)
        for column in merged.columns
        if (cost := glances[column.key].figures[figure].value) is not None
        if (quality := evidence.mean_stars(samples.get(column.label, {}))) is not None
    }
    if len(points) < 2:
        return None

    def draw(pygal: Any, options: dict[str, Any]) -> Any:
        xs = [x for x, _ in points.values()]
        options |= {
            "xrange": (0, max(xs) * 1.4),
            "range": (0, MAX_STARS if len(evidence.star_samples(merged)) > 1 else 1),
            "dots_size": 7,
            "print_labels": True,
        }
        axis = say("tpot_axis" if figure == "tpot" else "ram_axis")
        chart = pygal.XY(stroke=False, x_title=axis, y_title=scale, **options)
        for label, point in points.items():
            chart.add(short_label(label), [{"value": point, "label": short_label(label)}])
        return chart

    told = (
        say("chart_trade_off"),
        say_uneven(figure, [c for c in merged.columns if c.label in points], glances, say),
        say_left_out(points, merged.columns, say),
    )
    caption = " ".join(part for part in told if part)
    return Figure(name, say(name), caption, spread_labels(draw_chart(name, draw)))
