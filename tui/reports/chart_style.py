"""How every chart of a report looks, and what draws it: pygal, made inert.

Its script, links, tooltips and comments are taken out, its ids made stable, so that the picture of
the same session is the same text each time.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from tui.reports.merge import ModelColumn
from tui.reports.messages import ReportMessages
from tui.reports.svg import make_inert
from tui.text.sanitise import collapse_line
from tui.text.width import shorten

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette: told apart by colour-blind readers, too."""
_MAX_LABEL = 28
_HEIGHT, _LEGEND_COLUMNS, _LEGEND_ROW = 380, 3, 25
"""Pixels of a chart and of a row of its legend."""


def short_label(label: str) -> str:
    """A model's name as the legend has room for it."""
    return shorten(collapse_line(label), _MAX_LABEL)


def draw_chart(name: str, draw: Callable[[Any, dict[str, Any]], Any]) -> str:
    """The chart ``name`` as SVG; ``draw`` makes it of pygal and its options."""
    import pygal
    from pygal.style import Style

    fonts = '"Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "Helvetica Neue", sans-serif'
    style = Style(
        background="#ffffff",
        plot_background="#ffffff",
        foreground="#333333",
        foreground_strong="#111111",
        foreground_subtle="#999999",
        colors=COLOURS,
        font_family=fonts,
        label_font_size=13,
        major_label_font_size=13,
        legend_font_size=14,
        title_font_size=16,
        value_label_font_size=13,
        opacity=".85",
        stroke_width="2",
        guide_stroke_color="#e1e5ea",
        guide_stroke_dasharray="0",
        major_guide_stroke_color="#e1e5ea",
        major_guide_stroke_dasharray="0",
    )
    chart = draw(
        pygal,
        {
            "style": style,
            "js": [],
            "width": 860,
            "legend_at_bottom": True,
            "margin_bottom": 30,
            "legend_at_bottom_columns": _LEGEND_COLUMNS,
            "truncate_legend": -1,
            "disable_xml_declaration": True,
            "include_x_axis": True,
            "min_scale": 4,
            "max_scale": 8,
            "value_formatter": lambda value: f"{value:g}",
        },
    )
    chart.uuid = name
    # The legend takes from the height: of many models it would leave none.
    more_rows = max(0, len(chart.raw_series) // _LEGEND_COLUMNS - 1)
    chart.height = _HEIGHT + more_rows * _LEGEND_ROW
    return make_inert(chart.render())


def say_left_out(
    drawn: Collection[str], columns: Sequence[ModelColumn], say: ReportMessages
) -> str:
    """The models, by their label, that a chart has nothing of; empty where it has all."""
    names = [collapse_line(column.label) for column in columns if column.label not in drawn]
    return say("chart_left_out", models=say("and").join(names)) if names else ""
